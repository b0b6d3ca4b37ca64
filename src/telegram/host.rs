//! One upstream, asked politely: so often, so many at a time, and not at all while it wants to be left alone.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::breaker::{Breaker, Rest};
use super::client::FetchError;
use super::upstream::Upstream;
use crate::meter;

/// Requests that may wait for their turn, in each line.
const MAX_WAITING: usize = 64;

/// Requests for new names among those whose turn comes next.
const MAX_NEW: usize = 2;

/// How long one may wait.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The line in which a request waits for its turn.
///
/// Anybody can make up names, as many as they like; the channels that are read must stay fresh all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// For a channel that was read before.
    Known,
    /// For a name that was not.
    New,
}

/// How politely an upstream is asked.
#[derive(Clone, Copy, Debug)]
pub struct Politeness {
    /// Requests a second in the long run.
    pub rate: NonZeroU32,
    /// Requests that may come at once after a pause.
    pub burst: NonZeroU32,
    /// Requests under way at a time.
    pub in_flight: NonZeroU32,
}

impl Default for Politeness {
    /// About as fast as a person reads on.
    fn default() -> Self {
        let five = NonZeroU32::MIN.saturating_add(4);
        Self { rate: NonZeroU32::MIN, burst: five, in_flight: NonZeroU32::MIN.saturating_add(3) }
    }
}

/// An upstream with its limits and its state.
pub(super) struct Host {
    pub(super) upstream: Upstream,
    limiter: DefaultDirectRateLimiter,
    in_flight: Semaphore,
    /// Places in each line.
    waiting: [Semaphore; 2],
    new: Semaphore,
    order: tokio::sync::Mutex<()>,
    breaker: Mutex<Breaker>,
}

impl Host {
    pub(super) fn new(upstream: Upstream, politeness: Politeness) -> Self {
        meter::upstream_known(
            &upstream.host(),
            &["ok", "unreachable", "timeout", "refused", "status", "broken"],
        );
        let quota = Quota::per_second(politeness.rate).allow_burst(politeness.burst);
        Self {
            upstream,
            limiter: RateLimiter::direct(quota),
            in_flight: Semaphore::new(politeness.in_flight.get() as usize),
            waiting: [MAX_WAITING; 2].map(Semaphore::new),
            new: Semaphore::new(MAX_NEW),
            order: tokio::sync::Mutex::default(),
            breaker: Mutex::default(),
        }
    }

    /// Waits until a request may be made; it is under way until the permit is dropped.
    ///
    /// # Errors
    ///
    /// [`FetchError::Resting`] while the upstream is left alone, [`FetchError::Busy`] when too many wait already,
    /// or the wait takes too long.
    pub(super) async fn turn(&self, line: Line) -> Result<SemaphorePermit<'_>, FetchError> {
        let busy = || FetchError::Busy(self.upstream.host());
        // Whoever comes during a rest need not wait for its end.
        if let Some((why, left)) = self.breaker().rest(Instant::now()) {
            return Err(self.resting(why, left));
        }
        let waiting = self.waiting[line as usize].try_acquire().map_err(|_| busy())?;
        let turn = async {
            let _among_the_next = match line {
                Line::New => Some(self.new.acquire().await),
                Line::Known => None,
            };
            let permit = self.in_flight.acquire().await;
            // First come, first served: the limiter itself lets anybody through who happens to ask at the moment.
            let _order = self.order.lock().await;
            self.limiter.until_ready().await;
            permit
        };
        let permit = tokio::time::timeout(MAX_WAIT, turn).await.map_err(|_| busy())?.map_err(|_| busy())?;
        drop(waiting);
        // A rest may have begun during the wait.
        self.breaker().admit(Instant::now()).map_err(|(why, left)| self.resting(why, left))?;
        Ok(permit)
    }

    /// Waits until one more request may be made in a turn that has begun, as a redirect asks for.
    pub(super) async fn next_request(&self) {
        self.limiter.until_ready().await;
    }

    /// For how long it is left alone.
    pub(super) fn rest(&self) -> Option<Duration> {
        self.breaker().rest(Instant::now()).map(|(_, left)| left)
    }

    /// Tells how it is.
    pub(super) fn meter(&self) {
        let n_waiting = self.waiting.iter().map(|line| MAX_WAITING - line.available_permits()).sum();
        meter::upstream_is(self.upstream.host(), n_waiting, self.rest().is_some());
    }

    /// Draws the conclusions for requests to come.
    pub(super) fn learn(&self, outcome: Result<(), &FetchError>) {
        let (now, jitter) = (Instant::now(), fastrand::f64());
        meter::upstream_answered(self.upstream.host(), outcome.err().map_or("ok", FetchError::word));
        let mut breaker = self.breaker();
        match outcome {
            Ok(()) => breaker.succeeded(),
            Err(FetchError::Refused { retry_after, .. }) => breaker.refused(now, *retry_after, jitter),
            Err(FetchError::Unreachable { .. }) => breaker.failed(now, false, jitter),
            Err(FetchError::TimedOut(_) | FetchError::Broken { .. }) => breaker.failed(now, true, jitter),
            Err(FetchError::Status { status, .. }) if *status >= 500 => breaker.failed(now, true, jitter),
            // It answered: what it said is another matter.
            Err(FetchError::Status { .. } | FetchError::TooLarge { .. } | FetchError::NoPosts(_)) => {
                breaker.succeeded();
            }
            Err(FetchError::Busy(_) | FetchError::Resting { .. }) => {}
        }
    }

    fn resting(&self, why: Rest, left: Duration) -> FetchError {
        FetchError::Resting { host: self.upstream.host(), asked: why == Rest::Refused, left }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
