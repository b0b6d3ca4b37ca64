//! Errors: the status and message for channels without posts and for upstream faults. 404 only if Telegram says that
//! there is nothing to read, else 502, 503 or 504 with `Retry-After`; never a feed.

use std::fs;

use telewire::telegram::page::{self, PageSource};

use super::service;
use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing, Gate};
use crate::support::http::Response;
use crate::support::{assert_no_failures, page, page_names, pages_folder};

/// The pages of `tests/pages` without posts of their channel: file name, status and message.
const PAGES_WITHOUT_POSTS: [(&str, u16, &str); 22] = [
    ("cut_in_head", 502, "The page is truncated."),
    ("cut_short", 502, "The page is truncated."),
    ("embed", 404, "This is the page of a single post, not of a channel."),
    ("embed_blocked", 404, "Telegram does not show this channel: "),
    ("embed_error", 404, "This post does not exist or was deleted."),
    ("landing_banned", 404, "Telegram does not show this channel"),
    ("landing_bot", 404, "This name belongs to a bot"),
    ("landing_bot_2023", 404, "This name belongs to a bot"),
    ("landing_channel", 503, "Telegram is rate limiting: it returned this channel's page without its posts"),
    ("landing_group", 404, "This name belongs to a group"),
    ("landing_invite_channel", 404, "This is an invite link to a private chat"),
    ("landing_invite_group", 404, "This is an invite link to a private chat"),
    ("landing_nobody", 404, "No public channel has this name"),
    ("landing_preview_off", 404, "This channel exists, but Telegram does not show its posts on the web"),
    ("landing_scam", 503, "Telegram is rate limiting: it returned this channel's page without its posts"),
    ("landing_user", 404, "This name belongs to a person"),
    ("no_posts_empty", 404, "This channel exists, but has not published anything yet."),
    (
        "no_posts_soft_ban",
        503,
        "Telegram is rate limiting: it returned this channel's page without its posts",
    ),
    ("not_telegram", 502, "The answer is not a Telegram page"),
    ("post_page", 404, "This is the page of a single post, not of a channel."),
    ("telegram_home", 404, "Telegram does not accept this as a channel name"),
    // The page of another channel.
    ("text", 502, "Telegram answered with the page of another channel, harbour_news."),
];

#[test]
fn page_without_posts_returns_its_status_and_message() {
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &["--burst", "100"]);
    let faults = PAGES_WITHOUT_POSTS.iter().filter_map(|(name, status, sentence)| {
        // The file names are valid channel names.
        fake.on(&format!("/s/{name}"), Answer::redirect(&format!("https://t.me/{name}")));
        fake.on(&format!("/{name}"), Answer::page(&page(name)));
        fault(&app.get(&format!("/{name}/rss")), name, *status, sentence)
    });
    assert_no_failures(&faults.collect::<Vec<_>>());
}

#[test]
fn every_page_without_posts_is_in_the_table() {
    for name in page_names(&pages_folder()) {
        let has_posts = page::parse(&page(&name), PageSource::Saved(None)).is_ok();
        assert!(
            has_posts || PAGES_WITHOUT_POSTS.iter().any(|(listed, ..)| *listed == name),
            "{name} is not in the table"
        );
    }
}

#[test]
fn upstream_fault_returns_its_status_and_message() {
    let whole = page("text");
    let half = whole.len() / 2;
    let deep = format!("<!DOCTYPE html><html>{}</html>", "<div>".repeat(20_000));
    let cut = |framing| Answer { framing, truncate_after: Some(half), ..Answer::page(&whole) };
    let waiting =
        |status| Answer { headers: vec![("Retry-After".into(), "7".into())], ..Answer::status(status) };
    let cases = [
        ("status_400", Answer::status(400), 502, "answered with status 400"),
        ("status_404", Answer::status(404), 502, "answered with status 404"),
        ("status_429", waiting(429), 503, "refused the request"),
        ("status_500", Answer::status(500), 502, "answered with status 500"),
        ("status_503", waiting(503), 503, "refused the request"),
        ("empty_page", Answer::page(""), 502, "The answer is not a Telegram page"),
        ("truncated_length", cut(Framing::ContentLength), 502, "is incomplete or invalid"),
        ("truncated_chunked", cut(Framing::Chunked), 502, "is incomplete or invalid"),
        ("truncated_close", cut(Framing::Close), 502, "The page is truncated."),
        ("too_large", Answer::page(&" ".repeat(5 << 20)), 502, "sent more than 4 MiB"),
        ("too_deep", Answer::page(&deep), 502, "nested too deeply or too large"),
        (
            "to_other_site",
            Answer::redirect("https://evil.example/s/to_other_site"),
            502,
            "redirected the request to evil.example",
        ),
        (
            "to_loopback",
            Answer::redirect("http://127.0.0.1:1/s/to_loopback"),
            502,
            "redirected the request to 127.0.0.1",
        ),
        (
            "to_other_channel",
            Answer::redirect("/s/other_channel"),
            502,
            "redirected the request to 127.0.0.1",
        ),
        ("without_location", Answer::status(302), 502, "redirected"),
        ("redirect_loop", Answer::redirect("/s/redirect_loop"), 502, "redirected"),
        (
            "to_home_page",
            Answer::redirect("https://telegram.org/"),
            404,
            "Telegram does not accept this as a channel name",
        ),
    ];
    let faults = cases.into_iter().filter_map(|(name, answer, status, sentence)| {
        // A new upstream for each case, because a fault may open the breaker.
        let fake = FakeTelegram::start();
        let app = App::start(&fake.url(), &[]);
        fake.on(&format!("/s/{name}"), answer);
        fault(&app.get(&format!("/{name}/atom")), name, status, sentence)
    });
    assert_no_failures(&faults.collect::<Vec<_>>());
}

#[test]
fn unreachable_upstream_returns_502() {
    let app = App::start("http://127.0.0.1:1", &[]);
    assert_eq!(
        fault(&app.get("/harbour_news/json"), "closed port", 502, "127.0.0.1:1 cannot be reached: "),
        None
    );
}

/// Takes ten seconds: the timeout of a page.
#[test]
fn silent_upstream_returns_504_after_the_timeout() {
    let (fake, app) = service(&[]);
    fake.on("/s/held_back", Answer { gate: Some(Gate::default()), ..Answer::page(&page("text")) });
    assert_eq!(fault(&app.get("/held_back/rss"), "silent upstream", 504, "did not answer in time"), None);
}

#[test]
fn error_is_html_for_browsers_and_text_for_readers() {
    let app = App::start("http://127.0.0.1:1", &[]);
    let ask = |target: &str, accept: &str| app.ask("GET", target, &[("Accept", accept)]);
    for (target, status) in [("/harbour_news/rss", 502), ("/%3Cb%3E/rss", 400)] {
        let page = ask(target, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        assert_eq!((page.status, page.header("Content-Type")), (status, Some("text/html; charset=utf-8")));
        assert!(
            page.text().starts_with("<!DOCTYPE html>") && !page.text().contains("<b>"),
            "{}",
            page.text()
        );
        for accept in ["application/rss+xml, text/html;q=0.5", "*/*", ""] {
            let line = ask(target, accept);
            assert_eq!(
                (line.status, line.header("Content-Type")),
                (status, Some("text/plain; charset=utf-8"))
            );
        }
    }
}

#[test]
fn rejected_pages_are_stored_up_to_a_limit() {
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &["--burst", "100"]);
    let html = page("not_telegram");
    let names: Vec<String> = (0..7).map(|n| format!("lost_{n}")).collect();
    for name in &names {
        fake.on(&format!("/s/{name}"), Answer::page(&html));
        assert_eq!(app.get(&format!("/{name}/rss")).status, 502);
        let kept = app.folder.join(format!("data/rejected-pages/{name}.html"));
        assert_eq!(fs::read_to_string(kept).unwrap(), html);
        // An answer of Telegram in between keeps the breaker closed.
        let nobody = name.replace("lost", "nobody");
        fake.on(&format!("/s/{nobody}"), Answer::redirect("https://telegram.org/"));
        assert_eq!(app.get(&format!("/{nobody}/rss")).status, 404);
    }
    assert_eq!(fs::read_dir(app.folder.join("data/rejected-pages")).unwrap().count(), 5);
    // A page that Telegram shows on purpose is not stored.
    fake.on("/s/landing_bot", Answer::page(&page("landing_bot")));
    assert_eq!(app.get("/landing_bot/rss").status, 404);
    assert!(!app.folder.join("data/rejected-pages/landing_bot.html").exists());
}

/// Describes how an error response differs from the expected one. `None` if it does not.
fn fault(answer: &Response, case: &str, status: u16, sentence: &str) -> Option<String> {
    let text = answer.text();
    let wait = answer.header("Retry-After").and_then(|wait| wait.parse::<u32>().ok());
    let is_as_expected = answer.status == status
        && text.contains(sentence)
        && text.ends_with(".\n")
        && text.lines().count() == 1
        && answer.header("Content-Type") == Some("text/plain; charset=utf-8")
        && answer.header("Cache-Control") == Some("no-store")
        && answer.header("ETag").is_none()
        && wait.is_some_and(|seconds| seconds > 0) == (status >= 500);
    (!is_as_expected).then(|| {
        format!("{case}: expected {status}, {sentence:?}\n  {} {:?}\n  {text}", answer.status, answer.headers)
    })
}
