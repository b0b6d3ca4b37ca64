//! How long to wait before trying again what failed.

use std::time::Duration;

/// `first`, doubled `n` times, but no longer than `most`.
#[must_use]
pub fn grown(first: Duration, n: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << n.min(16)).min(most)
}

/// A fifth more or less, so that what failed together is not tried again together. `jitter` is from 0 to 1.
#[must_use]
pub fn spread(rest: Duration, jitter: f64) -> Duration {
    rest.mul_f64(0.8 + 0.4 * jitter)
}
