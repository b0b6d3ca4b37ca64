//! Whose channel was read once keeps getting its feed, whatever becomes of Telegram.

use super::{PREVIEW, RSS, service};
use crate::support::fake::{Answer, Framing};
use crate::support::page;

#[test]
fn the_last_good_feed_is_served_whatever_the_upstream_answers() {
    let (fake, app) = service(&["--fresh-for", "0s"]);
    let good = app.get(RSS);
    assert_eq!(good.status, 200);
    let whole = page("text");
    let cut = |framing| Answer { framing, cut: Some(whole.len() * 2 / 3), ..Answer::page(&whole) };
    fake.on("/harbour_news", Answer::page(&page("landing_nobody")));
    let cases = [
        ("status 500", Answer::status(500)),
        ("status 429", Answer::status(429)),
        ("sent to the page of a name that nobody has", Answer::redirect("https://t.me/harbour_news")),
        ("sent to telegram.org", Answer::redirect("https://telegram.org/")),
        ("sent elsewhere", Answer::redirect("https://evil.example/")),
        ("cut", cut(Framing::ContentLength)),
        ("cut in silence", cut(Framing::Close)),
        ("no posts", Answer::page(&page("no_posts_soft_ban"))),
        ("an empty channel", Answer::page(&page("no_posts_empty"))),
        ("a bot", Answer::page(&page("landing_bot"))),
        ("another channel", Answer::page(&page("photo"))),
        ("a log-in page", Answer::page(&page("not_telegram"))),
        ("nothing", Answer::page("")),
    ];
    for (fault, answer) in cases {
        fake.on(PREVIEW, answer);
        let n_asked = fake.count(PREVIEW);
        let stale = app.get(RSS);
        assert_eq!(stale.status, 200, "{fault}: {}", stale.text());
        assert_eq!((stale.header("ETag"), &stale.body), (good.header("ETag"), &good.body), "{fault}");
        assert_eq!(fake.count(PREVIEW), n_asked + 1, "{fault}: Telegram was asked again");
        let tag = good.header("ETag").unwrap();
        assert_eq!(app.ask("GET", RSS, &[("If-None-Match", tag)]).status, 304, "{fault}");
    }
}

#[test]
fn a_new_post_is_in_the_feed_when_the_old_one_is_no_longer_fresh() {
    let (fake, app) = service(&["--fresh-for", "0s"]);
    let before = app.get(RSS);
    let newer = page("text").replace("Bold opening line", "Another opening line");
    fake.on(PREVIEW, Answer::page(&newer));
    let after = app.get(RSS);
    assert_ne!(before.header("ETag"), after.header("ETag"));
    assert!(after.text().contains("Another opening line") && !after.text().contains("Bold opening line"));
}

#[test]
fn a_fresh_feed_is_served_without_asking() {
    let (fake, app) = service(&["--fresh-for", "1h"]);
    for _ in 0..3 {
        assert_eq!(app.get(RSS).status, 200);
    }
    assert_eq!(fake.count(PREVIEW), 1);
}
