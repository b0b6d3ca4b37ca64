//! The steps of people on the pages, each with and without JavaScript.

use std::iter;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FAST, Visit, service, visit};
use crate::media::browser::video;
use crate::support::app::App;
use crate::support::browser::Tab;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::FakeTelegram;
use crate::support::{are_installed, page};

const HARBOUR: (&str, &str) = ("harbour_news", "text");

#[test]
fn link_leads_to_the_channel_and_its_feed() {
    let (_fake, app) = service(&[HARBOUR], &[]);
    visit("link_leads_to_the_channel_and_its_feed", &app, |visit| {
        let tab = &visit.tab;
        visit.open("/");
        tab.paste(".home .find input", "https://t.me/s/Harbour_News/112?single");
        tab.follow(".home .find button");
        visit.assert_at("/harbour_news");
        let all = visit.posts();
        tab.click(".builder form details summary");
        tab.paste("#option-match", "harbour");
        tab.choose("#format", "json");
        tab.follow(".builder form .actions button");
        visit.assert_at("/harbour_news?match=harbour&format=json");
        let matching = visit.posts();
        assert!(!matching.is_empty() && matching.len() < all.len(), "{matching:?} of {all:?}");
        assert_eq!(visit.entries_of_copied_feed(), matching);
        assert_eq!(visit.feed_url(), visit.url_of("/harbour_news/json?match=harbour"));
        if visit.has_scripts {
            assert_eq!(copied_with_the_button(tab), visit.feed_url());
        }
        tab.follow(".builder .actions a");
        visit.assert_at("/harbour_news");
        assert_eq!(visit.posts(), all);
    });
}

/// Presses the button that copies the URL of the feed, and returns the content of the clipboard. All tabs share the clipboard,
/// so only one test uses it.
fn copied_with_the_button(tab: &Tab) -> String {
    tab.eval(
        "const button = document.querySelector('[data-copy]');
         const answer = new Promise(done => {
           new MutationObserver(() => done(button.textContent)).observe(button, { childList: true });
         });
         null",
    );
    tab.click("[data-copy]");
    assert_eq!(tab.text("answer"), tab.text("button.dataset.done"));
    tab.text("navigator.clipboard.readText()")
}

#[test]
fn paging_leads_to_the_first_post_and_back() {
    let fake = FakeTelegram::start();
    let start: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    fake.add_channel(FakeChannel::with_posts("tide_log", 120, start));
    let app = App::start(&fake.url(), &FAST);
    // Older posts come from the archive, which the feed's pages fill.
    let mut next = Some("/tide_log/json".to_owned());
    while let Some(path) = next {
        let feed: Value = serde_json::from_slice(&app.get(&path).body).unwrap();
        let url = feed["next_url"].as_str();
        next = url.map(|url| url.split_once(&app.address.to_string()).unwrap().1.to_owned());
    }
    visit("paging_leads_to_the_first_post_and_back", &app, |visit| {
        const OLDER: &str = ".paging a[rel=next]";
        visit.open("/tide_log?limit=20");
        let newest = visit.posts();
        assert_eq!(newest.len(), 20);
        let has_older = || visit.tab.eval(&format!("document.querySelector('{OLDER}') !== null")) == true;
        let older = iter::from_fn(|| {
            has_older().then(|| {
                visit.tab.follow(OLDER);
                visit.posts()
            })
        });
        let all: Vec<u64> = iter::once(newest.clone()).chain(older.take(120)).flatten().collect();
        assert_eq!(all, (1..=120).rev().collect::<Vec<_>>());
        visit.tab.follow(".paging a:not([rel=next])");
        visit.assert_at("/tide_log?limit=20");
        assert_eq!(visit.posts(), newest);
    });
}

#[test]
fn date_leads_to_the_page_of_the_post_and_its_neighbours() {
    let (_fake, app) = service(&[HARBOUR], &[]);
    visit("date_leads_to_the_page_of_the_post_and_its_neighbours", &app, |visit| {
        visit.open("/harbour_news");
        visit.tab.follow("#p112 .date");
        visit.assert_at("/harbour_news/112");
        assert_eq!(visit.posts(), [112]);
        visit.tab.follow(".paging a[rel=next]");
        assert_eq!(visit.posts(), [111]);
        visit.tab.follow(".paging a[rel=prev]");
        assert_eq!(visit.posts(), [112]);
        visit.tab.follow(".single .names a");
        visit.assert_at("/harbour_news");
    });
}

#[test]
fn feed_in_a_browser_shows_its_entries() {
    let (_fake, app) = service(&[HARBOUR], &[]);
    visit("feed_in_a_browser_shows_its_entries", &app, |visit| {
        for (format, entry) in [("RSS", "item"), ("Atom", "entry")] {
            visit.open("/harbour_news");
            visit.tab.follow(&format!(".formats a[href$={}]", format.to_lowercase()));
            let shown = format!(
                "[...document.querySelectorAll({entry:?})].map(entry => getComputedStyle(entry).display === 'block')"
            );
            assert_eq!(visit.tab.eval(&shown), json!(vec![true; 17]), "{format}");
        }
    });
}

#[test]
fn spoiler_opens() {
    let (_fake, app) = service(&[("film_club", "spoilers")], &[]);
    visit("spoiler_opens", &app, |visit| {
        const SPOILER: &str = "#p101 details";
        visit.open("/film_club");
        let height = || visit.tab.eval(&format!("document.querySelector('{SPOILER}').offsetHeight")).as_u64();
        let closed = height();
        visit.tab.click(&format!("{SPOILER} summary"));
        visit.tab.wait_until(&format!("document.querySelector('{SPOILER}').open"));
        assert!(height() > closed);
        assert!(
            visit.tab.text(&format!("document.querySelector('{SPOILER}').innerText")).contains("the postman")
        );
    });
}

#[test]
fn album_is_a_grid() {
    let (_fake, app) = service(&[("lantern_walks", "album")], &[]);
    visit("album_is_a_grid", &app, |visit| {
        for (width, height) in [(390, 800), (1280, 800)] {
            visit.tab.set_window(width, height, "light");
            visit.open("/lantern_walks");
            let boxes = visit.tab.eval(
                "[...document.querySelectorAll('#p301 figure')].map(figure => {
                   const { x, y, width } = figure.getBoundingClientRect();
                   return { x: Math.round(x), y: Math.round(y), width: Math.round(width) };
                 })",
            );
            let at = |n: usize, key: &str| boxes[n][key].as_i64().unwrap();
            assert_eq!(boxes.as_array().unwrap().len(), 4);
            assert_eq!((at(0, "y"), at(2, "y")), (at(1, "y"), at(3, "y")), "{boxes}");
            assert_eq!((at(0, "x"), at(1, "x")), (at(2, "x"), at(3, "x")), "{boxes}");
            assert!(at(1, "x") >= at(0, "x") + at(0, "width") && at(2, "y") > at(0, "y"), "{boxes}");
        }
    });
}

#[test]
fn video_plays_through_the_service() {
    const TEST: &str = "video_plays_through_the_service";
    if !are_installed(&["ffmpeg"], TEST) {
        return;
    }
    let (fake, app) = service(&[("kite_reel", "video")], &[]);
    let html = page("video");
    let path = &html[html.find("/file/abc0124401.mp4").unwrap()..];
    fake.add_file(path.split(['"', '\'']).next().unwrap(), video());
    visit(TEST, &app, |visit| {
        visit.open("/kite_reel");
        visit
            .tab
            .eval("const video = document.querySelector('#p401 video'); video.muted = true; video.play()");
        visit.tab.wait_until("video.currentTime > 0.2");
        let media = visit.url_of("/-/media/");
        assert!(visit.tab.text("video.currentSrc").starts_with(&media));
    });
}

#[test]
fn search_and_hashtags_find_posts() {
    let (_fake, app) = service(&[HARBOUR], &[]);
    visit("search_and_hashtags_find_posts", &app, |visit| {
        let tab = &visit.tab;
        visit.open("/harbour_news?lang=en");
        tab.paste("#search", "small crane");
        tab.press_enter();
        assert_eq!(visit.posts().len(), 1, "{}", tab.url());
        assert!(tab.text("document.querySelector('article').innerText").contains("The small crane"));
        tab.follow(".passing a");
        visit.assert_at("/harbour_news?lang=en");
        tab.follow("article a[href*='tag=harbour']");
        visit.assert_at("/harbour_news?tag=harbour&lang=en");
        let texts = tab.eval("[...document.querySelectorAll('article .body')].map(body => body.innerText)");
        let texts = texts.as_array().unwrap();
        assert!(
            texts.len() > 1 && texts.iter().all(|text| text.as_str().unwrap().contains("#harbour")),
            "{texts:?}"
        );
    });
}

#[test]
fn error_page_leads_back() {
    let (_fake, app) = service(&[HARBOUR], &[]);
    visit("error_page_leads_back", &app, |visit| {
        let tab = &visit.tab;
        for wrong in ["nobody_here", "not a name!"] {
            visit.open("/");
            tab.paste("#channel", wrong);
            tab.follow(".home .find button");
            assert!(tab.eval("document.querySelectorAll('.message li').length").as_u64() > Some(0));
            tab.paste("#channel", "@harbour_news");
            tab.press_enter();
            visit.assert_at("/harbour_news");
        }
    });
}

#[test]
fn language_is_the_persons_until_another_is_chosen() {
    let (_fake, app) = service(&[HARBOUR], &[]);
    visit("language_is_the_persons_until_another_is_chosen", &app, |visit: &Visit<'_>| {
        let tab = &visit.tab;
        let language = || tab.text("document.documentElement.lang + ' ' + document.documentElement.dir");
        tab.ask("Network.setExtraHTTPHeaders", &json!({"headers": {"Accept-Language": "ru,en;q=0.5"}}));
        visit.open("/harbour_news");
        assert_eq!(language(), "ru ltr");
        tab.follow("footer a[hreflang=fa]");
        assert_eq!(language(), "fa rtl");
        visit.assert_at("/harbour_news?lang=fa");
        tab.paste("#search", "fog");
        tab.press_enter();
        assert_eq!(language(), "fa rtl");
        tab.follow(".brand");
        visit.assert_at("/?lang=fa");
        tab.paste("#channel", "harbour_news");
        tab.press_enter();
        assert_eq!(language(), "fa rtl");
        tab.follow("body > footer a[hreflang=en]");
        visit.assert_at("/harbour_news?lang=en");
    });
}
