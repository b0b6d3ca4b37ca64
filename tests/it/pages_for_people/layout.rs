//! The size of pages, and that nothing moves when pictures arrive.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::FAST;
use crate::support::app::App;
use crate::support::browser::Browser;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram, Gate};
use crate::support::gradient;

/// The largest page of 20 posts on the wire, in bytes.
const MAX_PAGE_BYTES: usize = 30_000;

/// The number of pictures of `tide_log`.
const N_PICTURES: usize = 20;

/// Starts a service with `tide_log`: 20 posts with a paragraph each, every second with a picture, every fifth with an album.
fn service() -> (FakeTelegram, App) {
    let fake = FakeTelegram::start();
    let mut history = FakeChannel::new("tide_log", 60);
    history.media_base_url = format!("{}/pictures", fake.url());
    let start: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    let mut random = fastrand::Rng::with_seed(20);
    for n in 0..20 {
        let n_pictures = if n % 5 == 0 { 3 } else { (n + 1) % 2 };
        let id = history.publish(n_pictures, start + SignedDuration::from_mins(n.into()));
        // Random words compress worse than those of any language.
        let word = |random: &mut fastrand::Rng| -> String {
            (0..random.usize(2..9)).map(|_| random.lowercase()).collect()
        };
        let words: Vec<String> = (0..60).map(|_| word(&mut random)).collect();
        history.posts.get_mut(&id).unwrap().text = words.join(" ");
    }
    fake.add_channel(history);
    let app = App::start(&fake.url(), &[&FAST[..], &["--media-hosts", &fake.host()]].concat());
    (fake, app)
}

#[test]
fn page_of_20_posts_is_small() {
    let (_fake, app) = service();
    let page = app.ask("GET", "/tide_log", &[("Accept-Encoding", "gzip")]);
    assert_eq!((page.status, page.header("Content-Encoding")), (200, Some("gzip")));
    assert!(page.body.len() < MAX_PAGE_BYTES, "{} bytes", page.body.len());
    assert_eq!(app.get("/tide_log").text().matches("<article").count(), 20);
}

#[test]
fn nothing_moves_when_pictures_arrive() {
    let Some(browser) = Browser::shared("nothing_moves_when_pictures_arrive") else { return };
    let (fake, app) = service();
    let gate = Gate::default();
    let held_back = gate.clone();
    fake.set_fallback(move |path| Answer { gate: Some(held_back.clone()), ..gradient::picture(path) });
    let tab = browser.tab();
    // So tall that every picture is in view.
    tab.set_window(390, 20_000, "light");
    tab.ask("Page.navigate", &json!({"url": format!("http://{}/tide_log", app.address)}));
    tab.wait_until("location.pathname === '/tide_log' && document.readyState !== 'loading'");
    // Two frames later, the page has been painted without its pictures.
    tab.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))");
    let tops = "[...document.querySelectorAll('article')].map(post => post.getBoundingClientRect().top)";
    let before = tab.eval(tops);
    let arrived = "[...document.querySelectorAll('article img')].map(picture => picture.naturalWidth > 0)";
    assert_eq!(tab.eval(arrived), json!(vec![false; N_PICTURES]));
    gate.open();
    tab.wait_until(&format!("{arrived}.every(Boolean)"));
    assert_eq!(tab.eval(tops), before);
    let score = "(() => {
        const observer = new PerformanceObserver(() => {});
        observer.observe({ type: 'layout-shift', buffered: true });
        return observer.takeRecords().reduce((sum, entry) => sum + entry.value, 0);
      })()";
    assert_eq!(tab.eval(score).as_f64(), Some(0.0));
}
