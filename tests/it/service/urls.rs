//! URLs: the spellings of a channel, the self link of a feed, errors, and the HTML pages.

use super::{PREVIEW, RSS, service};

#[test]
fn channel_path_accepts_every_pasted_spelling() {
    let (fake, app) = service(&[]);
    for typed in [
        "harbour_news",
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
            let target = format!("/{typed}/{format}");
            let feed = app.get(&target);
            assert_eq!(feed.status, 200, "{target}: {}", feed.text());
            let own = format!("\"http://{}{target}\"", app.address);
            assert!(feed.text().contains(&own), "the feed does not contain {own}");
        }
    }
    assert_eq!(fake.count(PREVIEW), 1, "all spellings share one cache entry");
}

#[test]
fn channel_name_is_cached_case_insensitively() {
    let (fake, app) = service(&[]);
    assert_eq!(app.get(RSS).status, 200);
    assert_eq!(app.get("/HARBOUR_News/rss").status, 200);
    assert_eq!((fake.count(PREVIEW), fake.count("/s/HARBOUR_News")), (1, 0));
}

#[test]
fn self_link_follows_the_host_header() {
    let (_fake, app) = service(&[]);
    for (host, own) in [
        ("feeds.example.org", "\"http://feeds.example.org/harbour_news/rss\""),
        ("feeds.example.org:8443", "\"http://feeds.example.org:8443/harbour_news/rss\""),
        ("[::1]:8080", "\"http://[::1]:8080/harbour_news/rss\""),
    ] {
        let feed = app.ask("GET", RSS, &[("Host", host)]);
        assert!(feed.text().contains(own), "{own}");
    }
    for hostile in ["evil\"><script>", "a/b", "user@evil.example", "a b", ""] {
        let feed = app.ask("GET", RSS, &[("Host", hostile)]);
        assert!(feed.status == 400 || !feed.text().contains("evil"), "{hostile}: {}", feed.status);
    }
}

#[test]
fn public_url_overrides_the_host_header() {
    let (_fake, app) = service(&["--public-url", "https://example.org/feeds/"]);
    let feed = app.ask("GET", "/@harbour_news/atom", &[("Host", "evil.example")]);
    assert!(feed.text().contains("\"https://example.org/feeds/@harbour_news/atom\""));
    assert!(!feed.text().contains("evil.example"));
}

#[test]
fn invalid_channel_or_query_returns_400() {
    let (fake, app) = service(&[]);
    for (target, sentence) in [
        ("/abc/rss", "\"abc\" is not a channel: type its name"),
        ("/abc/feed", "\"abc/feed\" is not a channel: type its name"),
        ("/addstickers/rss", "\"addstickers\" is not a channel"),
        ("/%D0%B4%D1%83%D1%80%D0%BE%D0%B2/json", "\"дуров\" is not a channel"),
        ("/a,b/rss", "is not a channel"),
        ("//rss", "is not a channel"),
        ("/example.com/durov/rss", "is not a channel"),
        ("/..%2F..%2Fetc%2Fpasswd/rss", "is not a channel"),
        ("/%00%FF/rss", ""),
        ("/%3Cscript%3E/rss", "is not a channel"),
        ("/t.me/+AbCdEfGhIjKl/rss", "leads to a private chat"),
        ("/t.me/joinchat/AbCdEfGhIjKl/atom", "leads to a private chat"),
        ("/https://t.me/c/1234567/89/rss", "leads to a private chat"),
        ("/harbour_news/rss?page=5", "unknown or repeated query parameter"),
        ("/harbour_news/rss?limit=5&limit=6", "unknown or repeated query parameter"),
        ("/harbour_news/rss?limit=0", "must be a number of posts from 1 to 200"),
        ("/harbour_news/rss?limit=201", "must be a number of posts from 1 to 200"),
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
fn methods_other_than_get_and_head_return_405() {
    let (_fake, app) = service(&[]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(app.ask(method, RSS, &[("Content-Length", "0")]).status, 405, "{method}");
    }
}

#[test]
fn home_page_links_to_channel_page_and_feeds() {
    let (fake, app) = service(&[]);
    let home = app.get("/");
    assert_eq!((home.status, home.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        home.text().contains("<form method=\"get\">") && home.text().contains("name=\"channel\""),
        "{}",
        home.text()
    );
    for target in [
        "/harbour_news",
        "/harbour_news/",
        "/@harbour_news",
        "/t.me/harbour_news",
        "/?channel=t.me%2Fharbour_news",
    ] {
        let page = app.get(target);
        assert_eq!(
            (page.status, page.header("Content-Type")),
            (200, Some("text/html; charset=utf-8")),
            "{target}"
        );
        for (mime_type, format) in [
            ("application/rss+xml", "rss"),
            ("application/atom+xml", "atom"),
            ("application/feed+json", "json"),
        ] {
            let link =
                page.text().lines().find(|line| line.contains(&format!("type=\"{mime_type}\""))).unwrap();
            let feed = format!("href=\"http://{}/harbour_news/{format}\"", app.address);
            assert!(link.starts_with("<link rel=\"alternate\"") && link.contains(&feed), "{target}: {link}");
        }
        assert!(
            page.header("Content-Security-Policy")
                .is_some_and(|policy| policy.starts_with("default-src 'none'"))
        );
    }
    assert_eq!(app.get("/?channel=%3Cscript%3E").status, 400);
    assert_eq!(fake.count(PREVIEW), 0, "the channel page must not fetch from Telegram");
    let health = app.get("/-/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
}
