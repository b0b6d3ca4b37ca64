//! Replicas that share a PostgreSQL database: each channel is fetched once for all of them, and the database may become
//! unavailable and return.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::support::app::{self, App};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram, Gate};
use crate::support::postgres::Postgres;
use crate::support::wait::{Monitor, wait_until};
use crate::support::{http, print_note};

const READERS: usize = 1000;
const REPLICAS: usize = 3;
const FEED: &str = "/twin_piers/rss";
const PREVIEW: &str = "/s/twin_piers";
/// A rate limit that no test reaches.
const FAST: [&str; 4] = ["--rate", "10000", "--burst", "10000"];

fn start() -> Timestamp {
    "2026-05-01T08:00:00Z".parse().unwrap()
}

fn replicas(fake: &FakeTelegram, database: &str, flags: &[&str]) -> Vec<App> {
    let flags =
        [&FAST[..], flags, &["--database", database, "--public-url", "https://feeds.example.org"]].concat();
    (0..REPLICAS).map(|_| App::start(&fake.url(), &flags)).collect()
}

#[test]
fn thousand_readers_of_three_replicas_cause_one_fetch() {
    let Some(postgres) = Postgres::shared() else { return };
    let fake = FakeTelegram::start();
    let gate = Gate::default();
    let page = FakeChannel::with_posts("twin_piers", 20, start()).preview_page(None);
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page) });
    let apps = replicas(&fake, &postgres.database(), &[]);
    let n_sent = Arc::<Monitor<usize>>::default();
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let (address, n_sent) = (apps[n % REPLICAS].address, Arc::clone(&n_sent));
            let read = move || {
                let stream = http::send(address, "GET", FEED, &[]);
                n_sent.update(|n| *n += 1);
                http::receive(stream, "GET")
            };
            thread::Builder::new().stack_size(256 << 10).spawn(read).unwrap()
        })
        .collect();
    assert!(n_sent.wait_for(|n| *n == READERS));
    fake.wait_for(PREVIEW);
    gate.open();
    let answers: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert!(answers.iter().all(|answer| answer.header("ETag") == answers[0].header("ETag")));
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn merge_of_one_replica_reaches_the_others_at_once() {
    let Some(postgres) = Postgres::shared() else { return };
    let fake = FakeTelegram::start();
    let history = fake.add_channel(FakeChannel::with_posts("twin_piers", 5, start()));
    let apps = replicas(&fake, &postgres.database(), &["--fresh-min", "2s", "--fresh-max", "2s"]);
    let before = apps.iter().map(|app| app.get(FEED)).collect::<Vec<_>>();
    assert!(before.iter().all(|answer| answer.status == 200));
    assert_eq!(fake.count(PREVIEW), 1, "the other replicas load it from the archive");
    history.lock().unwrap().publish(0, start());
    let has_it = |app: &App| app.get(FEED).text().contains("twin_piers/6<");
    wait_until("a stale feed is refreshed", || has_it(&apps[0]));
    let n_asked = fake.count(PREVIEW);
    wait_until("the other replicas are notified", || apps.iter().all(has_it));
    assert!(fake.count(PREVIEW) <= n_asked + 1, "the other replicas do not fetch");
    for n in 0..60 {
        history.lock().unwrap().publish(0, start() + SignedDuration::from_mins(n));
    }
    let has_all = |app: &App| app.get(FEED).text().matches("<item>").count() == 66;
    wait_until("the gap is filled", || has_all(&apps[0]));
    wait_until("the other replicas are notified of the filled gap", || apps.iter().all(has_all));
    let tags: Vec<_> = apps.iter().map(|app| app.get(FEED).header("ETag").unwrap().to_owned()).collect();
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
}

/// Readers of other replicas poll while one replica fetches what it has missed.
#[test]
fn missed_posts_reach_the_readers_of_all_replicas() {
    let Some(postgres) = Postgres::shared() else { return };
    let database = postgres.database();
    let fake = FakeTelegram::start();
    let history = fake.add_channel(FakeChannel::with_posts("twin_piers", 20, start()));
    for app in replicas(&fake, &database, &["--fresh-min", "0s", "--fresh-max", "0s"]) {
        assert_eq!(app.get(FEED).status, 200);
    }
    for n in 0..30 {
        history
            .lock()
            .unwrap()
            .publish(0, start() + SignedDuration::from_hours(24) + SignedDuration::from_mins(n));
    }
    let (older, gate) = ("/s/twin_piers?before=31", Gate::default());
    let page = Answer::page(&history.lock().unwrap().preview_page(Some(31)));
    fake.on(older, Answer { gate: Some(gate.clone()), ..page });
    // The channel is stale after the restart, then fresh.
    let apps = replicas(&fake, &database, &["--fresh-min", "1h", "--fresh-max", "1h"]);
    let reader = |app: &App| {
        let reader = http::send(app.address, "GET", FEED, &[]);
        fake.wait_for(older);
        reader
    };
    let readers: Vec<_> = apps.iter().map(reader).collect();
    assert!(apps.iter().all(|app| app.get("/-/healthz").status == 200));
    gate.open();
    for reader in readers {
        let answer = http::receive(reader, "GET");
        let feed = answer.text();
        let has = |id: &u32| feed.contains(&format!("<guid>https://t.me/twin_piers/{id}<"));
        assert_eq!((21..=50).filter(has).count(), 30, "{:?}", answer.header("Cache-Status"));
    }
    assert_eq!(fake.count(older), 1);
}

#[test]
fn lease_of_a_dead_replica_passes_to_another() {
    let Some(postgres) = Postgres::shared() else { return };
    let fake = FakeTelegram::start();
    let page = FakeChannel::with_posts("twin_piers", 5, start()).preview_page(None);
    fake.on(PREVIEW, Answer { gate: Some(Gate::default()), ..Answer::page(&page) });
    let mut apps = replicas(&fake, &postgres.database(), &[]);
    let _first = http::send(apps[0].address, "GET", FEED, &[]);
    fake.wait_for(PREVIEW);
    drop(apps.remove(0).kill());
    fake.on(PREVIEW, Answer::page(&page));
    let answer = apps[0].get(FEED);
    assert_eq!((answer.status, fake.count(PREVIEW)), (200, 2), "{}", answer.text());
}

/// Takes six seconds: the time that a replica waits for the one with the lease.
#[test]
fn replica_in_a_queue_does_not_fetch_what_another_has_archived() {
    let Some(postgres) = Postgres::shared() else { return };
    let fake = FakeTelegram::start();
    fake.add_channel(FakeChannel::with_posts("twin_piers", 5, start()));
    fake.on("/s/slow_pier", Answer { gate: Some(Gate::default()), ..Answer::page("") });
    let apps = replicas(&fake, &postgres.database(), &["--in-flight", "1"]);
    let _slow = http::send(apps[0].address, "GET", "/slow_pier/rss", &[]);
    fake.wait_for("/s/slow_pier");
    let queued = http::send(apps[0].address, "GET", FEED, &[]);
    let queue = format!("telewire_upstream_queue_length{{host=\"{}\"}}", fake.host());
    apps[0].wait_for_metric(&queue, 1.0);
    assert_eq!(apps[1].get(FEED).status, 200);
    assert_eq!(http::receive(queued, "GET").status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn shorter_answers_of_a_database_outage_end_with_it() {
    let Some(postgres) = Postgres::start() else { return };
    let fake = FakeTelegram::start();
    let mut piers = FakeChannel::new("twin_piers", 20);
    for n in 0..60 {
        piers.publish(0, start() + SignedDuration::from_hours(3 * n));
    }
    fake.add_channel(piers);
    let flags = ["--database", &postgres.database(), "--fresh-min", "1h", "--fresh-max", "1h"];
    let app = App::start(&fake.url(), &[&FAST[..], &flags].concat());
    let n_items = |target: &str| app.get(target).text().matches("<item>").count();
    wait_until("all posts are archived", || n_items(&format!("{FEED}?limit=200")) == 60);
    postgres.pause();
    assert_eq!(n_items(&format!("{FEED}?limit=50")), 20, "those in memory");
    let of_several = app.get("/quay_side,twin_piers/rss?before=twin_piers/55");
    assert!(of_several.status == 503 && of_several.header("Retry-After").is_some(), "{}", of_several.text());
    let older = || app.get("/twin_piers?before=55").text().to_owned();
    assert!(older().contains("Post 54 of") && !older().contains("Post 40 of"), "{}", older());
    postgres.resume();
    wait_until("the feed has all posts", || n_items(&format!("{FEED}?limit=50")) == 50);
    wait_until("the page has all posts", || older().contains("Post 40 of"));
}

#[test]
fn database_outages_cost_no_reader_a_response() {
    let Some(mut postgres) = Postgres::start() else { return };
    let fake = FakeTelegram::start();
    let names: Vec<String> = (0..8).map(|n| format!("pier_{n}")).collect();
    let histories: Vec<_> =
        names.iter().map(|name| fake.add_channel(FakeChannel::with_posts(name, 30, start()))).collect();
    let database = postgres.database();
    let apps = replicas(&fake, &database, &["--fresh-min", "0s", "--fresh-max", "0s"]);
    for (app, name) in apps.iter().flat_map(|app| names.iter().map(move |name| (app, name))) {
        assert_eq!(app.get(&format!("/{name}/rss")).status, 200);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let n_slow = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..6)
        .map(|n| {
            let (is_over, n_slow, names) = (Arc::clone(&is_over), Arc::clone(&n_slow), names.clone());
            let address = apps[n % REPLICAS].address;
            thread::spawn(move || {
                let mut n_read = 0;
                let mut slowest = Duration::ZERO;
                while !is_over.load(Ordering::SeqCst) {
                    let end = if n_read % 10 == 9 { "json?limit=25" } else { "rss" };
                    let begun = Instant::now();
                    let answer =
                        http::ask(address, "GET", &format!("/{}/{end}", names[n_read % names.len()]), &[]);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    slowest = slowest.max(begun.elapsed());
                    if begun.elapsed() > Duration::from_millis(150) {
                        n_slow.fetch_add(1, Ordering::SeqCst);
                    }
                    n_read += 1;
                }
                (n_read, slowest)
            })
        })
        .collect();
    for n in 0..20 {
        thread::sleep(Duration::from_millis(150));
        if n % 2 == 0 {
            postgres.pause();
            thread::sleep(Duration::from_millis(400));
            postgres.resume();
        } else {
            postgres.kill();
            thread::sleep(Duration::from_millis(200));
            postgres.restart();
        }
        histories[n % histories.len()].lock().unwrap().publish(0, start());
    }
    is_over.store(true, Ordering::SeqCst);
    let read: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let n_read: usize = read.iter().map(|(n, _)| n).sum();
    let slowest = read.iter().map(|(_, slowest)| *slowest).max().unwrap();
    print_note(&format!(
        "a database paused and killed 20 times: {n_read} responses, {} slower than 150 ms, the slowest took {slowest:?}",
        n_slow.load(Ordering::SeqCst)
    ));
    // The replicas use the database again without a restart.
    histories[0].lock().unwrap().publish(0, start());
    let last = histories[0].lock().unwrap().next_id - 1;
    let back = Instant::now();
    wait_until("the database is used again", || {
        let app =
            App::start(&fake.url(), &["--database", &database, "--fresh-min", "1h", "--fresh-max", "1h"]);
        apps[0].get("/pier_0/rss");
        // A new replica has only the archive: with a fresh channel it does not fetch.
        app.get("/pier_0/rss").text().contains(&format!("pier_0/{last}<"))
    });
    print_note(&format!("the database is used again after {:?}", back.elapsed()));
}

/// They are archived even if no reader asks for the channel again. Takes up to ten seconds: the interval at which waiting pages
/// are archived.
#[test]
fn posts_that_are_deleted_or_edited_during_a_database_outage_are_archived() {
    let Some(mut postgres) = Postgres::start() else { return };
    let fake = FakeTelegram::start();
    let history = fake.add_channel(FakeChannel::with_posts("twin_piers", 20, start()));
    let database = postgres.database();
    let flags = [&FAST[..], &["--database", &database, "--fresh-min", "0s", "--fresh-max", "0s"]].concat();
    let app = App::start(&fake.url(), &flags);
    assert_eq!(app.get(FEED).status, 200);
    postgres.kill();
    let deleted = history.lock().unwrap().publish(0, start());
    wait_until("the post is served", || app.get(FEED).text().contains("twin_piers/21<"));
    history.lock().unwrap().posts.remove(&deleted);
    for edited in ["Post 20 of twin_piers, edited<", "Post 20 of twin_piers, edited, edited<"] {
        history.lock().unwrap().edit(20);
        wait_until("the edit is served", || app.get(FEED).text().contains(edited));
    }
    // A page without changes does not wait.
    assert_eq!(app.get(FEED).status, 200);
    app.wait_for_metric("telewire_archive_pages_waiting", 3.0);
    postgres.restart();
    app.wait_for_metric("telewire_archive_pages_waiting", 0.0);
    let export = app::run_in(&app.folder, &["archive", "export", "twin_piers", "--database", &database]);
    for text in ["Post 21 of twin_piers", "Post 20 of twin_piers, edited\""] {
        assert!(export.stdout.contains(text), "{text}: {export:?}");
    }
}

/// Takes up to ten seconds: the time that pages and connections get.
#[test]
fn service_exits_while_the_database_does_not_answer() {
    let Some(postgres) = Postgres::start() else { return };
    let fake = FakeTelegram::start();
    let _history = fake.add_channel(FakeChannel::with_posts("twin_piers", 5, start()));
    let database = postgres.database();
    let flags = [&FAST[..], &["--database", &database, "--fresh-min", "0s", "--fresh-max", "0s"]].concat();
    let mut app = App::start(&fake.url(), &flags);
    assert_eq!(app.get(FEED).status, 200);
    postgres.pause();
    assert_eq!(app.get(FEED).status, 200);
    app.terminate();
    wait_until("the service exits", || app.has_exited());
    postgres.resume();
}

#[test]
fn unreachable_database_at_startup_is_retried() {
    let Some(mut postgres) = Postgres::start() else { return };
    let database = postgres.database();
    postgres.kill();
    let fake = FakeTelegram::start();
    let _history = fake.add_channel(FakeChannel::with_posts("twin_piers", 5, start()));
    let flags = [&FAST[..], &["--database", &database, "--fresh-min", "0s", "--fresh-max", "0s"]].concat();
    let app = App::start(&fake.url(), &flags);
    assert_eq!(app.get(FEED).status, 200, "feeds are served from memory");
    postgres.restart();
    let is_archived = || {
        app.get(FEED);
        let stats = app::run_in(&app.folder, &["archive", "stats", "--database", &database]);
        stats.stdout.contains("1 channels, 5 posts")
    };
    wait_until("posts are archived once the database is reachable", is_archived);
}
