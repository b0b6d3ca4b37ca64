//! Circuit breakers of the archive: one for all callers, one more for readers, who have less time.

use std::time::{Duration, Instant};

use super::Caller;

/// How long an archive that failed is not used.
const PAUSE: Duration = Duration::from_secs(2);

/// The pause of an archive with a health check, which closes the circuit earlier.
const MONITORED_PAUSE: Duration = Duration::from_mins(1);

/// The breakers of an archive. Each is `None` while it is closed, else the end of its pause: requests are admitted again
/// from then on, and a success closes it.
#[derive(Debug)]
pub(super) struct Breakers {
    /// The pause of `all`.
    pause: Duration,
    all: Option<Instant>,
    readers: Option<Instant>,
}

impl Breakers {
    /// Returns closed breakers. `is_monitored` says whether there is a health check.
    pub(super) fn new(is_monitored: bool) -> Self {
        Self { pause: if is_monitored { MONITORED_PAUSE } else { PAUSE }, all: None, readers: None }
    }

    /// Returns whether a caller may use the archive.
    pub(super) fn admits(&self, caller: Caller, now: Instant) -> bool {
        self.is_up(now) && (caller != Caller::Reader || is_over(self.readers, now))
    }

    /// Returns whether the archive is in use, at least by callers that have time.
    pub(super) fn is_up(&self, now: Instant) -> bool {
        is_over(self.all, now)
    }

    /// Returns whether nothing has opened a breaker since the last success.
    pub(super) fn are_closed(&self) -> bool {
        self.all.is_none() && self.readers.is_none()
    }

    /// Records an answer in time. A slow archive still works for callers other than readers, so only a reader's success
    /// closes the readers' breaker. Returns whether this closed the breaker of all callers.
    pub(super) fn succeeded(&mut self, caller: Caller, now: Instant) -> bool {
        // During a pause a success has no effect: the request began before the failure.
        if caller == Caller::Reader && is_over(self.readers, now) {
            self.readers = None;
        }
        is_over(self.all, now) && self.all.take().is_some()
    }

    /// Records that a reader ran out of time. This opens the readers' breaker only: other callers have more time.
    pub(super) fn reader_timed_out(&mut self, now: Instant) {
        if is_over(self.readers, now) {
            self.readers = Some(now + PAUSE);
        }
    }

    /// Records a failure and starts the pause anew, also if it is under way. Returns the pause if the breaker was
    /// closed before.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.all.replace(now + self.pause).is_none().then_some(self.pause)
    }

    /// Closes both breakers, also during a pause. Returns whether that of all callers was open.
    pub(super) fn close(&mut self) -> bool {
        self.readers = None;
        self.all.take().is_some()
    }
}

/// Returns whether a breaker is closed or its pause has ended.
fn is_over(pause: Option<Instant>, now: Instant) -> bool {
    pause.is_none_or(|end| end <= now)
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
