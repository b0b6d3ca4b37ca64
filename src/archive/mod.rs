//! Every post that was ever seen: one interface on SQLite (a file, or memory) and on PostgreSQL (shared).
//!
//! Merging a page adds new posts, replaces changed ones, and marks a post as gone if it is missing from the middle of a
//! page twice. What an edited post showed before is kept. Posts outside the page's range stay unchanged. A [`Gap`] is a
//! range of ids in which posts may be missing; it is stored until it is closed. If the archive fails or is slow, feeds are
//! served from memory.

mod articles;
mod breakers;
mod codec;
mod connection;
mod data_dir;
mod database;
mod deletions;
mod error;
mod export;
mod file_sizes;
mod gaps;
mod merge;
mod migrations;
mod names;
mod open;
mod overview;
mod read;
mod recovery;
mod repair;
mod replicas;
mod retention;
mod single_post;
mod timeline;
mod visits;
mod write;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, Connection};
use tokio::sync::{Notify, broadcast};

use crate::metrics;
use crate::model::channel::ChannelName;
use crate::model::paging::Gap;
use crate::model::post::{PostId, Snapshot};
use breakers::Breakers;
use connection::Location;
use data_dir::{DataDir, LockedFile};
use database::Database;
use repair::Watch;

pub use articles::ArchivedArticle;
pub use error::ArchiveError;
pub use export::{EXPORT_VERSION, ExportLine, ExportedArticle};
pub use merge::merge_without_archive;
pub use overview::{
    ArchiveKind, ArchiveStatus, ArchivedChannelStatus, ChannelOverview, GapsStatus, Overview,
};
pub use read::SeenMediaUrls;
pub use replicas::Lease;
pub use retention::{Retention, Stats};
pub use visits::ExpectedVisit;

/// How long a reader waits for a shared database that is near; see [`Archive::timeout`].
const READER_TIMEOUT: Duration = Duration::from_millis(100);

/// A reader's timeout in round trips to the database: a request takes a few of them.
const ROUND_TRIPS_PER_READ: u64 = 10;

/// How long readers and refreshes wait for a file. It may be on a slow disk, but does not become unreachable.
const FILE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a refresh waits for a shared database; after that it fetches from Telegram itself.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of background work.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// How many notifications of other replicas may wait for a receiver.
const NOTIFICATION_CAPACITY: usize = 1024;

/// Which part of a channel a page was fetched for.
#[derive(Clone, Copy, Debug)]
pub enum PageScope {
    /// The newest posts. A page that was fetched before the one that was merged last only adds posts.
    Newest,
    /// Posts older than this id, inside this gap.
    Gap(PostId, Gap),
    /// Archived posts below this id, to update them. Other posts of the page are ignored.
    Revisit(PostId),
}

/// The part of a fetched preview page that is merged into the archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchedPage {
    /// The channel and its posts.
    pub snapshot: Snapshot,
    /// The cursor of the link to older posts.
    pub older: Option<PostId>,
    /// Every message of the page was parsed.
    pub is_complete: bool,
}

/// The kind of caller that waits for the archive; it decides the timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A request of a reader; after the timeout it is answered from memory.
    Reader,
    /// A refresh, or other work that asks Telegram after the timeout.
    Refresh,
    /// Background work: no request is waiting.
    Background,
}

/// An archive.
pub struct Archive {
    location: Location,
    data_dir: Option<DataDir>,
    /// The shared lock that prevents another process from replacing the file.
    shared_lock: Mutex<Option<LockedFile>>,
    database: RwLock<Option<Arc<Database>>>,
    is_closed: AtomicBool,
    /// Held while the database is opened, replaced or closed for good.
    open_lock: Arc<tokio::sync::Mutex<()>>,
    /// Held while the file is checked for damage.
    check_lock: tokio::sync::Mutex<()>,
    /// The last measured round trip to a shared database, in milliseconds; `u64::MAX` until it is measured.
    round_trip: AtomicU64,
    /// Wakes the health check of a shared database, if there is one.
    health_check: Option<Notify>,
    breakers: Mutex<Breakers>,
    notifications: broadcast::Sender<ChannelName>,
    watch: Mutex<Watch>,
}

impl Archive {
    fn database(&self) -> Option<Arc<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the open database, and returns the previous one.
    fn swap(&self, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
        std::mem::replace(&mut *self.database.write().unwrap_or_else(PoisonError::into_inner), database)
    }

    /// Closes every connection for good. The data directory stays locked until the archive is dropped.
    pub async fn close(&self) {
        self.repair(true).await;
        let _alone = self.open_lock.lock().await;
        self.is_closed.store(true, Ordering::Relaxed);
        if let Some(database) = self.swap(None) {
            // SQLite removes the WAL when the last connection is closed. Connections that are returned to a closed pool close
            // concurrently, so none of them is the last. Keep one until all others are closed.
            let last = if database.files.is_some() { database.writes.acquire().await.ok() } else { None };
            let closed = database.close();
            let last = last.map(PoolConnection::detach);
            // A connection to a database that does not answer is never returned to the pool.
            if tokio::time::timeout(BACKGROUND_TIMEOUT, closed).await.is_err() {
                tracing::warn!(
                    timeout_s = BACKGROUND_TIMEOUT.as_secs(),
                    "cannot close a connection to the archive in time"
                );
            }
            if let Some(last) = last
                && let Err(err) = last.close().await
            {
                tracing::debug!(error = %err, "cannot close the last connection to the archive");
            }
        }
    }

    /// Returns whether the archive was closed for good.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Returns how long a caller waits for the archive.
    #[must_use]
    pub fn timeout(&self, caller: Caller) -> Duration {
        match caller {
            Caller::Background => BACKGROUND_TIMEOUT,
            _ if self.health_check.is_none() => FILE_TIMEOUT,
            Caller::Refresh => REFRESH_TIMEOUT,
            // A distant database needs more time; it is not unreachable.
            Caller::Reader => match self.round_trip.load(Ordering::Relaxed) {
                u64::MAX => READER_TIMEOUT,
                round_trip => Duration::from_millis(round_trip * ROUND_TRIPS_PER_READ)
                    .clamp(READER_TIMEOUT, 10 * READER_TIMEOUT),
            },
        }
    }

    /// Returns a receiver of the names of channels that other replicas have merged.
    pub fn notifications(&self) -> broadcast::Receiver<ChannelName> {
        self.notifications.subscribe()
    }

    fn check_room(&self) -> Result<(), ArchiveError> {
        match (&self.data_dir, &self.location) {
            (Some(folder), _) => folder.check_room(),
            (None, Location::File(file)) if file.parent().is_some_and(data_dir::is_disk_full) => {
                Err(ArchiveError::Full)
            }
            _ => Ok(()),
        }
    }

    /// Runs a query on a connection for reading; see [`Self::run`].
    async fn read<T>(
        &self,
        caller: Caller,
        query: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let read = async |database: Arc<Database>| query(&mut *database.reads.acquire().await?).await;
        self.run(caller, read).await
    }

    /// Runs several queries in a transaction for reading: a merge between them would mix two states of a channel. See
    /// [`Self::run`].
    async fn read_state<T>(
        &self,
        caller: Caller,
        queries: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let read = async |database: Arc<Database>| {
            let mut tx = database.begin_reading().await?;
            let found = queries(&mut tx).await?;
            tx.commit().await?;
            Ok(found)
        };
        self.run(caller, read).await
    }

    /// Runs a change in a transaction, in the background; see [`Self::run`].
    async fn write<T>(
        &self,
        change: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let write = async |database: Arc<Database>| {
            let mut tx = database.begin().await?;
            let changed = change(&mut tx).await?;
            tx.commit().await?;
            Ok(changed)
        };
        self.run(Caller::Background, write).await
    }

    /// Runs `work` with the database within the caller's timeout, unless the circuit is open.
    async fn run<T>(
        &self,
        caller: Caller,
        work: impl AsyncFnOnce(Arc<Database>) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        if !self.breakers().admits(caller, Instant::now()) {
            return Err(ArchiveError::CircuitOpen);
        }
        let limit = self.timeout(caller);
        let mut used = self.database();
        let attempt = async {
            let database = match &used {
                Some(database) => Arc::clone(database),
                None => Arc::clone(used.insert(self.database_or_open().await?)),
            };
            work(database).await
        };
        let outcome = tokio::time::timeout(limit, attempt).await.unwrap_or(Err(ArchiveError::Slow));
        match outcome.as_ref().err().cloned() {
            None => {
                if self.breakers().succeeded(caller, Instant::now()) {
                    tracing::info!("the archive is available again");
                }
            }
            Some(err) => {
                metrics::archive_failure(err.code());
                self.record_failure(caller, &err, used.as_ref()).await;
            }
        }
        outcome
    }

    /// Opens a circuit breaker after a failure, and quarantines the file if it is damaged.
    async fn record_failure(&self, caller: Caller, err: &ArchiveError, used: Option<&Arc<Database>>) {
        match err {
            // The archive itself works.
            ArchiveError::Full | ArchiveError::Busy | ArchiveError::CircuitOpen => return,
            err if err.is_permanent() => return,
            ArchiveError::Damaged(why) if self.data_dir.is_some() => return self.quarantine(used, why).await,
            ArchiveError::Slow if caller == Caller::Reader => {
                self.breakers().reader_timed_out(Instant::now());
                self.health_check.iter().for_each(Notify::notify_one);
                return;
            }
            _ => {}
        }
        let opened = self.breakers().failed(Instant::now());
        if let Some(pause) = opened {
            tracing::error!(error = %err, pause_s = pause.as_secs(), "the archive failed and is not used for a while");
        }
        self.health_check.iter().for_each(Notify::notify_one);
        // A pool does not say why it cannot open a connection, so look for damage. One check serves all failed callers.
        if let (Location::File(file), Some(_), Ok(_alone)) =
            (&self.location, &self.data_dir, self.check_lock.try_lock())
            && matches!(err, ArchiveError::NoAccess(_) | ArchiveError::Database(_) | ArchiveError::Slow)
            && used.is_none_or(|used| used.is_in_place(file))
            && let Err(ArchiveError::Damaged(why)) = database::check_integrity(file).await
        {
            self.quarantine(used, &why).await;
        }
    }

    /// Drops an open database, unless it was replaced already. The next caller opens it again.
    fn discard(&self, used: Option<&Arc<Database>>) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.as_ref().zip(used).is_some_and(|(current, used)| Arc::ptr_eq(current, used)) {
            *database = None;
        }
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
