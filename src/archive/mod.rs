//! Every post that was ever seen: one interface on SQLite (a file, or memory) and on PostgreSQL (shared).
//!
//! A page is merged: what is new is added, what differs is replaced, what is missing from its middle twice is marked
//! as gone, and what it does not scope stays. What is not known between two known posts is a [`Gap`], which is
//! remembered until it is closed. An archive that fails, or is slow, is an [`ArchiveError`]: feeds go on without it.

mod codec;
mod connection;
mod data_dir;
mod database;
mod error;
mod export;
mod gaps;
mod merge;
mod migrations;
mod open;
mod read;
mod replicas;
mod retention;

mod write;

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::AnyConnection;
use tokio::sync::{Notify, broadcast};

use crate::metrics;
use crate::model::channel::ChannelName;
use crate::model::paging::Gap;
use crate::model::post::{PostId, Snapshot};
use connection::Location;
use data_dir::DataDir;
use database::Database;

pub use error::ArchiveError;
pub use export::{EXPORT_VERSION, ExportLine};
pub use merge::{MAX_ALBUM_ITEMS, merge_without_archive};
pub use read::SeenMediaUrls;
pub use replicas::Lease;
pub use retention::{Retention, Stats};

/// How long a reader waits for a shared database; its own answer is late by no more than that.
const READER_TIMEOUT: Duration = Duration::from_millis(100);

/// What a reader asks for takes so many round trips to the database, and some time.
const ROUND_TRIPS_PER_READ: u64 = 8;

/// The same for a file, which may be on a slow disk but does not go away.
const FILE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long those wait who would otherwise ask Telegram for what another copy of the program may have read.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long something may take that no reader waits for.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long an archive that failed is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// The same for one that somebody looks after, who ends it.
const MONITORED_PAUSE: Duration = Duration::from_mins(1);

/// Names that were merged by another copy of the program, waiting to be noticed.
const NOTIFICATION_CAPACITY: usize = 1024;

/// What a page was fetched for.
#[derive(Clone, Copy, Debug)]
pub enum PageScope {
    /// The newest posts.
    Newest,
    /// What is older than this id, inside this gap.
    Gap(PostId, Gap),
    /// Posts below this id that are archived, to see them as they are now. What is not archived is left to the gaps.
    Revisit(PostId),
}

/// A fetched preview page, as far as it is merged into the archive.
#[derive(Clone, Debug)]
pub struct FetchedPage {
    /// The channel and its posts.
    pub snapshot: Snapshot,
    /// The cursor of the link to older posts.
    pub older: Option<PostId>,
    /// Every message of the page was parsed.
    pub is_complete: bool,
}

/// Who waits for the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A reader, who gets what is in memory when it takes long.
    Reader,
    /// A refresh, or whoever else asks Telegram when it takes long.
    Refresh,
    /// Nobody who could not.
    Background,
}

/// Until when an archive is left alone.
#[derive(Debug, Default)]
struct Rest {
    /// By everybody, since it has failed.
    all: Option<Instant>,
    /// By readers, who have no time to wait for it.
    readers: Option<Instant>,
}

/// An archive.
pub struct Archive {
    location: Location,
    data_dir: Option<DataDir>,
    /// Held so that no other archive is put in the place of this one meanwhile.
    _archive_lock: Option<File>,
    database: RwLock<Option<Arc<Database>>>,
    /// Held by who opens the database, or puts another one in its place.
    open_lock: tokio::sync::Mutex<()>,
    /// Held by who looks whether the file is damaged.
    check_lock: tokio::sync::Mutex<()>,
    /// How far away a shared database is, in milliseconds, the least that was seen; `u64::MAX` while that is not known.
    round_trip: AtomicU64,
    /// Wakes the task that looks after a shared database, where there is one.
    health_check: Option<Notify>,
    rest: Mutex<Rest>,
    notifications: broadcast::Sender<ChannelName>,
}

impl Archive {
    fn database(&self) -> Option<Arc<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another database in the place of the one there is, or none.
    fn swap(&self, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
        std::mem::replace(&mut *self.database.write().unwrap_or_else(PoisonError::into_inner), database)
    }

    /// Ends every connection, and leaves the folder to others.
    pub async fn close(&self) {
        if let Some(database) = self.swap(None) {
            database.close().await;
        }
    }

    /// Whether it is not being left alone after a failure.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.rest().all.is_none_or(|until| Instant::now() >= until) && self.has_room().is_ok()
    }

    /// How long it is waited for.
    #[must_use]
    pub fn timeout(&self, caller: Caller) -> Duration {
        match caller {
            Caller::Background => BACKGROUND_TIMEOUT,
            _ if self.health_check.is_none() => FILE_TIMEOUT,
            Caller::Refresh => REFRESH_TIMEOUT,
            // A database that is far away is not one that has gone.
            Caller::Reader => match self.round_trip.load(Ordering::Relaxed) {
                u64::MAX => READER_TIMEOUT,
                round_trip => Duration::from_millis(round_trip * ROUND_TRIPS_PER_READ)
                    .clamp(READER_TIMEOUT, 10 * READER_TIMEOUT),
            },
        }
    }

    /// Names that other copies of the program have merged something of.
    pub fn notifications(&self) -> broadcast::Receiver<ChannelName> {
        self.notifications.subscribe()
    }

    fn has_room(&self) -> Result<(), ArchiveError> {
        match (&self.data_dir, &self.location) {
            (Some(folder), Location::File(file)) if !file.exists() => {
                Err(ArchiveError::NotFound(folder.path().to_owned()))
            }
            (Some(folder), _) => folder.has_room(),
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

    /// Runs a change in a transaction, in the background; see [`Self::run`]. With `locked`, replicas that change the
    /// same channel wait for the end of the transaction.
    async fn write<T>(
        &self,
        locked: Option<&ChannelName>,
        change: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let write = async |database: Arc<Database>| {
            let mut tx = database.begin().await?;
            if let Some(name) = locked {
                database.lock_channel(&mut tx, &codec::lowercase(name)).await?;
            }
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
        let is_over = |until: Option<Instant>| until.is_none_or(|until| Instant::now() >= until);
        let (all, readers) = {
            let rest = self.rest();
            (rest.all, rest.readers)
        };
        if !is_over(all) || (caller == Caller::Reader && !is_over(readers)) {
            return Err(ArchiveError::CircuitOpen);
        }
        let limit = self.timeout(caller);
        let used = self.database();
        let attempt = async {
            let database = match &used {
                Some(database) => Arc::clone(database),
                None => self.database_or_open().await?,
            };
            work(database).await
        };
        let outcome = tokio::time::timeout(limit, attempt).await.unwrap_or(Err(ArchiveError::Slow));
        if let Err(err) = &outcome {
            metrics::archive_failure(err.code());
        }
        match outcome.as_ref().err().cloned() {
            None => {}
            // That a reader has no time to wait says nothing yet of those who have.
            Some(ArchiveError::Slow) if caller == Caller::Reader => {
                self.rest().readers = Some(Instant::now() + PAUSE);
                self.health_check.iter().for_each(Notify::notify_one);
            }
            Some(err) => self.record_failure(&err, used.as_ref()).await,
        }
        outcome
    }

    /// Draws the conclusions of a failure for what comes next.
    async fn record_failure(&self, err: &ArchiveError, used: Option<&Arc<Database>>) {
        match err {
            ArchiveError::Full | ArchiveError::Busy | ArchiveError::CircuitOpen => return,
            ArchiveError::Damaged(why) if self.data_dir.is_some() => return self.quarantine(used, why).await,
            _ => {}
        }
        let rest = if self.health_check.is_some() { MONITORED_PAUSE } else { PAUSE };
        if self.rest().all.replace(Instant::now() + rest).is_none() {
            tracing::error!("the archive is left alone for a while: {err}");
        }
        self.health_check.iter().for_each(Notify::notify_one);
        // A pool does not say why it has no connection to give. One asks for all who have met the failure.
        if let (Location::File(file), Some(_), Ok(_alone)) =
            (&self.location, &self.data_dir, self.check_lock.try_lock())
            && let Err(ArchiveError::Damaged(why)) = database::check_integrity(file).await
        {
            self.quarantine(used, &why).await;
        }
    }

    /// Leaves a database to those who still use it; the next one is opened anew.
    fn discard(&self, used: Option<&Arc<Database>>) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.as_ref().zip(used).is_some_and(|(current, used)| Arc::ptr_eq(current, used)) {
            *database = None;
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Feeds have no use for parts of a second.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
