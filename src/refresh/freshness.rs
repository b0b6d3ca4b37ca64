//! When a channel is asked for again.

use std::time::Duration;

use jiff::Timestamp;

/// Between which times a channel is served without asking again.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// At least; for channels that publish all the time.
    pub min: Duration,
    /// At most; for channels that have fallen silent.
    pub max: Duration,
}

impl Freshness {
    /// A tenth of the time since the newest post, within the bounds, a tenth more or less: what was fetched
    /// together is not fetched together again. `jitter` is from 0 to 1.
    pub(super) fn of(self, newest: Timestamp, now: Timestamp, jitter: f64) -> Duration {
        let silent = Duration::try_from(now.duration_since(newest)).unwrap_or_default();
        (silent / 10).clamp(self.min, self.max.max(self.min)).mul_f64(0.9 + 0.2 * jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_follows_the_channel() {
        let freshness = Freshness { min: Duration::from_mins(5), max: Duration::from_hours(1) };
        let now: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
        for (newest, fresh_for) in [
            ("2026-08-01T11:59:00Z", 300),
            ("2026-08-01T10:00:00Z", 720),
            ("2026-07-01T10:00:00Z", 3600),
            // A clock that is wrong, ours or theirs.
            ("2030-01-01T00:00:00Z", 300),
            ("0001-01-01T00:00:00Z", 3600),
        ] {
            let of = |jitter| freshness.of(newest.parse().unwrap(), now, jitter).as_secs();
            assert_eq!(of(0.5), fresh_for, "{newest}");
            assert_eq!((of(0.0), of(1.0)), (fresh_for * 9 / 10, fresh_for * 11 / 10));
        }
    }
}
