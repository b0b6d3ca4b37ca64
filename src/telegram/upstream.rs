//! The servers that preview pages are fetched from: their URLs, rate limits, queues and circuit breakers.

mod status;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::url::{Host, Url};
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout};

use super::error::{FetchError, UpstreamError, UpstreamErrorKind};
use crate::metrics::{self, UpstreamLabels};
use crate::net::http_client::Identity;
use crate::net::ssrf;
use crate::resilience::breaker::{Admitted, Breaker, OpenReason, Policy};

pub use status::{BreakerState, BreakerStatus, UpstreamStatus};

/// Requests for new channels or of low priority that may wait for the rate limiter at a time.
const MAX_LOW_PRIORITY: usize = 2;

/// How long a request may wait in a queue. No reader waits that long: the refresh goes on for the reader's next poll.
const MAX_QUEUE_TIME: Duration = Duration::from_secs(150);

/// How long a request for a new channel may wait in a queue, and its reader with it: feed readers give up after 15
/// seconds. It then gives its place to a request that somebody still waits for.
pub(crate) const MAX_NEW_CHANNEL_WAIT: Duration = Duration::from_secs(11);

/// The label in metrics of an answer that redirects to another page.
const REDIRECTED: &str = "redirected";

/// Pauses an unreachable upstream at once, and one that answers with errors after five failures in a row.
const BREAKER_POLICY: Policy = Policy {
    max_failures: 5,
    pause: Duration::from_secs(5),
    max_pause: Duration::from_mins(5),
    refused_pause: Duration::from_mins(1),
    max_refused_pause: Duration::from_mins(15),
    min_requested: Duration::from_secs(30),
    max_requested: Duration::from_hours(1),
    probe_timeout: Duration::from_secs(15),
};

/// The base URL of an upstream: `https://t.me`, or on a loopback address also `http://127.0.0.1:8081`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(Url);

impl UpstreamUrl {
    /// Parses the base URL of an upstream.
    ///
    /// # Errors
    ///
    /// A sentence with the reason: the URL must be `https` (or `http` on a loopback address), public, and have
    /// no path.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Err(format!("has no scheme: write https://{text}"));
        }
        let url = Url::parse(text).map_err(|err| format!("not a URL: {err}"))?;
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err("must start with https:// (http:// is for loopback addresses only)".to_owned());
        }
        // The resolver never sees a host that is an IP address.
        let is_public = match url.host() {
            Some(Host::Ipv4(ip)) => ssrf::is_public(ip.into()),
            Some(Host::Ipv6(ip)) => ssrf::is_public(ip.into()),
            _ => true,
        };
        if !is_public && !is_loopback {
            return Err("is not on the public internet".to_owned());
        }
        if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
            return Err("must be only a scheme, a host and an optional port".to_owned());
        }
        Ok(Self(url))
    }

    /// Returns the host and port.
    pub(super) fn host(&self) -> String {
        self.0.authority().to_owned()
    }

    /// Returns the host name if it is on this machine, to be trusted by the resolver.
    pub(super) fn loopback_name(&self) -> Option<String> {
        (self.0.scheme() == "http").then(|| self.0.host_str().map(str::to_owned))?
    }

    /// Returns the URL of a path on this upstream.
    pub(super) fn with_path(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// Returns whether a URL is on this upstream.
    pub(super) fn has_origin_of(&self, url: &Url) -> bool {
        url.origin() == self.0.origin()
    }
}

/// Which queue a request waits in.
///
/// Anyone can request any number of invented names and older posts; they must not delay channels that have readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A channel that was read before, or a media file that a reader waits for.
    High,
    /// A name that was never read, or older posts or a search that a reader waits for.
    New,
    /// Older or hidden posts that no reader waits for.
    Low,
}

impl Priority {
    fn max_wait(self) -> Duration {
        if self == Self::New { MAX_NEW_CHANNEL_WAIT } else { MAX_QUEUE_TIME }
    }
}

/// How many requests an upstream receives from an address.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// Sustained requests per second.
    pub rate: NonZeroU32,
    /// Requests that may be sent at once after a pause.
    pub burst: NonZeroU32,
    /// Requests in flight at a time.
    pub in_flight: NonZeroU32,
}

impl Default for RateLimits {
    /// Returns what t.me was seen to answer without a fault: 1 request a second, 40 at once after a pause, 4 in flight.
    fn default() -> Self {
        let one = NonZeroU32::MIN;
        Self { rate: one, burst: one.saturating_add(39), in_flight: one.saturating_add(3) }
    }
}

/// Tokio's clock, which tests can pause.
#[derive(Clone, Debug)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A place in a queue, until it is dropped.
struct Place<'a> {
    waiting: &'a watch::Sender<[usize; 3]>,
    priority: Priority,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.send_modify(|waiting| waiting[self.priority as usize] -= 1);
    }
}

/// One upstream as it is asked from one address, with its limits and its state.
pub(super) struct Upstream {
    pub(super) url: UpstreamUrl,
    pub(super) identity: Arc<Identity>,
    limits: RateLimits,
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, StateInformationMiddleware>,
    /// How many requests the limiter would have admitted at once, and when.
    admissible: Mutex<(Instant, u32)>,
    max_waiting: usize,
    in_flight: Semaphore,
    /// The requests in each queue, by [`Priority`].
    waiting: watch::Sender<[usize; 3]>,
    low_priority: Semaphore,
    /// Keeps the order of arrival, because the rate limiter alone does not.
    order: tokio::sync::Mutex<()>,
    breaker: Mutex<Breaker>,
}

impl Upstream {
    pub(super) fn new(url: UpstreamUrl, identity: Arc<Identity>, limits: RateLimits) -> Self {
        let quota = Quota::per_second(limits.rate).allow_burst(limits.burst);
        // More would wait too long anyway.
        let max_waiting = u64::from(limits.rate.get()) * MAX_QUEUE_TIME.as_secs();
        let upstream = Self {
            url,
            identity,
            limits,
            limiter: RateLimiter::direct_with_clock(quota, TokioClock { start: Instant::now() })
                .with_middleware(),
            admissible: Mutex::new((Instant::now(), limits.burst.get())),
            max_waiting: usize::try_from(max_waiting).unwrap_or(usize::MAX),
            in_flight: Semaphore::new(limits.in_flight.get() as usize),
            waiting: watch::Sender::default(),
            low_priority: Semaphore::new(MAX_LOW_PRIORITY),
            order: tokio::sync::Mutex::default(),
            breaker: Mutex::new(Breaker::new(BREAKER_POLICY)),
        };
        for outcome in ["ok", REDIRECTED].into_iter().chain(UpstreamErrorKind::CODES) {
            metrics::register_upstream(&upstream.labels(), outcome);
        }
        upstream
    }

    /// Waits until a request may be sent. The request counts as in flight until the permit is dropped.
    ///
    /// # Errors
    ///
    /// [`UpstreamErrorKind::CircuitOpen`] while the breaker is open, [`UpstreamErrorKind::Busy`] if the queue is full or
    /// the wait takes too long.
    pub(super) async fn acquire(
        &self,
        priority: Priority,
    ) -> Result<(SemaphorePermit<'_>, Admitted<'_>), UpstreamError> {
        let busy = || self.error(UpstreamErrorKind::Busy);
        self.check_open()?;
        let place = self.join_queue(priority).ok_or_else(busy)?;
        let wait = async {
            let _low_priority = match priority {
                Priority::New | Priority::Low => Some(self.low_priority.acquire().await),
                Priority::High => None,
            };
            let permit = self.in_flight.acquire().await;
            let _order = self.order.lock().await;
            // A queue behind a breaker that has opened meanwhile ends at once.
            self.check_open()?;
            self.until_ready().await;
            permit.map_err(|_| busy())
        };
        let permit = timeout(priority.max_wait(), wait).await.map_err(|_| busy())??;
        drop(place);
        // The breaker may have opened during the wait.
        let admitted = Admitted::new(&self.breaker, Instant::now().into_std());
        Ok((permit, admitted.map_err(|(reason, left)| self.circuit_open(reason, left))?))
    }

    /// Waits for the rate limiter once more, for a redirect within an admitted request.
    pub(super) async fn acquire_redirect(&self) {
        self.until_ready().await;
    }

    /// Waits until no other request waits, and one could be sent at once.
    pub(super) async fn until_idle(&self) {
        // The sender lives as long as this borrow, and the semaphore is never closed.
        drop(self.waiting.subscribe().wait_for(|waiting| *waiting == [0; 3]).await);
        drop(self.in_flight.acquire().await);
        let missing = 1.0 - self.admissible();
        if missing > 0.0 {
            sleep(Duration::from_secs_f64(missing / f64::from(self.limits.rate.get()))).await;
        }
    }

    async fn until_ready(&self) {
        let state = loop {
            match self.limiter.check() {
                Ok(state) => break state,
                Err(not_until) => sleep(not_until.wait_time_from(self.limiter.clock().now())).await,
            }
        };
        *lock(&self.admissible) = (Instant::now(), state.remaining_burst_capacity());
    }

    /// Takes a place in a queue; `None` if it is full.
    fn join_queue(&self, priority: Priority) -> Option<Place<'_>> {
        let has_joined = self.waiting.send_if_modified(|waiting| {
            let waiting = &mut waiting[priority as usize];
            let has_room = *waiting < self.max_waiting;
            *waiting += usize::from(has_room);
            has_room
        });
        has_joined.then(|| Place { waiting: &self.waiting, priority })
    }

    fn check_open(&self) -> Result<(), UpstreamError> {
        let open = self.breaker().open_for(Instant::now().into_std());
        open.map_or(Ok(()), |(reason, left)| Err(self.circuit_open(reason, left)))
    }

    /// Returns why the breaker is open, and for how much longer, if it is open.
    pub(super) fn open_for(&self) -> Option<(OpenReason, Duration)> {
        self.breaker().open_for(Instant::now().into_std())
    }

    /// Returns how long a request would wait, judging by the requests in front of it.
    pub(super) fn queue_time(&self, priority: Priority) -> Duration {
        let n_delayed = (to_f64(self.n_before(priority)) - self.admissible()).max(0.0);
        Duration::from_secs_f64(n_delayed / f64::from(self.limits.rate.get()))
    }

    /// Returns the requests in front of a new one and in flight, less those that the limiter would admit at once.
    pub(super) fn load(&self, priority: Priority) -> f64 {
        let n_in_flight = self.limits.in_flight.get() as usize - self.in_flight.available_permits();
        to_f64(self.n_before(priority) + n_in_flight) - self.admissible()
    }

    /// Returns the number of requests that wait in front of a new one.
    fn n_before(&self, priority: Priority) -> usize {
        let waiting = *self.waiting.borrow();
        match priority {
            Priority::High => waiting[Priority::High as usize],
            Priority::New | Priority::Low => waiting.iter().sum(),
        }
    }

    /// Returns whether a failure of this upstream may concern the other one too: they share the server or the address.
    pub(super) fn is_related_to(&self, other: &Self) -> bool {
        self.url == other.url || Arc::ptr_eq(&self.identity, &other.identity)
    }

    fn labels(&self) -> UpstreamLabels {
        UpstreamLabels { host: self.url.host(), proxy: self.identity.proxy.clone() }
    }

    /// Returns how many requests the limiter would admit at once.
    fn admissible(&self) -> f64 {
        let (at, admissible) = *lock(&self.admissible);
        let refilled = at.elapsed().as_secs_f64() * f64::from(self.limits.rate.get());
        (f64::from(admissible) + refilled).min(f64::from(self.limits.burst.get()))
    }

    pub(super) fn report_metrics(&self) {
        let n_waiting = self.waiting.borrow().iter().sum();
        metrics::upstream_state(&self.labels(), n_waiting, self.open_for().is_some());
    }

    /// Records the outcome of a request in the breaker and the metrics.
    pub(super) fn record_outcome(&self, outcome: Result<(), &FetchError>) {
        let (now, jitter) = (Instant::now().into_std(), fastrand::f64());
        let kind = match outcome {
            Ok(()) => None,
            Err(FetchError::Upstream(err)) => Some(&err.kind),
            // The upstream answered; the caller handles the redirect.
            Err(FetchError::Page(_)) => {
                metrics::upstream_request(&self.labels(), REDIRECTED);
                return self.breaker().succeeded(now);
            }
        };
        metrics::upstream_request(&self.labels(), kind.map_or("ok", UpstreamErrorKind::code));
        let mut breaker = self.breaker();
        let was_open = breaker.open_for(now).is_some();
        match kind {
            Some(UpstreamErrorKind::Refused { retry_after, .. }) => {
                breaker.refused(now, *retry_after, jitter);
            }
            Some(UpstreamErrorKind::Unreachable(_)) => breaker.failed(now, false, jitter),
            Some(UpstreamErrorKind::TimedOut | UpstreamErrorKind::Broken(_)) => {
                breaker.failed(now, true, jitter);
            }
            Some(UpstreamErrorKind::Status(status)) if *status >= 500 => {
                breaker.failed(now, true, jitter);
            }
            Some(UpstreamErrorKind::Busy | UpstreamErrorKind::CircuitOpen { .. }) => {}
            None | Some(UpstreamErrorKind::Status(_) | UpstreamErrorKind::TooLarge { .. }) => {
                breaker.succeeded(now);
            }
        }
        if let (false, Some((_, pause)), Err(error)) = (was_open, breaker.open_for(now), outcome) {
            let (proxy, pause_s) = (self.identity.proxy.as_deref(), pause.as_secs());
            tracing::warn!(host = self.url.host(), proxy, pause_s, error = %error, "paused an upstream");
        }
    }

    /// Returns an error of this upstream.
    pub(super) fn error(&self, kind: UpstreamErrorKind) -> UpstreamError {
        UpstreamError { host: self.url.host(), kind, failed_before: Box::default() }
    }

    pub(super) fn circuit_open(&self, reason: OpenReason, retry_after: Duration) -> UpstreamError {
        self.error(UpstreamErrorKind::CircuitOpen { refused: reason == OpenReason::Refused, retry_after })
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        lock(&self.breaker)
    }
}

fn to_f64(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
