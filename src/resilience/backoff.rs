//! Exponential backoff with jitter.

use std::time::Duration;

/// Returns `first` doubled `n` times, but at most `max`.
pub(crate) fn exponential(first: Duration, n: u32, max: Duration) -> Duration {
    first.saturating_mul(1 << n.min(16)).min(max)
}

/// Spreads a delay by up to 20 % in both directions, so that requests that failed together are not retried together.
/// `jitter` is from 0 to 1; 0.5 leaves the delay as it is.
pub(crate) fn with_jitter(delay: Duration, jitter: f64) -> Duration {
    delay.mul_f64(0.8 + 0.4 * jitter)
}
