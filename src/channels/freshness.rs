//! How long a channel counts as fresh.

use std::time::Duration;

use jiff::Timestamp;

/// When a channel is refreshed again.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// A channel is stale after this time.
    pub min: Duration,
    /// While more refreshes are due than the rate limit allows, a quiet channel may stay stale up to this age.
    pub max: Duration,
}

impl Freshness {
    /// Returns how long a channel that was just fetched is fresh: the minimum, shortened by up to 10 % so that channels
    /// that were fetched together are not refreshed together. `jitter` is from 0 to 1.
    pub(super) fn fresh_for(self, jitter: f64) -> Duration {
        self.min.mul_f64(0.9 + 0.1 * jitter)
    }

    /// Returns the age up to which a stale channel gives way to others: a tenth of the time since its newest post, within
    /// the bounds.
    pub(super) fn max_age(self, newest: Timestamp, now: Timestamp) -> Duration {
        let quiet = Duration::try_from(now.duration_since(newest)).unwrap_or_default();
        (quiet / 10).clamp(self.min, self.max.max(self.min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESHNESS: Freshness = Freshness { min: Duration::from_mins(5), max: Duration::from_hours(1) };

    #[test]
    fn a_channel_is_stale_after_the_minimum() {
        assert_eq!([0.0, 1.0].map(|jitter| FRESHNESS.fresh_for(jitter).as_secs()), [270, 300]);
    }

    #[test]
    fn quiet_channels_give_way_longer() {
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
        for (newest, max_age) in [
            ("2026-08-01T11:59:00Z", 300),
            ("2026-08-01T10:00:00Z", 720),
            ("2026-07-01T10:00:00Z", 3600),
            // Skewed clocks, ours or Telegram's.
            ("2030-01-01T00:00:00Z", 300),
            ("0001-01-01T00:00:00Z", 3600),
        ] {
            assert_eq!(FRESHNESS.max_age(newest.parse().unwrap(), now).as_secs(), max_age, "{newest}");
        }
    }
}
