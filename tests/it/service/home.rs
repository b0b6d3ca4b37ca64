//! The home page.

use super::{PREVIEW, service};
use crate::support::fake_telegram::Answer;
use crate::support::page;

#[test]
fn home_page_accepts_what_people_paste() {
    let (fake, app) = service(&["--public-url", "http://telewire.internal:8080"]);
    let own = format!("http://{}/harbour_news/rss", app.address);
    for pasted in [
        own.as_str(),
        "http://telewire.internal:8080/Harbour_News/rss?token=0123456789abcdef",
        "https://web.telegram.org/k/#@harbour_news",
        "https://rsshub.app/telegram/channel/harbour_news",
        "harbour_news#",
    ] {
        let query: String = url::form_urlencoded::byte_serialize(pasted.as_bytes()).collect();
        let answer = app.get(&format!("/?channel={query}"));
        assert_eq!((answer.status, answer.header("Location")), (303, Some("harbour_news")), "{pasted}");
    }
    for (path, page) in [
        ("Harbour_News/rss?limit=5&match=low+tide", "harbour_news?limit=5&match=low+tide"),
        ("-/token/0123456789abcdef/harbour_news/atom?limit=5&token=x", "harbour_news?limit=5&format=atom"),
        ("harbour_news.json", "harbour_news?format=json"),
        ("harbour_news?limit=5&lang=ru#top", "harbour_news?limit=5&lang=ru"),
        ("tidewatch,harbour_news/rss?limit=5", "harbour_news,tidewatch?limit=5"),
        ("-/bundle/news/rss?limit=5", "-/bundle/news?limit=5"),
        ("telegram/channel/harbour_news?limit=5&format=atom", "harbour_news?limit=5&format=atom"),
    ] {
        let pasted = format!("http://telewire.internal:8080/{path}");
        let query: String = url::form_urlencoded::byte_serialize(pasted.as_bytes()).collect();
        let answer = app.get(&format!("/?channel={query}"));
        assert_eq!((answer.status, answer.header("Location")), (303, Some(page)), "{pasted}");
        let in_persian = app.get(&format!("/?channel={query}&lang=fa"));
        let location = in_persian.header("Location").unwrap();
        assert!(location.ends_with("lang=fa") && !location.contains("lang=ru"), "{pasted}: {location}");
    }
    for (pasted, page) in [
        ("t.me/s/harbour_news?q=%23news", "harbour_news?tag=news"),
        ("https://t.me/s/harbour_news?q=low+tide%2C+fog", "harbour_news?q=low+tide%2C+fog"),
        ("https://t.me/s/harbour_news?q=%23", "harbour_news?q=%23"),
        ("https://rsshub.app/telegram/channel/harbour_news/searchQuery=%23fog", "harbour_news?tag=fog"),
        ("https://rsshub.app/telegram/channel/harbour_news?limit=5", "harbour_news?limit=5"),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(pasted.as_bytes()).collect();
        let answer = app.get(&format!("/?channel={query}&lang=ru"));
        let page = format!("{page}&lang=ru");
        assert_eq!((answer.status, answer.header("Location")), (303, Some(page.as_str())), "{pasted}");
    }
    for (pasted, sentence) in [
        ("https://web.telegram.org/a/#-1001234567890", "is the number of a chat"),
        ("http://telewire.internal:8080/", "is not a channel"),
    ] {
        let query: String = url::form_urlencoded::byte_serialize(pasted.as_bytes()).collect();
        let answer = app.get(&format!("/?channel={query}"));
        assert!(answer.status == 400 && answer.text().contains(sentence), "{pasted}: {}", answer.text());
    }
    assert_eq!(fake.count(PREVIEW), 0);
}

#[test]
fn home_page_links_to_channel_page_and_feeds() {
    let (fake, app) = service(&[]);
    let home = app.get("/");
    assert_eq!((home.status, home.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        home.text().contains("method=\"get\" action=\"./\"") && home.text().contains("name=\"channel\""),
        "{}",
        home.text()
    );
    for typed in ["t.me%2Fharbour_news", "%40Harbour_News", "https%3A%2F%2Ft.me%2Fs%2Fharbour_news"] {
        let answer = app.get(&format!("/?channel={typed}"));
        assert_eq!((answer.status, answer.header("Location")), (303, Some("harbour_news")), "{typed}");
    }
    for path in ["harbour_news/112", "-/bundle/news"] {
        let answer = app.get(&format!("/?channel=http://{}/{path}", app.address));
        assert_eq!((answer.status, answer.header("Location")), (303, Some(path)), "{path}");
    }
    for target in ["/harbour_news", "/harbour_news?utm_source=x"] {
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
            let page = page.text();
            let link = page.split('<').find(|tag| tag.contains(&format!("type=\"{mime_type}\""))).unwrap();
            let feed = format!("href=\"harbour_news/{format}\"");
            assert!(link.starts_with("link rel=\"alternate\"") && link.contains(&feed), "{target}: {link}");
        }
        assert!(
            page.header("Content-Security-Policy")
                .is_some_and(|policy| policy.starts_with("default-src 'none'"))
        );
    }
    assert_eq!(app.get("/?channel=%3Cscript%3E").status, 400);
    assert_eq!(fake.count(PREVIEW), 1);
    fake.on("/s/nobody_here", Answer::redirect("/nobody_here"));
    fake.on("/nobody_here", Answer::page(&page("landing_nobody")));
    let missing = app.get("/nobody_here");
    assert!(
        missing.status == 404 && !missing.text().contains("alternate"),
        "a feed that does not exist is offered"
    );
    let health = app.get("/-/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
}
