//! The wall clock: the one place that asks for the time of day.

use jiff::Timestamp;

/// Returns the current time, for values that are compared with the times of posts or outlive the process.
///
/// Timeouts and ages inside the process use [`Instant`](std::time::Instant), which no clock change affects.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for the time of day")]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}
