//! Refreshes: loads a channel from the archive, or fetches and merges it, and caches the result.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;

use super::failures::{Failure, PriorState};
use super::replicas::log_archive_error;
use super::{Channels, CompressedSnapshot, RefreshError, fetch_page, follow_up, to_archive};
use crate::archive::{self, ArchiveError, Caller, FetchedPage, PageScope};
use crate::clock;
use crate::cpu_pool;
use crate::metrics;
use crate::model::channel::ChannelName;
use crate::model::media_file;
use crate::model::paging::ArchivedChannel;
use crate::model::post::{Post, Snapshot};
use crate::telegram::page::PreviewPage;
use crate::telegram::upstream::{MAX_NEW_CHANNEL_WAIT, Priority};
use crate::telegram::url::PageRequest;

/// The result of a refresh, shared by every request that waits for it.
pub(super) type RefreshOutcome = Result<Refreshed, Failure>;

/// A refreshed channel.
#[derive(Clone)]
pub(super) struct Refreshed {
    pub(super) snapshot: Arc<CompressedSnapshot>,
    pub(super) source: Source,
}

/// Where a refreshed snapshot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Telegram was asked.
    Telegram,
    /// The cache or the archive. It was fetched so recently that Telegram need not be asked.
    Fresh,
    /// The archive. Telegram has not been asked yet, although the snapshot is stale.
    Stale,
}

impl Refreshed {
    fn fresh(snapshot: Arc<CompressedSnapshot>) -> Self {
        Self { snapshot, source: Source::Fresh }
    }
}

impl Channels {
    /// Joins the running refresh of a channel, or starts one in its own task. A channel that is archived but not cached is only
    /// loaded, although it may be stale.
    pub(super) fn start_refresh(
        self: &Arc<Self>,
        name: &ChannelName,
    ) -> impl Future<Output = RefreshOutcome> + use<> {
        self.start_refresh_of(name, None)
    }

    /// Like [`start_refresh`](Self::start_refresh), but asks Telegram also if the cache has evicted the `known` snapshot.
    pub(super) fn start_refresh_of(
        self: &Arc<Self>,
        name: &ChannelName,
        known: Option<Arc<CompressedSnapshot>>,
    ) -> impl Future<Output = RefreshOutcome> + use<> {
        let (channels, name) = (Arc::clone(self), name.clone());
        let refresh = self.refreshes.run(name.clone(), {
            let (channels, name) = (Arc::clone(&channels), name.clone());
            || async move {
                // A panic is recorded inside the task, so that a refresh that no request waits for is not repeated at once.
                let outcome = AssertUnwindSafe(channels.refresh(&name, known)).catch_unwind().await;
                outcome.unwrap_or_else(|_| {
                    tracing::error!(channel = %name, "the refresh panicked");
                    Err(channels.internal_failure(&name))
                })
            }
        });
        // Only a runtime that shuts down ends the task otherwise.
        refresh.map(move |outcome| outcome.unwrap_or_else(|| Err(channels.internal_failure(&name))))
    }

    fn internal_failure(&self, name: &ChannelName) -> Failure {
        self.record_failure(name, RefreshError::Internal, PriorState::Unclear)
    }

    async fn refresh(
        self: &Arc<Self>,
        name: &ChannelName,
        known: Option<Arc<CompressedSnapshot>>,
    ) -> RefreshOutcome {
        let cached = self.snapshots.get(name);
        // Another refresh may have finished since the caller looked into the cache.
        if let Some(entry) = cached.as_ref().filter(|entry| entry.remaining().is_ok()) {
            return Ok(Refreshed::fresh(Arc::clone(&entry.snapshot)));
        }
        let cached = cached.map(|entry| entry.snapshot).or(known);
        let mut prior = if cached.is_some() { PriorState::Cached } else { PriorState::Unknown };
        if cached.is_none() {
            let has_gap = self.archive.is_shared() && self.has_due_gap(name).await;
            match self.archive.load(name, Caller::Refresh).await {
                Ok(Some(archived)) => {
                    let source = if self.is_fresh(&archived) { Source::Fresh } else { Source::Stale };
                    let snapshot = self.cache_archived(name, archived).await;
                    if has_gap {
                        self.follow_other_replica(name);
                    }
                    return snapshot
                        .map(|snapshot| Refreshed { snapshot, source })
                        .map_err(|err| self.record_failure(name, err, prior));
                }
                Ok(None) => {}
                Err(err) => {
                    log_archive_error(name, &err);
                    prior = PriorState::Unclear;
                }
            }
        }
        // A concurrent refresh may have failed in the meantime.
        if let Some(failure) = self.failures.not_due(name) {
            return Err(Arc::unwrap_or_clone(failure));
        }
        let queue_time = self.client.queue_time(Priority::New).unwrap_or_default();
        if cached.is_none() && queue_time >= MAX_NEW_CHANNEL_WAIT {
            return Err(self.too_busy());
        }
        if let Some(snapshot) = self.wait_for_other_replica(name).await {
            return Ok(Refreshed::fresh(snapshot));
        }
        let fetched = tokio::select! {
            // The request may wait in a queue for much longer than a lease lasts.
            snapshot = self.archived_by_other_replica(name) => {
                self.archive.release_lease(name.as_str()).await;
                return Ok(Refreshed::fresh(snapshot));
            }
            fetched = self.fetch(name, cached.is_some()) => fetched,
        };
        let refreshed = match fetched {
            Ok(page) => self.store(name, cached, page).await,
            Err(error) => Err(error),
        };
        match refreshed {
            Ok(snapshot) => {
                metrics::refresh("ok".to_owned());
                Ok(Refreshed { snapshot, source: Source::Telegram })
            }
            Err(error) => {
                self.archive.release_lease(name.as_str()).await;
                metrics::refresh(error.code());
                let failure = self.record_failure(name, error, prior);
                self.report_failure(name, &failure, prior).await;
                Err(failure)
            }
        }
    }

    /// Logs a failed refresh, unless it was refused, and marks a channel that is gone in the archive.
    async fn report_failure(&self, name: &ChannelName, failure: &Failure, prior: PriorState) {
        let (error, attempts, is_cached) = (&failure.error, failure.attempts, prior == PriorState::Cached);
        if error.is_authoritative() {
            tracing::info!(channel = %name, reason = %error, "refresh found no feed for this name");
            if !is_cached {
                return;
            }
            // A waiting page would remove the mark.
            let marked = async {
                self.archive_waiting(name).await?;
                self.archive.mark_gone(name, clock::now()).await
            };
            if let Err(err) = marked.await {
                tracing::warn!(channel = %name, error = %err, "cannot mark channel as gone in the archive");
            }
        } else if error.is_not_sent() {
            self.refusals.count();
        } else if is_cached {
            tracing::warn!(channel = %name, attempts, error = %error, "refresh failed; serving the cached posts");
        } else {
            tracing::warn!(channel = %name, attempts, error = %error, "refresh failed; nothing is cached");
        }
    }

    /// Reloads a channel from the archive into the cache.
    pub(super) async fn reload(&self, name: &ChannelName, caller: Caller) {
        match self.archive.load(name, caller).await {
            Ok(Some(archived)) => drop(self.cache_archived(name, archived).await),
            Ok(None) => {}
            Err(err) => log_archive_error(name, &err),
        }
    }

    /// Fetches the newest page of a channel.
    async fn fetch(&self, name: &ChannelName, is_cached: bool) -> Result<PreviewPage, RefreshError> {
        let priority = if is_cached { Priority::High } else { Priority::New };
        let rejected_pages = Some(&self.config.rejected_pages);
        fetch_page(&self.client, name, PageRequest::Newest, priority, rejected_pages).await
    }

    /// Merges a page into the archive and caches the result. If the archive fails or is slow, the page is merged with the
    /// cached snapshot only.
    async fn store(
        self: &Arc<Self>,
        name: &ChannelName,
        cached: Option<Arc<CompressedSnapshot>>,
        page: PreviewPage,
    ) -> Result<Arc<CompressedSnapshot>, RefreshError> {
        if let Err(err) = self.counts.update(name, &page.snapshot.posts) {
            tracing::error!(channel = %name, error = %err, "cannot keep the counts of a channel");
        }
        let page = Arc::new(to_archive(page));
        let (n_posts, fresh_for, fetched) =
            (page.snapshot.posts.len(), self.config.freshness.fresh_for(fastrand::f64()), clock::now());
        // The merge continues after readers stopped waiting for it; it holds the lease until its end.
        let mut merging = {
            let (channels, name, page) = (Arc::clone(self), name.clone(), Arc::clone(&page));
            tokio::spawn(async move { channels.merge(&name, page, fetched, fresh_for).await })
        };
        let merged = match tokio::time::timeout(self.archive.timeout(Caller::Refresh), &mut merging).await {
            Ok(Ok(Ok(Some(snapshot)))) => Ok(snapshot),
            Ok(Ok(Ok(None))) => Err("the channel is missing after the merge".to_owned()),
            Ok(Ok(Err(err))) => Err(err.to_string()),
            Ok(Err(err)) => Err(err.to_string()),
            Err(_) => Err("the archive is slow".to_owned()),
        };
        let snapshot = match merged {
            Ok(snapshot) => snapshot,
            Err(reason) => {
                tracing::warn!(channel = %name, reason, "cannot archive the page; serving from memory");
                let (snapshot, is_changed) = self.cache_page(name, cached, &page, fetched, fresh_for).await?;
                if is_changed {
                    self.archive_later(name, page, fetched).await;
                }
                snapshot
            }
        };
        tracing::info!(channel = %name, posts = n_posts, "refreshed channel");
        Ok(snapshot)
    }

    /// Merges a page into the archive and caches the merged channel.
    async fn merge(
        self: &Arc<Self>,
        name: &ChannelName,
        page: Arc<FetchedPage>,
        fetched: Timestamp,
        fresh_for: Duration,
    ) -> Result<Option<Arc<CompressedSnapshot>>, ArchiveError> {
        let has_hidden = page.snapshot.posts.iter().any(|post| post.only_in_telegram.is_some());
        let waiting = self.archive_waiting(name).await;
        let merged = self.archive.merge(name, page, PageScope::Newest, fetched, fresh_for).await;
        let archived = match merged {
            Ok(_) => {
                // Before the channel is fresh: requests that come from then on wait for the posts below the page.
                self.start_follow_up(name, has_hidden);
                self.unarchived.remove(name, fetched);
                if let Err(err) = waiting {
                    self.overtake_waiting(name, &err);
                }
                self.archive.load(name, Caller::Background).await
            }
            Err(err) => Err(err),
        };
        self.archive.release_lease(name.as_str()).await;
        let snapshot = match archived? {
            Some(archived) => self.cache_archived(name, archived).await.ok(),
            None => None,
        };
        Ok(snapshot)
    }

    /// Starts the background work after a merge. If that after an earlier merge is still running, it may have missed the
    /// posts of this one, so another run follows it.
    pub(super) fn start_follow_up(self: &Arc<Self>, name: &ChannelName, has_hidden: bool) {
        let (channels, after) = (Arc::clone(self), name.clone());
        if let Some(running) = self.follow_ups.join(name) {
            drop(self.next_follow_ups.run(name.clone(), || async move {
                running.await;
                channels.start_follow_up(&after, true);
            }));
            return;
        }
        drop(self.follow_ups.run(name.clone(), || async move {
            let Self { client, archive, config, .. } = &*channels;
            if follow_up(client, archive, &after, config.gap_pages, has_hidden, clock::now).await {
                channels.reload(&after, Caller::Background).await;
            }
        }));
    }

    /// Joins the background work after the last merge of a channel, by this replica or another one. Returns `None` if none is
    /// running.
    pub(super) fn completion(&self, name: &ChannelName) -> Option<impl Future + use<>> {
        self.follow_ups.join(name).or_else(|| self.followed_replicas.join(name))
    }

    /// Returns the age of an archived channel, and at which age it is stale.
    fn age_and_freshness(&self, fetched: Timestamp, fresh_for: Duration) -> (Duration, Duration) {
        // The service that fetched it may have had another setting.
        let fresh_for = fresh_for.min(self.config.freshness.min);
        // A `fetched` time in the future was written by a skewed clock: treat the channel as stale.
        let age = Duration::try_from(clock::now().duration_since(fetched)).unwrap_or(fresh_for);
        (age, fresh_for)
    }

    pub(super) fn is_fresh(&self, archived: &ArchivedChannel) -> bool {
        let (age, fresh_for) = self.age_and_freshness(archived.fetched, archived.fresh_for);
        age < fresh_for
    }

    /// Returns the part of a snapshot that feeds depend on. Telegram changes the rest with almost every page, after which
    /// each feed would be rendered again.
    pub(super) fn as_cached(&self, mut snapshot: Snapshot) -> Snapshot {
        let as_cached = |post: Post| {
            let post = post.without_counts();
            if self.config.keeps_media_urls { post } else { media_file::with_url_origins(post) }
        };
        snapshot.posts = snapshot.posts.into_iter().map(as_cached).collect();
        if !self.config.keeps_media_urls {
            snapshot.channel.photo.iter_mut().for_each(media_file::truncate_to_origin);
        }
        snapshot
    }

    pub(super) async fn cache_archived(
        &self,
        name: &ChannelName,
        archived: ArchivedChannel,
    ) -> Result<Arc<CompressedSnapshot>, RefreshError> {
        let ArchivedChannel { snapshot, changed, fetched, fresh_for } = archived;
        let (age, fresh_for) = self.age_and_freshness(fetched, fresh_for);
        self.failures.clear_before(name, age);
        let snapshot = self.as_cached(snapshot);
        // Compressing is quick, and snapshots have a maximum size.
        let compressed = cpu_pool::try_run(0, move || CompressedSnapshot::new(&snapshot, changed)).await;
        let compressed = compressed.map_err(|err| RefreshError::internal(name, &err))?;
        Ok(self.snapshots.insert(name.clone(), &compressed, fetched, age, fresh_for))
    }

    /// Merges a page with the cached snapshot, without the archive, and caches the result. Also returns whether it differs from
    /// the cached snapshot.
    pub(super) async fn cache_page(
        &self,
        name: &ChannelName,
        cached: Option<Arc<CompressedSnapshot>>,
        page: &FetchedPage,
        fetched: Timestamp,
        fresh_for: Duration,
    ) -> Result<(Arc<CompressedSnapshot>, bool), RefreshError> {
        let changed = cached.as_ref().and_then(|cached| cached.changed());
        let cached = cached.map(|cached| cached.decompress()).transpose();
        let cached = cached.map_err(|err| RefreshError::internal(name, &err))?;
        let before = cached.clone();
        let snapshot = self.as_cached(archive::merge_without_archive(cached, page, fetched));
        let (is_new, is_changed) = (before.is_none(), before.is_some_and(|before| before != snapshot));
        let changed = if is_changed { changed.max(Some(fetched)) } else { changed };
        let merged = ArchivedChannel { snapshot, changed, fetched, fresh_for };
        Ok((self.cache_archived(name, merged).await?, is_new || is_changed))
    }

    /// Remembers a failure; [`report_failure`](Self::report_failure) logs it. A channel that is gone is removed from the cache.
    fn record_failure(&self, name: &ChannelName, error: RefreshError, prior: PriorState) -> Failure {
        let failure = self.failures.record(name, error, prior, Instant::now());
        if failure.error.is_authoritative() {
            self.snapshots.remove(name);
        }
        failure
    }
}
