//! How long a channel counts as fresh.

use std::time::Duration;

use jiff::Timestamp;

/// The bounds of the time for which a channel is served without a refresh.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// The minimum, for channels that publish often.
    pub min: Duration,
    /// The maximum, for quiet channels.
    pub max: Duration,
}

impl Freshness {
    /// Returns a tenth of the time since the newest post, within the bounds, spread by up to 10 % so that channels that
    /// were fetched together are not refreshed together. `jitter` is from 0 to 1.
    pub(super) fn fresh_for(self, newest: Timestamp, now: Timestamp, jitter: f64) -> Duration {
        let quiet = Duration::try_from(now.duration_since(newest)).unwrap_or_default();
        (quiet / 10).clamp(self.min, self.max.max(self.min)).mul_f64(0.9 + 0.2 * jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_depends_on_the_age_of_the_newest_post() {
        let freshness = Freshness { min: Duration::from_mins(5), max: Duration::from_hours(1) };
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
        for (newest, fresh_for) in [
            ("2026-08-01T11:59:00Z", 300),
            ("2026-08-01T10:00:00Z", 720),
            ("2026-07-01T10:00:00Z", 3600),
            // Skewed clocks, ours or Telegram's.
            ("2030-01-01T00:00:00Z", 300),
            ("0001-01-01T00:00:00Z", 3600),
        ] {
            let fresh = |jitter| freshness.fresh_for(newest.parse().unwrap(), now, jitter).as_secs();
            assert_eq!(fresh(0.5), fresh_for, "{newest}");
            assert_eq!((fresh(0.0), fresh(1.0)), (fresh_for * 9 / 10, fresh_for * 11 / 10));
        }
    }
}
