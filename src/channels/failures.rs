//! Failed refreshes: when a channel may be tried again, and when it counts as gone. `refresh` logs them.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::RefreshError;
use crate::model::channel::ChannelName;
use crate::resilience::backoff::{exponential, with_jitter};
use crate::resilience::recent_cache::RecentCache;
use crate::telegram::error::{PageError, UpstreamErrorKind};

/// How long a name without posts is cached.
const NEGATIVE_TTL: Duration = Duration::from_mins(10);

/// The delay after the first failure; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(30);

/// The delay when a request could not even be sent.
const BUSY_DELAY: Duration = Duration::from_secs(3);

/// The shortest delay while the circuit breaker is open.
const MIN_CIRCUIT_OPEN_DELAY: Duration = Duration::from_secs(1);

/// The longest delay after failures.
const MAX_DELAY: Duration = Duration::from_mins(15);

/// The longest delay after failures of the upstream, which other channels may have found working again. Its circuit breaker
/// keeps requests from it for longer.
const MAX_UPSTREAM_DELAY: Duration = Duration::from_mins(1);

/// The number of names whose failures are remembered.
const MAX_FAILURES: usize = 10_000;

/// A failure is forgotten after this time, with the number of attempts.
const TTL: Duration = Duration::from_hours(2);

/// How often Telegram has to say that a cached channel is gone before it is believed.
const MIN_GONE_ANSWERS: u32 = 3;

/// The time over which it has to say so.
const MIN_GONE_TIME: Duration = Duration::from_hours(1);

/// How long each of these answers counts: longer than the time between two polls of any reader.
const GONE_TTL: Duration = Duration::from_hours(7 * 24);

/// A failed refresh, remembered so that it is not repeated at once.
#[derive(Clone, Debug, Error)]
#[error("{error}")]
pub struct Failure {
    /// The error of the last attempt.
    pub error: RefreshError,
    /// When the next attempt is due.
    pub(super) until: Instant,
    /// The number of failed attempts in a row.
    pub(super) attempts: u32,
    /// The channel may be archived nevertheless.
    pub(super) may_be_archived: bool,
}

impl Failure {
    /// Returns a failure for older posts that are temporarily unavailable.
    pub(crate) fn older_unavailable() -> Self {
        Self::queued(RefreshError::OlderUnavailable, Duration::ZERO)
    }

    /// Returns the failure of a request that does not wait longer, while the refresh does.
    pub(super) fn queued(error: RefreshError, queue_time: Duration) -> Self {
        let until = Instant::now() + queue_time.max(BUSY_DELAY);
        Self { error, until, attempts: 0, may_be_archived: true }
    }

    /// Returns the time until the next attempt is due.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// The state of a channel before a refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PriorState {
    /// Its posts are cached.
    Cached,
    /// It is neither cached nor archived.
    Unknown,
    /// It may be archived: the archive could not be asked, or the refresh panicked.
    Unclear,
}

/// The remembered failures, by channel.
pub(super) struct Failures {
    last: RecentCache<ChannelName, Arc<Failure>>,
    /// When Telegram first said that a cached channel is gone, and how often it has in a row.
    gone: RecentCache<ChannelName, (Instant, u32)>,
}

impl Failures {
    pub(super) fn new() -> Self {
        Self { last: RecentCache::new(MAX_FAILURES, TTL), gone: RecentCache::new(MAX_FAILURES, GONE_TTL) }
    }

    /// Returns the last failure of a channel, also if the next attempt is due.
    pub(super) fn get(&self, name: &ChannelName) -> Option<Arc<Failure>> {
        self.last.get(name)
    }

    /// Returns the last failure of a channel if the next attempt is not due yet.
    pub(super) fn not_due(&self, name: &ChannelName) -> Option<Arc<Failure>> {
        self.get(name).filter(|failure| !failure.retry_after().is_zero())
    }

    /// Returns the last failure of every channel, with its time. It does not count as using them.
    pub(super) fn all(&self) -> Vec<(ChannelName, Arc<Failure>, Instant)> {
        self.last.all()
    }

    /// Forgets the failures of a channel before the time when a page of it was fetched, `age` ago, by any replica.
    pub(super) fn clear_before(&self, name: &ChannelName, age: Duration) {
        if self.last.get_with_age(name).is_some_and(|(_, of_failure)| of_failure >= age) {
            self.last.remove(name);
        }
        // Also if later answers say so: they are no longer in a row with the earlier ones.
        if self.gone.get(name).is_some_and(|(first, _)| first.elapsed() >= age) {
            self.gone.remove(name);
        }
    }

    /// Records a failure, and decides whether a cached channel is gone. Until that is confirmed, the error is replaced by
    /// [`PageError::RateLimited`], because Telegram also says so when it receives too many requests.
    pub(super) fn record(
        &self,
        name: &ChannelName,
        error: RefreshError,
        prior: PriorState,
        now: Instant,
    ) -> Failure {
        let is_cached = prior == PriorState::Cached;
        // A busy or paused upstream says nothing about the channel; only its retry delay is used.
        let upstream_delay = match &error {
            RefreshError::Upstream(err) => match err.kind {
                UpstreamErrorKind::Busy => Some(BUSY_DELAY),
                UpstreamErrorKind::CircuitOpen { retry_after, .. } => {
                    Some(retry_after.max(MIN_CIRCUIT_OPEN_DELAY))
                }
                UpstreamErrorKind::Refused { retry_after, .. } => retry_after,
                _ => None,
            },
            _ => None,
        };
        let attempts_before = self.get(name).map_or(0, |before| before.attempts);
        let attempts = attempts_before.saturating_add(upstream_delay.is_none().into());
        let is_said_gone = is_cached && error.is_authoritative();
        let is_confirmed = is_said_gone && self.count_gone(name, now);
        if !is_said_gone && upstream_delay.is_none() {
            self.gone.remove(name);
        }
        let error =
            if is_said_gone && !is_confirmed { RefreshError::Page(PageError::RateLimited) } else { error };
        let delay = if error.is_authoritative() {
            NEGATIVE_TTL
        } else if matches!(error, RefreshError::Page(PageError::DomLimitExceeded)) {
            // Rejecting it again takes as long as parsing many other pages.
            MAX_DELAY
        } else {
            let max = if matches!(error, RefreshError::Upstream(_)) { MAX_UPSTREAM_DELAY } else { MAX_DELAY };
            let delay = exponential(FIRST_DELAY, attempts.saturating_sub(1), max);
            upstream_delay.unwrap_or_else(|| with_jitter(delay, fastrand::f64()))
        };
        let may_be_archived = prior != PriorState::Unknown && !is_confirmed;
        let failure = Failure { error, until: now + delay, attempts, may_be_archived };
        self.last.insert(name.clone(), Arc::new(failure.clone()));
        failure
    }

    /// Counts an answer that a cached channel is gone. Returns whether it is believed.
    fn count_gone(&self, name: &ChannelName, now: Instant) -> bool {
        let (since, n) = self.gone.get(name).unwrap_or((now, 0));
        self.gone.insert(name.clone(), (since, n + 1));
        n + 1 >= MIN_GONE_ANSWERS && now - since >= MIN_GONE_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telegram::error::UpstreamError;

    fn upstream_error(kind: UpstreamErrorKind) -> RefreshError {
        RefreshError::Upstream(UpstreamError { host: "t.me".to_owned(), kind, failed_before: Box::default() })
    }

    #[test]
    fn a_cached_channel_is_gone_after_three_answers_over_an_hour() {
        let name = ChannelName::new("harbour_news").unwrap();
        let gone = RefreshError::Page(PageError::NotFound);
        let busy = upstream_error(UpstreamErrorKind::Busy);
        let timeout = upstream_error(UpstreamErrorKind::TimedOut);
        let start = Instant::now();
        for (answers, is_gone) in [
            (&[(0, &gone), (30, &gone), (60, &gone)][..], true),
            (&[(0, &gone), (60, &gone)], false),
            (&[(0, &gone), (10, &gone), (59, &gone)], false),
            // A busy upstream does not interrupt the count; a failed refresh restarts it.
            (&[(0, &gone), (30, &gone), (40, &busy), (60, &gone)], true),
            (&[(0, &gone), (30, &timeout), (60, &gone), (90, &gone)], false),
        ] {
            let failures = Failures::new();
            let mut last = None;
            for (minute, error) in answers {
                let now = start + Duration::from_mins(*minute);
                last = Some(failures.record(&name, (*error).clone(), PriorState::Cached, now));
            }
            let last = last.unwrap();
            assert_eq!(last.error.is_authoritative(), is_gone, "{answers:?}");
            assert_eq!(last.may_be_archived, !is_gone, "{answers:?}");
        }
        // For a name that was never read, one answer is enough.
        let first = Failures::new().record(&name, gone, PriorState::Unknown, start);
        assert!(first.error.is_authoritative() && !first.may_be_archived);
    }

    #[tokio::test(start_paused = true)]
    async fn daily_polls_confirm_that_a_channel_is_gone() {
        let (name, failures) = (ChannelName::new("harbour_news").unwrap(), Failures::new());
        let gone = RefreshError::Page(PageError::NotFound);
        for is_gone in [false, false, true] {
            let failure = failures.record(&name, gone.clone(), PriorState::Cached, Instant::now());
            assert_eq!(failure.error.is_authoritative(), is_gone);
            tokio::time::advance(Duration::from_hours(24)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn page_of_another_replica_refutes_that_a_channel_is_gone() {
        let name = ChannelName::new("harbour_news").unwrap();
        // The hours since another replica fetched a page, at each answer.
        for (pages, is_gone) in [
            ([None, None, None], true),
            ([None, None, Some(1)], false),
            ([None, Some(25), Some(25)], false),
            ([None, Some(25), Some(49)], true),
        ] {
            let failures = Failures::new();
            let mut last = false;
            for hours in pages {
                tokio::time::advance(Duration::from_hours(24)).await;
                if let Some(hours) = hours {
                    failures.clear_before(&name, Duration::from_hours(hours));
                }
                let gone = RefreshError::Page(PageError::NotFound);
                last =
                    failures.record(&name, gone, PriorState::Cached, Instant::now()).error.is_authoritative();
            }
            assert_eq!(last, is_gone, "{pages:?}");
        }
    }

    #[test]
    fn delays_grow_with_each_failure() {
        let name = ChannelName::new("harbour_news").unwrap();
        let now = Instant::now();
        for (error, n_growing, max) in [
            (upstream_error(UpstreamErrorKind::TimedOut), 2, MAX_UPSTREAM_DELAY),
            (RefreshError::Page(PageError::RateLimited), 5, MAX_DELAY),
        ] {
            let failures = Failures::new();
            let delay = |_| failures.record(&name, error.clone(), PriorState::Unknown, now).until - now;
            let delays: Vec<Duration> = (0..20).map(delay).collect();
            let growing = &delays[..n_growing];
            assert!(growing.windows(2).all(|pair| pair[1] > pair[0].mul_f64(1.2)), "{growing:?}");
            assert!(delays.iter().all(|delay| *delay <= max.mul_f64(1.2)), "{delays:?}");
        }
    }

    #[test]
    fn page_beyond_a_limit_is_not_fetched_again_soon() {
        let name = ChannelName::new("harbour_news").unwrap();
        let now = Instant::now();
        let error = RefreshError::Page(PageError::DomLimitExceeded);
        assert_eq!(Failures::new().record(&name, error, PriorState::Unknown, now).until, now + MAX_DELAY);
    }
}
