//! The pages for people in headless Chromium: what a person does there, how the pages look, and that everybody can use them.

mod accessibility;
mod journeys;
mod layout;
mod with_token;

use serde_json::Value;

use crate::support::app::App;
use crate::support::browser::{Browser, Tab};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::{gradient, page};

/// Flags for a rate of requests to Telegram that no test reaches.
const FAST: [&str; 4] = ["--rate", "10000", "--burst", "10000"];

/// The host of pictures and videos in `tests/pages`.
const MEDIA_URL: &str = "https://cdn4.telesco.pe";

/// Starts a service with the channels of pages in `tests/pages`, given with their names. The fake serves a picture for
/// every other path.
fn service(channels: &[(&str, &str)], flags: &[&str]) -> (FakeTelegram, App) {
    let fake = FakeTelegram::start();
    for (name, file) in channels {
        let html = page(file).replace(MEDIA_URL, &fake.url());
        fake.on(&format!("/s/{name}"), Answer::page(&html));
    }
    fake.on("/s/nobody_here", Answer::redirect("/nobody_here"));
    fake.on("/nobody_here", Answer::page(&page("landing_nobody")));
    fake.set_fallback(gradient::picture);
    let app = App::start(&fake.url(), &[&FAST[..], &["--media-hosts", &fake.host()], flags].concat());
    (fake, app)
}

/// Runs a scenario twice, in a tab with and in one without JavaScript. In neither may the console have a complaint or the
/// page make a request to another host.
///
/// Skipped if Chromium is not installed.
fn visit(test: &str, app: &App, scenario: impl Fn(&Visit<'_>)) {
    let Some(browser) = Browser::shared(test) else { return };
    for has_scripts in [true, false] {
        let visit = Visit { tab: browser.tab(), app, has_scripts };
        if !has_scripts {
            visit.tab.disable_scripts();
        }
        scenario(&visit);
        visit.assert_clean();
    }
}

/// A person at a browser.
struct Visit<'a> {
    tab: Tab,
    app: &'a App,
    has_scripts: bool,
}

impl Visit<'_> {
    fn url_of(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.address)
    }

    fn open(&self, path: &str) {
        self.tab.open(&self.url_of(path));
    }

    fn assert_at(&self, path: &str) {
        assert_eq!(self.tab.url(), self.url_of(path));
    }

    fn assert_clean(&self) {
        assert_eq!(self.tab.complaints(), [""; 0], "JavaScript: {}", self.has_scripts);
        let own = self.url_of("/");
        let requests = self.tab.requests();
        let others = requests.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("data:"));
        assert_eq!(others.collect::<Vec<_>>(), [""; 0], "requests to other hosts");
    }

    /// Returns the numbers of the posts on the page, in their order.
    fn posts(&self) -> Vec<u64> {
        let ids =
            self.tab.eval("[...document.querySelectorAll('article')].map(post => Number(post.id.slice(1)))");
        ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
    }

    /// Returns the numbers of the entries of the JSON Feed at the URL in the field to copy, which a feed reader requests
    /// without further credentials.
    fn entries_of_copied_feed(&self) -> Vec<u64> {
        let url = self.feed_url();
        let answer = self.app.get(url.strip_prefix(&self.url_of("")).unwrap());
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        let feed: Value = serde_json::from_slice(&answer.body).unwrap();
        let entries = feed["items"].as_array().unwrap().iter();
        entries
            .map(|entry| entry["id"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap())
            .collect()
    }

    /// Returns the URL of the feed in the field to copy.
    fn feed_url(&self) -> String {
        self.tab.text("document.querySelector('#feed-url').value")
    }
}
