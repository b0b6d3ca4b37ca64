//! The service over HTTP on real sockets: responses to feed readers and browsers, also while Telegram fails.

mod access;
mod bundles;
mod conditional;
mod connections;
mod digests;
mod failures;
mod feeds;
mod home;
mod limits;
mod metrics;
mod moved;
mod opml;
mod options;
mod outages;
mod pages;
mod proxies;
mod restarts;
mod search;
mod several_channels;
mod several_pages;
mod shutdown;
mod stale;
mod status;
mod telegraph;
mod thundering_herd;
mod urls;
mod words;

use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::page;

/// The path of an RSS feed of [`CHANNEL`](crate::support::CHANNEL).
const RSS: &str = "/harbour_news/rss";

/// The path of its preview page on t.me.
const PREVIEW: &str = "/s/harbour_news";

/// Starts a fake Telegram with one channel, and a service with that upstream.
fn service(flags: &[&str]) -> (FakeTelegram, App) {
    let fake = FakeTelegram::start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    let app = App::start(&fake.url(), flags);
    (fake, app)
}
