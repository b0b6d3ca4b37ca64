//! Feeds of a channel with a history: every post once, in order, with its edits and deletions.

use std::fs;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Kind, kinds};
use crate::support::app::{self, App};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram, Gate};
use crate::support::http;
use crate::support::wait::wait_until;

/// Always stale, with a rate limit that no test reaches.
pub(super) const HASTY: [&str; 8] =
    ["--fresh-min", "0s", "--fresh-max", "0s", "--rate", "10000", "--burst", "10000"];
/// Fresh for the whole test.
pub(super) const CALM: [&str; 8] =
    ["--fresh-min", "1h", "--fresh-max", "1h", "--rate", "10000", "--burst", "10000"];

pub(super) const NAME: &str = "old_harbour";
pub(super) const FEED: &str = "/old_harbour/json";

pub(super) fn start() -> Timestamp {
    "2026-05-01T08:00:00Z".parse().unwrap()
}

/// Returns a fake t.me with one channel of `n` posts.
pub(super) fn channel(n: u32) -> (FakeTelegram, Arc<Mutex<FakeChannel>>) {
    let fake = FakeTelegram::start();
    let history = fake.add_channel(FakeChannel::with_posts(NAME, n, start()));
    (fake, history)
}

pub(super) fn service(kind: &Kind, fake: &FakeTelegram, flags: &[&str]) -> App {
    App::start(&fake.url(), &[flags, &kind.flags()].concat())
}

/// Returns a feed in JSON Feed format.
pub(super) fn feed(app: &App, target: &str) -> Value {
    let answer = app.get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Returns the ids of a feed's posts, in its order.
pub(super) fn ids(feed: &Value) -> Vec<u32> {
    let items = feed["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().rsplit_once('/').unwrap().1.parse().unwrap())
        .collect()
}

/// Returns a page after a check of its posts. If PostgreSQL is slow, as on a busy machine, the page is served from memory or
/// not at all, so it is requested again.
pub(super) fn assert_page(app: &App, kind: &Kind, target: &str, expected: &[u32]) -> Value {
    let mut page = Value::Null;
    let is_there = || {
        let answer = app.get(target);
        page = serde_json::from_slice(&answer.body).unwrap_or_default();
        answer.status == 200 && ids(&page) == expected
    };
    if kind.database.is_some() {
        wait_until(&format!("{target} has {expected:?}"), is_there);
    } else {
        page = feed(app, target);
        assert_eq!(ids(&page), expected, "{target}");
    }
    page
}

/// Requests the feed until `wanted` holds.
pub(super) fn wait_for_feed(app: &App, what: &str, wanted: impl Fn(&Value) -> bool) {
    wait_until(what, || wanted(&feed(app, FEED)));
}

pub(super) fn down_to(highest: u32, lowest: u32) -> Vec<u32> {
    (lowest..=highest).rev().collect()
}

#[test]
fn gap_between_two_refreshes_is_filled_from_older_pages() {
    for kind in kinds() {
        let (fake, history) = channel(30);
        let app = service(&kind, &fake, &HASTY);
        assert_eq!(ids(&feed(&app, FEED)), down_to(30, 11), "{}: the newest page", kind.name);
        for n in 30..100 {
            history.lock().unwrap().publish(0, start() + SignedDuration::from_mins(n));
        }
        app.refresh(&fake, NAME);
        // All posts are of the same day, so the first page shows them.
        wait_for_feed(&app, kind.name, |feed| ids(feed) == down_to(100, 11));
        assert_eq!(fake.count("/s/old_harbour?before=81"), 1);
        assert_eq!(
            fake.count("/s/old_harbour?before=21"),
            0,
            "{}: no page below the gap is fetched",
            kind.name
        );
    }
}

/// It polls an hour later each day. What a poll does not have is too old at the next one.
#[test]
fn reader_that_polls_once_a_day_gets_each_post() {
    const PER_DAY: u32 = 60;
    let (fake, history) = channel(20);
    let app = App::start(&fake.url(), &HASTY);
    feed(&app, FEED);
    for day in 1..=3 {
        for n in 0..PER_DAY {
            let at =
                SignedDuration::from_hours(25 * i64::from(day)) + SignedDuration::from_mins((25 * n).into());
            history.lock().unwrap().publish(0, start() + at);
        }
        let newest = 20 + PER_DAY * day;
        let of_day = PER_DAY as usize;
        assert_eq!(ids(&feed(&app, FEED))[..of_day], down_to(newest, newest - PER_DAY + 1), "day {day}");
    }
}

/// A second reader polls while the posts are fetched for the first one.
#[test]
fn missed_posts_reach_each_reader_that_polls_meanwhile() {
    let (fake, history) = channel(20);
    let app = App::start(&fake.url(), &HASTY);
    feed(&app, FEED);
    for n in 0..30 {
        let at = SignedDuration::from_hours(24) + SignedDuration::from_mins(n);
        history.lock().unwrap().publish(0, start() + at);
    }
    let (older, gate) = ("/s/old_harbour?before=31", Gate::default());
    let page = Answer::page(&history.lock().unwrap().preview_page(Some(31)));
    fake.on(older, Answer { gate: Some(gate.clone()), ..page });
    // The channel is stale after the restart, then fresh.
    let app = App::start_in(app.stop(), &fake.url(), &CALM);
    let readers = [(); 2].map(|()| {
        let reader = http::send(app.address, "GET", FEED, &[]);
        fake.wait_for(older);
        reader
    });
    assert_eq!(app.get("/-/healthz").status, 200);
    gate.open();
    for reader in readers {
        let feed = serde_json::from_slice(&http::receive(reader, "GET").body).unwrap();
        assert_eq!(ids(&feed)[..30], down_to(50, 21));
    }
}

#[test]
fn gap_that_cannot_be_filled_is_kept() {
    for kind in kinds() {
        let (fake, history) = channel(20);
        let app = service(&kind, &fake, &[&HASTY[..], &["--gap-pages", "2"]].concat());
        feed(&app, FEED);
        for n in 20..110 {
            history.lock().unwrap().publish(0, start() + SignedDuration::from_mins(n));
        }
        fake.on("/s/old_harbour?before=91", Answer::status(404));
        app.refresh(&fake, NAME);
        fake.wait_for("/s/old_harbour?before=91");
        wait_for_feed(&app, kind.name, |feed| ids(feed) == down_to(110, 91));
        // The gap survives a restart. It is not due for a minute, but a backfill command fills it at once.
        let folder = app.stop();
        fake.remove_answer("/s/old_harbour?before=91");
        let app = App::start_in(folder, &fake.url(), &[&CALM[..], &kind.flags()].concat());
        let stats = app::run_in(&app.folder, &[&["archive", "stats"], &kind.flags()[..]].concat());
        assert!(
            stats.stdout.contains("old_harbour                             40        0     1"),
            "{stats:?}"
        );
        let upstream = fake.url();
        let filled = [&["archive", "backfill", NAME, "--upstream", &upstream], &kind.flags()[..]].concat();
        let filled = app::run_in(&app.folder, &filled);
        assert_eq!((filled.code, filled.stdout.as_str()), (0, ""), "{filled:?}");
        assert!(filled.stderr.contains("old_harbour: 110 posts, back to the first one"), "{filled:?}");
        assert_page(&app, &kind, "/old_harbour/json?limit=200", &down_to(110, 1));
    }
}

#[test]
fn feed_pages_link_to_the_first_post_and_back() {
    for kind in kinds() {
        let (fake, _history) = channel(130);
        let app = service(&kind, &fake, &CALM);
        let newest = assert_page(&app, &kind, "/old_harbour/json?limit=50", &down_to(130, 81));
        let next = |feed: &Value| {
            let url = feed["next_url"].as_str()?.to_owned();
            Some(url.split_once("/old_harbour").map(|(_, rest)| format!("/old_harbour{rest}")).unwrap())
        };
        let older = next(&newest).unwrap();
        assert_eq!(older, "/old_harbour/json?before=81&limit=50");
        let older = assert_page(&app, &kind, &older, &down_to(80, 31));
        let oldest = assert_page(&app, &kind, &next(&older).unwrap(), &down_to(30, 1));
        assert_eq!(next(&oldest), None, "{}", kind.name);
        // Everything is archived now.
        let n_asked = fake.times().len();
        assert_page(&app, &kind, "/old_harbour/json?limit=200", &down_to(130, 1));
        assert_page(&app, &kind, "/old_harbour/json?before=4", &[3, 2, 1]);
        assert_eq!(fake.times().len(), n_asked, "{}", kind.name);
        let gone = app.get("/old_harbour/json?before=1");
        assert_eq!((gone.status, gone.text().contains("No older posts of this channel")), (404, true));
        // RSS and Atom have the same links, and links to newer pages.
        for (target, rel, leads_to) in [
            ("/old_harbour/rss?limit=50", "next", "/old_harbour/rss?before=81&amp;limit=50"),
            ("/old_harbour/atom", "next", "/old_harbour/atom?before=1"),
            ("/old_harbour/rss?before=31&limit=50", "previous", "/old_harbour/rss?before=81&amp;limit=50"),
            ("/old_harbour/atom?before=81&limit=50", "previous", "/old_harbour/atom?limit=50"),
            ("/old_harbour/atom?before=111", "previous", "/old_harbour/atom"),
        ] {
            let answer = app.get(target);
            let link = format!("http://{}{leads_to}\" rel=\"{rel}\"", app.address);
            let is_last = leads_to.ends_with("before=1");
            assert_eq!(
                answer.text().contains(&link),
                !is_last,
                "{target}: {link} in {}",
                &answer.text()[..1500]
            );
        }
        // A validator of such a page is one.
        let tag = app.get("/old_harbour/rss?limit=50").header("ETag").unwrap().to_owned();
        assert_eq!(app.ask("GET", "/old_harbour/rss?limit=50", &[("If-None-Match", &tag)]).status, 304);
    }
}

#[test]
fn distant_post_is_fetched_without_the_pages_above_it() {
    for kind in kinds() {
        let (fake, _history) = channel(3000);
        let app = service(&kind, &fake, &CALM);
        assert_page(&app, &kind, "/old_harbour/json?before=1001&limit=20", &down_to(1000, 981));
        assert!(fake.times().len() <= 3, "the newest page and those around the post");
        // The ids in between stay a gap.
        assert_page(&app, &kind, "/old_harbour/json?before=1021&limit=40", &down_to(1020, 981));
        assert_page(&app, &kind, "/old_harbour/json?limit=100", &down_to(3000, 2901));
    }
}

#[test]
fn distant_media_post_is_fetched_once() {
    for kind in kinds() {
        let (fake, history) = channel(3000);
        history.lock().unwrap().posts.get_mut(&1000).unwrap().n_pictures = 1;
        history.lock().unwrap().posts.get_mut(&1000).unwrap().n_shown = 1;
        let app = service(&kind, &fake, &CALM);
        for _ in 0..3 {
            let target = "/old_harbour/json?before=1001&limit=40";
            assert_page(&app, &kind, target, &down_to(1000, 961));
        }
        assert!(fake.times().len() <= 5, "{}: fetched {} pages", kind.name, fake.times().len());
        // Reading distant posts does not change the newest page.
        assert_eq!(ids(&feed(&app, FEED)), down_to(3000, 2981), "{}", kind.name);
        let folder = app.kill();
        let app = App::start_in(folder, &fake.url(), &[&CALM[..], &kind.flags()].concat());
        assert_eq!(ids(&feed(&app, FEED)), down_to(3000, 2981), "{}: after a restart", kind.name);
        assert!(feed(&app, FEED)["next_url"].as_str().unwrap().ends_with("?before=2981"));
    }
}

#[test]
fn album_cut_by_a_page_is_archived_once_and_whole() {
    for kind in kinds() {
        let (fake, history) = channel(50);
        let at = |n: i64| start() + SignedDuration::from_mins(n);
        history.lock().unwrap().publish(5, at(51));
        for n in 56..=72 {
            history.lock().unwrap().publish(0, at(n));
        }
        let app = service(&kind, &fake, &HASTY);
        feed(&app, FEED);
        app.refresh(&fake, NAME);
        let whole: Vec<u32> = down_to(72, 56).into_iter().chain([51]).chain(down_to(50, 29)).collect();
        assert_page(&app, &kind, "/old_harbour/json?limit=40", &whole);
        history.lock().unwrap().publish(0, at(73));
        app.refresh(&fake, NAME);
        let whole: Vec<u32> = [73].into_iter().chain(whole).take(40).collect();
        assert_page(&app, &kind, "/old_harbour/json?limit=40", &whole);
    }
}

#[test]
fn single_empty_page_does_not_close_a_gap() {
    for kind in kinds() {
        let (fake, _history) = channel(1000);
        let nothing = FakeChannel::new(NAME, 20).preview_page(None);
        let app = service(&kind, &fake, &CALM);
        feed(&app, FEED);
        for before in ["510", "981"] {
            fake.on(&format!("/s/old_harbour?before={before}"), Answer::page(&nothing));
        }
        let missing = app.get("/old_harbour/json?before=500");
        assert_eq!(missing.status, 503, "{}: {}", kind.name, missing.text());
        assert!(missing.header("Retry-After").is_some());
        assert_page(&app, &kind, "/old_harbour/json?limit=100", &down_to(1000, 981));
        let short = app.get("/old_harbour/json?limit=100");
        assert_eq!(
            short.header("Cache-Control"),
            Some("public, max-age=60, must-revalidate"),
            "the page may get more posts"
        );
        for before in ["510", "981"] {
            fake.remove_answer(&format!("/s/old_harbour?before={before}"));
        }
        let upstream = fake.url();
        let filled = ["archive", "backfill", NAME, "--posts", "200", "--upstream", &upstream];
        let filled = app::run_in(&app.folder, &[&filled, &kind.flags()[..]].concat());
        assert_eq!(filled.code, 0, "{}: {filled:?}", kind.name);
        assert_page(&app, &kind, "/old_harbour/json?limit=100", &down_to(1000, 901));
    }
}

#[test]
fn backfill_ends_where_the_oldest_posts_were_deleted() {
    let (fake, history) = channel(60);
    // Telegram goes on linking to posts that were deleted.
    let linked = history.lock().unwrap().preview_page(Some(41));
    fake.on("/s/old_harbour?before=41", Answer::page(&linked));
    history.lock().unwrap().posts.retain(|id, _| *id > 20);
    let folder = app::new_folder();
    let filled = app::run_in(&folder, &["archive", "backfill", NAME, "--upstream", &fake.url()]);
    assert_eq!(filled.code, 0, "{filled:?}");
    assert!(filled.stderr.contains("40 posts; Telegram shows none older than 21"), "{filled:?}");
    assert!(!filled.stderr.contains("anything yet"), "{filled:?}");
    assert_eq!(fake.count("/s/old_harbour?before=21"), 2);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn feeds_after_a_restart_without_telegram_are_identical() {
    for kind in kinds() {
        let (fake, history) = channel(60);
        let app = service(&kind, &fake, &HASTY);
        feed(&app, FEED);
        history.lock().unwrap().edit(50);
        history.lock().unwrap().publish(4, start() + SignedDuration::from_hours(9));
        app.refresh(&fake, NAME);
        let formats = ["rss", "atom", "json"];
        let flags = [&HASTY[..], &kind.flags(), &["--public-url", "https://feeds.example.org"]].concat();
        // Requesting older posts archives them.
        feed(&app, "/old_harbour/json?limit=200");
        let folder = app.kill();
        let app = App::start_in(folder, &fake.url(), &flags);
        wait_until("the second of the last change is over", || {
            app.get("/old_harbour/rss").header("Last-Modified").is_some()
        });
        let targets = formats.iter().flat_map(|format| {
            ["", "?limit=7", "?before=55"].map(|end| format!("/old_harbour/{format}{end}"))
        });
        let targets: Vec<_> = targets.collect();
        let before: Vec<_> = targets.iter().map(|target| app.get(target)).collect();
        fake.override_all(Answer::status(500));
        let folder = app.kill();
        let app = App::start_in(folder, &fake.url(), &flags);
        for (target, before) in targets.iter().zip(&before) {
            let after = app.get(target);
            assert_eq!((before.status, after.status), (200, 200), "{} {target}", kind.name);
            assert_eq!(before.text(), after.text(), "{} {target}", kind.name);
            for header in ["ETag", "Last-Modified"] {
                assert_eq!(before.header(header), after.header(header), "{} {target}", kind.name);
            }
        }
    }
}

#[test]
fn no_archive_keeps_posts_in_memory() {
    let (fake, history) = channel(30);
    let app = App::start(&fake.url(), &[&HASTY[..], &["--no-archive"]].concat());
    assert_eq!(ids(&feed(&app, FEED)), down_to(30, 11));
    history.lock().unwrap().edit(25);
    history.lock().unwrap().publish(0, start() + SignedDuration::from_mins(31));
    app.refresh(&fake, NAME);
    assert_eq!(ids(&feed(&app, FEED)), down_to(31, 11), "earlier posts stay");
    assert_eq!(ids(&feed(&app, "/old_harbour/json?limit=200")), down_to(31, 1));
    let written: Vec<_> = fs::read_dir(app.folder.join("data")).unwrap().collect();
    assert!(written.len() == 1, "only the key of media URLs is written: {written:?}");
}
