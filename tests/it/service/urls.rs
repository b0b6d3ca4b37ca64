//! URLs: the spellings of a channel, the self link of a feed, and errors.

use super::{PREVIEW, RSS, service};
use crate::support::app::App;
use crate::support::http;

/// Resolves a relative `Location` like a reader does.
fn follow(app: &App, target: &str, location: &str) -> String {
    let requested = url::Url::parse(&format!("http://{}{target}", app.address)).unwrap();
    let followed = requested.join(location).unwrap();
    followed.as_str().strip_prefix(&format!("http://{}", app.address)).unwrap().to_owned()
}

#[test]
fn every_pasted_spelling_redirects_to_the_canonical_url() {
    let (fake, app) = service(&[]);
    for typed in [
        "Harbour_NEWS",
        "@harbour_news",
        "%40harbour_news",
        "%20harbour_news%20",
        "t.me/harbour_news",
        "t.me/s/harbour_news",
        "https://t.me/harbour_news",
        "https:/t.me/harbour_news",
        "https%3A%2F%2Ft.me%2Fs%2Fharbour_news",
        "https://t.me/harbour_news/105",
        "telegram.me/harbour_news",
        "harbour_news.t.me",
        "tg://resolve%3Fdomain=harbour_news",
    ] {
        for format in ["rss", "atom", "json", "rss/"] {
            let canonical = format!("/harbour_news/{}", format.trim_end_matches('/'));
            for query in ["", "?limit=5"] {
                let target = format!("/{typed}/{format}{query}");
                let answer = app.get(&target);
                assert_eq!(answer.status, 301, "{target}: {}", answer.text());
                let location = answer.header("Location").unwrap();
                assert_eq!(follow(&app, &target, location), format!("{canonical}{query}"), "{target}");
                assert!(answer.header("Cache-Control").is_some(), "{target}");
            }
            let feed = app.get(&canonical);
            let own = format!("\"http://{}{canonical}\"", app.address);
            assert!(feed.status == 200 && feed.text().contains(&own), "the feed does not contain {own}");
        }
    }
    for (target, canonical) in [
        ("/harbour_news.rss", RSS),
        ("/rss/harbour_news", RSS),
        ("/rss/@Harbour_News?limit=5", "/harbour_news/rss?limit=5"),
        ("//harbour_news/rss", RSS),
        ("/@harbour_news", "/harbour_news"),
        ("/harbour_news/", "/harbour_news"),
        ("/t.me/s/harbour_news", "/harbour_news"),
        ("/s/Harbour_News", "/harbour_news"),
        ("/s/harbour_news/112?before=5&lang=ru", "/harbour_news/112?before=5&lang=ru"),
        ("/s/harbour_news?q=low+tide", "/harbour_news?q=low+tide"),
        ("/s/harbour_news?q=%23fog", "/harbour_news?tag=fog"),
    ] {
        let answer = app.get(target);
        assert_eq!(answer.status, 301, "{target}: {}", answer.text());
        assert_eq!(follow(&app, target, answer.header("Location").unwrap()), canonical, "{target}");
    }
    assert_eq!(fake.count(PREVIEW), 1, "all spellings share one cache entry");
}

#[test]
fn redirect_keeps_the_token_and_the_base_path() {
    let token = "0123456789abcdef";
    let (_fake, app) = service(&["--token", token, "--public-url", "https://example.org/feeds"]);
    for (target, location) in [
        (format!("/Harbour_News/rss?token={token}"), format!("../harbour_news/rss?token={token}")),
        (format!("/-/token/{token}/Harbour_News/rss"), "../harbour_news/rss".to_owned()),
    ] {
        let answer = app.get(&target);
        assert_eq!((answer.status, answer.header("Location")), (301, Some(location.as_str())), "{target}");
    }
}

#[test]
fn pages_of_a_service_with_a_token_lead_to_feeds_with_it() {
    let token = "0123456789abcdef";
    let (_fake, app) = service(&["--token", token]);
    for (target, location) in [
        (format!("/?token={token}"), format!("-/token/{token}/")),
        (format!("/harbour_news?token={token}"), format!("-/token/{token}/harbour_news")),
        (format!("/?token={token}&channel=%40Harbour_News"), format!("-/token/{token}/harbour_news")),
        (format!("/-/token/{token}/?channel=harbour_news"), "harbour_news".to_owned()),
    ] {
        let answer = app.get(&target);
        assert_eq!((answer.status, answer.header("Location")), (303, Some(location.as_str())), "{target}");
    }
    let page = app.get(&format!("/-/token/{token}/harbour_news"));
    assert_eq!((page.status, page.header("Cache-Control")), (200, Some("no-store")));
    assert!(page.text().contains("href=\"harbour_news/rss\""), "{}", page.text());
    assert_eq!(app.get(&format!("/-/token/{token}/harbour_news/rss")).status, 200);
}

#[test]
fn token_is_ignored_by_a_service_without_tokens() {
    let (_fake, app) = service(&[]);
    let plain = app.get(RSS);
    for target in ["/harbour_news/rss?token=abc", "/-/token/abc/harbour_news/rss"] {
        let feed = app.get(target);
        assert_eq!((feed.status, feed.text()), (200, plain.text()), "{target}");
    }
    let redirect = app.get("/Harbour_News/rss?token=abc");
    assert_eq!((redirect.status, redirect.header("Location")), (301, Some("../harbour_news/rss")));
    for target in ["/-/", "/-/unknown", "/-/unknown/rss"] {
        assert_eq!(app.get(target).status, 404, "{target}");
    }
}

#[test]
fn unknown_parameters_are_ignored_and_misspelled_ones_are_errors() {
    let (fake, app) = service(&[]);
    let plain = app.get(RSS);
    for query in ["?", "?utm_source=reader", "?_=1700000000", "?v", "?page=5"] {
        let feed = app.get(&format!("{RSS}{query}"));
        assert_eq!((feed.status, feed.text()), (200, plain.text()), "{query}");
    }
    let canonical = app.get("/harbour_news/rss?limit=3");
    for query in ["?limit=3&utm_source=x", "?x=1&limit=3", "?limit=9&limit=3"] {
        assert_eq!(app.get(&format!("{RSS}{query}")).text(), canonical.text(), "{query}");
    }
    for query in ["?limt=5", "?Limit=5", "?limits=5", "?befor=5"] {
        let answer = app.get(&format!("{RSS}{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains("did you mean"), "{}", answer.text());
    }
    assert_eq!(app.get("/harbour_news/rss?limit=5000").status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn probes_of_crawlers_and_readers_cost_no_fetch() {
    let (fake, app) = service(&[]);
    for target in [
        "/feed",
        "/rss.xml",
        "/atom.xml",
        "/sitemap.xml",
        "/.well-known/security.txt",
        "/wp-login.php",
        "/?feed=rss2",
    ] {
        assert_eq!(app.get(target).status, 404, "{target}");
    }
    for (target, content_type) in
        [("/favicon.ico", "image/svg+xml"), ("/robots.txt", "text/plain; charset=utf-8")]
    {
        let answer = app.get(target);
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(content_type)), "{target}");
    }
    assert_eq!(fake.paths("/").len(), 0);
}

#[test]
fn channel_name_is_cached_case_insensitively() {
    let (fake, app) = service(&[]);
    assert_eq!(app.get(RSS).status, 200);
    assert_eq!(app.get("/HARBOUR_News/rss").status, 301);
    assert_eq!((fake.count(PREVIEW), fake.count("/s/HARBOUR_News")), (1, 0));
}

#[test]
fn self_link_is_the_canonical_url_of_the_requested_host() {
    let (_fake, app) = service(&[]);
    for (host, own) in [
        ("feeds.example.org", "\"http://feeds.example.org/harbour_news/rss\""),
        ("feeds.example.org:8443", "\"http://feeds.example.org:8443/harbour_news/rss\""),
        ("[::1]:8080", "\"http://[::1]:8080/harbour_news/rss\""),
    ] {
        let feed = app.ask("GET", RSS, &[("Host", host)]);
        assert!(feed.text().contains(own), "{own}");
    }
    let plain = app.ask("GET", RSS, &[("Host", "feeds.example.org")]);
    for spelling in
        ["FEEDS.example.ORG", "feeds.example.org.", "feeds.example.org:80", "Feeds.Example.Org.:0080"]
    {
        let feed = app.ask("GET", RSS, &[("Host", spelling)]);
        assert_eq!((feed.text(), feed.header("ETag")), (plain.text(), plain.header("ETag")), "{spelling}");
    }
    for (length, status) in [(255, 200), (256, 400)] {
        assert_eq!(app.ask("GET", RSS, &[("Host", &"x".repeat(length))]).status, status, "{length}");
    }
    for hostile in ["evil\"><script>", "a/b", "user@evil.example", "a b", ""] {
        let feed = app.ask("GET", RSS, &[("Host", hostile)]);
        assert!(feed.status == 400 || !feed.text().contains("evil"), "{hostile}: {}", feed.status);
    }
}

#[test]
fn public_url_overrides_the_host_header() {
    let (_fake, app) = service(&["--public-url", "https://example.org/feeds/"]);
    let feed = app.ask("GET", "/harbour_news/atom", &[("Host", "evil.example")]);
    assert!(feed.text().contains("\"https://example.org/feeds/harbour_news/atom\""));
    assert!(!feed.text().contains("evil.example"));
    assert_eq!(app.ask("GET", "/harbour_news/atom", &[("Host", "other.example")]).text(), feed.text());
}

#[test]
fn invalid_channel_or_query_returns_400() {
    let (fake, app) = service(&[]);
    for (target, sentence) in [
        ("/abc/rss", "\"abc\" is not a channel: use its name"),
        ("/abc/feed", "\"abc/feed\" is not a channel: use its name"),
        ("/addstickers/rss", "\"addstickers\" is not a channel"),
        ("/%D0%B4%D1%83%D1%80%D0%BE%D0%B2/json", "\"дуров\" is not a channel"),
        ("/a,b/rss", "is not a channel"),
        ("/example.com/durov/rss", "is not a channel"),
        ("/..%2F..%2Fetc%2Fpasswd/rss", "is not a channel"),
        ("/%00%FF/rss", "not valid UTF-8"),
        ("/%ff/rss", "not valid UTF-8"),
        ("/?channel=harbour_news&channel=other_one", "`channel` is repeated"),
        ("/%3Cscript%3E/rss", "is not a channel"),
        ("/t.me/+AbCdEfGhIjKl/rss", "leads to a private chat"),
        ("/t.me/joinchat/AbCdEfGhIjKl/atom", "leads to a private chat"),
        ("/https://t.me/c/1234567/89/rss", "leads to a private chat"),
        ("/harbour_news/rss?limit=0", "must be a number of posts"),
        ("/harbour_news/rss?before=x", "must be the number of a post"),
    ] {
        let answer = app.get(target);
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
        assert!(
            answer.text().to_lowercase().contains(&sentence.to_lowercase()),
            "{target}: {}",
            answer.text()
        );
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"), "{target}");
    }
    assert_eq!(fake.count(PREVIEW), 0);
}

#[test]
fn unknown_format_returns_404() {
    let (fake, app) = service(&[]);
    for (target, feed) in
        [("/harbour_news/xml", "xml"), ("/harbour_news/RSS", "RSS"), ("/@harbour_news/feed", "feed")]
    {
        let answer = app.get(target);
        let sentence = format!("Unknown feed \"{feed}\"");
        assert_eq!(answer.status, 404, "{target}: {}", answer.text());
        assert!(answer.text().contains(&sentence) && answer.text().contains("/harbour_news/rss"), "{target}");
    }
    assert_eq!(fake.count(PREVIEW), 0);
}

#[test]
fn methods_other_than_get_and_head_return_405_with_allow() {
    let (_fake, app) = service(&["--metrics-listen", "127.0.0.1:0"]);
    let metrics = app.wait_for_listener("/-/metrics");
    for (method, address, target) in [
        ("POST", app.address, RSS),
        ("PUT", app.address, RSS),
        ("DELETE", app.address, "/-/healthz"),
        ("OPTIONS", app.address, RSS),
        ("OPTIONS", app.address, "*"),
        ("CONNECT", app.address, "t.example:443"),
        ("BREW", app.address, "/"),
        ("POST", metrics, "/-/metrics"),
    ] {
        let answer = http::ask(address, method, target, &[("Content-Length", "0")]);
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, HEAD")), "{method} {target}");
        assert!(
            answer.text().contains("only be used with GET, HEAD"),
            "{method} {target}: {}",
            answer.text()
        );
    }
    assert!(http::ask(metrics, "GET", "/unknown", &[]).text().contains("nothing at this URL"));
}

/// Links to the home page get parameters from the sites that have them. Any other query could be that of a feed.
#[test]
fn parameters_of_other_sites_do_not_hide_the_home_page() {
    let (_fake, app) = service(&[]);
    for query in ["utm_source=x&utm_medium=y", "fbclid=x", "", "&"] {
        let answer = app.get(&format!("/?{query}"));
        assert_eq!((answer.status, &answer.body), (200, &app.get("/").body), "{query}");
    }
    for query in ["feed=x", "utm_source=x&format=rss"] {
        assert_eq!(app.get(&format!("/?{query}")).status, 404, "{query}");
    }
}

#[test]
fn number_of_no_post_is_not_found() {
    let (fake, app) = service(&[]);
    for number in ["0", "4294967296", "99999999999999999999"] {
        let answer = app.get(&format!("/harbour_news/{number}"));
        assert_eq!(answer.status, 404, "{number}");
        assert!(!answer.text().contains("feed"), "{number}: {}", answer.text());
    }
    assert_eq!(fake.count(PREVIEW), 0);
}
