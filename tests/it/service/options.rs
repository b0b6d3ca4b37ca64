//! Feed options over HTTP: one feed for all queries that mean the same, errors that help, and filters that look back.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use telewire::feed::options::{OPTIONS, Values};

use super::{PREVIEW, RSS, service};
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::page;

pub(super) fn json(app: &App, target: &str) -> Value {
    let answer = app.get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Returns the numbers of the posts in a feed.
pub(super) fn numbers(feed: &Value) -> Vec<u32> {
    let number = |item: &Value| item["id"].as_str().unwrap().rsplit_once('/').unwrap().1.parse().unwrap();
    feed["items"].as_array().unwrap().iter().map(number).collect()
}

#[test]
fn queries_that_mean_the_same_are_one_feed() {
    let (fake, app) = service(&[]);
    for (queries, own) in [
        (
            &[
                "match=harbour+bell",
                "match=BELL%20Harbour&utm_source=x",
                "case=insensitive&match=bell++harbour",
            ][..],
            "?match=bell+harbour",
        ),
        (&["tag=kettle", "tag=%23Kettle", "tag=kettle,kettle"], "?tag=kettle"),
        (&["limit=5&hide=via,preview", "hide=preview&limit=5&hide=via"], "?limit=5&amp;hide=preview,via"),
        (&["title=auto", "spoilers=fold&link=post", "case=sensitive", ""], ""),
    ] {
        let feeds: Vec<_> = queries.iter().map(|query| app.get(&format!("{RSS}?{query}"))).collect();
        let own = format!("<atom:link href=\"http://{}{RSS}{own}\" rel=\"self\"", app.address);
        for (feed, query) in feeds.iter().zip(queries) {
            assert_eq!(feed.status, 200, "{query}: {}", feed.text());
            assert!(feed.text().contains(&own), "{query}: no {own} in {}", feed.text());
            assert_eq!(feed.header("ETag"), feeds[0].header("ETag"), "{query}");
        }
        let tag = feeds[0].header("ETag").unwrap();
        let again = app.ask("GET", &format!("{RSS}?{}", queries[0]), &[("If-None-Match", tag)]);
        assert_eq!(again.status, 304, "{queries:?}");
    }
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn lang_overrides_the_servers_language() {
    let (fake, app) = service(&["--lang", "ru"]);
    let feed = |query: &str| app.get(&format!("/harbour_news/json?match=submarine{query}"));
    let description = |query: &str| {
        let feed: Value = serde_json::from_slice(&feed(query).body).unwrap();
        feed["description"].as_str().unwrap().to_owned()
    };
    assert!(description("").starts_with("Ни один"), "{}", description(""));
    assert!(description("&lang=en").starts_with("No recent"), "{}", description("&lang=en"));
    let tag = |query: &str| feed(query).header("ETag").unwrap().to_owned();
    assert_eq!([tag("&lang=ru"), tag("&lang=auto")], [tag(""), tag("")]);
    assert_ne!(tag("&lang=en"), tag(""));
    assert_eq!(app.get(RSS).header("ETag"), app.get(&format!("{RSS}?lang=ru")).header("ETag"));
    let several = app.get("/harbour_news,quay_news/rss");
    let several = several.text();
    assert!(
        several.contains("Не удалось прочитать: @quay_news. @harbour_news, @quay_news в Telegram"),
        "{several}"
    );
    assert_eq!(fake.count(PREVIEW), 1);
}

/// A rendered feed is kept for minutes, so each request has another query.
#[test]
fn counts_follow_telegram_and_change_no_other_feed() {
    let (fake, app) = service(&["--fresh-min", "0s", "--fresh-max", "0s"]);
    let views = |query: &str| {
        let newest = json(&app, &format!("/harbour_news/json?show=views{query}"))["items"][0].clone();
        assert!(newest.get("date_modified").is_none(), "{newest}");
        newest["content_html"].as_str().unwrap().rsplit_once("<p>").unwrap().1.to_owned()
    };
    let plain = app.get(RSS);
    assert_eq!([views(""), views("&limit=3")], ["1 view</p>", "1 view</p>"]);
    fake.on(PREVIEW, Answer::page(&page("text").replace("_views\">1<", "_views\">12.3K<")));
    app.refresh(&fake, "harbour_news");
    assert_eq!([views("&hide=via"), views("&limit=2")], ["12.3K views</p>", "12.3K views</p>"]);
    assert_eq!(app.get(RSS).header("ETag"), plain.header("ETag"));
    assert!(plain.header("Last-Modified").is_some());
    assert_eq!(app.get(&format!("{RSS}?show=views")).header("Last-Modified"), None);
}

#[test]
fn invalid_options_are_errors_before_anything_is_fetched() {
    let (fake, app) = service(&[]);
    for (query, part) in [
        ("title=big", "must be one of auto, line, kind, none"),
        ("lang=de", "must be one of auto, en, ru, fa, zh"),
        ("only=films", "text, photo, video"),
        ("match=/(/", "unclosed group"),
        ("match=/(?:%5Cw{90}){90}/", "too slow"),
        ("mach=x", "did you mean `match`?"),
        ("tz=Europe/Atlantis&merge=day", "such as Europe/Berlin"),
    ] {
        let answer = app.get(&format!("{RSS}?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(answer.text().contains(part), "{query}: {}", answer.text());
    }
    assert_eq!(fake.count(PREVIEW), 0);
}

#[test]
fn a_filter_that_leaves_nothing_is_a_feed_that_says_so() {
    let (_fake, app) = service(&[]);
    let feed = json(&app, "/harbour_news/json?match=submarine");
    assert!(feed["items"].as_array().unwrap().is_empty());
    assert!(feed["description"].as_str().unwrap().starts_with("No recent post passes the filters"), "{feed}");
    for format in ["rss", "atom"] {
        let answer = app.get(&format!("/harbour_news/{format}?match=submarine"));
        assert!(feed_rs::parser::parse(&*answer.body).is_ok_and(|feed| feed.entries.is_empty()), "{format}");
    }
}

#[test]
fn media_options_override_the_servers_default() {
    let (fake, app) = service(&[]);
    fake.on("/s/tidewatch", Answer::page(&page("photo")));
    let feed = |query: &str| app.get(&format!("/tidewatch/json?limit=7&{query}")).text().to_owned();
    assert!(feed("").contains("/-/media/") && !feed("").contains("telesco.pe"));
    assert!(feed("media=direct").contains("telesco.pe") && !feed("media=direct").contains("/tidewatch/207/"));
    let redirected = feed("media=redirect");
    let (_, url) = redirected.split_once("/-/media/").unwrap();
    let url = format!("/-/media/{}", url.split(['"', '\\']).next().unwrap());
    let answer = app.get(&url);
    assert_eq!(answer.status, 302, "{url}");
    assert!(answer.header("Location").is_some_and(|location| location.contains("/file/")), "{url}");
    assert_eq!(app.get(&url.replace("?redirect", "?redirects")).status, 403);
    let none = feed("media=none");
    assert!(!none.contains("<img") && !none.contains("attachments"), "{none}");
}

#[test]
fn media_options_never_cost_the_operator_more() {
    for (default, allowed) in [
        ("proxy", &["auto", "proxy", "redirect", "direct", "none"][..]),
        ("redirect", &["auto", "redirect", "direct", "none"]),
        ("direct", &["auto", "direct", "none"]),
    ] {
        let (_fake, app) = service(&["--media", default]);
        for choice in ["auto", "proxy", "redirect", "direct", "none"] {
            let answer = app.get(&format!("{RSS}?media={choice}"));
            let expected = if allowed.contains(&choice) { 200 } else { 400 };
            assert_eq!(answer.status, expected, "--media {default}, media={choice}: {}", answer.text());
        }
    }
}

/// Posts older than the first page come from the archive; Telegram is asked for them only as for feeds without filters.
#[test]
fn filters_look_back_through_the_archive() {
    let fake = FakeTelegram::start();
    let start = "2026-05-01T08:00:00Z".parse().unwrap();
    fake.add_channel(FakeChannel::with_posts("old_harbour", 300, start));
    let flags = ["--fresh-min", "1h", "--fresh-max", "1h", "--rate", "10000", "--burst", "10000"];
    let app = App::start(&fake.url(), &flags);
    let target = "/old_harbour/json?match=/Post+.?.?5+of/";
    assert_eq!(numbers(&json(&app, target)), [295, 285], "20 posts are archived");
    assert_eq!(fake.paths("/s/").len(), 1, "a filter asks Telegram for no older posts");
    let mut archived = json(&app, "/old_harbour/json?limit=200");
    while let Some(next) = archived["next_url"].as_str() {
        archived = json(&app, next.split_once(&app.address.to_string()).unwrap().1);
    }
    let n_fetched = fake.paths("/s/").len();
    let expected: Vec<u32> = (1..=300).rev().filter(|n| n % 10 == 5).collect();
    // Not the same URL, of which the rendered feed may be minutes old.
    for limit in [1, 7, 200] {
        let mut next = format!("{target}&limit={limit}");
        let mut found = Vec::new();
        while !next.is_empty() {
            let feed = json(&app, &next);
            found.extend(numbers(&feed));
            let url = feed["next_url"].as_str();
            next = url
                .map_or(String::new(), |url| url.split_once(&app.address.to_string()).unwrap().1.to_owned());
        }
        assert_eq!(found, expected, "limit={limit}");
    }
    assert_eq!(fake.paths("/s/").len(), n_fetched);
}

/// Returns queries of every option, with valid and invalid values, and of foreign parameters.
fn queries() -> impl Strategy<Value = String> {
    let mut values: Vec<String> = vec![String::new(), "/(a|b)*c/".into(), "\"".into(), "999999999999".into()];
    for option in OPTIONS {
        values.push(option.example.split('&').next().unwrap().split_once('=').unwrap().1.to_owned());
        if let Values::OneOf(names) | Values::ListOf(names) = option.values {
            values.extend(names().into_iter().map(str::to_owned));
        }
    }
    let names: Vec<&str> = OPTIONS.iter().map(|option| option.name).chain(["page", "Match"]).collect();
    let value = prop_oneof![4 => proptest::sample::select(values), 1 => "\\PC{0,20}"];
    let pair = (proptest::sample::select(names), value).prop_map(|(name, value)| {
        url::form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish()
    });
    proptest::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&"))
}

#[test]
fn every_query_gets_a_feed_or_an_error_of_the_client() {
    let fake = FakeTelegram::start();
    let start = "2026-05-01T08:00:00Z".parse().unwrap();
    fake.add_channel(FakeChannel::with_posts("old_harbour", 5, start));
    let app = App::start(&fake.url(), &[]);
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&queries(), |query| {
        let answer = app.get(&format!("/old_harbour/rss?{query}"));
        // 404: a page below the channel's first post.
        prop_assert!(
            [200, 400].contains(&answer.status) || answer.status == 404 && query.contains("before="),
            "{}: {}",
            answer.status,
            answer.text()
        );
        Ok(())
    });
    outcome.unwrap();
}
