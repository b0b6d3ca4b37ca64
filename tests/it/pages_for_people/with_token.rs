//! The pages for readers and administrators with a token: the token stays in the path of every URL.

use serde_json::Value;

use super::{service, visit};

const TOKEN: &str = "0123456789abcdef";

#[test]
fn token_in_the_path_opens_pages_pictures_and_feeds() {
    let channels = [("harbour_news", "text"), ("tidewatch", "photo")];
    let (_fake, app) = service(&channels, &["--token", TOKEN]);
    assert_eq!(app.get("/").status, 401);
    visit("token_in_the_path_opens_pages_pictures_and_feeds", &app, |visit| {
        let tab = &visit.tab;
        let path = |path: &str| format!("/-/token/{TOKEN}/{path}");
        visit.open(&format!("/?token={TOKEN}"));
        visit.assert_at(&path(""));
        tab.paste("#channel", "t.me/tidewatch");
        tab.follow(".home .find button");
        visit.assert_at(&path("tidewatch"));
        tab.wait_until("document.querySelector('.photo').naturalWidth > 0");
        tab.choose("#format", "json");
        tab.follow(".builder form .actions button");
        assert_eq!(visit.feed_url(), visit.url_of(&path("tidewatch/json")));
        assert_eq!(visit.entries_of_copied_feed(), visit.posts());
        assert_eq!(tab.eval("document.querySelector('.builder .note:not(.own-help)')"), Value::Null);
        tab.paste("#top-channel", "harbour_news,tidewatch");
        tab.press_enter();
        visit.assert_at(&path("harbour_news,tidewatch"));
        let feed = app.get(&path("harbour_news,tidewatch/rss"));
        assert_eq!((feed.status, visit.feed_url()), (200, visit.url_of(&path("harbour_news,tidewatch/rss"))));
        tab.paste("#top-channel", "nobody_here");
        tab.press_enter();
        visit.assert_at(&path("nobody_here"));
        tab.follow(".brand");
        visit.assert_at(&path(""));
        let requests = tab.requests();
        let others = requests.iter().filter(|url| !url.contains(TOKEN) && !url.contains("/-/media/"));
        assert_eq!(others.collect::<Vec<_>>(), [""; 0], "requests without the token");
    });
}

#[test]
fn administrator_finds_a_channel_and_why_it_moves() {
    let channels = [("harbour_news", "text"), ("lantern_walks", "album"), ("tidewatch", "photo")];
    let (_fake, app) = service(&channels, &["--admin-token", TOKEN]);
    for (name, _) in channels {
        assert_eq!(app.get(&format!("/{name}/rss")).status, 200);
    }
    assert_eq!(app.get("/-/status").status, 401);
    visit("administrator_finds_a_channel_and_why_it_moves", &app, |visit| {
        let tab = &visit.tab;
        let path = |path: &str| format!("/-/token/{TOKEN}/{path}");
        let names = || {
            let names = tab
                .eval("[...document.querySelectorAll('.channels tbody th a')].map(link => link.innerText)");
            names
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap()[1..].to_owned())
                .collect::<Vec<_>>()
        };
        visit.open(&format!("/-/status?token={TOKEN}&lang=en"));
        visit.assert_at(&path("-/status?lang=en"));
        assert_eq!(names(), ["harbour_news", "lantern_walks", "tidewatch"]);
        assert_eq!(tab.text("document.querySelector('.channels .state').innerText"), "Up to date");
        tab.follow(".channels thead th:first-child a");
        assert_eq!(names(), ["tidewatch", "lantern_walks", "harbour_news"]);
        assert_eq!(tab.text("document.querySelector('[aria-sort]').ariaSort"), "descending");
        tab.paste("#q", "walks");
        tab.press_enter();
        visit.assert_at(&path("-/status?q=walks&state=&order=desc&lang=en"));
        assert_eq!(names(), ["lantern_walks"]);
        tab.choose("#state", "failing");
        tab.follow(".filter button");
        assert_eq!(names(), [""; 0]);
        tab.follow(".states a");
        assert_eq!(names(), ["lantern_walks"]);
        tab.follow(".channels tbody th a");
        visit.assert_at(&path("lantern_walks?lang=en"));
        assert_eq!(visit.feed_url(), visit.url_of("/lantern_walks/rss"));
        let feeds = "[...document.querySelectorAll('[rel=alternate], .formats a')].map(link => link.href)";
        let with_token = tab.eval(&format!("{feeds}.filter(url => url.includes('/token/'))"));
        assert_eq!(with_token, Value::Array(Vec::new()), "feeds that a reader finds");
        tab.follow(".brand");
        tab.follow(".channels a[href^=tidewatch]");
        visit.assert_at(&path("tidewatch?lang=en"));
        visit.open(&path("-/status.json?sort=newest"));
        let report: Value = serde_json::from_str(&tab.text("document.body.innerText")).unwrap();
        let newest = report["channels"]["shown"].as_array().unwrap().iter().map(|channel| &channel["newest"]);
        let newest: Vec<&str> = newest.map(|newest| newest.as_str().unwrap()).collect();
        assert!(newest.len() == 3 && newest.is_sorted_by(|a, b| a >= b), "{newest:?}");
    });
}
