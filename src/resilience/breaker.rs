//! A circuit breaker: stops sending requests to a server that refuses them or keeps failing.
//!
//! Pure: the caller passes the time in. A [`Policy`] says when the breaker opens and for how long. After the pause a single
//! request is admitted, the probe, and its outcome decides.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::backoff::{exponential, with_jitter};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Consecutive failures that open the breaker while the server accepts connections. A failed connection opens it
    /// at once.
    pub(crate) max_failures: u32,
    /// The first pause after failures; it doubles each time the breaker opens again without a success in between.
    pub(crate) pause: Duration,
    /// The longest pause after failures.
    pub(crate) max_pause: Duration,
    /// The first pause after a refusal that does not say how long to wait; it doubles likewise.
    pub(crate) refused_pause: Duration,
    /// The longest such pause.
    pub(crate) max_refused_pause: Duration,
    /// The shortest pause that a server can request.
    pub(crate) min_requested: Duration,
    /// The longest pause that a server can request.
    pub(crate) max_requested: Duration,
    /// After this time without an outcome a probe counts as lost and another request becomes the probe.
    pub(crate) probe_timeout: Duration,
}

/// Why a breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenReason {
    /// The server refused a request (429 or 503).
    Refused,
    /// The server cannot be reached, or keeps failing.
    Failing,
}

/// The state of the breaker of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breaker {
    policy: Policy,
    open: Option<Open>,
    /// Failures since the last success, or since the breaker opened.
    failures: u32,
    /// How often the breaker has opened since the last success.
    n_opened: u32,
    /// When it first did.
    first_opened: Option<Instant>,
}

/// A breaker that stops requests, or waits for the outcome of the first one after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenState {
    /// Why it is open.
    pub(crate) reason: OpenReason,
    /// When it opened for the first time since the last success.
    pub(crate) since: Instant,
    /// The end of the pause, which may be over.
    pub(crate) until: Instant,
    /// The pause is over, and a request is under way whose outcome decides.
    pub(crate) is_probing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    reason: OpenReason,
    until: Instant,
    /// The pause is over and a probe is under way.
    is_probing: bool,
}

/// An admitted request. If it is the probe and ends without an outcome, because its caller was cancelled, the next request
/// becomes the probe at once.
pub(crate) struct Admitted<'a> {
    breaker: &'a Mutex<Breaker>,
    at: Instant,
}

impl<'a> Admitted<'a> {
    /// Admits a request; see [`Breaker::admit`].
    pub(crate) fn new(breaker: &'a Mutex<Breaker>, now: Instant) -> Result<Self, (OpenReason, Duration)> {
        breaker.lock().unwrap_or_else(PoisonError::into_inner).admit(now)?;
        Ok(Self { breaker, at: now })
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.at + breaker.policy.probe_timeout;
        if let Some(open) = breaker.open.as_mut().filter(|open| open.is_probing && open.until == end) {
            open.until = self.at;
        }
    }
}

impl Breaker {
    /// Returns a closed breaker.
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, open: None, failures: 0, n_opened: 0, first_opened: None }
    }

    /// Returns why, and for how much longer, no request is admitted.
    pub(crate) fn open_for(&self, now: Instant) -> Option<(OpenReason, Duration)> {
        self.open.filter(|open| open.until > now).map(|open| (open.reason, open.until - now))
    }

    /// Returns the state of a breaker that has opened since the last success.
    pub(crate) fn open_state(&self) -> Option<OpenState> {
        let Open { reason, until, is_probing } = self.open?;
        Some(OpenState { reason, since: self.first_opened?, until, is_probing })
    }

    /// Admits a request, or returns why none is admitted and for how much longer.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), (OpenReason, Duration)> {
        if let Some(open) = self.open_for(now) {
            return Err(open);
        }
        if let Some(open) = &mut self.open {
            // This request is the probe; others wait for its outcome.
            open.until = now + self.policy.probe_timeout;
            open.is_probing = true;
        }
        Ok(())
    }

    /// Records a complete answer and closes the breaker. During a pause it has no effect: the request was sent before
    /// the breaker opened.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        if self.open.is_none_or(|open| open.is_probing || open.until <= now) {
            *self = Self::new(self.policy);
        }
    }

    /// Records a failure; `connected` says whether the server accepted the connection. `jitter` is from 0 to 1.
    pub(crate) fn failed(&mut self, now: Instant, connected: bool, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        let is_probing = self.open.is_some_and(|open| open.is_probing);
        let Policy { max_failures, pause, max_pause, .. } = self.policy;
        if is_probing || !connected || self.failures >= max_failures {
            self.open(OpenReason::Failing, now, |n| with_jitter(exponential(pause, n, max_pause), jitter));
        }
    }

    /// Records a refusal, with the pause that the server requested, if any. `jitter` is from 0 to 1.
    pub(crate) fn refused(&mut self, now: Instant, requested: Option<Duration>, jitter: f64) {
        let policy = self.policy;
        self.open(OpenReason::Refused, now, |n| match requested {
            Some(requested) => requested.clamp(policy.min_requested, policy.max_requested),
            None => with_jitter(exponential(policy.refused_pause, n, policy.max_refused_pause), jitter),
        });
    }

    /// Opens the breaker. Has no effect if it is already open for the same reason (concurrent requests fail together)
    /// or because the server asked for it.
    fn open(&mut self, reason: OpenReason, now: Instant, pause: impl FnOnce(u32) -> Duration) {
        let is_open = self.open.is_some_and(|open| {
            !open.is_probing && open.until > now && [reason, OpenReason::Refused].contains(&open.reason)
        });
        if is_open {
            return;
        }
        self.open = Some(Open { reason, until: now + pause(self.n_opened), is_probing: false });
        self.n_opened = self.n_opened.saturating_add(1);
        self.first_opened.get_or_insert(now);
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PROBE_TIMEOUT: Duration = Duration::from_secs(15);
    const MAX_FAILURES: u32 = 5;
    const POLICY: Policy = Policy {
        max_failures: MAX_FAILURES,
        pause: Duration::from_secs(5),
        max_pause: Duration::from_mins(5),
        refused_pause: Duration::from_mins(1),
        max_refused_pause: Duration::from_mins(15),
        min_requested: Duration::from_secs(30),
        max_requested: Duration::from_hours(1),
        probe_timeout: PROBE_TIMEOUT,
    };

    fn refusal(breaker: &mut Breaker, now: Instant) -> Option<(OpenReason, u64)> {
        breaker.admit(now).err().map(|(reason, left)| (reason, left.as_secs()))
    }

    #[test]
    fn requested_pauses_are_clamped() {
        let now = Instant::now();
        for (requested, pause) in [(Some(2), 30), (Some(90), 90), (Some(99_999_999), 3600), (None, 60)] {
            let mut breaker = Breaker::new(POLICY);
            breaker.refused(now, requested.map(Duration::from_secs), 0.5);
            assert_eq!(refusal(&mut breaker, now), Some((OpenReason::Refused, pause)), "{requested:?}");
        }
    }

    #[test]
    fn pauses_after_refusals_grow() {
        let start = Instant::now();
        let mut now = start;
        let mut breaker = Breaker::new(POLICY);
        for pause in [60, 120, 240, 480, 900, 900] {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.refused(now, None, 0.5);
            assert_eq!(refusal(&mut breaker, now), Some((OpenReason::Refused, pause)));
            let open = breaker.open_state().unwrap();
            assert_eq!((open.since, open.until), (start, now + Duration::from_secs(pause)));
            now += Duration::from_secs(pause);
        }
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.succeeded(now);
        assert_eq!(breaker.open_state(), None);
    }

    #[test]
    fn outcomes_of_earlier_requests_do_not_end_a_refusal() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        breaker.refused(now, Some(90 * SECOND), 0.5);
        breaker.succeeded(now);
        breaker.failed(now, false, 0.5);
        assert_eq!(refusal(&mut breaker, now), Some((OpenReason::Refused, 90)));
    }

    #[test]
    fn one_probe_follows_a_pause() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        breaker.refused(now, Some(30 * SECOND), 0.5);
        let after = now + 30 * SECOND;
        assert_eq!(breaker.admit(after), Ok(()));
        assert!(breaker.admit(after).is_err(), "a second request beside the probe");
        assert_eq!(breaker.admit(after + PROBE_TIMEOUT), Ok(()), "a lost probe is replaced");
        breaker.succeeded(after + PROBE_TIMEOUT);
        assert_eq!((breaker.admit(after), breaker.admit(after)), (Ok(()), Ok(())));
    }

    #[test]
    fn cancelled_probe_is_replaced_at_once() {
        let now = Instant::now();
        let breaker = Mutex::new(Breaker::new(POLICY));
        let earlier = Admitted::new(&breaker, now).unwrap();
        breaker.lock().unwrap().refused(now, Some(30 * SECOND), 0.5);
        let after = now + 30 * SECOND;
        let probe = Admitted::new(&breaker, after).unwrap();
        drop(earlier);
        assert!(Admitted::new(&breaker, after).is_err(), "the probe is under way");
        drop(probe);
        let probe = Admitted::new(&breaker, after).unwrap();
        breaker.lock().unwrap().failed(after, true, 0.5);
        drop(probe);
        assert!(Admitted::new(&breaker, after).is_err(), "the probe failed");
    }

    #[test]
    fn an_unreachable_server_is_paused_at_once_and_longer_each_time() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now, false, 0.5);
            assert_eq!(refusal(&mut breaker, now), Some((OpenReason::Failing, pause)));
            now += Duration::from_secs(pause);
        }
    }

    #[test]
    fn concurrent_failures_open_the_breaker_once() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..4 {
            breaker.failed(now, false, 0.5);
        }
        assert_eq!(refusal(&mut breaker, now), Some((OpenReason::Failing, 5)));
    }

    #[test]
    fn only_consecutive_failures_open_the_breaker() {
        let now = Instant::now();
        let mut breaker = Breaker::new(POLICY);
        for _ in 0..3 {
            for _ in 1..MAX_FAILURES {
                breaker.failed(now, true, 0.5);
            }
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.succeeded(now);
        }
        for _ in 0..MAX_FAILURES {
            breaker.failed(now, true, 0.5);
        }
        assert_eq!(refusal(&mut breaker, now), Some((OpenReason::Failing, 5)));
    }
}
