//! The channels of a service: what is known of each, and when to ask again.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use futures_util::FutureExt;
use jiff::Timestamp;
use moka::sync::Cache;
use thiserror::Error;

use super::{RefreshError, Samples, refresh};
use crate::backoff::{grown, spread};
use crate::cache::{Flights, Lookup, Packed, Snapshots};
use crate::channel::ChannelName;
use crate::post::Snapshot;
use crate::telegram::client::{Client, FetchError};
use crate::telegram::landing::NoPosts;
use crate::work;

/// How long it is remembered that Telegram has no posts to give under a name.
const NO_SUCH_CHANNEL: Duration = Duration::from_mins(10);

/// How long a failure is remembered, the first time; doubled with each further one.
const FAILURE: Duration = Duration::from_secs(30);

/// The longest that a failure is remembered.
const MAX_FAILURE: Duration = Duration::from_mins(15);

/// Names of which a failure is remembered.
const MAX_FAILURES: u64 = 10_000;

/// A failure nobody has met for so long is forgotten, and with it how often it came.
const FORGOTTEN: Duration = Duration::from_hours(2);

/// How often, and over how long, Telegram has to say that a known channel is gone before it is believed.
const CONFIRMED: (u32, Duration) = (3, Duration::from_hours(1));

/// For how long a reader may keep what is stale: by then it has been refreshed, or not.
const STALE: Duration = Duration::from_mins(1);

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
    fn of(self, newest: Timestamp, now: Timestamp, jitter: f64) -> Duration {
        let silent = Duration::try_from(now.duration_since(newest)).unwrap_or_default();
        (silent / 10).clamp(self.min, self.max.max(self.min)).mul_f64(0.9 + 0.2 * jitter)
    }
}

/// The channels of a service.
pub struct Channels {
    client: Client,
    freshness: Freshness,
    snapshots: Snapshots,
    failures: Cache<ChannelName, Failure>,
    flights: Arc<Flights<ChannelName, Result<Arc<Packed>, Failure>>>,
    samples: Samples,
}

/// A refresh that failed, remembered so that it is not tried again at once.
#[derive(Clone, Debug, Error)]
#[error("{error}")]
pub struct Failure {
    /// What went wrong.
    pub error: RefreshError,
    /// When it may be tried again.
    until: Instant,
    /// How often in a row.
    times: u32,
    /// When Telegram said for the first time that a known channel is gone, and how often it has.
    gone: Option<(Instant, u32)>,
}

impl Failure {
    /// In how long it may be tried again.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// A channel as it is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// What it has published.
    pub snapshot: Arc<Packed>,
    /// How long ago that was fetched.
    pub age: Duration,
    /// For how long a reader may keep it.
    pub max_age: Duration,
    /// Where it came from.
    pub origin: Origin,
}

/// Where what is served came from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Telegram, just now.
    Upstream,
    /// The cache.
    Cache,
    /// The cache, though it has been stale for so long; with the failure of the last refresh, if it failed.
    Stale(Duration, Option<RefreshError>),
}

impl Channels {
    /// Channels that are asked for through `client`, kept in at most so many bytes.
    #[must_use]
    pub fn new(client: Client, cache_size: ByteSize, freshness: Freshness, samples: Samples) -> Arc<Self> {
        Arc::new(Self {
            client,
            freshness,
            snapshots: Snapshots::new(cache_size.as_u64()),
            failures: Cache::builder().max_capacity(MAX_FAILURES).time_to_idle(FORGOTTEN).build(),
            flights: Flights::new(),
            samples,
        })
    }

    /// A channel as it is known, or becomes known now.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve.
    pub async fn get(self: &Arc<Self>, name: &ChannelName) -> Result<Served, Failure> {
        if let Some(served) = self.known(name) {
            return Ok(served);
        }
        if let Some(failure) = self.remembered(name) {
            return Err(failure);
        }
        let broken = || self.failure(name, RefreshError::Broken, false);
        let snapshot = self.flight(name).await.unwrap_or_else(|| Err(broken()))?;
        let max_age = match self.snapshots.lookup(name) {
            Lookup::Fresh { left, .. } => left,
            Lookup::Stale { .. } | Lookup::Miss => STALE,
        };
        Ok(Served { snapshot, age: Duration::ZERO, max_age, origin: Origin::Upstream })
    }

    /// A channel as it is known, at once. One that is stale is refreshed behind the answer, for which a runtime
    /// must be there.
    #[must_use]
    pub fn known(self: &Arc<Self>, name: &ChannelName) -> Option<Served> {
        match self.snapshots.lookup(name) {
            Lookup::Fresh { snapshot, age, left } => {
                Some(Served { snapshot, age, max_age: left, origin: Origin::Cache })
            }
            Lookup::Stale { snapshot, age, over } => {
                let failure = self.failures.get(name);
                if failure.as_ref().is_none_or(|failure| failure.left().is_zero()) {
                    drop(self.flight(name));
                }
                let error = failure.map(|failure| failure.error);
                Some(Served { snapshot, age, max_age: STALE, origin: Origin::Stale(over, error) })
            }
            Lookup::Miss => None,
        }
    }

    fn flight(
        self: &Arc<Self>,
        name: &ChannelName,
    ) -> impl Future<Output = Option<Result<Arc<Packed>, Failure>>> + use<> {
        let (channels, name) = (Arc::clone(self), name.clone());
        self.flights.start(name.clone(), || async move {
            let refreshed = AssertUnwindSafe(channels.refresh(&name)).catch_unwind().await;
            refreshed.unwrap_or_else(|_| Err(channels.failure(&name, RefreshError::Broken, false)))
        })
    }

    /// The failure for which a channel is not tried again yet.
    fn remembered(&self, name: &ChannelName) -> Option<Failure> {
        self.failures.get(name).filter(|failure| !failure.left().is_zero())
    }

    /// Fetches a channel anew and remembers the outcome, whichever it is.
    async fn refresh(&self, name: &ChannelName) -> Result<Arc<Packed>, Failure> {
        let known = match self.snapshots.lookup(name) {
            // Another refresh has ended between a reader's look into the cache and this one.
            Lookup::Fresh { snapshot, .. } => return Ok(snapshot),
            Lookup::Stale { .. } => true,
            Lookup::Miss => false,
        };
        // As has one that failed.
        if let Some(failure) = self.remembered(name) {
            return Err(failure);
        }
        match self.fetch(name).await {
            Ok(packed) => {
                self.failures.invalidate(name);
                Ok(packed)
            }
            Err(error) => {
                let failure = self.failure(name, error, known);
                let error = &failure.error;
                if error.is_telegrams_word() {
                    tracing::info!(channel = %name, "has no posts: {error}");
                } else if known {
                    tracing::warn!(channel = %name, times = failure.times, "goes on as it was: {error}");
                } else {
                    tracing::warn!(channel = %name, times = failure.times, "cannot be read: {error}");
                }
                Err(failure)
            }
        }
    }

    /// Fetches a channel anew, and keeps it.
    async fn fetch(&self, name: &ChannelName) -> Result<Arc<Packed>, RefreshError> {
        let snapshot = refresh(&self.client, name, Some(&self.samples)).await?.snapshot;
        let (n_posts, fresh_for) = (snapshot.posts.len(), self.fresh_for(&snapshot));
        let packed = work::off_thread(move || Packed::new(&snapshot)).await.map_err(io::Error::other)??;
        let packed = Arc::new(packed);
        self.snapshots.insert(name.clone(), Arc::clone(&packed), fresh_for);
        tracing::info!(channel = %name, posts = n_posts, "refreshed");
        Ok(packed)
    }

    #[expect(clippy::disallowed_methods, reason = "how long a channel has been silent is asked of the clock")]
    fn fresh_for(&self, snapshot: &Snapshot) -> Duration {
        let newest = snapshot.posts.iter().map(|post| post.published).max().unwrap_or_default();
        self.freshness.of(newest, Timestamp::now(), fastrand::f64())
    }

    /// Remembers a failure, and decides whether a known channel is gone.
    fn failure(&self, name: &ChannelName, error: RefreshError, known: bool) -> Failure {
        let now = Instant::now();
        let before = self.failures.get(name);
        // That an upstream is busy or left alone says nothing of the channel, and how long it lasts.
        let of_upstream = match &error {
            RefreshError::Fetch(FetchError::Busy(_)) => Some(FAILURE / 10),
            RefreshError::Fetch(FetchError::Resting { left, .. }) => Some((*left).max(FAILURE / 30)),
            RefreshError::Fetch(FetchError::Refused { retry_after, .. }) => *retry_after,
            _ => None,
        };
        let times_before = before.as_ref().map_or(0, |before| before.times);
        let times = times_before.saturating_add(of_upstream.is_none().into());
        let is_said_gone = known && error.is_telegrams_word();
        let gone_before = before.and_then(|before| before.gone);
        let gone = if is_said_gone {
            let (since, n) = gone_before.unwrap_or((now, 0));
            Some((since, n + 1))
        } else {
            gone_before.filter(|_| of_upstream.is_some())
        };
        let confirmed =
            is_said_gone && gone.is_some_and(|(since, n)| n >= CONFIRMED.0 && now - since >= CONFIRMED.1);
        if confirmed {
            self.snapshots.remove(name);
        }
        // Telegram also says so when it is asked too often.
        let error = if is_said_gone && !confirmed { RefreshError::NoPosts(NoPosts::SoftBan) } else { error };
        let rest = if error.is_telegrams_word() {
            NO_SUCH_CHANNEL
        } else {
            let grown = grown(FAILURE, times.saturating_sub(1), MAX_FAILURE);
            of_upstream.unwrap_or_else(|| spread(grown, fastrand::f64()))
        };
        let failure = Failure { error, until: now + rest, times, gone };
        self.failures.insert(name.clone(), failure.clone());
        failure
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
