//! The channels of a service: answers from the cache, refreshes from Telegram, and merges into the archive.
//!
//! [`Channels`] is what a feed is served from. [`refresh`] loads a channel from the archive or fetches it anew;
//! [`backfill`] fetches older posts; [`failures`] and [`freshness`] decide when Telegram is asked again. Only this module
//! writes the snapshot cache.

mod backfill;
mod error;
mod failures;
mod fetch;
mod freshness;
mod recover;
mod refresh;
mod rejected_pages;
mod snapshot_cache;

use std::sync::Arc;
use std::time::Duration;

use crate::archive::{Archive, Caller};
use crate::clock;
use crate::metrics;
use crate::model::channel::ChannelName;
use crate::resilience::single_flight::SingleFlight;
use crate::resilience::tally::Tally;
use crate::telegram::client::Client;
use crate::telegram::upstream::Priority;
use failures::Failures;
use refresh::{RefreshOutcome, Refreshed};
use snapshot_cache::{CacheEntry, SnapshotCache};

pub use backfill::{BackfillError, fetch_gap_page, follow_up};
pub use error::RefreshError;
pub use failures::Failure;
pub use fetch::{fetch_page, to_archive};
pub use freshness::Freshness;
pub(crate) use recover::fetch_widget;
pub use rejected_pages::RejectedPages;
pub use snapshot_cache::CompressedSnapshot;

/// How long a reader may cache a stale answer.
pub(crate) const STALE_MAX_AGE: Duration = Duration::from_mins(1);

/// How long a request for a channel that is neither cached nor archived waits for it: feed readers give up after 15
/// seconds.
const NEW_CHANNEL_WAIT: Duration = Duration::from_secs(11);

/// How long such a request waits for the archive if its turn at Telegram comes later than that.
const ARCHIVE_WAIT: Duration = Duration::from_secs(2);

/// From this queue time on, more refreshes are due than the rate limit allows, and quiet channels give way to others.
const CONGESTED_QUEUE: Duration = Duration::from_secs(30);

/// How a service reads its channels.
pub struct ChannelsConfig {
    /// Bytes of the snapshot cache.
    pub cache_size: u64,
    /// When a channel is stale.
    pub freshness: Freshness,
    /// How long a request for a stale channel waits for its refresh; zero answers from the cache at once.
    pub refresh_wait: Duration,
    /// The maximum number of older pages that are fetched after a refresh to close gaps.
    pub gap_pages: usize,
    /// Whether feeds contain Telegram's media URLs. Cached snapshots are smaller without them.
    pub keeps_media_urls: bool,
    /// Where pages that cannot be parsed are stored.
    pub rejected_pages: RejectedPages,
}

/// The channels of a service.
pub struct Channels {
    client: Arc<Client>,
    archive: Arc<Archive>,
    config: ChannelsConfig,
    snapshots: SnapshotCache,
    failures: Failures,
    /// Refreshes for which no request was sent.
    refusals: Tally,
    refreshes: Arc<SingleFlight<ChannelName, RefreshOutcome>>,
    follow_ups: Arc<SingleFlight<ChannelName, ()>>,
    backfills: Arc<SingleFlight<ChannelName, bool>>,
}

/// A channel as it is served.
#[derive(Clone, Debug)]
pub struct CachedChannel {
    /// The channel and its newest posts.
    pub snapshot: Arc<CompressedSnapshot>,
    /// How long ago Telegram was asked.
    pub age: Duration,
    /// How long a reader may cache the answer.
    pub max_age: Duration,
    /// Where the answer came from.
    pub status: CacheStatus,
}

/// The cache status of an answer (RFC 9211).
#[derive(Clone, Debug)]
pub enum CacheStatus {
    /// It was not cached; this request waited until it was fetched from Telegram.
    Miss,
    /// It was stale; this request waited for its refresh.
    Refreshed,
    /// It was fresh.
    Hit,
    /// It was stale.
    Stale {
        /// How long it has been stale.
        stale_for: Duration,
        /// Why the last refresh failed, if it did.
        error: Option<RefreshError>,
    },
}

impl CacheStatus {
    /// Returns the label in metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Refreshed => "refreshed",
            Self::Hit => "hit",
            Self::Stale { .. } => "stale",
        }
    }
}

impl Channels {
    /// Returns the channels of a service. Needs a Tokio runtime.
    #[must_use]
    pub fn new(client: Arc<Client>, archive: Arc<Archive>, config: ChannelsConfig) -> Arc<Self> {
        let channels = Arc::new(Self {
            client,
            archive,
            snapshots: SnapshotCache::new(config.cache_size),
            config,
            failures: Failures::new(),
            refusals: Tally::new(),
            refreshes: SingleFlight::new(),
            follow_ups: SingleFlight::new(),
            backfills: SingleFlight::new(),
        });
        if channels.archive.is_shared() {
            let notifications = channels.archive.notifications();
            tokio::spawn(refresh::follow_notifications(Arc::downgrade(&channels), notifications));
        }
        channels
    }

    /// Returns a channel from the cache, the archive or Telegram.
    ///
    /// If the cached channel is stale, waits for its refresh, so that a reader that polls gets the posts published until
    /// now. After [`ChannelsConfig::refresh_wait`], or if the refresh fails, returns the stale channel. A channel that is
    /// neither cached nor archived waits until it is fetched.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve.
    pub async fn get(self: &Arc<Self>, name: &ChannelName) -> Result<CachedChannel, Failure> {
        if let Some(ready) = self.ready(name) {
            return Ok(ready);
        }
        if self.snapshots.get(name).is_none() {
            if let Some(failure) = self.failures.not_due(name).filter(|failure| !failure.may_be_archived) {
                return Err(failure);
            }
            let refreshed = self.fetch_new(name).await?;
            if refreshed.is_from_telegram {
                return Ok(self.just_refreshed(name, refreshed, CacheStatus::Miss));
            }
            if let Some(ready) = self.ready(name) {
                return Ok(ready);
            }
        }
        // Kept in case the entry is evicted during the wait. Also starts the refresh.
        let stale = self.cached(name);
        match tokio::time::timeout(self.config.refresh_wait, self.start_refresh(name)).await {
            Ok(Ok(refreshed)) => Ok(self.just_refreshed(name, refreshed, CacheStatus::Refreshed)),
            // The channel may be gone, which has removed it from the cache.
            Ok(Err(failure)) if failure.error.is_authoritative() => self.cached(name).ok_or(failure),
            Ok(Err(failure)) => self.cached(name).or(stale).ok_or(failure),
            Err(_) => self.cached(name).or(stale).ok_or_else(|| self.still_waiting()),
        }
    }

    /// Loads a channel from the archive or fetches it. If its turn comes too late for the request, waits only for the archive;
    /// the fetch goes on, so that a later request finds the channel.
    async fn fetch_new(self: &Arc<Self>, name: &ChannelName) -> Result<Refreshed, Failure> {
        let queue_time = self.client.queue_time(Priority::Low).unwrap_or_default();
        let wait = if queue_time < NEW_CHANNEL_WAIT { NEW_CHANNEL_WAIT } else { ARCHIVE_WAIT };
        let refreshed = tokio::time::timeout(wait, self.start_refresh(name)).await;
        refreshed.unwrap_or_else(|_| Err(self.still_waiting()))
    }

    /// Returns the failure of a request whose refresh is still in the queue.
    fn still_waiting(&self) -> Failure {
        let queue_time = self.client.queue_time(Priority::Low).unwrap_or_default();
        Failure::queued(RefreshError::Upstream(self.client.busy()), queue_time)
    }

    fn just_refreshed(&self, name: &ChannelName, refreshed: Refreshed, status: CacheStatus) -> CachedChannel {
        let remaining = self.snapshots.get(name).and_then(|entry| entry.remaining().ok());
        CachedChannel {
            snapshot: refreshed.snapshot,
            age: Duration::ZERO,
            max_age: remaining.unwrap_or(STALE_MAX_AGE),
            status,
        }
    }

    /// Returns the cached channel if a request for it need not wait: it is fresh, or no refresh would end in time. May
    /// start a background refresh, like [`cached`](Self::cached).
    #[must_use]
    pub fn ready(self: &Arc<Self>, name: &ChannelName) -> Option<CachedChannel> {
        let entry = self.snapshots.get(name)?;
        let needs_wait = entry.remaining().is_err()
            && self.failures.not_due(name).is_none()
            && !self.gives_way(&entry)
            && self.refresh_may_end_in_time();
        if needs_wait { None } else { Some(self.serve(name, entry)) }
    }

    /// Returns whether a refresh that starts now may end within [`ChannelsConfig::refresh_wait`]: no circuit breaker is in
    /// the way, and the queue in front of it is short enough.
    fn refresh_may_end_in_time(&self) -> bool {
        let queue_time = self.client.queue_time(Priority::High);
        queue_time.is_some_and(|queue_time| queue_time < self.config.refresh_wait)
    }

    /// Returns whether the refresh of a stale channel is put off, because more refreshes are due than the rate limit allows
    /// and the channel is quiet enough.
    fn gives_way(&self, entry: &CacheEntry) -> bool {
        let queue_time = self.client.queue_time(Priority::High);
        let is_congested = queue_time.is_some_and(|queue_time| queue_time >= CONGESTED_QUEUE);
        is_congested && entry.age() < self.config.freshness.max_age(entry.snapshot.newest(), clock::now())
    }

    /// Returns the cached channel without waiting. A stale entry also starts a background refresh (needs a Tokio
    /// runtime).
    #[must_use]
    pub fn cached(self: &Arc<Self>, name: &ChannelName) -> Option<CachedChannel> {
        Some(self.serve(name, self.snapshots.get(name)?))
    }

    /// Returns a cache entry as it is served, and starts a background refresh if it is stale.
    fn serve(self: &Arc<Self>, name: &ChannelName, entry: CacheEntry) -> CachedChannel {
        let (max_age, status) = match entry.remaining() {
            Ok(remaining) => (remaining, CacheStatus::Hit),
            Err(stale_for) => {
                let failure = self.failures.get(name);
                let is_due = failure.as_ref().is_none_or(|failure| failure.retry_after().is_zero());
                if is_due && !self.gives_way(&entry) {
                    drop(self.start_refresh(name));
                }
                let error = failure.map(|failure| failure.error);
                (STALE_MAX_AGE, CacheStatus::Stale { stale_for, error })
            }
        };
        CachedChannel { age: entry.age(), snapshot: entry.snapshot, max_age, status }
    }

    /// Returns whether a request for a channel that is not cached would have to ask Telegram.
    pub async fn asks_telegram(&self, name: &ChannelName) -> bool {
        if self.failures.not_due(name).is_some() {
            return false;
        }
        !self.archive.has(name, Caller::Reader).await.unwrap_or(false)
    }

    /// Logs how many refreshes were refused, once a minute: there may be one for every name that anybody invents.
    pub fn run_upkeep(&self) {
        if let Some(refreshes) = self.refusals.due() {
            tracing::warn!(
                refreshes,
                "refused refreshes, because too many requests are waiting for Telegram or its circuit breaker is open"
            );
        }
    }

    /// Updates the gauges of the upstreams and the archive.
    pub fn report_metrics(&self) {
        self.client.report_metrics();
        metrics::archive_up(self.archive.problem().is_none());
    }

    /// Returns the archive, for the readiness check.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }
}
