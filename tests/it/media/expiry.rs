//! Telegram's media URLs expire; those of the service do not.

use std::collections::BTreeMap;

use super::{CHANNEL, FAST, KEY, channel, get_all, item_of, links, service};
use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram, picture};
use crate::support::page;
use crate::support::postgres::Postgres;

const POSTS: u32 = 500;
const CONCURRENCY: usize = 200;

/// Asserts that every link returns its picture, and that no preview page is fetched twice for that.
fn assert_links_work(app: &App, fake: &FakeTelegram, links: &[String]) {
    let before = fake.paths("/s/").len();
    for (path, answer) in get_all(app, links, CONCURRENCY) {
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.body == picture(CHANNEL, item_of(&path)), "{path} is another picture");
        assert_eq!(answer.header("Content-Type"), Some("image/jpeg"));
    }
    let mut pages = BTreeMap::<String, usize>::new();
    for page in fake.paths("/s/").into_iter().skip(before) {
        *pages.entry(page).or_default() += 1;
    }
    assert!(pages.values().all(|n| *n == 1), "{pages:?}");
    assert!(pages.len() <= links.len() / 5, "a preview page has 20 posts, and {} were fetched", pages.len());
    assert_eq!(fake.paths(&format!("/{CHANNEL}/")), [""; 0], "no page of a single post was fetched");
}

#[test]
fn expired_urls_are_renewed_page_by_page() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, POSTS);
    let app = service(&fake, &[]);
    let links = links(&app);
    assert_eq!(links.len(), POSTS as usize);
    assert_links_work(&app, &fake, &links);
    history.lock().unwrap().token += 1;
    assert_links_work(&app, &fake, &links);
    let folder = app.stop();
    history.lock().unwrap().token += 1;
    let flags = ["--media-hosts", &fake.host(), "--rate", "10000", "--burst", "10000", "--media-key", KEY];
    let app = App::start_in(folder, &fake.url(), &flags);
    assert_links_work(&app, &fake, &links);
}

#[test]
fn replicas_share_renewed_urls() {
    let Some(postgres) = Postgres::shared() else { return };
    let fake = FakeTelegram::start();
    let history = channel(&fake, 100);
    let database = postgres.database();
    let flags = ["--database", &database, "--public-url", "https://feeds.example.org"];
    let (one, two) = (service(&fake, &flags), service(&fake, &flags));
    let links = links(&one);
    history.lock().unwrap().token += 1;
    let before = fake.paths("/s/").len();
    std::thread::scope(|scope| {
        for app in [&one, &two] {
            scope.spawn(|| {
                for (path, answer) in get_all(app, &links, 50) {
                    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                    assert!(answer.body == picture(CHANNEL, item_of(&path)), "{path} is another picture");
                }
            });
        }
    });
    let n_pages = fake.paths("/s/").len() - before;
    assert!(n_pages <= links.len(), "{n_pages} pages for {} posts", links.len());
    // Both replicas know the URLs that one of them has fetched.
    let before = fake.paths("/s/").len();
    assert!(get_all(&two, &links, 50).iter().all(|(_, answer)| answer.status == 200));
    assert_eq!(fake.paths("/s/").len(), before);
}

#[test]
fn feeds_do_not_change_when_media_urls_rotate() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, 20);
    let app = service(&fake, &["--fresh-min", "0s", "--fresh-max", "0s"]);
    let feed = |format: &str| {
        let answer = app.get(&format!("/{CHANNEL}/{format}"));
        let header = |name| answer.header(name).map(str::to_owned);
        (header("ETag"), header("Last-Modified"), answer.body.clone())
    };
    let before = ["rss", "atom", "json"].map(feed);
    for n in 1..=3 {
        history.lock().unwrap().token += 1;
        app.refresh(&fake, CHANNEL);
        assert!(["rss", "atom", "json"].map(feed) == before, "after {n} rotations");
    }
    let etag = before[0].0.clone().unwrap();
    let answer = app.ask("GET", &format!("/{CHANNEL}/rss"), &[("If-None-Match", &etag)]);
    assert_eq!(answer.status, 304);
}

#[test]
fn deleted_post_is_404_and_not_fetched_again() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, 30);
    let app = service(&fake, &[]);
    let links = links(&app);
    {
        let mut history = history.lock().unwrap();
        history.posts.remove(&15);
        history.token += 1;
    }
    let error =
        "<!DOCTYPE html><body><div class=\"tgme_widget_message_error\">Post not found</div></body></html>";
    fake.on(&format!("/{CHANNEL}/15?embed=1&mode=tme"), Answer::page(error));
    let path = links.iter().find(|path| item_of(path) == 15).unwrap();
    assert_eq!(app.get(path).status, 404);
    let before = fake.paths("/").len();
    for _ in 0..5 {
        assert_eq!(app.get(path).status, 404);
    }
    let requested = fake.paths("/").split_off(before);
    assert!(
        requested.iter().all(|path| path.starts_with("/file/")),
        "only the archived URL is tried: {requested:?}"
    );
}

/// With albums only, every preview page cuts off some of them.
#[test]
fn albums_are_resolved_from_any_preview_page() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, 0);
    let start: jiff::Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    for n in 0..30 {
        history.lock().unwrap().publish(3 + n % 5, start + jiff::SignedDuration::from_mins(n.into()));
    }
    let mut app = service(&fake, &[]);
    let links = links(&app);
    assert_eq!(links.len(), 150);
    for order in [links.clone(), links.iter().rev().cloned().collect()] {
        // Restart, because a URL that expires soon after it was resolved is not resolved again.
        app = App::start_in(app.stop(), &fake.url(), &[&FAST[..], &["--media-hosts", &fake.host()]].concat());
        history.lock().unwrap().token += 1;
        for (path, answer) in get_all(&app, &order, 1) {
            let n: u32 = path.rsplit('/').next().unwrap().split('.').next().unwrap().parse().unwrap();
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(answer.body == picture(CHANNEL, item_of(&path) + n), "{path} is another picture");
        }
    }
}

/// One preview page is fetched for all its files, and once a channel is gone, only one request discovers that.
#[test]
fn expired_files_of_one_page_cost_one_fetch() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, 20);
    let app = service(&fake, &[]);
    let links = links(&app);
    for item in 1..=20 {
        fake.on(&format!("/file/{CHANNEL}-{item}.jpg?token=0"), Answer::status(403));
        fake.on(&format!("/file/{CHANNEL}-{item}.jpg?token=1"), Answer::status(404));
    }
    history.lock().unwrap().token += 1;
    let before = fake.paths("/s/").len();
    // Newest first: the preview page with the newest post shows all of them.
    for link in links.iter().rev() {
        assert_eq!(app.get(link).status, 404);
    }
    assert_eq!(fake.paths("/s/").len(), before + 1);
    let folder = app.stop();
    let app = App::start_in(folder, &fake.url(), &[&FAST[..], &["--media-hosts", &fake.host()]].concat());
    let not_found = page("landing_nobody");
    for item in 1..=20 {
        fake.on(&format!("/s/{CHANNEL}?before={}", item + 10), Answer::page(&not_found));
    }
    let before = fake.paths("/s/").len();
    for link in &links {
        assert_eq!(app.get(link).status, 404);
    }
    assert_eq!(fake.paths("/s/").len(), before + 1);
}

/// The preview page still shows a URL that the file server refuses.
#[test]
fn refused_new_url_costs_one_fetch() {
    let fake = FakeTelegram::start();
    channel(&fake, 5);
    let app = service(&fake, &[]);
    let link = links(&app).first().unwrap().clone();
    for status in [403, 404, 410] {
        fake.on(&format!("/file/{CHANNEL}-{}.jpg?token=0", item_of(&link)), Answer::status(status));
    }
    let before = fake.paths("/s/").len();
    for _ in 0..20 {
        assert_eq!(app.get(&link).status, 404);
    }
    assert_eq!(fake.paths("/s/").len(), before + 1);
}

#[test]
fn old_url_is_used_if_the_preview_page_fails() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, 20);
    let app = service(&fake, &["--media-refresh", "0s"]);
    let links = links(&app);
    fake.override_all(Answer::status(500));
    let path = links.first().unwrap();
    let answer = app.get(path);
    assert!((500..505).contains(&answer.status) && answer.header("Retry-After").is_some(), "{answer:?}");
    fake.clear_override();
    // An old URL is tried if no newer one is available.
    fake.on(&format!("/s/{CHANNEL}?before={}", item_of(path) + 10), Answer::status(500));
    assert_eq!(app.get(links.last().unwrap()).status, 200);
    history.lock().unwrap().token += 1;
    assert_eq!(app.get(path).status, 502, "the old URL has expired, and the new one is unknown");
}

#[test]
fn edited_media_get_new_urls() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, 3);
    let app = service(&fake, &["--fresh-min", "0s", "--fresh-max", "0s"]);
    let before = links(&app);
    let tags = |links: &[String]| {
        links.iter().map(|link| app.get(link).header("ETag").map(str::to_owned)).collect::<Vec<_>>()
    };
    let of_3 = |links: &[String]| links.iter().filter(|link| item_of(link) == 3).cloned().collect::<Vec<_>>();
    let tags_before = tags(&of_3(&before));
    history.lock().unwrap().posts.get_mut(&3).unwrap().n_pictures = 2;
    history.lock().unwrap().posts.get_mut(&3).unwrap().n_shown = 2;
    app.refresh(&fake, CHANNEL);
    let after = links(&app);
    assert!(of_3(&before)[0].ends_with("/3/0.jpg"), "{before:?}");
    let mut names: Vec<_> =
        of_3(&after).iter().map(|link| link.rsplit('/').next().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["0-1.jpg", "1-1.jpg"]);
    let tags_after = tags(&of_3(&after));
    for (links, tags, is_current) in [(of_3(&before), tags_before, false), (of_3(&after), tags_after, true)] {
        for (link, tag) in links.iter().zip(tags) {
            let answer = app.ask("GET", link, &[("Range", "bytes=0-9")]);
            assert_eq!(answer.status, 206, "{link}");
            // An old link leads to another file now, so a range of it must not complete the old file.
            let rest = app.ask("GET", link, &[("Range", "bytes=1-"), ("If-Range", &tag.unwrap())]);
            assert_eq!(rest.status, if is_current { 206 } else { 200 }, "{link}");
            assert_eq!(answer.header("ETag").is_some(), is_current, "{link}");
            assert_eq!(answer.header("Cache-Control").unwrap().contains("immutable"), is_current, "{link}");
        }
    }
}
