//! Media files under permanent URLs of the service: expiry, ranges, errors and SSRF protection.

pub(crate) mod browser;
mod dns_rebinding;
mod expiry;
mod links;
mod proxies;
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
use crate::support::fake_telegram::FakeTelegram;
use crate::support::http::Response;
use crate::support::wait::WAIT_TIMEOUT;

const CHANNEL: &str = "tide_pictures";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Flags for a rate of requests to Telegram that no test reaches, and for a fixed media key.
const FAST: [&str; 6] = ["--rate", "10000", "--burst", "10000", "--media-key", KEY];

/// Adds a channel with `n_posts` posts to the fake. Each has one picture, which the fake serves.
fn channel(fake: &FakeTelegram, n_posts: u32) -> Arc<Mutex<FakeChannel>> {
    let start: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    let mut history = FakeChannel::new(CHANNEL, 20);
    history.media_base_url = fake.url();
    for n in 0..n_posts {
        history.publish(1, start + SignedDuration::from_mins(n.into()));
    }
    fake.add_channel(history)
}

fn service(fake: &FakeTelegram, flags: &[&str]) -> App {
    App::start(&fake.url(), &[&FAST[..], &["--media-hosts", &fake.host()], flags].concat())
}

/// Returns the paths of all media files in the channel's feed pages, sorted by post.
fn links(app: &App) -> Vec<String> {
    let mut links = BTreeSet::new();
    let mut next = Some(format!("/{CHANNEL}/json?limit=200"));
    while let Some(target) = next {
        // On a busy machine the database may not answer in time.
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
                    "the body does not have the attachment's URL: {body}"
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

/// Returns the post number in a path.
fn item_of(path: &str) -> u32 {
    path.split('/').nth(5).unwrap().parse().unwrap()
}

/// Requests all paths, on `concurrency` threads.
fn get_all(app: &App, paths: &[String], concurrency: usize) -> Vec<(String, Response)> {
    let left = Mutex::new(paths.to_vec());
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..concurrency {
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
