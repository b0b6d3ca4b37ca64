//! The pages of a service that needs a token: the token stays in the path of every URL.

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
