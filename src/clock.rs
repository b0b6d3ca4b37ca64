//! The wall clock: the one place that asks for the time of day.

use jiff::Timestamp;

/// Returns the current time, for values that are compared with the times of posts or outlive the process.
///
/// Timeouts and ages inside the process use [`Instant`](std::time::Instant), which no clock change affects.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for the time of day")]
#[cfg(not(test))]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns a fixed time plus Tokio's, so that tests can pause it.
#[cfg(test)]
pub(crate) fn now() -> Timestamp {
    use std::sync::LazyLock;
    use tokio::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Timestamp::constant(1_800_000_000, 0) + Instant::now().duration_since(*START)
}

/// Truncates to seconds, the resolution of feeds.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
