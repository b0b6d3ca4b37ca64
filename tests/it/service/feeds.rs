//! Feeds: formats, headers and compression, and the requests to Telegram behind them.

use std::fs;

use telewire::feed::Format;
use telewire::telegram::page::{self, PageSource};

use super::{PREVIEW, RSS, service};
use crate::support::app::{App, run};
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing};
use crate::support::{page, page_names, pages_folder};

#[test]
fn channel_is_served_in_three_formats() {
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
        assert_eq!(feed.text().to_owned() + "\n", got.stdout, "{name}: `telewire get` differs");
    }
    assert_eq!(fake.count(PREVIEW), 1, "all formats share one fetch");
}

#[test]
fn feed_has_validators_and_max_age() {
    let (_fake, app) = service(&["--fresh-min", "10m", "--fresh-max", "10m"]);
    let feed = app.get(RSS);
    let etag = feed.header("ETag").unwrap();
    assert!(etag.starts_with("W/\"") && etag.ends_with('"') && etag.len() > 20, "{etag}");
    let newest = feed.text().split("<pubDate>").nth(1).and_then(|rest| rest.split("</pubDate>").next());
    assert_eq!(feed.header("Last-Modified"), newest);
    assert_eq!(feed.header("Vary"), Some("accept-encoding"));
    let cache_control = feed.header("Cache-Control").unwrap();
    assert_eq!(cache_control, "public, max-age=300, must-revalidate", "more would delay posts in FreshRSS");
}

/// A media key: services with the same key sign the same media URLs.
const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn etag_survives_a_restart() {
    let from_new_service = || {
        let (_fake, app) = service(&["--public-url", "https://feeds.example.org", "--media-key", KEY]);
        let feed = app.get(RSS);
        (feed.header("ETag").map(str::to_owned), feed.header("Last-Modified").map(str::to_owned), feed.body)
    };
    assert_eq!(from_new_service(), from_new_service());
}

#[test]
fn head_returns_the_headers_of_get() {
    let (_fake, app) = service(&[]);
    for accept in [&[][..], &[("Accept-Encoding", "gzip")]] {
        let (get, head) = (app.ask("GET", RSS, accept), app.ask("HEAD", RSS, accept));
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["Content-Type", "ETag", "Last-Modified", "Vary", "Content-Encoding"] {
            assert_eq!(head.header(name), get.header(name), "{name} {accept:?}");
        }
    }
}

#[test]
fn feed_is_compressed_on_request() {
    let (_fake, app) = service(&[]);
    for target in [RSS, "/harbour_news/atom", "/harbour_news/json"] {
        let plain = app.ask("GET", target, &[("Accept-Encoding", "identity")]);
        assert_eq!(plain.header("Content-Encoding"), None);
        for accept in ["gzip", "br;q=0, gzip;q=0.8, *;q=0.1"] {
            let compressed = app.ask("GET", target, &[("Accept-Encoding", accept)]);
            assert_eq!(compressed.header("Content-Encoding"), Some("gzip"), "{target} {accept}");
            assert!(
                compressed.body.starts_with(&[0x1f, 0x8b]) && compressed.body.len() < plain.body.len() / 2
            );
            assert_eq!(compressed.header("ETag"), plain.header("ETag"));
            assert_eq!(compressed.header("Vary"), Some("accept-encoding"));
        }
        for accept in ["zstd", "gzip;q=0", "*"] {
            let answer = app.ask("GET", target, &[("Accept-Encoding", accept)]);
            assert_eq!((answer.header("Content-Encoding"), &answer.body), (None, &plain.body), "{accept}");
        }
    }
}

#[test]
fn preview_page_is_accepted_in_every_framing() {
    for framing in [Framing::ContentLength, Framing::Chunked, Framing::Close] {
        let (fake, app) = service(&[]);
        fake.on(PREVIEW, Answer { framing, ..Answer::page(&page("text")) });
        assert_eq!(app.get(RSS).status, 200, "{framing:?}");
    }
}

#[test]
fn request_to_telegram_identifies_only_telewire() {
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
    for header in ["cookie", "reader", "ru\r\n", "referer"] {
        assert!(!head.contains(header), "the request forwards {header:?} from the reader: {head}");
    }
}

#[test]
fn unreachable_upstream_fails_over_to_the_next() {
    let fake = FakeTelegram::start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    let app = App::start(&format!("http://127.0.0.1:1,{}", fake.url()), &[]);
    assert_eq!(app.get(RSS).status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

/// The service renders a fetched page exactly as the golden files say for the saved page.
#[test]
fn preview_pages_are_served_as_their_golden_feeds() {
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
            // The widget of a single post is accepted only as a file.
            assert!(
                feed.body == golden || (name == "embed" && feed.status == 404),
                "{name}.{}",
                format.name()
            );
        }
    }
}
