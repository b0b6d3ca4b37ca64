//! Counts events that may be too many for a log line each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the number of events is logged.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The number of events since it was last logged.
pub(crate) struct Tally {
    n: AtomicU64,
    last_logged: Mutex<Option<Instant>>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { n: AtomicU64::new(0), last_logged: Mutex::new(None) }
    }

    /// Counts an event.
    pub(crate) fn count(&self) {
        self.n.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of events if it is time to log it: if there are any, and the last log line is a minute ago.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut last = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now - last < LOG_INTERVAL) {
            return None;
        }
        let n = self.n.swap(0, Ordering::Relaxed);
        (n > 0).then(|| {
            *last = Some(now);
            n
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_events_are_logged_once_a_minute() {
        let (tally, start) = (Tally::new(), Instant::now());
        let at = |seconds| tally.due_at(start + Duration::from_secs(seconds));
        assert_eq!(at(0), None, "nothing happened");
        for _ in 0..100_000 {
            tally.count();
        }
        assert_eq!(at(5), Some(100_000));
        tally.count();
        assert_eq!((at(10), at(64), at(65), at(200)), (None, None, Some(1), None));
    }
}
