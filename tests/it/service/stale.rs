//! Stale feeds: waiting for the refresh, and serving stale (RFC 5861).

use super::{PREVIEW, RSS, service};
use crate::support::fake_telegram::{Answer, Framing, Gate};
use crate::support::http::Response;
use crate::support::page;
use crate::support::wait::wait_until;

/// Makes every feed stale at once.
const STALE: [&str; 4] = ["--fresh-min", "0s", "--fresh-max", "0s"];

/// Makes every feed stale at once, and serves it stale without waiting.
const NO_WAIT: [&str; 6] = ["--fresh-min", "0s", "--fresh-max", "0s", "--refresh-wait", "0s"];

#[test]
fn stale_if_error_serves_the_last_good_feed() {
    let whole = page("text");
    let cut = |framing| Answer { framing, truncate_after: Some(whole.len() * 2 / 3), ..Answer::page(&whole) };
    let cases = [
        ("status 500", Answer::status(500), "upstream-500"),
        ("status 429", Answer::status(429), "upstream-429"),
        (
            "redirect to the page of an unknown name",
            Answer::redirect("https://t.me/harbour_news"),
            "page-not-trusted",
        ),
        ("redirect to telegram.org", Answer::redirect("https://telegram.org/"), "page-not-trusted"),
        ("redirect to another site", Answer::redirect("https://evil.example/"), "page-not-trusted"),
        ("truncated", cut(Framing::ContentLength), "upstream-broken"),
        ("truncated without notice", cut(Framing::Close), "page-not-trusted"),
        ("no posts", Answer::page(&page("no_posts_soft_ban")), "page-not-trusted"),
        ("an empty channel", Answer::page(&page("no_posts_empty")), "page-not-trusted"),
        ("a bot", Answer::page(&page("landing_bot")), "page-not-trusted"),
        ("another channel", Answer::page(&page("photo")), "page-not-trusted"),
        ("a login page", Answer::page(&page("not_telegram")), "page-not-trusted"),
        ("an empty page", Answer::page(""), "page-not-trusted"),
    ];
    for (fault, answer, detail) in cases {
        let (fake, app) = service(&STALE);
        fake.on("/harbour_news", Answer::page(&page("landing_nobody")));
        let good = app.get(RSS);
        assert_eq!(good.status, 200);
        fake.on(PREVIEW, answer);
        assert_eq!(app.get(RSS).body, good.body, "{fault}: during the refresh");
        wait_until(fault, || app.get(RSS).header("Cache-Status").unwrap().contains("detail="));
        for _ in 0..3 {
            let stale = app.get(RSS);
            assert_eq!(
                (stale.status, stale.header("ETag"), &stale.body),
                (200, good.header("ETag"), &good.body),
                "{fault}"
            );
            let status = stale.header("Cache-Status").unwrap();
            assert!(
                status.starts_with("telewire; hit; ttl=-") && status.ends_with(&format!("; detail={detail}")),
                "{status}"
            );
        }
        let tag = good.header("ETag").unwrap();
        assert_eq!(app.ask("GET", RSS, &[("If-None-Match", tag)]).status, 304, "{fault}");
        assert_eq!(fake.count(PREVIEW), 2, "{fault}: retried at once after a failure");
    }
}

#[test]
fn poll_of_a_stale_feed_gets_the_posts_published_until_now() {
    let (fake, app) = service(&STALE);
    let before = app.get(RSS);
    for n in 0..3 {
        let opening = format!("Opening line {n}");
        fake.on(PREVIEW, Answer::page(&page("text").replace("Bold opening line", &opening)));
        for format in ["rss", "atom", "json"] {
            let feed = app.get(&format!("/harbour_news/{format}"));
            assert!(feed.text().contains(&opening), "{format}: the feed is one poll behind");
            assert_eq!(feed.header("Cache-Status"), Some("telewire; fwd=stale; stored"), "{format}");
        }
        let tag = before.header("ETag").unwrap();
        assert_eq!(app.ask("GET", RSS, &[("If-None-Match", tag)]).status, 200);
    }
}

#[test]
fn poll_of_a_stale_feed_waits_no_longer_than_refresh_wait() {
    let (fake, app) = service(&["--fresh-min", "0s", "--fresh-max", "0s", "--refresh-wait", "1s"]);
    let before = app.get(RSS);
    let gate = Gate::default();
    let newer = page("text").replace("Bold opening line", "Another opening line");
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&newer) });
    for _ in 0..2 {
        let stale = app.get(RSS);
        assert_eq!(stale.body, before.body);
        assert!(stale.header("Cache-Status").unwrap().starts_with("telewire; hit; ttl=-"));
        assert_eq!(stale.header("Cache-Control"), Some("public, max-age=60, must-revalidate"));
    }
    assert_eq!(fake.count(PREVIEW), 2, "both requests wait for the same refresh");
    gate.open();
    wait_until("the next poll has the edit", || app.get(RSS).text().contains("Another opening line"));
}

#[test]
fn without_refresh_wait_a_stale_feed_is_served_at_once() {
    let (fake, app) = service(&NO_WAIT);
    let before = app.get(RSS);
    let gate = Gate::default();
    let newer = page("text").replace("Bold opening line", "Another opening line");
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&newer) });
    for _ in 0..5 {
        assert_eq!(app.get(RSS).body, before.body);
    }
    fake.wait_for(PREVIEW);
    gate.open();
    app.wait_for_metric("telewire_refreshes_total{outcome=\"ok\"}", 2.0);
    let after = app.get(RSS);
    assert_ne!(before.header("ETag"), after.header("ETag"));
    let since = [("If-Modified-Since", before.header("Last-Modified").unwrap())];
    assert_eq!(
        app.ask("GET", RSS, &since).status,
        200,
        "an edit must change Last-Modified, although the page has no date of it"
    );
    assert!(after.text().contains("Another opening line") && !after.text().contains("Bold opening line"));
}

#[test]
fn fresh_feed_is_served_without_a_fetch() {
    let (fake, app) = service(&[]);
    for _ in 0..3 {
        assert_eq!(app.get(RSS).status, 200);
    }
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn response_reports_cache_status() {
    let (_fake, app) = service(&[]);
    let status = |answer: &Response| answer.header("Cache-Status").unwrap().to_owned();
    let first = app.get(RSS);
    assert_eq!((first.header("Age"), status(&first).as_str()), (None, "telewire; fwd=uri-miss; stored"));
    let again = app.get(RSS);
    assert!(status(&again).starts_with("telewire; hit; ttl="), "{}", status(&again));
    let known = app.ask("GET", RSS, &[("If-None-Match", first.header("ETag").unwrap())]);
    assert!(known.status == 304 && status(&known).starts_with("telewire; hit"), "{}", status(&known));
}
