//! Circuit breakers of the archive: one for all callers, one more for readers, who have less time.

use std::time::{Duration, Instant};

use super::Caller;
use crate::resilience::breaker::{Breaker, Policy};

/// How long an archive that failed is not used.
const PAUSE: Duration = Duration::from_secs(2);

/// The same for an archive with a health check, which closes the circuit earlier.
const MONITORED_PAUSE: Duration = Duration::from_mins(1);

/// Leaves a pause as it is; see [`with_jitter`](crate::resilience::backoff::with_jitter).
const NO_JITTER: f64 = 0.5;

/// The breakers of an archive.
#[derive(Debug)]
pub(super) struct Breakers {
    all: Breaker,
    all_policy: Policy,
    readers: Breaker,
}

impl Breakers {
    /// Returns closed breakers. `is_monitored` says whether there is a health check.
    pub(super) fn new(is_monitored: bool) -> Self {
        let all_policy = policy(if is_monitored { MONITORED_PAUSE } else { PAUSE });
        Self { all: Breaker::new(all_policy), all_policy, readers: Breaker::new(policy(PAUSE)) }
    }

    /// Returns whether a caller may use the archive.
    pub(super) fn admits(&self, caller: Caller, now: Instant) -> bool {
        self.is_up(now) && (caller != Caller::Reader || self.readers.open_for(now).is_none())
    }

    /// Returns whether the archive is in use, at least by callers that have time.
    pub(super) fn is_up(&self, now: Instant) -> bool {
        self.all.open_for(now).is_none()
    }

    /// Returns whether nothing has opened a breaker since the last success.
    pub(super) fn are_closed(&self) -> bool {
        self.all.is_closed() && self.readers.is_closed()
    }

    /// Records an answer in time. A slow archive still works for callers other than readers, so only a reader's success
    /// closes the readers' breaker. Returns whether this closed the breaker of all callers.
    pub(super) fn succeeded(&mut self, caller: Caller, now: Instant) -> bool {
        let was_closed = self.all.is_closed();
        self.all.succeeded(now);
        if caller == Caller::Reader {
            self.readers.succeeded(now);
        }
        !was_closed && self.all.is_closed()
    }

    /// Records that a reader ran out of time. This opens the readers' breaker only: other callers have more time.
    pub(super) fn reader_timed_out(&mut self, now: Instant) {
        self.readers.failed(now, false, NO_JITTER);
    }

    /// Records a failure and starts the pause anew, also if it is under way. Returns the pause if the breaker was
    /// closed before.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Duration> {
        let was_closed = self.all.is_closed();
        self.all = Breaker::new(self.all_policy);
        self.all.failed(now, false, NO_JITTER);
        was_closed.then_some(self.all_policy.pause)
    }

    /// Closes both breakers, also during a pause. Returns whether that of all callers was open.
    pub(super) fn close(&mut self) -> bool {
        let was_closed = self.all.is_closed();
        self.all = Breaker::new(self.all_policy);
        self.readers = Breaker::new(policy(PAUSE));
        !was_closed
    }
}

/// Opens at the first failure, always for the same pause, and admits every request afterwards.
fn policy(pause: Duration) -> Policy {
    Policy {
        max_failures: 1,
        pause,
        max_pause: pause,
        refused_pause: pause,
        max_refused_pause: pause,
        min_requested: pause,
        max_requested: pause,
        probe_timeout: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_timeout_pauses_readers_only() {
        let now = Instant::now();
        let mut breakers = Breakers::new(true);
        breakers.reader_timed_out(now);
        assert!(!breakers.admits(Caller::Reader, now) && breakers.admits(Caller::Refresh, now));
        assert!(breakers.is_up(now) && !breakers.are_closed());
        assert!(!breakers.succeeded(Caller::Refresh, now + PAUSE));
        assert!(!breakers.are_closed(), "a refresh has more time than a reader");
        assert!(breakers.admits(Caller::Reader, now + PAUSE));
        breakers.succeeded(Caller::Reader, now + PAUSE);
        assert!(breakers.are_closed());
    }

    #[test]
    fn opening_and_closing_are_reported_once() {
        let now = Instant::now();
        let mut breakers = Breakers::new(false);
        assert_eq!((breakers.failed(now), breakers.failed(now)), (Some(PAUSE), None));
        assert!(!breakers.admits(Caller::Background, now));
        let after = now + PAUSE;
        assert!(breakers.admits(Caller::Background, after));
        assert!(breakers.succeeded(Caller::Background, after));
        assert!(!breakers.succeeded(Caller::Background, after));
    }

    #[test]
    fn health_check_closes_both_during_the_pause() {
        let now = Instant::now();
        let mut breakers = Breakers::new(true);
        breakers.reader_timed_out(now);
        assert_eq!(breakers.failed(now), Some(MONITORED_PAUSE));
        assert!(breakers.failed(now + PAUSE).is_none());
        assert!(!breakers.is_up(now + MONITORED_PAUSE), "the second failure started the pause anew");
        assert!(breakers.close());
        assert!(breakers.are_closed() && breakers.admits(Caller::Reader, now));
        assert!(!breakers.close());
    }
}
