//! Opening an archive, and replacing one that is damaged.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use url::Url;

use super::breakers::Breakers;
use super::connection::{Location, Locking};
use super::data_dir::{self, DataDir};
use super::database::Database;
use super::{Archive, ArchiveError, BACKGROUND_TIMEOUT, NOTIFICATION_CAPACITY, replicas};
use crate::metrics;

/// The file in the data directory.
pub(super) const ARCHIVE_FILE: &str = "archive.sqlite";

/// How long the start of a service waits for a shared database.
const START_TIMEOUT: Duration = Duration::from_secs(3);

impl Archive {
    /// Opens or creates the archive in a data directory for a service, and locks the directory against other services.
    /// A damaged archive is quarantined.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::InUse`], [`ArchiveError::NotWritable`], [`ArchiveError::Foreign`] or
    /// [`ArchiveError::NewerVersion`]. A full disk is not an error unless the lock file itself cannot be created.
    pub async fn open_for_service(folder: &Path) -> Result<Arc<Self>, ArchiveError> {
        let archive = Self::in_data_dir(folder, Some(DataDir::lock(folder)?))?;
        match archive.open_with_room(folder).await {
            Err(ArchiveError::Damaged(why)) => {
                archive.quarantine(None, &why).await;
                archive.database_or_open().await?;
            }
            Err(ArchiveError::Full) => {
                tracing::error!(error = %ArchiveError::Full, "cannot open the archive yet");
            }
            opened => drop(opened.map_err(|err| not_writable(folder, err))?),
        }
        Ok(Arc::new(archive))
    }

    /// Opens an existing archive in a data directory, to read or change it. A service may be using it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if there is no archive, [`ArchiveError::NotWritable`] and others.
    pub async fn open(folder: &Path) -> Result<Arc<Self>, ArchiveError> {
        let file = absolute(folder).join(ARCHIVE_FILE);
        match file.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(ArchiveError::NotFound(file)),
            Err(err) if err.kind() == io::ErrorKind::NotADirectory => {
                return Err(ArchiveError::NotADirectory(folder.to_owned()));
            }
            Err(err) => return Err(ArchiveError::NotReadable { file, why: err.to_string() }),
        }
        let archive = Self::in_data_dir(folder, None)?;
        archive.open_with_room(folder).await.map_err(|err| not_writable(folder, err))?;
        Ok(Arc::new(archive))
    }

    /// Opens the archive in a data directory to read it, also if this user cannot write there.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] if there is no archive, [`ArchiveError::NotReadable`], and if the archive must be migrated
    /// first, [`ArchiveError::NotWritable`] or [`ArchiveError::OlderInUse`].
    pub async fn open_to_read(folder: &Path) -> Result<Arc<Self>, ArchiveError> {
        match Self::open(folder).await {
            Err(ArchiveError::NotWritable { .. }) => {}
            opened => return opened,
        }
        let file = absolute(folder).join(ARCHIVE_FILE);
        let archive = Self::new(Location::ReadOnlyFile(file.clone(), Locking::of(&file)), None);
        match archive.database_or_open().await {
            Err(ArchiveError::NoAccess(why)) => Err(ArchiveError::NotReadable { file, why }),
            opened => opened.map(|_| Arc::new(archive)),
        }
    }

    /// Checks that the data read so far is consistent: a file that this user cannot write may have been read without locks,
    /// and a service may have begun to write meanwhile.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Replaced`] if that happened.
    pub fn check_unchanged(&self) -> Result<(), ArchiveError> {
        match &self.location {
            Location::ReadOnlyFile(file, locking @ Locking::Unlocked(..))
                if Locking::of(file) != *locking =>
            {
                Err(ArchiveError::Replaced(file.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Opens or creates the archive in a data directory to add posts. A service may be using it.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn open_or_create(folder: &Path) -> Result<Arc<Self>, ArchiveError> {
        data_dir::create(folder)?;
        let archive = Self::in_data_dir(folder, None)?;
        archive.database_or_open().await.map_err(|err| not_writable(folder, err))?;
        Ok(Arc::new(archive))
    }

    /// Creates an archive in memory. Above `max_bytes` it drops the channels that were fetched the longest ago.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Database`] if SQLite cannot open a database in memory.
    pub async fn in_memory(max_bytes: u64) -> Result<Arc<Self>, ArchiveError> {
        let archive = Self::new(Location::Memory(max_bytes), None);
        archive.database_or_open().await?;
        Ok(Arc::new(archive))
    }

    /// Returns an archive that cannot be used, so that channels are served from memory.
    #[cfg(test)]
    pub(crate) fn unavailable() -> Arc<Self> {
        let archive = Self::new(Location::Memory(0), None);
        archive.breakers().failed(std::time::Instant::now() + Duration::from_hours(24));
        Arc::new(archive)
    }

    /// Opens the archive in a PostgreSQL database for a service. Replicas share it. An unreachable database is not an error:
    /// the connection is retried.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NewerVersion`].
    pub async fn shared_for_service(url: &Url) -> Result<Arc<Self>, ArchiveError> {
        let archive = Arc::new(Self {
            health_check: Some(Notify::new()),
            breakers: Mutex::new(Breakers::new(true)),
            ..Self::new(Location::Postgres(url.clone()), None)
        });
        let opened = tokio::time::timeout(START_TIMEOUT, archive.database_or_open()).await;
        match opened.unwrap_or(Err(ArchiveError::Slow)) {
            Ok(_) => {}
            Err(err @ ArchiveError::NewerVersion { .. }) => return Err(err),
            Err(err) => tracing::error!(error = %err, "cannot open the shared archive yet; retrying"),
        }
        replicas::listen(&archive);
        replicas::spawn_health_check(&archive);
        Ok(archive)
    }

    /// Opens the archive in a PostgreSQL database for a command.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn shared(url: &Url) -> Result<Arc<Self>, ArchiveError> {
        let archive = Self::new(Location::Postgres(url.clone()), None);
        archive.database_or_open().await?;
        Ok(Arc::new(archive))
    }

    fn in_data_dir(folder: &Path, data_dir: Option<DataDir>) -> Result<Self, ArchiveError> {
        let file = absolute(folder).join(ARCHIVE_FILE);
        if file.is_dir() {
            return Err(ArchiveError::NotAFile(file));
        }
        Ok(Self {
            shared_lock: Mutex::new(data_dir::lock_shared(folder)?),
            ..Self::new(Location::File(file), data_dir)
        })
    }

    fn new(location: Location, data_dir: Option<DataDir>) -> Self {
        metrics::register_archive_failures(&ArchiveError::CODES);
        Self {
            location,
            data_dir,
            shared_lock: Mutex::default(),
            database: RwLock::default(),
            is_closed: AtomicBool::default(),
            open_lock: Arc::default(),
            check_lock: tokio::sync::Mutex::default(),
            round_trip: AtomicU64::new(u64::MAX),
            health_check: None,
            breakers: Mutex::new(Breakers::new(false)),
            notifications: broadcast::Sender::new(NOTIFICATION_CAPACITY),
            watch: Mutex::default(),
        }
    }

    /// Returns the open database, or opens it. A migration goes on if the caller gives up, because it may take longer than any
    /// caller waits; until it ends, further callers wait.
    pub(super) async fn database_or_open(&self) -> Result<Arc<Database>, ArchiveError> {
        let alone = Arc::clone(&self.open_lock).lock_owned().await;
        if let Some(database) = self.database() {
            return Ok(database);
        }
        if self.is_closed() {
            return Err(ArchiveError::CircuitOpen);
        }
        self.relock()?;
        let (location, is_service) = (self.location.clone(), self.data_dir.is_some());
        let open = tokio::spawn(async move { (Database::open(&location, is_service).await, alone) });
        let (opened, _alone) = open.await.map_err(|err| ArchiveError::Database(err.to_string()))?;
        self.watch().open_error = opened.as_ref().err().cloned();
        let database = Arc::new(opened?);
        self.swap(Some(Arc::clone(&database)));
        Ok(database)
    }

    /// Opens the database; on a full disk, with the space that the ballast frees.
    async fn open_with_room(&self, folder: &Path) -> Result<Arc<Database>, ArchiveError> {
        match self.database_or_open().await {
            Err(ArchiveError::Full | ArchiveError::NoAccess(_) | ArchiveError::Database(_))
                if data_dir::is_disk_full(folder) =>
            {
                data_dir::release_ballast(folder);
                self.database_or_open().await
            }
            opened => opened,
        }
    }

    /// Renames a damaged file, unless the database that was `used`, if any, is not the open one any more, or not of this
    /// file. The next caller creates a new archive.
    pub(super) async fn quarantine(&self, used: Option<&Arc<Database>>, why: &str) {
        let _alone = self.open_lock.lock().await;
        let current = self.database();
        let Location::File(file) = &self.location else { return };
        let is_current = match (&current, used) {
            (Some(current), Some(used)) => Arc::ptr_eq(current, used) && current.is_in_place(file),
            (None, None) => file.exists(),
            _ => false,
        };
        if !is_current {
            return;
        }
        self.swap(None);
        // The last connection deletes the WAL by its name, so it must be closed before a new archive exists.
        if let Some(current) = current
            && tokio::time::timeout(BACKGROUND_TIMEOUT, current.close()).await.is_err()
        {
            tracing::error!("cannot quarantine the damaged archive while it is in use");
            return;
        }
        if data_dir::quarantine(file, why) {
            self.note_incident("the archive was damaged; kept it under another name and began a new one");
        }
    }
}

/// Explains why a file in a data directory cannot be opened: SQLite does not say that it cannot write there.
fn not_writable(folder: &Path, err: ArchiveError) -> ArchiveError {
    match err {
        ArchiveError::NoAccess(why) => {
            ArchiveError::NotWritable { folder: folder.to_owned(), why: format!("{ARCHIVE_FILE}: {why}") }
        }
        err => err,
    }
}

/// Makes a path absolute: SQLite gives some relative names a special meaning.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::archive::Caller;
    use crate::model::channel::ChannelName;

    #[tokio::test]
    async fn closed_archive_is_not_opened_again() {
        let folder = std::env::temp_dir().join(format!("telewire-closed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let archive = Archive::open_for_service(&folder).await.unwrap();
        archive.close().await;
        archive.check_data_dir().await;
        let name = ChannelName::new("harbour_news").unwrap();
        let read = archive.load(&name, Caller::Background).await;
        assert!(matches!(read, Err(ArchiveError::CircuitOpen)), "{read:?}");
        assert!(archive.database().is_none());
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// Connections that were just used are still being returned to their pools.
    #[tokio::test(flavor = "multi_thread")]
    async fn archive_that_is_closed_right_after_its_use_leaves_no_wal() {
        let folder = std::env::temp_dir().join(format!("telewire-no-wal-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let name = ChannelName::new("harbour_news").unwrap();
        for n in 0..50 {
            let archive = Archive::open_for_service(&folder).await.unwrap();
            let (read, gaps, written) = tokio::join!(
                archive.load(&name, Caller::Background),
                archive.newest_gap(&name),
                archive.mark_gone(&name, Timestamp::UNIX_EPOCH),
            );
            assert!(read.is_ok() && gaps.is_ok() && written.is_ok());
            archive.close().await;
            assert!(!data_dir::wal_files(&folder.join(ARCHIVE_FILE))[0].exists(), "attempt {n}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
