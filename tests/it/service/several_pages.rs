//! Older pages of feeds of several channels, and what these feeds leave out because they have it already.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use proptest::sample::{self, subsequence};
use proptest::test_runner::{Config, TestRunner};
use proptest::{prop_assert, prop_assert_eq};

use super::several_channels::{FAST, channel, ids, parsed};
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::FakeTelegram;

/// Returns the entries of all pages, with the number of pages.
fn all_pages(app: &App, target: &str) -> (Vec<String>, usize) {
    let (mut next, mut found, mut n_pages) = (target.to_owned(), Vec::new(), 0);
    while !next.is_empty() {
        let feed = parsed(&app.get(&next));
        found.extend(ids(&feed).into_iter().map(|id| id.trim_start_matches("https://t.me/").to_owned()));
        let url = feed["next_url"].as_str().and_then(|url| url.split_once(&app.address.to_string()));
        next = url.map_or(String::new(), |(_, path)| path.to_owned());
        n_pages += 1;
        assert!(n_pages < 500, "{target}: the pages do not end");
    }
    (found, n_pages)
}

/// Channels of different length and speed, many of whose posts have the same time.
fn archived_channels() -> (FakeTelegram, App, Vec<(Timestamp, &'static str, u32)>) {
    let fake = FakeTelegram::start();
    let mut posts = Vec::new();
    for (name, n, pace) in
        [("busy_quay", 170_u32, 7), ("heron", 3, 3000), ("kettle", 45, 311), ("otters", 70, 49)]
    {
        let mut channel = FakeChannel::new(name, 20);
        for n in 0..n {
            // Each third post has the time of the one before it.
            let minute = i64::from(n - n % 3) * pace / 7 * 7;
            let at = "2026-05-01T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute);
            posts.push((at, name, channel.publish(0, at)));
        }
        fake.add_channel(channel);
    }
    posts.sort_by_key(|(at, name, id)| (Reverse(*at), *name, Reverse(*id)));
    let app = App::start(&fake.url(), &FAST);
    for name in ["busy_quay", "heron", "kettle", "otters"] {
        all_pages(&app, &format!("/{name}/json?limit=200"));
    }
    (fake, app, posts)
}

/// A page begins where the one before it ended, whatever its size and whichever channels it has.
#[test]
fn pages_of_several_channels_have_each_archived_post_once_and_in_order() {
    let (fake, app, posts) = archived_channels();
    let n_requests = fake.paths("/s/").len();
    let names = subsequence(vec!["busy_quay", "heron", "kettle", "otters"], 2..=4);
    let queries =
        sample::select(vec!["", "limit=1", "limit=9", "limit=50", "limit=200", "match=/[37]+of/&limit=4"]);
    let config = Config { cases: 30, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(names, queries), |(names, query)| {
        let is_found = |id: u32| !query.contains("match") || [3, 7].contains(&(id % 10));
        let is_expected = |(_, name, id): &&(Timestamp, &str, u32)| names.contains(name) && is_found(*id);
        let expected: Vec<String> =
            posts.iter().filter(is_expected).map(|(_, name, id)| format!("{name}/{id}")).collect();
        let (found, n_pages) = all_pages(&app, &format!("/{}/json?{query}", names.join(",")));
        prop_assert_eq!(&found, &expected, "{:?} {}", names, query);
        prop_assert!(n_pages <= expected.len() + 1, "empty pages");
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(fake.paths("/s/").len(), n_requests, "older posts come from the archive");
}

#[test]
fn every_format_links_to_the_next_page() {
    let (_fake, app, posts) = archived_channels();
    let expected: Vec<String> =
        posts.iter().map(|(_, name, id)| format!("https://t.me/{name}/{id}")).collect();
    let path = "/busy_quay,heron,kettle,otters";
    let cursor = expected[9].trim_start_matches("https://t.me/").replace('/', "%2F");
    let next = format!("http://{}{path}/FORMAT?before={}&limit=10", app.address, cursor.replace("%2F", "/"));
    for format in ["rss", "atom", "json"] {
        let next = next.replace("FORMAT", format);
        let first = app.get(&format!("{path}/{format}?limit=10"));
        let escaped = if format == "json" { next.clone() } else { next.replace('&', "&amp;") };
        assert!(first.text().contains(&escaped), "{escaped}: {}", first.text());
        let second = app.get(next.split_once(&app.address.to_string()).unwrap().1);
        let read = feed_rs::parser::parse(&*second.body).unwrap();
        let read: Vec<&str> = read.entries.iter().map(|entry| &*entry.id).collect();
        assert_eq!(read, expected[10..20], "{format}");
    }
    let last = app.get(&format!("{path}/json?before=otters/1"));
    assert_eq!(last.status, 404, "{}", last.text());
    let own = app.get("/otters/json?before=OTTERS/31&limit=3");
    assert!(own.text().contains("/otters/json?before=31&limit=3\""), "{}", own.text());
    assert_eq!(ids(&parsed(&own))[0], "https://t.me/otters/30");
}

/// Digests of several channels are on one page each.
#[test]
fn pages_of_digests_have_each_digest_once() {
    let (_fake, app, _) = archived_channels();
    let target = "/busy_quay,kettle,otters/json?merge=day&limit=";
    let (all, _) = all_pages(&app, &format!("{target}200"));
    for limit in [1, 4] {
        let (found, _) = all_pages(&app, &format!("{target}{limit}"));
        assert_eq!(found, all, "limit={limit}");
    }
}

#[test]
fn forwards_of_what_a_feed_has_are_left_out_on_request() {
    let fake = FakeTelegram::start();
    let (mut heron, mut kettle, mut otters) =
        (channel("heron", 0), channel("kettle", 10), channel("otters", 20));
    let forward = |channel: &mut FakeChannel, id, url: &str| {
        channel.posts.get_mut(&id).unwrap().forwarded = Some(format!("https://t.me/{url}"));
    };
    forward(&mut kettle, 1, "heron/2");
    forward(&mut otters, 1, "elsewhere/9");
    forward(&mut kettle, 3, "elsewhere/9");
    forward(&mut heron, 3, "heron/1");
    for channel in [heron, kettle, otters] {
        fake.add_channel(channel);
    }
    let app = App::start(&fake.url(), &FAST);
    for (query, expected) in [
        ("dedupe=none", "otters/3 otters/2 otters/1 kettle/3 kettle/2 kettle/1 heron/3 heron/2 heron/1"),
        ("dedupe=forwards", "otters/3 otters/2 kettle/3 kettle/2 heron/3 heron/2 heron/1"),
        ("dedupe=forwards&limit=4", "otters/3 otters/2 kettle/3 kettle/2"),
        ("dedupe=forwards&limit=2&before=kettle/2", "heron/3 heron/2"),
    ] {
        let feed = parsed(&app.get(&format!("/heron,kettle,otters/json?{query}")));
        let found: Vec<&str> = ids(&feed).iter().map(|id| id.trim_start_matches("https://t.me/")).collect();
        assert_eq!(found.join(" "), expected, "{query}");
    }
    let own = app.get("/kettle/json?dedupe=forwards");
    assert_eq!(ids(&parsed(&own)).len(), 3, "there is nothing that a channel's own feed has twice");
    assert_eq!(own.header("ETag"), app.get("/kettle/json").header("ETag"));
}
