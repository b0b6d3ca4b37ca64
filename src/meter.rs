//! What the service counts, for Prometheus. Only here the crates for that are named, and every metric has its name.
//!
//! No label holds what a person may choose, such as the name of a channel: what is counted says nothing about who
//! reads what, and has a bound.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use thiserror::Error;

/// Upper bounds of the classes of times, in seconds: a feed from the cache takes 0.1 ms, a cold one as long as Telegram.
const SECONDS: [f64; 14] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0];

/// Kinds of markup that are told apart.
const MAX_MARKUP: usize = 50;

/// Metrics cannot be collected.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct MeterError(#[from] BuildError);

/// Everything that was counted.
pub struct Meter {
    handle: PrometheusHandle,
    process: Collector,
}

impl Meter {
    /// Begins to count; without it nothing is.
    ///
    /// # Errors
    ///
    /// When that was done before.
    pub fn install() -> Result<Self, MeterError> {
        let handle = PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?;
        let process = Collector::default();
        process.describe();
        describe();
        // What is not there yet cannot be seen to rise.
        counter!("telewire_panics_total").increment(0);
        counter!("telewire_skipped_posts_total").increment(0);
        for outcome in
            ["ok", "no-posts", "page-not-trusted", "upstream-unreachable", "upstream-timeout", "internal"]
        {
            counter!("telewire_refreshes_total", "outcome" => outcome).increment(0);
        }
        gauge!("telewire_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle, process })
    }

    /// As Prometheus reads it (text format 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Sorts times into their classes, which are kept one by one until then.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

fn describe() {
    describe_counter!("telewire_requests_total", "Requests by route and status");
    describe_histogram!("telewire_request_seconds", Unit::Seconds, "Until the head of an answer, by route");
    describe_counter!("telewire_cache_total", "Feeds by what the cache had: hit, stale or miss");
    describe_counter!("telewire_refreshes_total", "Refreshes of channels by outcome");
    describe_counter!("telewire_upstream_requests_total", "Pages asked for, by upstream and outcome");
    describe_gauge!("telewire_upstream_waiting", "Requests that wait for their turn, by upstream");
    describe_gauge!("telewire_upstream_resting", "1 while an upstream is left alone");
    describe_gauge!("telewire_archive_up", "1 while the archive can be used");
    describe_counter!("telewire_archive_failures_total", "Failures of the archive by kind");
    describe_counter!("telewire_media_bytes_total", Unit::Bytes, "Bytes of files that were passed on");
    describe_gauge!("telewire_media_streams", "Files that are being sent");
    describe_counter!(
        "telewire_unknown_markup_total",
        "Parts of posts in markup that is not known, by its class"
    );
    describe_counter!("telewire_skipped_posts_total", "Posts that could not be read");
    describe_counter!("telewire_panics_total", "Requests that made the program panic");
    describe_gauge!("telewire_build_info", "1, with the version");
}

/// The kinds of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The page for people.
    Home,
    /// A channel's page.
    Channel,
    /// A feed.
    Feed,
    /// A picture, video or recording.
    Media,
    /// Health and metrics.
    Own,
}

impl Route {
    /// The kind of a path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        if path == "/" {
            Self::Home
        } else if path.starts_with(crate::media::address::PATH) {
            Self::Media
        } else if path.starts_with("/-/") {
            Self::Own
        } else if ["/rss", "/atom", "/json"].iter().any(|format| path.ends_with(format)) {
            Self::Feed
        } else {
            Self::Channel
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Channel => "channel",
            Self::Feed => "feed",
            Self::Media => "media",
            Self::Own => "own",
        }
    }
}

/// Nearly all answers are of these kinds, so their counters are looked up once.
static FEEDS: LazyLock<(Counter, Counter, Histogram)> = LazyLock::new(|| {
    let of =
        |status: &'static str| counter!("telewire_requests_total", "route" => "feed", "status" => status);
    (of("200"), of("304"), histogram!("telewire_request_seconds", "route" => "feed"))
});

/// A request was answered.
pub fn answered(route: Route, status: u16, took: Duration) {
    let (ok, not_modified, seconds) = &*FEEDS;
    match (route, status) {
        (Route::Feed, 200) => ok.increment(1),
        (Route::Feed, 304) => not_modified.increment(1),
        _ => counter!("telewire_requests_total", "route" => route.name(), "status" => status.to_string())
            .increment(1),
    }
    if route == Route::Feed {
        seconds.record(took);
    } else {
        histogram!("telewire_request_seconds", "route" => route.name()).record(took);
    }
}

/// What the cache had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What was asked for.
    Fresh,
    /// An older state of it.
    Stale,
    /// Nothing.
    Nothing,
}

/// As [`FEEDS`].
static CACHE: LazyLock<[Counter; 3]> = LazyLock::new(|| {
    ["hit", "stale", "miss"].map(|state| counter!("telewire_cache_total", "state" => state))
});

/// The cache was asked for a feed.
pub fn looked_up(found: Found) {
    CACHE[found as usize].increment(1);
}

/// A refresh has ended.
pub fn refreshed(outcome: String) {
    counter!("telewire_refreshes_total", "outcome" => outcome).increment(1);
}

/// An upstream was asked.
pub fn upstream_answered(host: String, outcome: &'static str) {
    counter!("telewire_upstream_requests_total", "host" => host, "outcome" => outcome).increment(1);
}

/// An upstream will be asked.
pub fn upstream_known(host: &str, outcomes: &[&'static str]) {
    for outcome in outcomes {
        counter!("telewire_upstream_requests_total", "host" => host.to_owned(), "outcome" => *outcome)
            .increment(0);
    }
}

/// How an upstream is at this moment.
pub fn upstream_is(host: String, n_waiting: usize, is_resting: bool) {
    gauge!("telewire_upstream_waiting", "host" => host.clone()).set(number(n_waiting));
    gauge!("telewire_upstream_resting", "host" => host).set(f64::from(u8::from(is_resting)));
}

/// How the archive is at this moment.
pub fn archive_is(up: bool) {
    gauge!("telewire_archive_up").set(f64::from(u8::from(up)));
}

/// The archive has failed.
pub fn archive_failed(kind: &'static str) {
    counter!("telewire_archive_failures_total", "kind" => kind).increment(1);
}

/// Bytes of a file were passed on.
pub fn media_sent(n_bytes: usize) {
    static BYTES: LazyLock<Counter> = LazyLock::new(|| counter!("telewire_media_bytes_total"));
    BYTES.increment(n_bytes as u64);
}

/// How many files are being sent at this moment.
pub fn media_streams(n: usize) {
    gauge!("telewire_media_streams").set(number(n));
}

/// A part of a post has markup that is not known.
pub fn unknown_markup(markup: &str) {
    static KNOWN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_told = known.contains(markup) || known.len() < MAX_MARKUP;
    let class = if is_told { markup } else { "more" }.chars().take(100).collect::<String>();
    known.insert(class.clone());
    counter!("telewire_unknown_markup_total", "class" => class).increment(1);
}

/// A post could not be read.
pub fn skipped_post() {
    counter!("telewire_skipped_posts_total").increment(1);
}

/// A request has made the program panic.
pub fn panicked() {
    counter!("telewire_panics_total").increment(1);
}

/// Small numbers, as Prometheus has them.
fn number(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
