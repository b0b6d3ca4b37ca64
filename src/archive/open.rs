//! Opening an archive, and beginning a new one in the place of one that is damaged or gone.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use url::Url;

use super::connection::Location;
use super::data_dir::{self, DataDir};
use super::database::Database;
use super::{Archive, ArchiveError, BACKGROUND_TIMEOUT, NOTIFICATION_CAPACITY, replicas};

/// The file in the data folder.
pub(super) const ARCHIVE_FILE: &str = "archive.sqlite";

impl Archive {
    /// The archive in a data folder, which is made when needed, for a service: no other one may use it meanwhile. A
    /// damaged one is set aside.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::InUse`], [`ArchiveError::NotWritable`], [`ArchiveError::Foreign`], [`ArchiveError::NewerVersion`]. That
    /// the disk is full is none, unless it has no room for a lock.
    pub async fn open_for_service(folder: &Path) -> Result<Arc<Self>, ArchiveError> {
        let archive = Self::in_data_dir(folder, Some(DataDir::lock(folder)?))?;
        match archive.open_with_room(folder).await {
            Err(ArchiveError::Damaged(why)) => {
                archive.quarantine(None, &why).await;
                archive.database_or_open().await?;
            }
            Err(ArchiveError::Full) => tracing::error!("{}", ArchiveError::Full),
            Err(ArchiveError::Database(why)) => {
                return Err(ArchiveError::NotWritable { folder: folder.to_owned(), why });
            }
            opened => drop(opened?),
        }
        Ok(Arc::new(archive))
    }

    /// The archive in a data folder, to look at or to trim; a service may be using it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotFound`] when there is none, [`ArchiveError::NotWritable`] also when it is only looked at, and
    /// others.
    pub async fn open(folder: &Path) -> Result<Arc<Self>, ArchiveError> {
        let file = absolute(folder).join(ARCHIVE_FILE);
        match file.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(ArchiveError::NotFound(file)),
            Err(err) => return Err(ArchiveError::Database(format!("{}: {err}", file.display()))),
        }
        // SQLite writes beside a file that it reads, too.
        let archive = Self::in_data_dir(folder, None)?;
        archive.open_with_room(folder).await?;
        Ok(Arc::new(archive))
    }

    /// The archive in a data folder, made when it is not there, to add to; a service may be using it.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub async fn open_or_create(folder: &Path) -> Result<Arc<Self>, ArchiveError> {
        data_dir::create(folder)?;
        let archive = Self::in_data_dir(folder, None)?;
        archive.database_or_open().await?;
        Ok(Arc::new(archive))
    }

    /// An archive in memory, of at most so many bytes; it forgets the channels that nobody reads.
    ///
    /// # Errors
    ///
    /// When there is no memory.
    pub async fn in_memory(max_bytes: u64) -> Result<Arc<Self>, ArchiveError> {
        let archive = Self::new(Location::Memory(max_bytes), None);
        archive.database_or_open().await?;
        Ok(Arc::new(archive))
    }

    /// The archive in a PostgreSQL database that other copies of the program may share.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NewerVersion`]. That it cannot be reached is no error for `patient` ones, which are services: it is
    /// tried again whenever it is needed.
    pub async fn shared(url: &Url, with_write_timeout: bool) -> Result<Arc<Self>, ArchiveError> {
        let health_check = with_write_timeout.then(Notify::new);
        let archive = Arc::new(Self { health_check, ..Self::new(Location::Postgres(url.clone()), None) });
        match tokio::time::timeout(Duration::from_secs(3), archive.database_or_open()).await {
            Ok(Ok(_)) => {}
            Ok(Err(err @ ArchiveError::NewerVersion { .. })) => return Err(err),
            Ok(Err(err)) if !with_write_timeout => return Err(err),
            Err(_) if !with_write_timeout => return Err(ArchiveError::Slow),
            failed => {
                let why =
                    failed.map_or(ArchiveError::Slow, |failed| failed.err().unwrap_or(ArchiveError::Slow));
                tracing::error!("the shared archive cannot be opened yet: {why}");
            }
        }
        if with_write_timeout {
            replicas::listen(&archive);
            replicas::spawn_health_check(&archive);
        }
        Ok(archive)
    }

    fn in_data_dir(folder: &Path, data_dir: Option<DataDir>) -> Result<Self, ArchiveError> {
        let file = absolute(folder).join(ARCHIVE_FILE);
        Ok(Self {
            _archive_lock: data_dir::lock_shared(folder)?,
            ..Self::new(Location::File(file), data_dir)
        })
    }

    fn new(location: Location, data_dir: Option<DataDir>) -> Self {
        Self {
            location,
            data_dir,
            _archive_lock: None,
            database: RwLock::default(),
            open_lock: tokio::sync::Mutex::default(),
            check_lock: tokio::sync::Mutex::default(),
            round_trip: AtomicU64::new(u64::MAX),
            health_check: None,
            rest: Mutex::default(),
            notifications: broadcast::Sender::new(NOTIFICATION_CAPACITY),
        }
    }

    /// Opens the database, unless that has happened.
    pub(super) async fn database_or_open(&self) -> Result<Arc<Database>, ArchiveError> {
        let _alone = self.open_lock.lock().await;
        if let Some(database) = self.database() {
            return Ok(database);
        }
        let database = Arc::new(Database::open(&self.location).await?);
        self.swap(Some(Arc::clone(&database)));
        Ok(database)
    }

    /// The same; when the disk is full, with what is held back for that.
    async fn open_with_room(&self, folder: &Path) -> Result<Arc<Database>, ArchiveError> {
        match self.database_or_open().await {
            Err(ArchiveError::Full | ArchiveError::Database(_)) if data_dir::is_disk_full(folder) => {
                data_dir::release_ballast(folder);
                self.database_or_open().await
            }
            opened => opened,
        }
    }

    /// Makes room for a new archive in place of one that was removed while it was in use.
    pub(super) async fn recreate(&self, folder: &Path) -> Result<(), ArchiveError> {
        let _alone = self.open_lock.lock().await;
        let Location::File(file) = &self.location else { return Ok(()) };
        if file.exists() {
            return Ok(());
        }
        tracing::error!(
            "the archive was removed from {} while it is in use: a new one is begun",
            folder.display()
        );
        if let Some(database) = self.swap(None) {
            // When somebody still reads from it, that ends with its connections.
            drop(tokio::time::timeout(BACKGROUND_TIMEOUT, database.close()).await);
        }
        data_dir::create(folder)
    }

    /// Puts a damaged file out of the way, unless that has happened; a new one is made when it is needed next.
    pub(super) async fn quarantine(&self, used: Option<&Arc<Database>>, why: &str) {
        let _alone = self.open_lock.lock().await;
        let current = self.database();
        let is_used = |current: &Arc<Database>| used.is_none_or(|used| Arc::ptr_eq(used, current));
        let Location::File(file) = &self.location else { return };
        if current.as_ref().is_some_and(|current| !is_used(current)) {
            return;
        }
        self.swap(None);
        // Its last connection removes files by their names, so it must be gone before there are others.
        if let Some(current) = current
            && tokio::time::timeout(BACKGROUND_TIMEOUT, current.close()).await.is_err()
        {
            tracing::error!("the damaged archive is still in use");
            return;
        }
        data_dir::quarantine(file, why);
    }
}

/// SQLite takes some names for more than a path, unless they begin with a slash.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
