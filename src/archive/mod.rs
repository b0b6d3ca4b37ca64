//! Every post that was ever seen: one interface on SQLite (a file, or memory) and on PostgreSQL (shared).
//!
//! A page is merged: what is new is added, what differs is replaced, what is missing from its middle twice is marked
//! as gone, and what it does not reach stays. What is not known between two known posts is a [`Gap`], which is
//! remembered until it is closed. An archive that fails, or is slow, is an [`ArchiveError`]: feeds go on without it.

mod database;
mod error;
mod export;
mod folder;
mod gaps;
mod merge;
mod open;
mod replicas;
mod retention;
mod rows;
mod schema;
mod views;
mod writes;

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, broadcast};

use crate::channel::ChannelName;
use crate::meter;
use crate::post::{PostId, Snapshot};
use database::{Database, Place};
use folder::Folder;

pub use error::ArchiveError;
pub use export::{EXPORT_VERSION, Exported};
pub use merge::{MAX_ALBUM, without_archive};
pub use replicas::Lease;
pub use retention::{Retention, Stats};
pub use views::SeenFiles;

/// How long a reader waits for a shared database; its own answer is late by no more than that.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a reader asks for takes so many round trips to the database, and some time.
const ROUND_TRIPS: u64 = 8;

/// The same for a file, which may be on a slow disk but does not go away.
const PATIENCE_WITH_DISK: Duration = Duration::from_secs(2);

/// How long those wait who would otherwise ask Telegram for what another copy of the program may have read.
const PATIENCE_OF_REFRESH: Duration = Duration::from_secs(1);

/// How long something may take that no reader waits for.
const BEHIND: Duration = Duration::from_secs(5);

/// For how long an archive that failed is left alone.
const REST: Duration = Duration::from_secs(2);

/// The same for one that somebody looks after, who ends it.
const KEEPERS_REST: Duration = Duration::from_mins(1);

/// Names that were merged by another copy of the program, waiting to be noticed.
const NOTICES: usize = 1024;

/// The fewest posts of a feed's first page, as many as Telegram's own page shows.
pub const PAGE: usize = 20;

/// The most posts of a page of a feed.
pub const MAX_PAGE: u8 = 200;

/// A channel as it is archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What its feed shows: the newest posts.
    pub snapshot: Snapshot,
    /// When something changed that no post tells: a deletion, the channel's title, an address.
    pub changed: Option<Timestamp>,
    /// When Telegram was asked.
    pub fetched: Timestamp,
    /// For how long from then on it need not be asked again.
    pub fresh_for: Duration,
}

impl Known {
    /// Until when the channel need not be asked again.
    #[must_use]
    pub fn fresh_until(&self) -> Timestamp {
        self.fetched.saturating_add(self.fresh_for).unwrap_or(Timestamp::MAX)
    }
}

/// Where posts may be missing: Telegram has been asked for what is above and for what is below, not for what is
/// between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The highest id below the gap; 0 when nothing below it is known.
    pub above: u32,
    /// The lowest known id above it: Telegram is asked for what is before this one.
    pub below: PostId,
    /// The page above says that there is something.
    pub linked: bool,
    /// It is only filled when somebody asks for what is in it.
    pub lazy: bool,
    /// How often filling it has failed.
    pub failures: u32,
    /// Until when it is left alone after that, in seconds since 1970.
    pub retry: i64,
}

/// What a page was fetched for.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    /// The newest posts.
    Newest,
    /// What is older than this id, inside this gap.
    Older(PostId, Gap),
    /// Posts below this id that are archived, to see them as they are now. What is not archived is left to the gaps.
    Again(PostId),
}

/// Which posts of a channel are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Depth {
    /// Only those with lower ids.
    pub before: Option<PostId>,
    /// At most so many; as many as the newest page of the feed shows when not said.
    pub limit: Option<u8>,
}

/// The page of a feed above another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newer {
    /// The feed's newest page.
    Newest,
    /// The one with the posts before this id.
    Before(PostId),
}

/// Some posts of a channel.
#[derive(Clone, Debug)]
pub struct View {
    /// The channel with the posts; `None` when there are none.
    pub snapshot: Option<Snapshot>,
    /// As in [`Known`].
    pub changed: Option<Timestamp>,
    /// The next newer page, of one that is not the newest.
    pub newer: Option<Newer>,
    /// The highest gap in the range of these posts, or right below them when there are too few.
    pub gap: Option<Gap>,
}

/// Who waits for the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A reader, who gets what is in memory when it takes long.
    Reader,
    /// A refresh, or whoever else asks Telegram when it takes long.
    Refresh,
    /// Nobody who could not.
    Behind,
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
    place: Place,
    folder: Option<Folder>,
    /// Held so that no other archive is put in the place of this one meanwhile.
    _used: Option<File>,
    database: RwLock<Option<Arc<Database>>>,
    /// Held by who opens the database, or puts another one in its place.
    changing: tokio::sync::Mutex<()>,
    /// Held by who looks whether the file is damaged.
    examining: tokio::sync::Mutex<()>,
    /// How far away a shared database is, in milliseconds, the least that was seen; `u64::MAX` while that is not known.
    round_trip: AtomicU64,
    /// Wakes the task that looks after a shared database, where there is one.
    keeper: Option<Notify>,
    rest: Mutex<Rest>,
    notices: broadcast::Sender<ChannelName>,
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
    pub fn patience(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Behind => BEHIND,
            _ if self.keeper.is_none() => PATIENCE_WITH_DISK,
            Wait::Refresh => PATIENCE_OF_REFRESH,
            // A database that is far away is not one that has gone.
            Wait::Reader => match self.round_trip.load(Ordering::Relaxed) {
                u64::MAX => PATIENCE,
                round_trip => Duration::from_millis(round_trip * ROUND_TRIPS).clamp(PATIENCE, 10 * PATIENCE),
            },
        }
    }

    /// Names that other copies of the program have merged something of.
    pub fn notices(&self) -> broadcast::Receiver<ChannelName> {
        self.notices.subscribe()
    }

    fn has_room(&self) -> Result<(), ArchiveError> {
        match (&self.folder, &self.place) {
            (Some(folder), Place::File(file)) if !file.exists() => {
                Err(ArchiveError::Absent(folder.path().to_owned()))
            }
            (Some(folder), _) => folder.has_room(),
            (None, Place::File(file)) if file.parent().is_some_and(folder::is_full) => {
                Err(ArchiveError::Full)
            }
            _ => Ok(()),
        }
    }

    /// Does something with the database, in the time that there is for it, unless it is being left alone.
    async fn run<T, F>(&self, wait: Wait, work: impl FnOnce(Arc<Database>) -> F) -> Result<T, ArchiveError>
    where
        F: Future<Output = Result<T, ArchiveError>>,
    {
        let is_over = |until: Option<Instant>| until.is_none_or(|until| Instant::now() >= until);
        let (all, readers) = {
            let rest = self.rest();
            (rest.all, rest.readers)
        };
        if !is_over(all) || (wait == Wait::Reader && !is_over(readers)) {
            return Err(ArchiveError::Resting);
        }
        let limit = self.patience(wait);
        let used = self.database();
        let attempt = async {
            let database = match &used {
                Some(database) => Arc::clone(database),
                None => self.open().await?,
            };
            work(database).await
        };
        let outcome = tokio::time::timeout(limit, attempt).await.unwrap_or(Err(ArchiveError::Slow));
        if let Err(err) = &outcome {
            meter::archive_failed(err.word());
        }
        match outcome.as_ref().err().cloned() {
            None => {}
            // That a reader has no time to wait says nothing yet of those who have.
            Some(ArchiveError::Slow) if wait == Wait::Reader => {
                self.rest().readers = Some(Instant::now() + REST);
                self.keeper.iter().for_each(Notify::notify_one);
            }
            Some(err) => self.learn(&err, used.as_ref()).await,
        }
        outcome
    }

    /// Draws the conclusions of a failure for what comes next.
    async fn learn(&self, err: &ArchiveError, used: Option<&Arc<Database>>) {
        match err {
            ArchiveError::Full | ArchiveError::Busy | ArchiveError::Resting => return,
            ArchiveError::Damaged(why) if self.folder.is_some() => return self.set_aside(used, why).await,
            _ => {}
        }
        let rest = if self.keeper.is_some() { KEEPERS_REST } else { REST };
        if self.rest().all.replace(Instant::now() + rest).is_none() {
            tracing::error!("the archive is left alone for a while: {err}");
        }
        self.keeper.iter().for_each(Notify::notify_one);
        // A pool does not say why it has no connection to give. One asks for all who have met the failure.
        if let (Place::File(file), Some(_), Ok(_alone)) =
            (&self.place, &self.folder, self.examining.try_lock())
            && let Err(ArchiveError::Damaged(why)) = database::examine(file).await
        {
            self.set_aside(used, &why).await;
        }
    }

    /// Leaves a database to those who still use it; the next one is opened anew.
    fn let_go(&self, used: Option<&Arc<Database>>) {
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
