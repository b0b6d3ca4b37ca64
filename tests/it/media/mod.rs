//! Pictures and videos under addresses of the service's own: they stay good, and lead nowhere else.

mod browser;
mod dns_rebinding;
mod expiry;
mod links;
mod ssrf;
mod streams;

use std::collections::BTreeSet;
use std::iter;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::FakeTelegram as Fake;
use crate::support::http::Response;
use crate::support::wait::WAIT_TIMEOUT;

const CHANNEL: &str = "tide_pictures";
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// Faster than any test needs.
const FAST: [&str; 6] = ["--rate", "10000", "--burst", "10000", "--media-key", KEY];

/// A channel with so many posts, of a picture each, at the fake's own file server.
fn channel(fake: &Fake, n_posts: u32) -> Arc<Mutex<FakeChannel>> {
    let start: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    let mut history = FakeChannel::new(CHANNEL, 20);
    history.media_base_url = fake.url();
    for n in 0..n_posts {
        history.publish(1, start + SignedDuration::from_mins(n.into()));
    }
    fake.add_channel(history)
}

fn service(fake: &Fake, flags: &[&str]) -> App {
    App::start(&fake.url(), &[&FAST[..], &["--media-hosts", &fake.host()], flags].concat())
}

/// The paths of all files that a channel's feed names, through all of its pages; by their posts.
fn links(app: &App) -> Vec<String> {
    let mut links = BTreeSet::new();
    let mut next = Some(format!("/{CHANNEL}/json?limit=200"));
    while let Some(target) = next {
        // A database that does not answer in time, as on a busy machine, has nothing for this once.
        let until = Instant::now() + WAIT_TIMEOUT;
        let mut answers = iter::repeat_with(|| app.get(&target));
        let answer = answers.find(|answer| answer.status != 503 || Instant::now() > until).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let feed: Value = serde_json::from_slice(&answer.body).unwrap();
        let path = |url: &Value| {
            let url = url::Url::parse(url.as_str().unwrap()).unwrap();
            url[url::Position::BeforePath..].to_owned()
        };
        for item in feed["items"].as_array().unwrap() {
            let body = item["content_html"].as_str().unwrap();
            for attachment in item["attachments"].as_array().into_iter().flatten() {
                assert!(
                    body.contains(attachment["url"].as_str().unwrap()),
                    "the body has the same address: {body}"
                );
                links.insert(path(&attachment["url"]));
            }
        }
        next = feed.get("next_url").map(path);
    }
    let mut links: Vec<String> = links.into_iter().collect();
    links.sort_by_key(|path| item_of(path));
    links
}

/// The item that a path names.
fn item_of(path: &str) -> u32 {
    path.split('/').nth(5).unwrap().parse().unwrap()
}

/// Asks for all of them, so many at a time.
fn get_all(app: &App, paths: &[String], at_a_time: usize) -> Vec<(String, Response)> {
    let left = Mutex::new(paths.to_vec());
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                loop {
                    let Some(path) = left.lock().unwrap().pop() else { return };
                    let answer = app.get(&path);
                    answers.lock().unwrap().push((path, answer));
                }
            });
        }
    });
    answers.into_inner().unwrap()
}
