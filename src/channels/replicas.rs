//! Replicas that share an archive: each channel is fetched by one of them, and the others load what it has archived.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;

use super::budget::MAX_TELEGRAM_WAIT;
use super::{Channels, CompressedSnapshot};
use crate::archive::{ArchiveError, Caller, Lease};
use crate::clock;
use crate::model::channel::ChannelName;

/// How long a refresh waits for another replica that holds the channel's lease.
const LEASE_WAIT: Duration = Duration::from_secs(6);

/// How often it checks the archive during that wait, in case a notification was lost.
const LEASE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// After this time without a merged page, a replica no longer fills a gap: it may have reached its number of pages.
const MAX_SILENCE: Duration = Duration::from_secs(3);

impl Channels {
    /// With a shared archive, takes the channel's lease, or waits until the replica that holds it has archived the
    /// channel. Returns what another replica archived; `None` if this replica has to fetch.
    pub(super) async fn wait_for_other_replica(
        self: &Arc<Self>,
        name: &ChannelName,
    ) -> Option<Arc<CompressedSnapshot>> {
        if !self.archive.is_shared() {
            return None;
        }
        let until = Instant::now() + LEASE_WAIT;
        let mut notifications = self.archive.notifications();
        loop {
            // Without the archive every replica fetches for itself.
            let lease = self.archive.lease(name.as_str()).await;
            let lease = lease.inspect_err(|err| log_archive_error(name, err)).ok()?;
            let archived = self.load_fresh(name).await;
            if let Some(snapshot) = archived.inspect_err(|err| log_archive_error(name, err)).ok()? {
                if lease == Lease::Ours {
                    self.archive.release_lease(name.as_str()).await;
                }
                return Some(snapshot);
            }
            if lease == Lease::Ours || Instant::now() > until {
                return None;
            }
            drop(tokio::time::timeout(LEASE_POLL_INTERVAL, next_merge(&mut notifications, name)).await);
        }
    }

    /// Waits until another replica has archived a fresh page of a channel, and returns it.
    pub(super) async fn archived_by_other_replica(
        self: &Arc<Self>,
        name: &ChannelName,
    ) -> Arc<CompressedSnapshot> {
        let mut notifications = self.archive.notifications();
        loop {
            next_merge(&mut notifications, name).await;
            if let Ok(Some(snapshot)) = self.load_fresh(name).await {
                return snapshot;
            }
        }
    }

    /// Returns whether posts below the page of a channel are missing. To be asked before the channel is loaded from the archive:
    /// the posts may arrive meanwhile.
    pub(super) async fn has_due_gap(&self, name: &ChannelName) -> bool {
        let gaps = self.archive.due_gaps(name, clock::now(), Caller::Refresh).await;
        gaps.is_ok_and(|gaps| !gaps.is_empty())
    }

    /// Follows the background work of the replica that has just merged a page of a channel, so that requests wait for the
    /// posts below the page here, too.
    pub(super) fn follow_other_replica(self: &Arc<Self>, name: &ChannelName) {
        let is_new = self.snapshots.get(name).is_some_and(|entry| entry.age() < MAX_TELEGRAM_WAIT);
        if !is_new || self.config.gap_pages == 0 {
            return;
        }
        let (channels, after) = (Arc::clone(self), name.clone());
        drop(self.followed_replicas.run(name.clone(), || async move {
            let (begun, mut last_merge) = (Instant::now(), Instant::now());
            let mut notifications = channels.archive.notifications();
            while begun.elapsed() < MAX_TELEGRAM_WAIT
                && last_merge.elapsed() < MAX_SILENCE
                && channels.has_due_gap(&after).await
            {
                let merge = next_merge(&mut notifications, &after);
                if tokio::time::timeout(LEASE_POLL_INTERVAL, merge).await.is_ok() {
                    last_merge = Instant::now();
                }
            }
            channels.reload(&after, Caller::Background).await;
        }));
    }

    /// Loads a channel from the archive into the cache if it is fresh there.
    async fn load_fresh(
        self: &Arc<Self>,
        name: &ChannelName,
    ) -> Result<Option<Arc<CompressedSnapshot>>, ArchiveError> {
        let has_gap = self.has_due_gap(name).await;
        let archived = self.archive.load(name, Caller::Refresh).await?;
        let Some(archived) = archived.filter(|archived| self.is_fresh(archived)) else { return Ok(None) };
        let snapshot = self.cache_archived(name, archived).await.ok();
        if has_gap {
            self.follow_other_replica(name);
        }
        Ok(snapshot)
    }
}

/// Waits until another replica has merged a page of a channel, or a notification was lost.
async fn next_merge(notifications: &mut broadcast::Receiver<ChannelName>, name: &ChannelName) {
    while notifications.recv().await.is_ok_and(|merged| merged != *name) {}
}

/// Logs an archive error, unless it repeats one that has opened the circuit breaker.
pub(super) fn log_archive_error(name: &ChannelName, err: &ArchiveError) {
    if !matches!(err, ArchiveError::CircuitOpen) {
        tracing::error!(channel = %name, error = %err, "cannot use the archive for a channel");
    }
}

/// Reloads cached channels that other replicas have merged.
pub(super) async fn follow_notifications(
    channels: Weak<Channels>,
    mut notifications: broadcast::Receiver<ChannelName>,
) {
    loop {
        let name = match notifications.recv().await {
            Ok(name) => name,
            // A lost notification is made up for by the next refresh, which asks the archive first.
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(channels) = channels.upgrade() else { return };
        if channels.snapshots.get(&name).is_some() {
            let has_gap = channels.has_due_gap(&name).await;
            channels.reload(&name, Caller::Background).await;
            if has_gap {
                channels.follow_other_replica(&name);
            }
        }
    }
}
