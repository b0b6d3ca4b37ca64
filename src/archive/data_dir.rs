//! The data directory: its locks, free disk space, and files that are damaged or stale.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ArchiveError;
use crate::clock;

/// Nothing is archived with less free disk space than this, or than a quarter of a small disk: SQLite writes everything
/// twice, to its WAL and then to the file.
const MIN_FREE_BYTES: u64 = 64 << 20;

/// The size of the ballast, a file that is removed on a full disk: SQLite needs space even to delete.
const BALLAST_BYTES: u64 = 4 << 20;

/// Locked by the service of this data directory.
const SERVICE_LOCK_FILE: &str = "telewire.lock";

/// Locked shared by processes that use the archive, and exclusively to replace it.
const ARCHIVE_LOCK_FILE: &str = "archive.lock";

/// Locked while a process opens the archive.
const OPEN_LOCK_FILE: &str = "open.lock";

/// How long to wait for that lock. A process that opens an archive for longer is not waited for.
const OPEN_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the lock is tried.
const OPEN_LOCK_INTERVAL: Duration = Duration::from_millis(5);

const BALLAST_FILE: &str = "ballast";

/// A data directory that is locked against other services.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    is_full: AtomicBool,
    lock: Mutex<LockedFile>,
    /// The last attempt to write the ballast succeeded.
    has_ballast: AtomicBool,
}

impl DataDir {
    /// Locks a data directory, and creates it if it does not exist.
    pub(super) fn lock(path: &Path) -> Result<Self, ArchiveError> {
        create(path)?;
        let lock = Mutex::new(lock_file(path, SERVICE_LOCK_FILE, File::try_lock)?);
        let (is_full, has_ballast) = (AtomicBool::new(false), AtomicBool::new(false));
        let folder = Self { path: path.to_owned(), is_full, lock, has_ballast };
        if folder.check_room().is_ok() {
            folder.restore_ballast();
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Locks the directory again if the lock file was removed or replaced. Returns whether it was.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::InUse`] if another service has locked the directory meanwhile.
    pub(super) fn relock(&self) -> Result<bool, ArchiveError> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_in_place() {
            return Ok(false);
        }
        create(&self.path)?;
        *lock = lock_file(&self.path, SERVICE_LOCK_FILE, File::try_lock)?;
        Ok(true)
    }

    /// Fails with [`ArchiveError::Full`] if the disk has too little space to write.
    pub(super) fn check_room(&self) -> Result<(), ArchiveError> {
        let was_full = self.is_full.load(Ordering::Relaxed);
        let is_full = match free_space(&self.path) {
            Ok((free, min_free)) => free < min_free,
            Err(err) => {
                if self.path.exists() {
                    tracing::warn!(error = %err, "cannot determine free disk space");
                }
                false
            }
        };
        self.is_full.store(is_full, Ordering::Relaxed);
        match (was_full, is_full) {
            (false, true) => {
                tracing::error!("the disk is full; nothing is archived until there is space again");
            }
            (true, false) => {
                tracing::info!("the disk has space again; archiving continues");
                self.restore_ballast();
            }
            _ => {}
        }
        if is_full { Err(ArchiveError::Full) } else { Ok(()) }
    }

    fn restore_ballast(&self) {
        restore_ballast(&self.path);
        self.has_ballast.store(self.path.join(BALLAST_FILE).exists(), Ordering::Relaxed);
    }

    /// Writes the ballast if it was removed. Returns whether it did.
    pub(super) fn rewrite_ballast(&self) -> bool {
        let is_removed = self.has_ballast.load(Ordering::Relaxed) && !self.path.join(BALLAST_FILE).exists();
        if is_removed {
            self.restore_ballast();
        }
        is_removed && self.has_ballast.load(Ordering::Relaxed)
    }
}

/// Creates a data directory if it does not exist.
pub(super) fn create(path: &Path) -> Result<(), ArchiveError> {
    fs::create_dir_all(path).map_err(|err| not_writable(path, &err))
}

/// Takes the shared lock that stops another process from replacing the archive. `None` if the disk is too full to
/// create the lock file: pruning must still be possible then.
pub(super) fn lock_shared(path: &Path) -> Result<Option<LockedFile>, ArchiveError> {
    match lock_file(path, ARCHIVE_LOCK_FILE, File::try_lock_shared) {
        Err(ArchiveError::Full) => Ok(None),
        lock => lock.map(Some),
    }
}

/// Takes the exclusive lock that stops other processes from using the archive.
pub(super) fn lock_exclusive(path: &Path) -> Result<LockedFile, ArchiveError> {
    lock_file(path, ARCHIVE_LOCK_FILE, File::try_lock)
}

/// Locks the data directory of an archive against services, so that a command can migrate it.
///
/// # Errors
///
/// [`ArchiveError::OlderInUse`] if a service uses the archive as it is.
pub(super) fn lock_to_migrate(file: &Path) -> Result<LockedFile, ArchiveError> {
    let lock = lock_file(file.parent().unwrap_or(file), SERVICE_LOCK_FILE, File::try_lock);
    lock.map_err(|err| match err {
        ArchiveError::InUse(folder) => ArchiveError::OlderInUse(folder),
        err => err,
    })
}

/// A file that is locked until this is dropped. The system releases the lock when the process is killed.
#[derive(Debug)]
pub(super) struct LockedFile {
    path: PathBuf,
    id: Option<FileId>,
    _file: File,
}

impl LockedFile {
    /// Returns whether other processes still find the locked file under its name.
    pub(super) fn is_in_place(&self) -> bool {
        self.id == FileId::of(&self.path)
    }
}

/// The device and the inode of a file: those of an open file stay, and another file of its name has others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// Returns the id of the file at a path; `None` if there is no file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(Self::from)
    }
}

impl From<Metadata> for FileId {
    #[cfg(unix)]
    fn from(found: Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(found.dev(), found.ino())
    }

    /// Windows does not let an open file be removed or replaced.
    #[cfg(windows)]
    fn from(_: Metadata) -> Self {
        Self(0, 0)
    }
}

fn lock_file(
    folder: &Path,
    name: &str,
    lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<LockedFile, ArchiveError> {
    let path = folder.join(name);
    let opened = File::options().create(true).append(true).open(&path);
    let file = opened.map_err(|err| match err.kind() {
        io::ErrorKind::StorageFull => ArchiveError::Full,
        _ => not_writable(folder, &err),
    })?;
    match lock(&file) {
        Ok(()) => Ok(LockedFile { path, id: file.metadata().ok().map(FileId::from), _file: file }),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::InUse(folder.to_owned())),
        Err(TryLockError::Error(err)) => Err(not_writable(folder, &err)),
    }
}

fn not_writable(folder: &Path, err: &io::Error) -> ArchiveError {
    match err.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            ArchiveError::NotADirectory(folder.to_owned())
        }
        _ => ArchiveError::NotWritable { folder: folder.to_owned(), why: err.to_string() },
    }
}

/// Waits until no other process opens the archive in `file`, and takes the lock for that: processes that create and
/// migrate a file at once get in each other's way. `None` if the lock cannot be taken; SQLite then reports the reason.
pub(super) async fn lock_for_open(file: &Path) -> Option<File> {
    let lock = File::options().create(true).append(true).open(file.with_file_name(OPEN_LOCK_FILE)).ok()?;
    let until = Instant::now() + OPEN_LOCK_TIMEOUT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Some(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                tokio::time::sleep(OPEN_LOCK_INTERVAL).await;
            }
            Err(_) => return None,
        }
    }
}

/// Returns the free bytes of the disk, and the minimum.
fn free_space(folder: &Path) -> io::Result<(u64, u64)> {
    Ok((fs4::available_space(folder)?, MIN_FREE_BYTES.min(fs4::total_space(folder)? / 4)))
}

/// Returns the free bytes of the disk; `None` if the system does not say.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    free_space(folder).ok().map(|(free, _)| free)
}

/// Fails with [`ArchiveError::Full`] if the disk has too little space for a file of this size.
pub(super) fn check_room_for(folder: &Path, size: u64) -> Result<(), ArchiveError> {
    let has_room = free_space(folder).is_ok_and(|(free, min_free)| free >= min_free.saturating_add(size));
    if has_room { Ok(()) } else { Err(ArchiveError::Full) }
}

/// Returns whether the disk has less free space than the minimum.
pub(super) fn is_disk_full(folder: &Path) -> bool {
    free_space(folder).is_ok_and(|(free, min_free)| free < min_free)
}

/// Removes the ballast, to free some space on a full disk.
pub(super) fn release_ballast(folder: &Path) {
    match fs::remove_file(folder.join(BALLAST_FILE)) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(error = %err, "cannot remove the ballast");
        }
        _ => {}
    }
}

/// Writes the ballast, unless it exists or the disk has too little space.
pub(super) fn restore_ballast(folder: &Path) {
    let file = folder.join(BALLAST_FILE);
    let write = || {
        let size = BALLAST_BYTES.min(fs4::total_space(folder)? / 16);
        let is_there = fs::metadata(&file).is_ok_and(|found| found.len() == size);
        let (free, min_free) = free_space(folder)?;
        if is_there || free < min_free + size {
            return Ok(());
        }
        // Random bytes, because some file systems do not store zeros.
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(4096).collect();
        let mut out = File::create(&file)?;
        (0..size / 4096).try_for_each(|_| io::Write::write_all(&mut out, &noise))?;
        out.set_len(size)
    };
    if let Err(err) = write() {
        tracing::warn!(error = %err, "cannot write the ballast");
    }
}

/// Renames a damaged archive, which must be closed. Returns whether that succeeds.
pub(super) fn quarantine(file: &Path, why: &str) -> bool {
    let renamed = rename_aside(file, "damaged");
    match &renamed {
        Ok(aside) => {
            let file = aside.display();
            tracing::error!(reason = why, quarantined = %file, "quarantined a damaged archive; creating a new one");
        }
        Err(err) => tracing::error!(reason = why, error = %err, "cannot quarantine a damaged archive"),
    }
    renamed.is_ok()
}

/// Renames an archive and its WAL after the reason and the time. Returns the new name, which is never an existing file.
pub(super) fn rename_aside(file: &Path, why: &str) -> io::Result<PathBuf> {
    let aside = claim_aside(file, why, "sqlite")?;
    fs::rename(file, &aside).inspect_err(|_| drop(fs::remove_file(&aside)))?;
    for (log, aside) in wal_files(file).iter().zip(wal_files(&aside)) {
        // The file may not exist.
        drop(fs::rename(log, aside));
    }
    Ok(aside)
}

/// Creates an empty file that is named after an archive, the reason and the time.
pub(super) fn claim_aside(file: &Path, why: &str, extension: &str) -> io::Result<PathBuf> {
    let time = clock::now().strftime("%Y%m%dT%H%M%SZ");
    let names = (1..).map(|n| match n {
        1 => file.with_extension(format!("{why}-{time}.{extension}")),
        n => file.with_extension(format!("{why}-{time}-{n}.{extension}")),
    });
    let mut claims = names.map(|aside| File::create_new(&aside).map(|_| aside));
    let is_taken =
        |claim: &io::Result<_>| matches!(claim, Err(err) if err.kind() == io::ErrorKind::AlreadyExists);
    claims.find(|claim| !is_taken(claim)).unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
}

/// Renames the WAL and its index beside an archive if they belong to another file: SQLite would apply them to this one.
pub(super) fn set_aside_stale_wal(file: &Path, is_stale: impl Fn(FileId) -> bool) -> io::Result<()> {
    for (log, extension) in wal_files(file).iter().zip(["wal", "shm"]) {
        if FileId::of(log).is_some_and(&is_stale) {
            let aside = claim_aside(file, "stale", extension)?;
            fs::rename(log, &aside)?;
            tracing::warn!(file = %log.display(), aside = %aside.display(), "renamed the WAL of a file that was removed or replaced");
        }
    }
    Ok(())
}

/// Gives the archive and the locks in a data directory to an owner: if root restores an archive, the service must be able to
/// write it. Another user may not give files away, and has created them as the owner.
pub(super) fn give_to(owner: &Metadata, folder: &Path, archive: &Path) {
    let locks = [SERVICE_LOCK_FILE, ARCHIVE_LOCK_FILE, OPEN_LOCK_FILE].map(|name| folder.join(name));
    #[cfg(unix)]
    for file in locks.into_iter().chain([archive.to_owned()]) {
        use std::os::unix::fs::{MetadataExt, chown};
        drop(chown(file, Some(owner.uid()), Some(owner.gid())));
    }
}

/// Removes an archive and its WAL.
pub(super) fn remove(file: &Path) {
    for file in wal_files(file).iter().map(PathBuf::as_path).chain([file]) {
        // The file may not exist.
        drop(fs::remove_file(file));
    }
}

/// Returns the files that SQLite keeps beside an open database.
pub(super) fn wal_files(file: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", file.display())))
}
