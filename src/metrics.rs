//! Prometheus metrics. The only code that names the crates for them; every metric is defined here.
//!
//! No label holds anything that a client chooses, such as a channel's name: the number of series is bounded, and metrics
//! do not show who reads what.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use metrics::{
    Counter, Histogram, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use thiserror::Error;

/// Upper bounds of the histogram buckets, in seconds: a cached feed takes 0.1 ms, a cold one as long as Telegram.
const BUCKETS: [f64; 14] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0];

/// Distinct classes of unknown markup that get their own series.
const MAX_MARKUP_CLASSES: usize = 50;

/// The part of a class that is its label.
const MAX_CLASS_CHARS: usize = 100;

/// The route label of feeds, whose counters are resolved once.
pub(crate) const FEED_ROUTE: &str = "feed";

/// Metrics cannot be collected.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct MetricsError(#[from] BuildError);

/// The recorder of all metrics.
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
}

impl Metrics {
    /// Installs the process-wide recorder. Without it nothing is counted.
    ///
    /// # Errors
    ///
    /// If a recorder is installed already.
    pub fn install() -> Result<Self, MetricsError> {
        let handle = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
        let process = Collector::default();
        process.describe();
        describe();
        // Register counters at zero, so that `increase()` sees the first event.
        counter!("telewire_panics_total").increment(0);
        counter!("telewire_skipped_posts_total").increment(0);
        for outcome in ["used", "unused"] {
            counter!("telewire_prefetches_total", "outcome" => outcome).increment(0);
        }
        counter!("telewire_connections_over_limit_total").increment(0);
        counter!("telewire_hidden_posts_total").increment(0);
        gauge!("telewire_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle, process })
    }

    /// Renders all metrics in Prometheus's text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.render()
    }

    /// Moves recorded durations into their buckets. Until then each one is stored, so call this every few seconds.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn describe() {
    describe_counter!("telewire_requests_total", "Requests by route and status");
    describe_histogram!("telewire_request_seconds", Unit::Seconds, "Time until the response head, by route");
    describe_counter!("telewire_connections_over_limit_total", "Connections closed because of a limit");
    describe_counter!(
        "telewire_cache_total",
        "Requests for feeds and pages of channels by cache status: hit, refreshed, stale or miss"
    );
    describe_counter!("telewire_refreshes_total", "Channel refreshes by outcome");
    describe_counter!("telewire_upstream_requests_total", "Page requests by upstream and outcome");
    describe_gauge!("telewire_upstream_queue_length", "Requests waiting for an upstream");
    describe_gauge!("telewire_upstream_circuit_open", "1 while the circuit breaker of an upstream is open");
    describe_counter!(
        "telewire_prefetches_total",
        "Refreshes before an expected visit, by whether it was made"
    );
    describe_gauge!(
        "telewire_prefetch_queue_length",
        "Channels to be refreshed before visits in the next minutes"
    );
    describe_gauge!("telewire_new_channels_waiting", "New channels that are read in the background");
    describe_gauge!("telewire_archive_up", "1 while the archive can be used");
    describe_gauge!("telewire_archive_pages_waiting", "Pages in memory that could not be archived yet");
    describe_counter!("telewire_archive_failures_total", "Archive failures by kind");
    describe_counter!("telewire_media_bytes_total", Unit::Bytes, "Bytes of media files sent to clients");
    describe_gauge!("telewire_media_streams", "Media files being sent");
    describe_counter!("telewire_unknown_markup_total", "Parts of posts with unknown markup, by class");
    describe_counter!("telewire_skipped_posts_total", "Posts that could not be parsed");
    describe_counter!(
        "telewire_hidden_posts_total",
        "Posts that open only in Telegram and were not recovered"
    );
    describe_counter!("telewire_panics_total", "Panics of request handlers and background tasks");
    describe_gauge!("telewire_build_info", "Always 1, with the version as a label");
}

/// The counters of nearly all requests, resolved once: 200, 304 and the duration of feeds.
static FEED_REQUESTS: LazyLock<(Counter, Counter, Histogram)> = LazyLock::new(|| {
    let requests =
        |status: &'static str| counter!("telewire_requests_total", "route" => FEED_ROUTE, "status" => status);
    (requests("200"), requests("304"), histogram!("telewire_request_seconds", "route" => FEED_ROUTE))
});

/// Counts a request and its duration.
pub(crate) fn request(route: &'static str, status: u16, duration: Duration) {
    let (ok, not_modified, seconds) = &*FEED_REQUESTS;
    match (route, status) {
        (FEED_ROUTE, 200) => ok.increment(1),
        (FEED_ROUTE, 304) => not_modified.increment(1),
        _ => {
            counter!("telewire_requests_total", "route" => route, "status" => status.to_string())
                .increment(1);
        }
    }
    if route == FEED_ROUTE {
        seconds.record(duration);
    } else {
        histogram!("telewire_request_seconds", "route" => route).record(duration);
    }
}

/// Counts a connection that was closed because of a limit.
pub(crate) fn connection_over_limit() {
    counter!("telewire_connections_over_limit_total").increment(1);
}

/// Counts a feed request by its cache status: `hit`, `refreshed`, `stale` or `miss`.
pub(crate) fn cache_lookup(status: &'static str) {
    static COUNTERS: LazyLock<[(&str, Counter); 4]> = LazyLock::new(|| {
        ["hit", "refreshed", "stale", "miss"]
            .map(|status| (status, counter!("telewire_cache_total", "state" => status)))
    });
    if let Some((_, counter)) = COUNTERS.iter().find(|(known, _)| *known == status) {
        counter.increment(1);
    }
}

/// Registers the counters of successful refreshes and of those that fail with these codes, at zero.
pub(crate) fn register_refreshes(codes: &[&'static str]) {
    for outcome in codes.iter().chain(&["ok"]) {
        counter!("telewire_refreshes_total", "outcome" => *outcome).increment(0);
    }
}

/// Counts a refresh by its outcome.
pub(crate) fn refresh(outcome: String) {
    counter!("telewire_refreshes_total", "outcome" => outcome).increment(1);
}

/// Counts a refresh before an expected visit: `used`, or `unused` if nobody came.
pub(crate) fn prefetch(outcome: &'static str) {
    counter!("telewire_prefetches_total", "outcome" => outcome).increment(1);
}

/// Sets the lengths of the queues of refreshes that no request waits for.
pub(crate) fn background_queues(prefetch: usize, new_channels: usize) {
    gauge!("telewire_prefetch_queue_length").set(to_f64(prefetch));
    gauge!("telewire_new_channels_waiting").set(to_f64(new_channels));
}

/// Names an upstream in metrics, and the proxy through which it is asked, if any.
pub(crate) struct UpstreamLabels {
    pub(crate) host: String,
    pub(crate) proxy: Option<String>,
}

impl UpstreamLabels {
    fn with(&self, outcome: Option<&'static str>) -> Vec<Label> {
        let proxy = self.proxy.as_ref().map(|proxy| Label::new("proxy", proxy.clone()));
        let outcome = outcome.map(|outcome| Label::new("outcome", outcome));
        [Label::new("host", self.host.clone())].into_iter().chain(proxy).chain(outcome).collect()
    }
}

/// Counts a request to an upstream by its outcome.
pub(crate) fn upstream_request(upstream: &UpstreamLabels, outcome: &'static str) {
    counter!("telewire_upstream_requests_total", upstream.with(Some(outcome))).increment(1);
}

/// Registers the counter of an outcome of requests to an upstream, at zero.
pub(crate) fn register_upstream(upstream: &UpstreamLabels, outcome: &'static str) {
    counter!("telewire_upstream_requests_total", upstream.with(Some(outcome))).increment(0);
}

/// Sets the gauges of an upstream.
pub(crate) fn upstream_state(upstream: &UpstreamLabels, queue_length: usize, circuit_open: bool) {
    gauge!("telewire_upstream_queue_length", upstream.with(None)).set(to_f64(queue_length));
    gauge!("telewire_upstream_circuit_open", upstream.with(None)).set(f64::from(u8::from(circuit_open)));
}

/// Sets whether the archive can be used, and how many pages wait for it.
pub(crate) fn archive_state(is_up: bool, n_waiting: usize) {
    gauge!("telewire_archive_up").set(f64::from(u8::from(is_up)));
    gauge!("telewire_archive_pages_waiting").set(to_f64(n_waiting));
}

/// Registers the counters of failures of the archive of these kinds, at zero.
pub(crate) fn register_archive_failures(kinds: &[&'static str]) {
    for kind in kinds {
        counter!("telewire_archive_failures_total", "kind" => *kind).increment(0);
    }
}

/// Counts a failure of the archive.
pub(crate) fn archive_failure(kind: &'static str) {
    counter!("telewire_archive_failures_total", "kind" => kind).increment(1);
}

/// Counts bytes of a media file sent to a client.
pub(crate) fn media_bytes_sent(n: usize) {
    static BYTES: LazyLock<Counter> = LazyLock::new(|| counter!("telewire_media_bytes_total"));
    BYTES.increment(n as u64);
}

/// Sets the number of media files being sent.
pub(crate) fn media_streams(n: usize) {
    gauge!("telewire_media_streams").set(to_f64(n));
}

/// Counts a part of a post with unknown markup. Beyond [`MAX_MARKUP_CLASSES`] distinct classes the label is `more`.
pub(crate) fn unknown_markup(markup: &str) {
    static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);
    let class: String = markup.chars().take(MAX_CLASS_CHARS).collect();
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let has_series = seen.contains(&class) || seen.len() < MAX_MARKUP_CLASSES;
    let class = if has_series { class } else { "more".to_owned() };
    seen.insert(class.clone());
    counter!("telewire_unknown_markup_total", "class" => class).increment(1);
}

/// Counts a message that could not be parsed.
pub(crate) fn skipped_post() {
    counter!("telewire_skipped_posts_total").increment(1);
}

/// Counts a post that opens only in Telegram and could not be recovered.
pub(crate) fn hidden_post() {
    counter!("telewire_hidden_posts_total").increment(1);
}

/// Counts a request whose handler panicked.
pub(crate) fn panic() {
    counter!("telewire_panics_total").increment(1);
}

fn to_f64(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
