//! Telegram's own search, beside the archive's: what it costs upstream, and what a reader gets without it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::options::{json, numbers};
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::wait::wait_until;

/// Flags of a service that asks Telegram as often as it likes, and nothing twice.
const FAST: [&str; 8] = ["--rate", "10000", "--burst", "10000", "--fresh-min", "1h", "--fresh-max", "1h"];

/// Searches of one client at once.
const CLIENT_BURST: usize = 30;

/// Returns a channel with 100 posts. Every tenth is about kettles and every 25th about a boat, with hashtags.
fn channel(name: &str) -> FakeChannel {
    let start: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    let mut channel = FakeChannel::with_posts(name, 100, start);
    for (id, post) in &mut channel.posts {
        if id % 10 == 0 {
            post.text = format!("Kettles of copper, number {id}");
        } else if id % 25 == 0 {
            post.text = format!("A boat <a href=\"?q=%23boat\">#boat</a>, number {id}");
        }
    }
    channel
}

fn start(flags: &[&str]) -> (FakeTelegram, App) {
    let fake = FakeTelegram::start();
    fake.add_channel(channel("old_harbour"));
    let app = App::start(&fake.url(), flags);
    (fake, app)
}

/// Returns the searches that Telegram has received.
fn searches(fake: &FakeTelegram) -> Vec<String> {
    fake.paths("/s/").into_iter().filter(|path| path.contains("?q=")).collect()
}

fn description(feed: &Value) -> &str {
    feed["description"].as_str().unwrap()
}

#[test]
fn search_finds_posts_that_are_not_archived() {
    let (fake, app) = start(&FAST);
    let expected: Vec<u32> = (1..=10).rev().map(|n| 10 * n).collect();
    let feed = json(&app, "/old_harbour/json?q=Kettle");
    assert_eq!(numbers(&feed), expected);
    assert_eq!(searches(&fake), ["/s/old_harbour?q=kettle"]);
    // The archive finds only the words as they are written.
    assert_eq!(numbers(&json(&app, "/old_harbour/json?q=copper+kettle")), expected);
    assert_eq!(numbers(&json(&app, "/old_harbour/json?match=kettle+copper")), [100, 90]);
    assert_eq!(numbers(&json(&app, "/old_harbour/json?q=kettle&exclude=/number+.0$/")), [100]);
}

#[test]
fn search_accepts_other_forms_of_words() {
    let (_fake, app) = start(&FAST);
    let found = numbers(&json(&app, "/old_harbour/json?q=coppers&limit=3"));
    assert_eq!(found, [100, 90, 80], "archived posts, and one that is not");
}

#[test]
fn second_reader_of_a_search_costs_nothing_upstream() {
    let (fake, app) = start(&FAST);
    let first = app.get("/old_harbour/rss?q=kettle");
    let n_requests = fake.paths("/").len();
    for target in
        ["/old_harbour/rss?q=KETTLE", "/old_harbour/atom?q=kettle", "/old_harbour/json?q=kettle&limit=5"]
    {
        let again = app.ask("GET", target, &[("User-Agent", "another reader")]);
        assert_eq!(again.status, 200, "{target}");
    }
    let tag = first.header("ETag").unwrap();
    assert_eq!(app.ask("GET", "/old_harbour/rss?q=kettle", &[("If-None-Match", tag)]).status, 304);
    assert_eq!(fake.paths("/").len(), n_requests);
}

/// Returns the numbers of the posts of a feed and of all older feed pages.
fn all_pages(app: &App, target: &str) -> Vec<u32> {
    let (mut all, mut target) = (Vec::new(), target.to_owned());
    for _ in 0..100 {
        let page = json(app, &target);
        all.extend(numbers(&page));
        let Some(next) = page["next_url"].as_str() else { return all };
        next.split_once(&app.address.to_string()).unwrap().1.clone_into(&mut target);
    }
    panic!("the feed has more than 100 pages");
}

#[test]
fn search_page_does_not_replace_the_newest_page() {
    let (fake, app) = start(&FAST);
    let before = app.get("/old_harbour/rss");
    assert_eq!(numbers(&json(&app, "/old_harbour/json?q=kettle")).len(), 10);
    let after = app.get("/old_harbour/rss");
    assert_eq!((after.header("ETag"), &after.body), (before.header("ETag"), &before.body));
    // Nothing of it was archived: paging still finds the posts between the found ones.
    assert_eq!(all_pages(&app, "/old_harbour/json?limit=50"), (1..=100).rev().collect::<Vec<_>>());
    assert_eq!(searches(&fake).len(), 1);
}

#[test]
fn pages_of_a_search_follow_each_other() {
    let (fake, app) = start(&FAST);
    let all = all_pages(&app, "/old_harbour/json?q=kettle&limit=3");
    assert_eq!(all, (1..=10).rev().map(|n| 10 * n).collect::<Vec<_>>());
    assert_eq!(searches(&fake).len(), 1, "older pages come from what is stored");
}

#[test]
fn search_over_the_quota_is_answered_from_the_archive() {
    let (fake, app) = start(&FAST);
    json(&app, "/old_harbour/json");
    for n in 0..CLIENT_BURST + 10 {
        let feed = json(&app, &format!("/old_harbour/json?q=kettles+{n}"));
        assert!(!numbers(&feed).is_empty() || description(&feed).starts_with("No recent post"), "{feed}");
    }
    assert_eq!(searches(&fake).len(), CLIENT_BURST);
    let over = app.get("/old_harbour/json?q=kettles");
    assert_eq!(over.header("Cache-Control"), Some("public, max-age=60, must-revalidate"));
    assert_eq!(numbers(&json(&app, "/old_harbour/json?q=kettles")), [100, 90], "what is archived");
    assert_eq!(searches(&fake).len(), CLIENT_BURST);
}

#[test]
fn failing_search_is_answered_from_the_archive() {
    let (fake, app) = start(&FAST);
    json(&app, "/old_harbour/json");
    fake.override_all(Answer::status(500));
    assert_eq!(numbers(&json(&app, "/old_harbour/json?q=kettles")), [100, 90]);
    json(&app, "/old_harbour/json?q=kettles&limit=7");
    assert_eq!(searches(&fake).len(), 1, "a failed search is not repeated at once");
    fake.clear_override();
    fake.shut_down();
    assert_eq!(numbers(&json(&app, "/old_harbour/json?q=copper")), [100, 90]);
}

#[test]
fn found_posts_outlive_an_outage() {
    let (fake, app) =
        start(&["--rate", "10000", "--burst", "10000", "--fresh-min", "0s", "--fresh-max", "0s"]);
    let expected = numbers(&json(&app, "/old_harbour/json?q=kettle"));
    assert_eq!(expected.len(), 10);
    for answer in [Answer::status(500), Answer::page(&FakeChannel::new("old_harbour", 20).search_page("x"))] {
        fake.override_all(answer);
        assert_eq!(numbers(&json(&app, "/old_harbour/json?q=kettle&limit=20")), expected);
        assert_eq!(numbers(&json(&app, "/old_harbour/json?q=kettle&limit=30")), expected);
    }
}

#[test]
fn search_that_finds_nothing_is_an_empty_feed() {
    let (fake, app) = start(&FAST);
    for _ in 0..2 {
        let feed = json(&app, "/old_harbour/json?q=submarine");
        assert!(numbers(&feed).is_empty() && description(&feed).starts_with("No recent post"), "{feed}");
    }
    assert_eq!(searches(&fake).len(), 1);
}

#[test]
fn hashtags_are_searched_while_the_archive_is_shallow() {
    let (fake, app) = start(&FAST);
    // The archive has posts 81 to 100.
    assert_eq!(numbers(&json(&app, "/old_harbour/json?tag=boat")), [75, 25]);
    assert_eq!(searches(&fake), ["/s/old_harbour?q=%23boat"]);
    let mut target = "/old_harbour/json?limit=100".to_owned();
    while !target.is_empty() {
        let page = json(&app, &target);
        let next = page["next_url"].as_str().map(|url| url.split_once(&app.address.to_string()).unwrap().1);
        target = next.unwrap_or_default().to_owned();
    }
    assert_eq!(numbers(&json(&app, "/old_harbour/json?tag=boat,ship")), [75, 25]);
    assert_eq!(searches(&fake).len(), 1, "the archive has all posts now");
}

/// Each request sends a few searches; the others follow, one minute later or with another request.
#[test]
fn search_in_several_channels_sends_few_searches() {
    let fake = FakeTelegram::start();
    let names: Vec<String> = (0..8).map(|n| format!("harbour_{n}")).collect();
    for name in &names {
        fake.add_channel(channel(name));
    }
    let app = App::start(&fake.url(), &FAST);
    let target = |limit: u32| format!("/{}/json?q=kettle&limit={limit}", names.join(","));
    json(&app, &target(200));
    assert_eq!(searches(&fake).len(), 3);
    wait_until("all channels are searched", || {
        let before = searches(&fake).len();
        let limit = 100 + u32::try_from(before).unwrap();
        json(&app, &target(limit));
        assert!(searches(&fake).len() <= before + 3);
        searches(&fake).len() == names.len()
    });
    assert_eq!(json(&app, &target(150))["items"].as_array().unwrap().len(), 10 * names.len());
    assert_eq!(searches(&fake).len(), names.len());
}

/// A feed of several channels goes on below gaps in the archive, and has what Telegram finds in them.
#[test]
fn posts_in_gaps_are_found_in_several_channels() {
    let (fake, app) = start(&FAST);
    fake.add_channel(channel("west_harbour"));
    // The archive has posts 81 to 100, and of one channel some that are much older.
    assert_eq!(numbers(&json(&app, "/old_harbour/json?before=30&limit=5")), [29, 28, 27, 26, 25]);
    for page in ["/old_harbour?q=coppers", "/old_harbour,west_harbour?q=coppers"] {
        assert_eq!(app.get(page).status, 200, "{page}");
    }
    assert!(searches(&fake).is_empty(), "pages use what is stored");
    for (query, expected) in
        [("tag=boat", vec![75, 25]), ("q=coppers", vec![100, 90, 80, 70, 60, 50, 40, 30, 20, 10])]
    {
        let feed = json(&app, &format!("/old_harbour,west_harbour/json?{query}&limit=50"));
        // Posts of both channels have the same times.
        let expected: Vec<u32> = expected.into_iter().flat_map(|id| [id, id]).collect();
        assert_eq!(numbers(&feed), expected, "{query}");
    }
    assert_eq!(searches(&fake).len(), 4);
}

#[test]
fn search_is_repeated_when_the_channel_has_a_new_post() {
    let fake = FakeTelegram::start();
    let channel = fake.add_channel(channel("old_harbour"));
    let flags = ["--rate", "10000", "--burst", "10000", "--fresh-min", "0s", "--fresh-max", "1h"];
    let app = App::start(&fake.url(), &flags);
    assert_eq!(numbers(&json(&app, "/old_harbour/json?q=coppers"))[0], 100);
    for limit in 1..5 {
        json(&app, &format!("/old_harbour/json?q=coppers&limit={limit}"));
    }
    assert_eq!(searches(&fake).len(), 1, "nothing new can be found");
    let newest = channel.lock().unwrap().posts[&100].at + SignedDuration::from_mins(1);
    let id = channel.lock().unwrap().publish(0, newest);
    channel.lock().unwrap().posts.get_mut(&id).unwrap().text = "Copper again".to_owned();
    wait_until("the new post is found", || numbers(&json(&app, "/old_harbour/json?q=coppers"))[0] == id);
    assert!(searches(&fake).len() >= 2);
}
