//! Whose channel was read once keeps getting its feed, whatever becomes of Telegram.

use super::{PREVIEW, RSS, service};
use crate::support::fake_telegram::{Answer, Framing, Gate};
use crate::support::http::Response;
use crate::support::page;
use crate::support::wait::wait_until;

/// Always stale.
const STALE: [&str; 4] = ["--fresh-min", "0s", "--fresh-max", "0s"];

#[test]
fn the_last_good_feed_is_served_whatever_the_upstream_answers() {
    let whole = page("text");
    let cut = |framing| Answer { framing, truncate_after: Some(whole.len() * 2 / 3), ..Answer::page(&whole) };
    let cases = [
        ("status 500", Answer::status(500), "upstream-500"),
        ("status 429", Answer::status(429), "upstream-429"),
        (
            "sent to the page of a name that nobody has",
            Answer::redirect("https://t.me/harbour_news"),
            "page-not-trusted",
        ),
        ("sent to telegram.org", Answer::redirect("https://telegram.org/"), "page-not-trusted"),
        ("sent elsewhere", Answer::redirect("https://evil.example/"), "page-not-trusted"),
        ("cut", cut(Framing::ContentLength), "upstream-broken"),
        ("cut in silence", cut(Framing::Close), "page-not-trusted"),
        ("no posts", Answer::page(&page("no_posts_soft_ban")), "page-not-trusted"),
        ("an empty channel", Answer::page(&page("no_posts_empty")), "page-not-trusted"),
        ("a bot", Answer::page(&page("landing_bot")), "page-not-trusted"),
        ("another channel", Answer::page(&page("photo")), "page-not-trusted"),
        ("a log-in page", Answer::page(&page("not_telegram")), "page-not-trusted"),
        ("nothing", Answer::page(""), "page-not-trusted"),
    ];
    for (fault, answer, detail) in cases {
        let (fake, app) = service(&STALE);
        fake.on("/harbour_news", Answer::page(&page("landing_nobody")));
        let good = app.get(RSS);
        assert_eq!(good.status, 200);
        fake.on(PREVIEW, answer);
        assert_eq!(app.get(RSS).body, good.body, "{fault}: while it is asked again");
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
        assert_eq!(fake.count(PREVIEW), 2, "{fault}: asked again at once after a failure");
    }
}

#[test]
fn a_reader_never_waits_for_the_refresh_behind_the_answer() {
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
        "an edited post has no date, and is news all the same"
    );
    assert!(after.text().contains("Another opening line") && !after.text().contains("Bold opening line"));
}

#[test]
fn a_fresh_feed_is_served_without_asking() {
    let (fake, app) = service(&[]);
    for _ in 0..3 {
        assert_eq!(app.get(RSS).status, 200);
    }
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn an_answer_says_how_old_it_is_and_where_it_came_from() {
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
