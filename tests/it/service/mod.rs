//! The service over HTTP, between real sockets: what readers and browsers get, also when Telegram fails.

mod access;
mod conditional;
mod failures;
mod feeds;
mod limits;
mod metrics;
mod outages;
mod restarts;
mod shutdown;
mod stale;
mod thundering_herd;
mod urls;

use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::page;

/// Where readers find the feeds of [`CHANNEL`](crate::support::CHANNEL), and which page t.me has of it.
const RSS: &str = "/harbour_news/rss";
const PREVIEW: &str = "/s/harbour_news";

/// A t.me that knows one channel, and a service that asks it.
fn service(flags: &[&str]) -> (FakeTelegram, App) {
    let fake = FakeTelegram::start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    let app = App::start(&fake.url(), flags);
    (fake, app)
}
