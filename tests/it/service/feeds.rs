//! A feed as it is given out: the formats, headers, compression; how Telegram is asked for it.

use std::fs;

use telewire::feed::Format;
use telewire::telegram::page::{self, PageSource};

use super::{PREVIEW, RSS, service};
use crate::support::app::{App, run};
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing};
use crate::support::{page, page_names, pages_folder};

#[test]
fn a_channel_is_served_in_three_formats() {
    let (fake, app) = service(&["--public-url", "https://feeds.example.org", "--media", "direct"]);
    for (format, content_type) in [
        (Format::Rss, "application/rss+xml; charset=utf-8"),
        (Format::Atom, "application/atom+xml; charset=utf-8"),
        (Format::Json, "application/feed+json"),
    ] {
        let name = format.name();
        let feed = app.get(&format!("/harbour_news/{name}"));
        assert_eq!((feed.status, feed.header("Content-Type")), (200, Some(content_type)), "{name}");
        assert_eq!(feed.header("X-Content-Type-Options"), Some("nosniff"));
        let public = ["--public-url", "https://feeds.example.org"];
        let got = run(&[&["get", "--page", "text.html", "--format", name], &public[..]].concat());
        assert_eq!(feed.text().to_owned() + "\n", got.stdout, "{name}: `get` writes the same");
    }
    assert_eq!(fake.count(PREVIEW), 1, "one page is enough for all formats");
}

#[test]
fn a_feed_says_what_it_is_and_how_long_it_keeps() {
    let (_fake, app) = service(&["--fresh-min", "10m", "--fresh-max", "10m"]);
    let feed = app.get(RSS);
    let etag = feed.header("ETag").unwrap();
    assert!(etag.starts_with("W/\"") && etag.ends_with('"') && etag.len() > 20, "{etag}");
    let newest = feed.text().split("<pubDate>").nth(1).and_then(|rest| rest.split("</pubDate>").next());
    assert_eq!(feed.header("Last-Modified"), newest);
    assert_eq!(feed.header("Vary"), Some("accept-encoding"));
    let age = feed.header("Cache-Control").and_then(|value| value.strip_prefix("public, max-age=")).unwrap();
    assert!((500..=660).contains(&age.parse::<u32>().unwrap()), "{age}");
}

/// Addresses of pictures are the same on services with the same key.
const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn etags_are_the_same_after_a_restart() {
    let of_a_new_service = || {
        let (_fake, app) = service(&["--public-url", "https://feeds.example.org", "--media-key", KEY]);
        let feed = app.get(RSS);
        (feed.header("ETag").map(str::to_owned), feed.header("Last-Modified").map(str::to_owned), feed.body)
    };
    assert_eq!(of_a_new_service(), of_a_new_service());
}

#[test]
fn head_has_the_headers_of_get() {
    let (_fake, app) = service(&[]);
    for accept in [&[][..], &[("Accept-Encoding", "gzip")], &[("Accept-Encoding", "br")]] {
        let (get, head) = (app.ask("GET", RSS, accept), app.ask("HEAD", RSS, accept));
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["Content-Type", "ETag", "Last-Modified", "Vary", "Content-Encoding"] {
            assert_eq!(head.header(name), get.header(name), "{name} {accept:?}");
        }
    }
}

#[test]
fn feeds_are_compressed_for_those_who_ask() {
    let (_fake, app) = service(&[]);
    for target in [RSS, "/harbour_news/atom", "/harbour_news/json"] {
        let plain = app.ask("GET", target, &[("Accept-Encoding", "identity")]);
        assert_eq!(plain.header("Content-Encoding"), None);
        for accept in ["gzip", "br;q=0, gzip;q=0.8, *;q=0.1"] {
            let packed = app.ask("GET", target, &[("Accept-Encoding", accept)]);
            assert_eq!(packed.header("Content-Encoding"), Some("gzip"), "{target} {accept}");
            assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < plain.body.len() / 2);
            assert_eq!(packed.header("ETag"), plain.header("ETag"));
            assert_eq!(packed.header("Vary"), Some("accept-encoding"));
        }
        for accept in ["zstd", "gzip;q=0", "*"] {
            let answer = app.ask("GET", target, &[("Accept-Encoding", accept)]);
            assert_eq!((answer.header("Content-Encoding"), &answer.body), (None, &plain.body), "{accept}");
        }
    }
}

#[test]
fn a_page_may_come_in_any_framing() {
    for framing in [Framing::ContentLength, Framing::Chunked, Framing::Close] {
        let (fake, app) = service(&[]);
        fake.on(PREVIEW, Answer { framing, ..Answer::page(&page("text")) });
        assert_eq!(app.get(RSS).status, 200, "{framing:?}");
    }
}

#[test]
fn telegram_is_asked_politely() {
    let (fake, app) = service(&[]);
    assert_eq!(
        app.ask("GET", RSS, &[("Cookie", "a=b"), ("User-Agent", "reader"), ("Accept-Language", "ru")]).status,
        200
    );
    let head = fake.heads(PREVIEW).concat().to_ascii_lowercase();
    for line in
        [&format!("user-agent: telewire/{}", env!("CARGO_PKG_VERSION"))[..], "accept-language: en\r\n"]
    {
        assert!(head.contains(line), "{line}: {head}");
    }
    for own in ["cookie", "reader", "ru\r\n", "referer"] {
        assert!(!head.contains(own), "nothing of the reader's goes to Telegram: {own}: {head}");
    }
}

#[test]
fn the_next_upstream_is_asked_when_one_cannot_be_reached() {
    let fake = FakeTelegram::start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    let app = App::start(&format!("http://127.0.0.1:1,{}", fake.url()), &[]);
    assert_eq!(app.get(RSS).status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

/// What a saved page becomes, which the golden files print_note, is also what readers get.
#[test]
fn every_preview_page_is_served_as_the_feeds_beside_it() {
    for name in page_names(&pages_folder()) {
        let fake = FakeTelegram::start();
        let direct = ["--public-url", "https://feeds.example.org", "--media", "direct"];
        let app = App::start(&fake.url(), &direct);
        let html = page(&name);
        let Ok(page) = page::parse(&html, PageSource::Saved(None)) else { continue };
        let channel = page.snapshot.channel.name;
        fake.on(&format!("/s/{channel}"), Answer::page(&html));
        for format in Format::ALL {
            let feed = app.get(&format!("/{channel}/{}", format.name()));
            let golden = fs::read(pages_folder().join(format!("{name}.{}", format.name()))).unwrap();
            // The widget of a single post is welcome as a file only.
            assert!(
                feed.body == golden || (name == "embed" && feed.status == 404),
                "{name}.{}",
                format.name()
            );
        }
    }
}
