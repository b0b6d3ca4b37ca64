//! Feeds of several channels: their order, their URLs, and channels that fail or come later.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::service;
use crate::support::app::{App, new_folder};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::http::Response;
use crate::support::wait::wait_until;

/// Flags of a service that asks Telegram as often as it likes, and nothing twice.
pub(super) const FAST: [&str; 8] =
    ["--rate", "10000", "--burst", "10000", "--fresh-min", "1h", "--fresh-max", "1h"];

/// Returns a channel with three posts, one minute apart, the first one `minute` minutes after a fixed time.
pub(super) fn channel(name: &str, minute: i64) -> FakeChannel {
    let start: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    FakeChannel::with_posts(name, 3, start + SignedDuration::from_mins(minute))
}

/// Starts a service with three channels, whose posts alternate.
pub(super) fn three_channels(flags: &[&str]) -> (FakeTelegram, App) {
    let fake = FakeTelegram::start();
    for (name, minute) in [("heron", 0), ("kettle", 1), ("otters", 10)] {
        fake.add_channel(channel(name, minute));
    }
    let app = App::start(&fake.url(), flags);
    (fake, app)
}

pub(super) fn parsed(answer: &Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

pub(super) fn ids(feed: &Value) -> Vec<&str> {
    feed["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn entries_of_all_channels_are_in_one_feed_and_named() {
    let (fake, app) = three_channels(&FAST);
    let feed = parsed(&app.get("/heron,kettle,otters/json"));
    let expected =
        ["otters/3", "otters/2", "otters/1", "kettle/3", "heron/3", "kettle/2", "heron/2", "kettle/1"];
    let expected: Vec<String> = expected.iter().map(|id| format!("https://t.me/{id}")).collect();
    assert_eq!(ids(&feed)[..8], expected, "the newest first; of two at once that of the first channel");
    for name in ["heron", "kettle", "otters"] {
        let single = parsed(&app.get(&format!("/{name}/json")));
        for item in single["items"].as_array().unwrap() {
            let id = &item["id"];
            let same = feed["items"].as_array().unwrap().iter().find(|other| other["id"] == *id).unwrap();
            assert_eq!(same["content_html"], item["content_html"], "{id}");
            assert_eq!((&same["authors"][0]["name"], &same["tags"][0]), (&name.into(), &name.into()), "{id}");
        }
    }
    let rss = app.get("/heron,kettle,otters/rss");
    let source = format!("<source url=\"http://{}/otters/rss\">otters</source>", app.address);
    assert!(rss.text().contains(&source), "{source}: {}", rss.text());
    for format in ["rss", "atom", "json"] {
        let answer = app.get(&format!("/heron,kettle,otters/{format}"));
        let read = feed_rs::parser::parse(&*answer.body).unwrap();
        let read: Vec<&str> = read.entries.iter().map(|entry| &*entry.id).collect();
        assert_eq!(read, ids(&feed), "{format}");
    }
    assert_eq!(
        fake.paths("/s/").len(),
        3,
        "all formats and the single feeds share one fetch of each channel"
    );
}

#[test]
fn readers_get_the_same_bytes_until_a_channel_has_a_new_post() {
    let fake = FakeTelegram::start();
    fake.add_channel(channel("heron", 0));
    let kettle = fake.add_channel(channel("kettle", 1));
    let app = App::start(
        &fake.url(),
        &["--fresh-min", "0s", "--fresh-max", "0s", "--rate", "10000", "--burst", "10000"],
    );
    let target = "/heron,kettle/rss";
    let first = app.get(target);
    let tag = first.header("ETag").unwrap();
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("Last-Modified"), None, "a channel that comes later may have older posts only");
    let again = app.ask("GET", target, &[("If-None-Match", tag)]);
    assert_eq!((again.status, again.header("ETag")), (304, Some(tag)));
    let at = "2026-05-01T09:00:00Z".parse().unwrap();
    kettle.lock().unwrap().publish(0, at);
    wait_until("the new post is in the feed", || app.get(target).text().contains("https://t.me/kettle/4"));
    assert_eq!(app.ask("GET", target, &[("If-None-Match", tag)]).status, 200);
}

#[test]
fn restart_gives_the_same_bytes() {
    let key =
        ["--media-key", "0123456789abcdef0123456789abcdef", "--public-url", "https://feeds.example.org"];
    let (fake, app) = three_channels(&[&FAST[..], &key].concat());
    let before = app.get("/heron,kettle,otters/atom");
    let app = App::start_in(app.stop(), &fake.url(), &[&FAST[..], &key].concat());
    let after = app.get("/heron,kettle,otters/atom");
    assert_eq!((before.header("ETag"), &before.body), (after.header("ETag"), &after.body));
    assert_eq!(fake.paths("/s/").len(), 3, "the archive has all of it");
}

#[test]
fn urls_have_one_canonical_form() {
    let (fake, app) = three_channels(&[]);
    for (target, location) in [
        ("/kettle,heron/rss", "../heron,kettle/rss"),
        ("/Heron,kettle/rss", "../heron,kettle/rss"),
        ("/heron,kettle,HERON/rss", "../heron,kettle/rss"),
        ("/heron,,@kettle,/rss?limit=5", "../heron,kettle/rss?limit=5"),
        ("/heron%2Ckettle/rss", "../heron,kettle/rss"),
        ("/heron,kettle.atom", "heron,kettle/atom"),
        ("/heron,heron/rss", "../heron/rss"),
        ("/kettle,heron", "heron,kettle"),
        ("/heron,heron", "heron"),
        (
            "/?action=display&bridge=FeedMerge&format=Mrss&feed_1=rsshub%3A%2F%2Ftelegram%2Fchannel%2Fkettle\
             &feed_2=rsshub%3A%2F%2Ftelegram%2Fchannel%2FHeron",
            "heron,kettle/rss",
        ),
    ] {
        let answer = app.get(target);
        assert_eq!((answer.status, answer.header("Location")), (301, Some(location)), "{target}");
    }
    let names = |n: u32| (100..100 + n).map(|n| format!("name_{n}")).collect::<Vec<_>>().join(",");
    for (target, part) in [
        (format!("/{}/rss", names(51)), "A feed of 51 channels: at most 50"),
        ("/heron,x/rss".to_owned(), "\"x\" is not a channel"),
        ("/,/rss".to_owned(), "\",\" is not a channel"),
        ("/heron,kettle/rss?before=5".to_owned(), "`before`: must be CHANNEL/ID"),
        (
            "/heron,kettle/rss?before=otters/5".to_owned(),
            "one of the channels of this feed, such as heron/1234",
        ),
        ("/heron/rss?before=otters/5".to_owned(), "must be the number of a post of heron"),
        ("/heron,kettle/rss?ids=number".to_owned(), "`ids` with numbers is for feeds of one channel"),
        ("/heron,kettle/rss?only=films".to_owned(), "must be a comma-separated list of text"),
    ] {
        let answer = app.get(&target);
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
        assert!(answer.text().contains(part), "{target}: {}", answer.text());
    }
    assert_eq!(fake.paths("/s/"), [""; 0]);
    for typed in ["@kettle,%20heron", "t.me/kettle%20https://t.me/s/heron", "heron%0A@kettle"] {
        let form = app.get(&format!("/?channel={typed}"));
        assert_eq!((form.status, form.header("Location")), (303, Some("heron,kettle")), "{typed}");
    }
    let html = app.get("/heron,kettle");
    let link = "title=\"heron, kettle (Atom)\" href=\"heron,kettle/atom\">";
    assert!(html.status == 200 && html.text().contains(link), "{}", html.text());
}

#[test]
fn options_apply_to_all_channels() {
    let (fake, app) = three_channels(&FAST);
    for (query, expected) in [
        ("limit=4", &["otters/3", "otters/2", "otters/1", "kettle/3"][..]),
        ("match=/Post+2+of/", &["otters/2", "kettle/2", "heron/2"]),
        ("match=post&exclude=otters&limit=2", &["kettle/3", "heron/3"]),
        ("match=submarine", &[]),
    ] {
        let feed = parsed(&app.get(&format!("/heron,kettle,otters/json?{query}")));
        let expected: Vec<String> = expected.iter().map(|id| format!("https://t.me/{id}")).collect();
        assert_eq!(ids(&feed), expected, "{query}");
        let says_nothing_found = feed["description"].as_str().unwrap().starts_with("No recent post passes");
        assert_eq!(says_nothing_found, expected.is_empty(), "{query}");
    }
    assert_eq!(fake.paths("/s/").len(), 3);
}

/// A limit is also reached with archived posts. Telegram is not asked for them.
#[test]
fn limit_looks_back_through_the_archive() {
    let fake = FakeTelegram::start();
    let start = "2026-05-01T08:00:00Z".parse().unwrap();
    fake.add_channel(FakeChannel::with_posts("old_harbour", 60, start));
    fake.add_channel(channel("heron", 0));
    let app = App::start(&fake.url(), &FAST);
    let count = |target: &str| ids(&parsed(&app.get(target))).len();
    assert_eq!(count("/heron,old_harbour/json?limit=200"), 23, "20 posts are archived");
    assert_eq!(fake.paths("/s/").len(), 2);
    assert_eq!(count("/old_harbour/json?limit=60"), 60);
    assert_eq!(count("/heron,old_harbour/json?limit=62"), 62);
}

#[test]
fn tokens_reach_feeds_of_several_channels() {
    let token = "0123456789abcdef";
    let (_fake, app) = three_channels(&["--token", token]);
    assert_eq!(app.get("/heron,kettle/rss").status, 401);
    assert_eq!(app.get(&format!("/-/token/{token}/heron,kettle/rss")).status, 200);
    assert_eq!(app.get(&format!("/heron,kettle/rss?token={token}")).status, 200);
    let moved = app.get(&format!("/-/token/{token}/kettle,heron/rss"));
    assert_eq!(moved.header("Location"), Some("../heron,kettle/rss"));
}

/// Feeds, pages and bundles have the other channels; they are refused if no channel is left.
#[test]
fn channels_that_are_not_served_are_left_out_and_named() {
    let folder = new_folder();
    let settings = folder.join("telewire.toml");
    let bundles = "[bundle.some]\nchannels = [\"heron\", \"kettle\"]\n\
                   [bundle.none]\nchannels = [\"kettle\"]\n";
    fs::write(&settings, bundles).unwrap();
    let settings = settings.to_str().unwrap();
    let (fake, app) = three_channels(&["--deny-channels", "kettle,otters", "--config", settings]);
    for target in ["/heron,kettle/json", "/-/bundle/some/json"] {
        let feed = parsed(&app.get(target));
        let description = feed["description"].as_str().unwrap();
        assert!(description.starts_with("Cannot be read: @kettle. "), "{target}: {description}");
        assert_eq!(ids(&feed), [3, 2, 1].map(|id| format!("https://t.me/heron/{id}")), "{target}");
    }
    for target in ["/heron,kettle", "/-/bundle/some"] {
        let shown = app.get(target);
        assert!(shown.status == 200 && shown.text().contains("Cannot be read: @kettle."), "{target}");
    }
    let moved = app.get(
        "/?action=display&bridge=FeedMerge&format=Mrss&feed_1=rsshub%3A%2F%2Ftelegram%2Fchannel%2Fkettle\
         &feed_2=rsshub%3A%2F%2Ftelegram%2Fchannel%2Fheron",
    );
    assert_eq!((moved.status, moved.header("Location")), (301, Some("heron,kettle/rss")));
    for target in ["/kettle,otters/rss", "/kettle,otters", "/?channel=otters,kettle", "/-/bundle/none/rss"] {
        let refused = app.get(target);
        let reason =
            "None of these channels can be read: kettle (the channel kettle is not allowed on this server)";
        assert!(refused.status == 403 && refused.text().starts_with(reason), "{target}: {}", refused.text());
        assert_eq!(refused.text().contains("otters ("), !target.contains("bundle"), "{target}");
    }
    assert_eq!(fake.paths("/s/"), ["/s/heron"]);
    fs::remove_dir_all(folder).unwrap();
}

/// Adds channels that fail, each in another way.
fn add_broken(fake: &FakeTelegram) -> Vec<String> {
    let answers = [
        Answer::status(400),
        Answer::page(""),
        Answer::page(&" ".repeat(5 << 20)),
        Answer::redirect("https://evil.example/s/broken"),
        Answer::redirect("https://telegram.org/"),
    ];
    let add = |(n, answer)| {
        fake.on(&format!("/s/broken_{n}"), answer);
        format!("broken_{n}")
    };
    answers.into_iter().enumerate().map(add).collect()
}

/// Cold, the feed has what could be read; the rest comes in the background. Then it costs nothing upstream.
#[test]
fn feed_of_fifty_channels_does_not_fail_with_some() {
    let fake = FakeTelegram::start();
    let broken = add_broken(&fake);
    let good: Vec<String> = (10..55).map(|n| format!("good_{n}")).collect();
    for (name, minute) in good.iter().zip(0..) {
        fake.add_channel(channel(name, minute));
    }
    let app =
        App::start(&fake.url(), &["--rate", "4", "--burst", "8", "--fresh-min", "1h", "--fresh-max", "1h"]);
    let target = format!("/{},{}/json", broken.join(","), good.join(","));

    let cold = app.get(&target);
    assert_eq!(cold.header("Cache-Control"), Some("public, max-age=60, must-revalidate"));
    let cold = parsed(&cold);
    let description = cold["description"].as_str().unwrap();
    assert!(description.contains("Still to come: @"), "{description}");
    let (missing, _) = description.rsplit_once(". ").unwrap();
    for name in good.iter().chain(&broken) {
        let has_posts = ids(&cold).iter().any(|id| id.contains(&format!("/{name}/")));
        assert!(has_posts != missing.contains(&format!("@{name}")), "{name}: {description}");
    }

    let description = || parsed(&app.get(&target))["description"].as_str().unwrap().to_owned();
    wait_until("all channels are read", || !description().contains("Still to come"));
    let all: Vec<String> = broken.iter().map(|name| format!("@{name}")).collect();
    assert!(description().starts_with(&format!("Cannot be read: {}. ", all.join(", "))), "{}", description());
    let warm = app.get(&target);
    let n_requests = fake.paths("/").len();
    let second = app.ask("GET", &target, &[("User-Agent", "another reader")]);
    assert_eq!(second.header("ETag"), warm.header("ETag"));
    assert_eq!(ids(&parsed(&second)).len(), 45 * 3);
    assert_eq!(fake.paths("/").len(), n_requests, "a second reader costs nothing upstream");
}

#[test]
fn feed_without_any_channel_fails_with_the_most_useful_error() {
    let fake = FakeTelegram::start();
    add_broken(&fake);
    let app = App::start(&fake.url(), &[]);
    let some = app.get("/broken_3,broken_4/rss");
    assert_eq!((some.status, some.header("Retry-After").is_some()), (502, true), "{}", some.text());
    fake.on("/s/nobody_here", Answer::redirect("https://telegram.org/"));
    let none = app.get("/broken_4,nobody_here/rss");
    assert_eq!(none.status, 404, "{}", none.text());
    for (answer, names) in [(&some, ["broken_3", "broken_4"]), (&none, ["broken_4", "nobody_here"])] {
        for name in names {
            let alone = app.get(&format!("/{name}/rss"));
            let (_, reason) = answer.text().split_once(&format!("{name} (")).unwrap();
            assert!(reason[1..].starts_with(alone.text()[1..].trim_end().trim_end_matches('.')), "{reason}");
        }
    }
}

#[test]
fn channel_whose_request_is_refused_is_still_to_come() {
    let (fake, app) = three_channels(&FAST);
    assert_eq!(app.get("/heron/rss").status, 200);
    fake.on("/s/kettle", Answer::status(429));
    let feed = parsed(&app.get("/heron,kettle/json"));
    let description = feed["description"].as_str().unwrap();
    assert!(description.starts_with("Still to come: @kettle. "), "{description}");
}

#[test]
fn channel_without_posts_does_not_hide_the_others() {
    let (fake, app) = service(&[]);
    fake.on("/s/nobody_here", Answer::redirect("https://telegram.org/"));
    let feed = app.get("/harbour_news,nobody_here/rss");
    assert_eq!(feed.status, 200, "{}", feed.text());
    assert!(feed.text().contains("Cannot be read: @nobody_here. @harbour_news"), "{}", feed.text());
}
