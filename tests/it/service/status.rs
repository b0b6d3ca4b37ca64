//! `/-/status`: who may read it, and what it says about channels that do not move.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::{RSS, service};
use crate::archive::kinds;
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::http::{self, Response};
use crate::support::{CHANNEL, page};

const READER: &str = "0123456789abcdef";
const ADMIN: &str = "an-admins-own-secret";
const JSON: &str = "/-/status.json";

fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("operator:{password}")))
}

/// Returns the report of a service with [`ADMIN`] as its token.
fn report(app: &App, query: &str) -> Value {
    let answer = app.get(&format!("{JSON}?token={ADMIN}&{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Returns a channel of the report by its name.
fn channel(app: &App, name: &str) -> Value {
    let report = report(app, &format!("q={name}"));
    assert_eq!(report["channels"]["matching"], 1, "{name}: {report:#}");
    report["channels"]["shown"][0].clone()
}

fn names(report: &Value) -> Vec<&str> {
    let shown = report["channels"]["shown"].as_array().unwrap();
    shown.iter().map(|channel| channel["name"].as_str().unwrap()).collect()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("no time: {value}")).parse().unwrap()
}

#[test]
fn status_needs_an_admin_token() {
    let good = basic(ADMIN);
    for flags in [&["--admin-token", ADMIN][..], &["--admin-token", ADMIN, "--token", READER]] {
        let (_fake, app) = service(flags);
        for path in ["/-/status", JSON] {
            let read = |what: &str, answer: Response| {
                assert_eq!(answer.status, 200, "{flags:?} {path} {what}: {}", answer.text());
                assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{what}");
                assert!(!answer.text().contains(ADMIN), "{what}");
            };
            read("basic", app.ask("GET", path, &[("Authorization", &good)]));
            let with_query = app.get(&format!("{path}?token={ADMIN}&sort=newest"));
            if path == JSON {
                read("query", with_query);
            } else {
                let in_path = format!("../-/token/{ADMIN}/-/status?sort=newest");
                assert_eq!((with_query.status, with_query.header("Location")), (303, Some(&*in_path)));
            }
            read("path", app.get(&format!("/-/token/{ADMIN}{path}")));
            let reader = basic(READER);
            for (target, headers) in [
                (path.to_owned(), vec![]),
                (path.to_owned(), vec![("Authorization", reader.as_str())]),
                (format!("{path}?token={READER}"), vec![]),
                (format!("/-/token/{READER}{path}"), vec![]),
                (format!("{path}?token={ADMIN}x"), vec![]),
            ] {
                let answer = app.ask("GET", &target, &headers);
                assert_eq!(answer.status, 401, "{flags:?} {target}: {}", answer.text());
                let challenge = answer.header("WWW-Authenticate").unwrap();
                assert!(challenge.starts_with("Basic"), "{target}: {challenge}");
            }
            assert_eq!(app.ask("POST", &format!("{path}?token={ADMIN}"), &[]).status, 405);
        }
    }
}

#[test]
fn without_admin_tokens_only_the_metrics_listener_has_the_status() {
    let (_fake, app) = service(&["--metrics-listen", "127.0.0.1:0", "--token", READER]);
    assert_eq!(app.get(&format!("{RSS}?token={READER}")).status, 200);
    let listener = app.wait_for_listener("/-/metrics");
    for path in ["/-/status", JSON] {
        assert_eq!(app.get(&format!("{path}?token={READER}")).status, 404, "{path}");
        let answer = http::ask(listener, "GET", path, &[("Accept", "application/json")]);
        assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")), "{path}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        let report: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(names(&report), [CHANNEL]);
    }
}

/// The reasons are what the operator comes for, so their text is part of the promise.
#[test]
fn each_channel_says_why_its_feed_does_not_move() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        fake.add_channel(FakeChannel::with_posts("moving_pier", 50, "2026-05-01T08:00:00Z".parse().unwrap()));
        fake.on("/s/no_such_pier", Answer::page(&page("landing_nobody")));
        fake.on("/s/stuck_pier", Answer::status(429).with("Retry-After", "600"));
        let flags = [&["--admin-token", ADMIN, "--fresh-min", "1h"], &kind.flags()[..]].concat();
        let app = App::start(&fake.url(), &flags);
        let before = Timestamp::from_second(telewire::clock::now().as_second()).unwrap();
        for (name, status) in [("moving_pier", 200), ("no_such_pier", 404), ("stuck_pier", 503)] {
            assert_eq!(app.get(&format!("/{name}/rss")).status, status, "{name}");
        }
        let moving = channel(&app, "moving_pier");
        assert_eq!((&moving["state"], &moving["error"]), (&"ok".into(), &Value::Null), "{moving:#}");
        let reason = moving["reason"].as_str().unwrap();
        assert!(reason.starts_with("up to date; the next request after 2"), "{reason}");
        assert_eq!(
            (&moving["title"], time(&moving["newest"])),
            (&"moving_pier".into(), "2026-05-01T08:49:00Z".parse().unwrap())
        );
        assert!(time(&moving["fetched"]) >= before);
        // Older posts are fetched when a request asks for them.
        let gaps = serde_json::json!(
            {"open": 0, "on_demand": 1, "failures": 0, "next_attempt": null, "reaches_start": false}
        );
        assert_eq!((&moving["posts"], &moving["gaps"]), (&20.into(), &gaps), "{}", kind.name);
        let followers = &moving["followers"];
        assert!(time(&followers["last_request"]) >= before && followers["readers"] == 0, "{followers}");

        let gone = channel(&app, "no_such_pier");
        assert_eq!(gone["state"], "gone", "{gone:#}");
        assert!(gone["reason"].as_str().unwrap().starts_with("no public channel has this name"), "{gone:#}");

        let stuck = channel(&app, "stuck_pier");
        assert_eq!((&stuck["state"], &stuck["error"]["code"]), (&"failing".into(), &"upstream-429".into()));
        let until = time(&stuck["error"]["next_attempt"]);
        let left = until.duration_since(before).as_secs();
        assert!((595..=660).contains(&left), "{left}");
        let reason = format!(
            "{} answered 429 (too many requests), so no request is sent until {until:.0}",
            fake.host()
        );
        assert_eq!(stuck["reason"], reason);
        assert!(time(&stuck["error"]["at"]) >= before, "{stuck:#}");
        let upstream = &report(&app, "")["upstreams"][0];
        assert_eq!(
            (&upstream["host"], &upstream["breaker"]["state"]),
            (&fake.host().into(), &"refused".into())
        );
        assert!(
            time(&upstream["breaker"]["since"]) >= before && time(&upstream["breaker"]["until"]) > before
        );
        // A channel that nobody had asked for has no other reason.
        assert_eq!(app.get("/later_pier/rss").status, 503);
        let later = channel(&app, "later_pier");
        assert_eq!(
            (&later["state"], &later["error"]["code"]),
            (&"failing".into(), &"upstream-circuit-open".into())
        );
    }
}

#[test]
fn channel_that_nobody_asks_for_is_stale_also_after_a_restart() {
    let (fake, app) = service(&["--admin-token", ADMIN]);
    assert_eq!(app.get(RSS).status, 200);
    let flags = ["--admin-token", ADMIN, "--fresh-min", "0s"];
    let app = App::start_in(app.stop(), &fake.url(), &flags);
    let stale = channel(&app, CHANNEL);
    assert_eq!(stale["state"], "stale", "{stale:#}");
    let reason = stale["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("not requested since 2") && reason.ends_with(", so not refreshed"),
        "{reason}"
    );
    assert_eq!(stale["next_refresh"], Value::Null, "nobody follows it");
}

#[test]
fn channels_are_sorted_filtered_and_paged() {
    let fake = FakeTelegram::start();
    for (name, day) in [("alder_news", 3), ("birch_news", 1), ("cedar_news", 2)] {
        let start = format!("2026-05-0{day}T08:00:00Z").parse().unwrap();
        fake.add_channel(FakeChannel::with_posts(name, 3, start));
    }
    fake.on(super::PREVIEW, Answer::page(&page("text")));
    let app = App::start(&fake.url(), &["--admin-token", ADMIN, "--fresh-min", "1h"]);
    for name in ["cedar_news", "birch_news", "alder_news", "no_answer"] {
        app.get(&format!("/{name}/rss"));
    }
    let all = report(&app, "");
    assert_eq!(names(&all), ["alder_news", "birch_news", "cedar_news", "no_answer"]);
    assert_eq!(all["channels"]["states"], serde_json::json!({"ok": 3, "failing": 1}));
    for (query, expected) in [
        ("order=desc", &["no_answer", "cedar_news", "birch_news", "alder_news"][..]),
        ("sort=newest", &["alder_news", "cedar_news", "birch_news", "no_answer"]),
        ("sort=newest&order=asc", &["birch_news", "cedar_news", "alder_news", "no_answer"]),
        ("sort=error&limit=1", &["no_answer"]),
        ("state=failing", &["no_answer"]),
        ("state=ok&limit=1&offset=1", &["birch_news"]),
        ("q=birch", &["birch_news"]),
        ("q=%40BIRCH_news&state=failing", &[]),
        ("q=&state=&sort=&order=", &["alder_news", "birch_news", "cedar_news", "no_answer"]),
    ] {
        let report = report(&app, query);
        assert_eq!(names(&report), expected, "{query}");
        assert_eq!(report["channels"]["total"], 4, "{query}");
    }
    assert_eq!(report(&app, "state=ok&limit=1&offset=1")["channels"]["matching"], 3);
    // They were fetched within a second or two.
    assert_eq!(names(&report(&app, "sort=fetched")).last(), Some(&"no_answer"));
    // The title is "Harbour News" or the like, the name is not.
    assert_eq!(app.get(RSS).status, 200);
    let title = channel(&app, CHANNEL)["title"].as_str().unwrap().to_owned();
    assert!(!CHANNEL.contains(&title));
    let query: String = url::form_urlencoded::byte_serialize(title.to_uppercase().as_bytes()).collect();
    assert_eq!(names(&report(&app, &format!("q={query}"))), [CHANNEL]);
    let invalid = app.get(&format!("{JSON}?token={ADMIN}&sort=size"));
    assert_eq!(invalid.status, 400);
    assert!(invalid.text().contains("newest"), "{}", invalid.text());
}

#[test]
fn report_says_what_the_service_has() {
    let html = page("unknown");
    let name = html.split("data-post=\"").nth(1).unwrap().split('/').next().unwrap();
    let fake = FakeTelegram::start();
    fake.on(&format!("/s/{name}"), Answer::page(&html));
    let app = App::start(&fake.url(), &["--admin-token", ADMIN, "--cache-size", "32MiB"]);
    assert_eq!(app.get(&format!("/{name}/rss")).status, 200);
    let report = report(&app, "");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["uptime_s"].as_i64().is_some_and(|seconds| seconds >= 0));
    let archive = &report["archive"];
    assert_eq!((&archive["kind"], &archive["problem"]), (&"sqlite".into(), &Value::Null));
    for number in [&archive["bytes"], &archive["posts"], &archive["free_disk_bytes"]] {
        assert!(number.as_u64().is_some_and(|number| number > 0), "{archive:#}");
    }
    assert!(report["snapshot_cache"]["max_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    assert_eq!(report["media"]["streams"], 0);
    assert!(report["upstreams"][0]["rate"].as_u64().is_some_and(|rate| rate > 0));
    assert_eq!(report["upstreams"][0]["breaker"]["state"], "closed");
    let unknown = report["unknown_markup"].as_array().unwrap();
    let example = unknown[0]["example"].as_str().unwrap();
    assert!(example.contains(&format!("/{name}/")) && unknown[0]["channel"] == name, "{unknown:?}");
}

#[test]
fn page_has_the_channels_and_links_that_keep_filter_and_token() {
    let hostile = "<script>alert(1)</script>&amp;\"'";
    let fake = FakeTelegram::start();
    let escaped = hostile.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let html = page("text");
    let title = html.split("tgme_channel_info_header_title\"><span dir=\"auto\">").nth(1).unwrap();
    let title = title.split('<').next().unwrap();
    fake.on(super::PREVIEW, Answer::page(&html.replace(title, &escaped)));
    let app = App::start(&fake.url(), &["--admin-token", ADMIN, "--fresh-min", "1h"]);
    assert_eq!(app.get(RSS).status, 200);
    for (language, heading) in
        [("en", "Newest post"), ("ru", "Новейший пост"), ("fa", "تازه‌ترین پست"), ("zh", "最新消息")]
    {
        let path = format!("/-/token/{ADMIN}/-/status?q=harbour&lang={language}");
        let answer = app.ask("GET", &path, &[("Accept", "text/html")]);
        assert_eq!((answer.status, answer.header("Cache-Control")), (200, Some("no-store")), "{language}");
        let html = answer.text();
        for part in [
            format!(">{heading}</a>"),
            format!("href=\"../harbour_news?lang={language}\""),
            format!("href=\"../-/status?q=harbour&amp;sort=newest&amp;lang={language}\""),
            "value=\"harbour\"".to_owned(),
            "&lt;script&gt;alert(1)&lt;/script&gt;".to_owned(),
        ] {
            assert!(html.contains(&part), "{language}: {part}: {html}");
        }
        assert!(!html.contains(ADMIN) && !html.contains("<script>alert"), "{language}: {html}");
    }
    let by_name = app.ask("GET", "/-/status", &[("Authorization", &basic(ADMIN)), ("Accept", "text/html")]);
    assert!(
        by_name
            .text()
            .contains("<th scope=\"col\" aria-sort=\"ascending\"><a href=\"../-/status?order=desc\">")
    );
    let refused = app.ask("GET", "/-/status", &[("Accept", "text/html")]);
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("operator"), "{}", refused.text());
}
