//! Stale feeds (RFC 5861): stale-if-error and stale-while-revalidate.

use super::{PREVIEW, RSS, service};
use crate::support::fake_telegram::{Answer, Framing, Gate};
use crate::support::http::Response;
use crate::support::page;
use crate::support::wait::wait_until;

/// Makes every feed stale at once.
const STALE: [&str; 4] = ["--fresh-min", "0s", "--fresh-max", "0s"];

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
fn stale_while_revalidate_never_blocks_a_reader() {
    let (fake, app) = service(&STALE);
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
fn response_reports_age_and_cache_status() {
    let (_fake, app) = service(&[]);
    let status = |answer: &Response| answer.header("Cache-Status").unwrap().to_owned();
    let first = app.get(RSS);
    assert_eq!((first.header("Age"), status(&first).as_str()), (Some("0"), "telewire; fwd=uri-miss; stored"));
    let again = app.get(RSS);
    assert!(
        again.header("Age").is_some() && status(&again).starts_with("telewire; hit; ttl="),
        "{}",
        status(&again)
    );
    let known = app.ask("GET", RSS, &[("If-None-Match", first.header("ETag").unwrap())]);
    assert!(
        known.status == 304 && known.header("Age").is_some() && status(&known).starts_with("telewire; hit")
    );
}
