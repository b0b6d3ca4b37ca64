//! When an upstream is left alone: after it asked for that, and while it does not answer.
//!
//! Pure: what happens depends on the times it is told. After a rest a single request is let through, the probe; its
//! outcome decides.

use std::time::{Duration, Instant};

use crate::backoff::{grown, spread};

/// The first rest of an upstream that cannot be reached, doubled with each failed probe.
const DOWN: Duration = Duration::from_secs(5);

/// The longest such rest.
const MAX_DOWN: Duration = Duration::from_mins(5);

/// Answers that fail one after the other before an upstream that can be reached counts as down.
const MAX_FAILURES: u32 = 5;

/// The first rest of an upstream that has asked for one without saying how long, doubled with each repetition.
const REFUSED: Duration = Duration::from_mins(1);

/// The longest such rest.
const MAX_REFUSED: Duration = Duration::from_mins(15);

/// What an upstream may ask for, at least and at most.
const ASKED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

/// A probe without outcome for so long is lost, and another takes its place.
const PROBE: Duration = Duration::from_secs(15);

/// Why an upstream is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It asked for it.
    Refused,
    /// It does not answer, or not well.
    Down,
}

/// The state of one upstream.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    resting: Option<Resting>,
    /// Failures since the last success or rest.
    failures: u32,
    /// Rests since the last success.
    rests: u32,
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    why: Rest,
    until: Instant,
    /// The rest proper is over: a probe is under way.
    probing: bool,
}

impl Breaker {
    /// Why, and for how long, no request would be admitted now.
    pub(super) fn rest(&self, now: Instant) -> Option<(Rest, Duration)> {
        self.resting.filter(|rest| rest.until > now).map(|rest| (rest.why, rest.until - now))
    }

    /// Whether a request may be made now; else why not, and for how long not.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), (Rest, Duration)> {
        if let Some(rest) = self.rest(now) {
            return Err(rest);
        }
        if let Some(rest) = &mut self.resting {
            // The rest is over: this request is the probe, and others wait for its outcome.
            rest.until = now + PROBE;
            rest.probing = true;
        }
        Ok(())
    }

    /// A whole answer came. During a rest it is one that was under way when the rest began, and ends nothing.
    pub(super) fn succeeded(&mut self) {
        if self.resting.is_none_or(|rest| rest.probing) {
            *self = Self::default();
        }
    }

    /// No answer came, or a broken one; `connected` when at least a connection was had. `jitter` is from 0 to 1.
    pub(super) fn failed(&mut self, now: Instant, connected: bool, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        let probe = self.resting.is_some_and(|rest| rest.probing);
        if probe || !connected || self.failures >= MAX_FAILURES {
            self.leave_alone(Rest::Down, now, |rests| spread(grown(DOWN, rests, MAX_DOWN), jitter));
        }
    }

    /// It asked to be left alone, for so long if it said. `jitter` is from 0 to 1.
    pub(super) fn refused(&mut self, now: Instant, asked: Option<Duration>, jitter: f64) {
        self.leave_alone(Rest::Refused, now, |rests| match asked {
            Some(asked) => asked.clamp(ASKED.0, ASKED.1),
            None => spread(grown(REFUSED, rests, MAX_REFUSED), jitter),
        });
    }

    /// Begins a rest, unless one for the same reason has begun since this request was made: requests that were
    /// under way together fail together. One that was asked for is not replaced by another.
    fn leave_alone(&mut self, why: Rest, now: Instant, how_long: impl FnOnce(u32) -> Duration) {
        if self
            .resting
            .is_some_and(|rest| !rest.probing && rest.until > now && [why, Rest::Refused].contains(&rest.why))
        {
            return;
        }
        self.resting = Some(Resting { why, until: now + how_long(self.rests), probing: false });
        self.rests = self.rests.saturating_add(1);
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rest(breaker: &mut Breaker, now: Instant) -> Option<(Rest, u64)> {
        breaker.admit(now).err().map(|(why, left)| (why, left.as_secs()))
    }

    #[test]
    fn a_refusal_is_kept_within_bounds() {
        let now = Instant::now();
        for (asked, rest_for) in [(Some(2), 30), (Some(90), 90), (Some(99_999_999), 3600), (None, 60)] {
            let mut breaker = Breaker::default();
            breaker.refused(now, asked.map(Duration::from_secs), 0.5);
            assert_eq!(rest(&mut breaker, now), Some((Rest::Refused, rest_for)), "{asked:?}");
        }
    }

    #[test]
    fn refusals_without_a_time_grow() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        for rest_for in [60, 120, 240, 480, 900, 900] {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.refused(now, None, 0.5);
            assert_eq!(rest(&mut breaker, now), Some((Rest::Refused, rest_for)));
            now += Duration::from_secs(rest_for);
        }
    }

    #[test]
    fn a_refusal_outlasts_what_was_under_way_when_it_came() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.refused(now, Some(90 * SECOND), 0.5);
        breaker.succeeded();
        breaker.failed(now, false, 0.5);
        assert_eq!(rest(&mut breaker, now), Some((Rest::Refused, 90)));
    }

    #[test]
    fn one_probe_follows_a_rest() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.refused(now, Some(30 * SECOND), 0.5);
        let after = now + 30 * SECOND;
        assert_eq!(breaker.admit(after), Ok(()));
        assert!(breaker.admit(after).is_err(), "a second request beside the probe");
        assert_eq!(breaker.admit(after + PROBE), Ok(()), "a lost probe is replaced");
        breaker.succeeded();
        assert_eq!((breaker.admit(after), breaker.admit(after)), (Ok(()), Ok(())));
    }

    #[test]
    fn an_upstream_out_of_reach_rests_at_once_and_longer_each_time() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        for rest_for in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now, false, 0.5);
            assert_eq!(rest(&mut breaker, now), Some((Rest::Down, rest_for)));
            now += Duration::from_secs(rest_for);
        }
    }

    #[test]
    fn requests_that_fail_together_make_one_rest() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(now, false, 0.5);
        }
        assert_eq!(rest(&mut breaker, now), Some((Rest::Down, 5)));
    }

    #[test]
    fn bad_answers_must_follow_one_another() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..MAX_FAILURES {
                breaker.failed(now, true, 0.5);
            }
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.succeeded();
        }
        for _ in 0..MAX_FAILURES {
            breaker.failed(now, true, 0.5);
        }
        assert_eq!(rest(&mut breaker, now), Some((Rest::Down, 5)));
    }
}
