//! The data folder: used by one service at a time, never filled to the brim, rid of damaged files.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::ArchiveError;

/// With less room than this on the disk nothing is archived, or than a quarter of a small disk: what was written has to
/// be written once more, from SQLite's log into the file.
const MIN_FREE_BYTES: u64 = 64 << 20;

/// What is held back so that a full disk leaves room to delete: SQLite needs some for that too.
const BALLAST_BYTES: u64 = 4 << 20;

/// Held by a service: there is one on a folder.
const SERVICE_LOCK_FILE: &str = "telewire.lock";

/// Held, together with others, by who uses the archive; alone, by who puts another one in its place.
const ARCHIVE_LOCK_FILE: &str = "archive.lock";

const BALLAST_FILE: &str = "ballast";

/// A data folder that no other service uses.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    is_full: AtomicBool,
    /// Held as long as the program runs.
    _lock: File,
}

impl DataDir {
    /// Takes a folder, which is made when it is not there.
    pub(super) fn lock(path: &Path) -> Result<Self, ArchiveError> {
        create(path)?;
        let lock = lock_file(path, SERVICE_LOCK_FILE, File::try_lock)?;
        let folder = Self { path: path.to_owned(), is_full: AtomicBool::new(false), _lock: lock };
        if folder.has_room().is_ok() {
            restore_ballast(path);
        }
        Ok(folder)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something may be written.
    pub(super) fn has_room(&self) -> Result<(), ArchiveError> {
        let was_full = self.is_full.load(Ordering::Relaxed);
        let is_full = match free_space(&self.path) {
            Ok((free, min_free)) => free < min_free,
            Err(err) => {
                tracing::warn!("how much room the disk has cannot be told: {err}");
                false
            }
        };
        self.is_full.store(is_full, Ordering::Relaxed);
        match (was_full, is_full) {
            (false, true) => tracing::error!("{}", ArchiveError::Full),
            (true, false) => {
                tracing::info!("the disk has room again: the archive goes on");
                restore_ballast(&self.path);
            }
            _ => {}
        }
        if is_full { Err(ArchiveError::Full) } else { Ok(()) }
    }
}

/// Makes a data folder, unless it is there.
pub(super) fn create(path: &Path) -> Result<(), ArchiveError> {
    fs::create_dir_all(path).map_err(|err| not_writable(path, &err))
}

/// Keeps others from putting another archive in the place of the one in a folder, until it is dropped. On a full disk
/// there may be no room even for that, but whoever trims the archive must not be kept from it.
pub(super) fn lock_shared(path: &Path) -> Result<Option<File>, ArchiveError> {
    match lock_file(path, ARCHIVE_LOCK_FILE, File::try_lock_shared) {
        Err(ArchiveError::Full) => Ok(None),
        lock => lock.map(Some),
    }
}

/// Keeps others from using the archive in a folder, until it is dropped.
pub(super) fn lock_exclusive(path: &Path) -> Result<File, ArchiveError> {
    lock_file(path, ARCHIVE_LOCK_FILE, File::try_lock)
}

/// The system lets go of a lock when the program is killed.
fn lock_file(
    folder: &Path,
    name: &str,
    lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<File, ArchiveError> {
    let opened = File::options().create(true).append(true).open(folder.join(name));
    let file = opened.map_err(|err| match err.kind() {
        io::ErrorKind::StorageFull => ArchiveError::Full,
        _ => not_writable(folder, &err),
    })?;
    match lock(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ArchiveError::InUse(folder.to_owned())),
        Err(TryLockError::Error(err)) => Err(not_writable(folder, &err)),
    }
}

fn not_writable(folder: &Path, err: &io::Error) -> ArchiveError {
    ArchiveError::NotWritable { folder: folder.to_owned(), why: err.to_string() }
}

/// Bytes that are free, and how many should be.
fn free_space(folder: &Path) -> io::Result<(u64, u64)> {
    Ok((fs4::available_space(folder)?, MIN_FREE_BYTES.min(fs4::total_space(folder)? / 4)))
}

/// Whether a disk has less room than it should have.
pub(super) fn is_disk_full(folder: &Path) -> bool {
    free_space(folder).is_ok_and(|(free, min_free)| free < min_free)
}

/// Makes some room on a full disk.
pub(super) fn release_ballast(folder: &Path) {
    match fs::remove_file(folder.join(BALLAST_FILE)) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("the ballast cannot be removed: {err}");
        }
        _ => {}
    }
}

/// Holds some room back for a time when the disk is full.
pub(super) fn restore_ballast(folder: &Path) {
    let file = folder.join(BALLAST_FILE);
    let write = || {
        let size = BALLAST_BYTES.min(fs4::total_space(folder)? / 16);
        let is_there = fs::metadata(&file).is_ok_and(|found| found.len() == size);
        let (free, min_free) = free_space(folder)?;
        if is_there || free < min_free + size {
            return Ok(());
        }
        // Some file systems do not store zeros.
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(4096).collect();
        let mut out = File::create(&file)?;
        (0..size / 4096).try_for_each(|_| io::Write::write_all(&mut out, &noise))?;
        out.set_len(size)
    };
    if let Err(err) = write() {
        tracing::warn!("no room can be held back for a full disk: {err}");
    }
}

/// Renames a damaged archive, which nobody may have open.
pub(super) fn quarantine(file: &Path, why: &str) {
    match rename_aside(file, "damaged") {
        Ok(aside) => tracing::error!(
            "the archive is damaged ({why}): it was set aside as {}, and a new one is begun",
            aside.display()
        ),
        Err(err) => tracing::error!("the archive is damaged ({why}), and cannot be set aside: {err}"),
    }
}

/// Renames an archive with its logs, after what became of it and when. Returns its new name, which no other file had.
#[expect(clippy::disallowed_methods, reason = "the name says when it was put aside")]
pub(super) fn rename_aside(file: &Path, why: &str) -> io::Result<PathBuf> {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let names = (1..).map(|n| match n {
        1 => file.with_extension(format!("{why}-{time}.sqlite")),
        n => file.with_extension(format!("{why}-{time}-{n}.sqlite")),
    });
    let mut claims = names.map(|aside| File::create_new(&aside).map(|_| aside));
    let is_taken =
        |claim: &io::Result<_>| matches!(claim, Err(err) if err.kind() == io::ErrorKind::AlreadyExists);
    let aside =
        claims.find(|claim| !is_taken(claim)).unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))?;
    fs::rename(file, &aside).inspect_err(|_| drop(fs::remove_file(&aside)))?;
    for (log, aside) in wal_files(file).iter().zip(wal_files(&aside)) {
        // It need not be there.
        drop(fs::rename(log, aside));
    }
    Ok(aside)
}

/// Removes an archive with its logs.
pub(super) fn remove(file: &Path) {
    for file in wal_files(file).iter().map(PathBuf::as_path).chain([file]) {
        // It need not be there.
        drop(fs::remove_file(file));
    }
}

/// What SQLite has beside a file while it is used.
fn wal_files(file: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", file.display())))
}
