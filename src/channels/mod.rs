//! The channels of a service: answers from the cache, refreshes from Telegram, and merges into the archive.
//!
//! [`Channels`] is what a feed is served from. [`refresh`] loads a channel from the archive or fetches it anew, one of several
//! [`replicas`] for all; pages that cannot be archived wait in [`unarchived`]. [`backfill`] fetches older posts; [`failures`]
//! and [`freshness`] decide when Telegram is asked again. [`background`] refreshes [`followed`] channels before their readers
//! come, and reads the [`backlog`] of new channels. [`search`] asks Telegram's own search, and [`articles`] fetches what posts
//! link to on Telegraph. Only this module writes the snapshot cache.

mod archived;
mod articles;
mod backfill;
mod background;
mod backlog;
mod budget;
mod cached;
mod counts;
mod error;
mod failures;
mod fetch;
mod followed;
mod freshness;
#[cfg(test)]
mod import_simulation;
mod plan;
mod reader;
mod recover;
mod refresh;
mod rejected_pages;
mod replicas;
#[cfg(test)]
mod scale_simulation;
mod search;
#[cfg(test)]
mod simulation;
mod snapshot_cache;
mod status;
mod unarchived;
mod unknown_markup;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::archive::Archive;
use crate::clock;
use crate::metrics;
use crate::model::channel::ChannelName;
use crate::resilience::single_flight::SingleFlight;
use crate::resilience::tally::Tally;
use crate::telegram::client::Client;
use crate::telegram::upstream::{MAX_NEW_CHANNEL_WAIT, Priority};
use articles::ArticleKey;
use backfill::MAX_RUNNING_BACKFILLS;
use backlog::Backlog;
use budget::MAX_TELEGRAM_WAIT;
use counts::CountsCache;
use failures::Failures;
use followed::Followed;
use refresh::{RefreshOutcome, Refreshed, Source};
use search::Searches;
use snapshot_cache::{CacheEntry, SnapshotCache};
use unarchived::Unarchived;

pub use articles::Articles;
pub use backfill::{BackfillError, fetch_gap_page, follow_up};
pub use budget::FetchBudget;
pub use cached::{CacheStatus, CachedChannel};
pub use error::RefreshError;
pub use failures::Failure;
pub use fetch::{fetch_page, to_archive};
pub use followed::{Followers, Visitor};
pub use freshness::Freshness;
pub(crate) use recover::fetch_widget;
pub use rejected_pages::RejectedPages;
pub use search::FoundPosts;
pub use snapshot_cache::CompressedSnapshot;
pub use status::{
    CacheSize, ChannelQuery, ChannelSort, ChannelState, ChannelStatus, ChannelStatuses, LastError, Queues,
    Reason,
};
pub use unknown_markup::{SeenMarkup, seen as unknown_markup_seen};

/// How long a reader may cache a stale answer.
pub(crate) const STALE_MAX_AGE: Duration = Duration::from_mins(1);

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
    /// Refresh followed channels before their readers come.
    pub prefetch: bool,
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
    unarchived: Unarchived,
    counts: CountsCache,
    failures: Failures,
    /// Refreshes for which no request was sent.
    refusals: Tally,
    refreshes: Arc<SingleFlight<ChannelName, RefreshOutcome>>,
    /// The background work after merges.
    follow_ups: Arc<SingleFlight<ChannelName, ()>>,
    /// What waits for these, to repeat them.
    next_follow_ups: Arc<SingleFlight<ChannelName, ()>>,
    /// What waits for those of other replicas.
    followed_replicas: Arc<SingleFlight<ChannelName, ()>>,
    /// Archived channels that are being loaded for pages.
    loads: Arc<SingleFlight<ChannelName, ()>>,
    backfills: Arc<SingleFlight<ChannelName, bool>>,
    /// Permits of running backfills.
    backfill_permits: Semaphore,
    followed: Mutex<Followed>,
    backlog: Mutex<Backlog>,
    searches: Searches,
    /// The articles that are being fetched.
    articles: Arc<SingleFlight<ArticleKey, ()>>,
    /// Notified when the backlog has a new name.
    has_new: Notify,
}

/// The next step of a request for a cached channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It gets the cached posts: they are fresh, or the channel is not to be refreshed now.
    Serve,
    /// It gets the cached posts and starts a refresh, which would take too long.
    Refresh,
    /// It waits for a refresh, or for the posts between the fetched page and the archived ones.
    Wait,
}

impl Channels {
    /// Returns the channels of a service. Needs a Tokio runtime.
    #[must_use]
    pub fn new(client: Arc<Client>, archive: Arc<Archive>, config: ChannelsConfig) -> Arc<Self> {
        metrics::register_refreshes(&RefreshError::CODES);
        let channels = Arc::new(Self {
            client,
            archive,
            unarchived: Unarchived::default(),
            snapshots: SnapshotCache::new(config.cache_size),
            counts: CountsCache::new(),
            config,
            failures: Failures::new(),
            refusals: Tally::new(),
            refreshes: SingleFlight::new(),
            follow_ups: SingleFlight::new(),
            next_follow_ups: SingleFlight::new(),
            followed_replicas: SingleFlight::new(),
            loads: SingleFlight::new(),
            backfills: SingleFlight::new(),
            backfill_permits: Semaphore::new(MAX_RUNNING_BACKFILLS),
            followed: Mutex::default(),
            backlog: Mutex::default(),
            searches: Searches::new(),
            articles: SingleFlight::new(),
            has_new: Notify::new(),
        });
        tokio::spawn(background::run(Arc::downgrade(&channels), background::SAVE_INTERVAL));
        if channels.archive.is_shared() {
            let notifications = channels.archive.notifications();
            tokio::spawn(replicas::follow_notifications(Arc::downgrade(&channels), notifications));
        }
        channels
    }

    /// Returns a channel from the cache, the archive or Telegram.
    ///
    /// A fresh channel is answered from memory. For a stale one, the request waits up to [`ChannelsConfig::refresh_wait`] for
    /// the refresh, and joins one that is under way. If posts are missing between the fetched page and the archived ones, it
    /// also waits until they are fetched: twice that time at most, and eight seconds in all, because a reader that polls once
    /// a day would never see them. A request for a fresh channel waits for these too. After the wait, or if the refresh fails,
    /// the stale channel is returned. A channel that is neither cached nor archived waits until it is fetched; if that takes
    /// too long, it is fetched in the background.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve.
    pub async fn get(
        self: &Arc<Self>,
        name: &ChannelName,
        visitor: Visitor,
    ) -> Result<CachedChannel, Failure> {
        let mut loaded = None;
        if self.snapshots.get(name).is_none() {
            let refreshed = self.fetch_new(name, visitor).await?;
            if refreshed.source == Source::Telegram {
                return Ok(self.just_refreshed(name, refreshed, CacheStatus::Miss));
            }
            loaded = Some(refreshed);
        }
        // Kept in case the entry is evicted during the wait.
        let stale = match self.cached(name) {
            Some((cached, Step::Wait)) => Some(cached),
            Some((cached, Step::Serve)) => return Ok(cached),
            Some((cached, Step::Refresh)) => {
                drop(self.start_refresh(name));
                return Ok(cached);
            }
            None => match loaded {
                Some(fresh) if fresh.source == Source::Fresh => {
                    return Ok(self.just_refreshed(name, fresh, CacheStatus::Hit));
                }
                evicted => evicted.map(|Refreshed { snapshot, .. }| CachedChannel {
                    snapshot,
                    max_age: STALE_MAX_AGE,
                    status: CacheStatus::Stale { stale_for: Duration::ZERO, error: None },
                }),
            },
        };
        let was_fresh = stale.as_ref().is_some_and(|cached| matches!(cached.status, CacheStatus::Hit));
        let known = stale.as_ref().filter(|_| !was_fresh).map(|cached| Arc::clone(&cached.snapshot));
        let (begun, wait) = (Instant::now(), self.config.refresh_wait);
        let refreshed = tokio::time::timeout(wait, self.start_refresh_of(name, known)).await;
        let cached = self.cached(name).map(|(cached, _)| cached);
        match refreshed {
            Ok(Ok(refreshed)) => {
                if let Some(follow_up) = self.completion(name) {
                    drop(tokio::time::timeout_at(begun + MAX_TELEGRAM_WAIT.min(2 * wait), follow_up).await);
                }
                // A fresh channel only lacked posts.
                let status = if was_fresh { CacheStatus::Hit } else { CacheStatus::Refreshed };
                Ok(self.just_refreshed(name, refreshed, status))
            }
            // The channel may be gone, which has removed it from the cache.
            Ok(Err(failure)) if failure.error.is_authoritative() => cached.ok_or(failure),
            Ok(Err(failure)) => cached.or(stale).ok_or(failure),
            Err(_) => cached.or(stale).ok_or_else(|| self.too_busy()),
        }
    }

    /// Loads a channel from the archive or fetches it. If it cannot be fetched in time, it is fetched in the background, so
    /// that a later request finds it.
    async fn fetch_new(self: &Arc<Self>, name: &ChannelName, visitor: Visitor) -> Result<Refreshed, Failure> {
        let known = self.failures.not_due(name).filter(|failure| !failure.may_be_archived);
        let outcome = match known {
            Some(failure) => Err(Arc::unwrap_or_clone(failure)),
            None => tokio::time::timeout(MAX_NEW_CHANNEL_WAIT, self.start_refresh(name))
                .await
                .unwrap_or_else(|_| Err(self.too_busy())),
        };
        outcome.inspect_err(|failure| {
            if !failure.error.is_authoritative() {
                self.read_later(name, visitor);
            }
        })
    }

    /// Returns the failure of a request for a channel whose turn at Telegram comes too late.
    fn too_busy(&self) -> Failure {
        let queue_time = self.client.queue_time(Priority::New).unwrap_or_default();
        let backlog = u32::try_from(self.backlog().len()).unwrap_or(u32::MAX);
        let backlog_time = Duration::from_secs(backlog.into()) / self.client.capacity().rate.get();
        Failure::queued(RefreshError::Upstream(self.client.busy()), queue_time + backlog_time)
    }

    fn just_refreshed(&self, name: &ChannelName, refreshed: Refreshed, status: CacheStatus) -> CachedChannel {
        let entry = self.snapshots.get(name);
        let remaining = entry.as_ref().and_then(|entry| entry.remaining().ok());
        CachedChannel {
            snapshot: entry.map_or(refreshed.snapshot, |entry| entry.snapshot),
            max_age: remaining.unwrap_or(STALE_MAX_AGE),
            status,
        }
    }

    /// Answers from the cache if a request for the channel does nothing else: it neither waits nor starts a refresh.
    #[must_use]
    pub fn answer_from_cache_alone(&self, name: &ChannelName) -> Option<CachedChannel> {
        self.cached(name).filter(|(_, step)| *step == Step::Serve).map(|(cached, _)| cached)
    }

    /// Answers from the cache without waiting. Starts the refresh of a channel that is stale (needs a Tokio runtime).
    #[must_use]
    pub fn answer_from_cache(self: &Arc<Self>, name: &ChannelName) -> Option<CachedChannel> {
        let (cached, step) = self.cached(name)?;
        if step != Step::Serve {
            drop(self.start_refresh(name));
        }
        Some(cached)
    }

    /// Returns a channel from the cache, and what a request for it does.
    fn cached(&self, name: &ChannelName) -> Option<(CachedChannel, Step)> {
        let entry = self.snapshots.get(name)?;
        let step = self.step(name, &entry);
        Some((self.served(name, entry), step))
    }

    /// Decides what a request for a cached channel does.
    fn step(&self, name: &ChannelName, entry: &CacheEntry) -> Step {
        if self.failures.not_due(name).is_some() {
            return Step::Serve;
        }
        if entry.remaining().is_ok() {
            return if self.is_being_completed(name) { Step::Wait } else { Step::Serve };
        }
        let Some(queue_time) = self.client.queue_time(Priority::High) else { return Step::Refresh };
        let max_age = || self.config.freshness.max_age(entry.snapshot.newest(), clock::now());
        if queue_time >= CONGESTED_QUEUE && entry.age() < max_age() {
            Step::Serve
        } else if queue_time >= self.config.refresh_wait {
            Step::Refresh
        } else {
            Step::Wait
        }
    }

    /// Returns whether the posts below the newest page of a channel are being fetched, and are likely to arrive in time.
    fn is_being_completed(&self, name: &ChannelName) -> bool {
        let is_quick = |queue_time| queue_time < self.config.refresh_wait;
        self.completion(name).is_some() && self.client.queue_time(Priority::Low).is_some_and(is_quick)
    }

    fn served(&self, name: &ChannelName, entry: CacheEntry) -> CachedChannel {
        let (max_age, status) = match entry.remaining() {
            Ok(remaining) => (remaining, CacheStatus::Hit),
            Err(stale_for) => {
                let error = self.failures.get(name).map(|failure| failure.error.clone());
                (STALE_MAX_AGE, CacheStatus::Stale { stale_for, error })
            }
        };
        CachedChannel { snapshot: entry.snapshot, max_age, status }
    }

    /// Returns the last failure of a channel of which there is nothing to serve, also if the next attempt is due: a request
    /// for several channels does not wait for that.
    #[must_use]
    pub fn known_failure(&self, name: &ChannelName) -> Option<Failure> {
        let failure = self.failures.get(name).filter(|failure| !failure.may_be_archived)?;
        self.snapshots.get(name).is_none().then(|| Arc::unwrap_or_clone(failure))
    }

    /// Returns when the newest posts of a channel were fetched, at least those of this snapshot.
    #[must_use]
    pub fn fetched(&self, name: &ChannelName, snapshot: &Arc<CompressedSnapshot>) -> Timestamp {
        // Another refresh may have replaced it since.
        let entry = self.snapshots.get(name).filter(|entry| Arc::ptr_eq(&entry.snapshot, snapshot));
        entry.map_or_else(|| snapshot.newest(), |entry| entry.fetched())
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether Telegram may be asked for a channel: it has not just failed.
    #[must_use]
    pub fn may_be_fetched(&self, name: &ChannelName) -> bool {
        self.failures.not_due(name).is_none()
    }

    /// Logs how many refreshes were refused, once a minute: there may be one for every name that anybody invents. Forgets
    /// clients that have not searched for a while.
    pub fn run_upkeep(&self) {
        self.searches.run_upkeep();
        if let Some(refreshes) = self.refusals.due() {
            tracing::warn!(
                refreshes,
                "refused refreshes, because too many requests are waiting for Telegram or its circuit breaker is open"
            );
        }
    }

    /// Returns the archive.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }
}
