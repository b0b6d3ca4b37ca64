//! Repairs what others do to the data directory while a service uses it: files that are removed or replaced.
//!
//! An open file that is removed or replaced stays readable until it is closed. The service goes on with it, copies it back
//! or beside the file that replaced it, and only then uses the file that has the name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use sqlx::AnyConnection;

use super::connection::{Location, integer, write_copy};
use super::data_dir::{self, DataDir, FileId};
use super::database::{Database, FileState, OpenFiles};
use super::{Archive, ArchiveError, BACKGROUND_TIMEOUT, Caller};
use crate::clock;

/// The state of an archive's files.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Why the file could not be opened the last time.
    pub(super) open_error: Option<ArchiveError>,
    /// Why the data directory could not be repaired the last time.
    problem: Option<ArchiveError>,
    /// The file that was found instead of the open one.
    found: Option<(FileState, Option<Stamp>)>,
    incidents: BTreeMap<&'static str, Timestamp>,
}

/// The file, its length and the time of its last change: equal for a file that nobody is writing.
type Stamp = (FileId, u64, Option<SystemTime>);

impl Archive {
    /// Returns why the archive cannot be used now.
    #[must_use]
    pub fn problem(&self) -> Option<ArchiveError> {
        let watch = self.watch();
        let problem = watch.problem.clone().or_else(|| watch.open_error.clone());
        drop(watch);
        let is_up = self.breakers().is_up(Instant::now());
        problem.or_else(|| self.check_room().err()).or_else(|| (!is_up).then_some(ArchiveError::CircuitOpen))
    }

    /// Returns what happened to the data directory and was repaired, with the last time of each.
    #[must_use]
    pub fn incidents(&self) -> Vec<(&'static str, Timestamp)> {
        self.watch().incidents.iter().map(|(what, when)| (*what, *when)).collect()
    }

    /// Adds an incident to [`incidents`](Self::incidents) and to the log.
    pub fn report_incident(&self, what: &'static str) {
        tracing::error!(reason = what, "the data directory was changed while in use");
        self.note_incident(what);
    }

    /// Adds an incident that has its own line in the log to [`incidents`](Self::incidents).
    pub(super) fn note_incident(&self, what: &'static str) {
        self.watch().incidents.insert(what, clock::now());
    }

    /// Checks the data directory of a service, repairs it, and opens the archive if it is closed. For periodic calls.
    pub async fn check_data_dir(&self) {
        self.repair(false).await;
        if self.data_dir.is_some() && self.database().is_none() && self.check_room().is_ok() {
            // A failure is logged, and reported by `problem`.
            drop(self.run(Caller::Background, async |_| Ok(())).await);
        }
    }

    /// Repairs the data directory of a service. A file instead of the open one is used when two calls in a row have found
    /// it unchanged, since somebody may still be writing it, or at once with `is_last`.
    pub(super) async fn repair(&self, is_last: bool) {
        let (Some(data_dir), Location::File(file)) = (&self.data_dir, &self.location) else { return };
        let alone = self.open_lock.lock().await;
        let problem = self.repair_files(data_dir, file, is_last).await.err();
        drop(alone);
        let code = problem.as_ref().map(ArchiveError::code);
        let before = std::mem::replace(&mut self.watch().problem, problem.clone());
        match problem {
            Some(err) if before.as_ref().map(ArchiveError::code) != code => {
                tracing::error!(error = %err, "cannot repair the data directory yet; retrying");
            }
            None if before.is_some() => tracing::info!("the data directory can be used again"),
            _ => {}
        }
    }

    async fn repair_files(&self, data_dir: &DataDir, file: &Path, is_last: bool) -> Result<(), ArchiveError> {
        let locked = self.relock();
        if locked.is_ok() && data_dir.rewrite_ballast() {
            self.report_incident("the ballast was removed; wrote it again");
        }
        let Some(database) = self.database() else { return locked };
        let state = database.files.map_or(FileState::Unchanged, |files| files.state(file));
        match locked {
            Ok(()) if state == FileState::Unchanged => {
                self.watch().found = None;
                Ok(())
            }
            Ok(()) => {
                let found = Some((state, stamp(file)));
                if is_last || std::mem::replace(&mut self.watch().found, found) == found {
                    self.leave(&database, file, state, true).await?;
                }
                Ok(())
            }
            // The directory now belongs to another service, so this one must not use it.
            Err(err @ ArchiveError::InUse(_)) => {
                self.leave(&database, file, state, false).await?;
                Err(err)
            }
            Err(err) => Err(err),
        }
    }

    /// Saves what only the open database has, and closes it. Without `is_ours`, the data directory belongs to another
    /// service.
    async fn leave(
        &self,
        database: &Arc<Database>,
        file: &Path,
        state: FileState,
        is_ours: bool,
    ) -> Result<(), ArchiveError> {
        let Some(files) = database.files else { return Ok(()) };
        // With the only connection for writing, nothing is written after the copy.
        let writer = tokio::time::timeout(BACKGROUND_TIMEOUT, database.writes.acquire());
        let mut writer = writer.await.map_err(|_| ArchiveError::Slow)??;
        match save(&mut writer, files, file, state, is_ours).await {
            Ok(None) => {}
            Ok(Some(incident)) => self.report_incident(incident),
            Err(ArchiveError::Damaged(why)) => {
                tracing::error!(
                    reason = why,
                    "the archive was removed or replaced, and is too damaged to be saved"
                );
            }
            Err(err) => return Err(err),
        }
        self.swap(None);
        let closed = database.close();
        drop(writer);
        closed.await;
        Ok(())
    }

    /// Locks the data directory of a service again if its lock files were removed.
    pub(super) fn relock(&self) -> Result<(), ArchiveError> {
        let Some(data_dir) = &self.data_dir else { return Ok(()) };
        let mut is_lost = data_dir.relock()?;
        let mut lock = self.shared_lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !lock.as_ref().is_some_and(data_dir::LockedFile::is_in_place) {
            is_lost |= lock.is_some();
            *lock = data_dir::lock_shared(data_dir.path())?;
        }
        if is_lost {
            self.report_incident("a lock file was removed; locked the data directory again");
        }
        Ok(())
    }

    /// Fails if a command's file was removed or replaced; a service repairs it.
    pub(super) fn check_place(&self) -> Result<(), ArchiveError> {
        let (None, Location::File(file)) = (&self.data_dir, &self.location) else { return Ok(()) };
        let is_in_place = self.database().is_none_or(|database| database.is_in_place(file));
        if is_in_place { Ok(()) } else { Err(ArchiveError::Replaced(file.clone())) }
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Saves what only an open database has, by its only connection for writing. Returns what happened to its files.
async fn save(
    writer: &mut AnyConnection,
    files: OpenFiles,
    file: &Path,
    state: FileState,
    is_ours: bool,
) -> Result<Option<&'static str>, ArchiveError> {
    let cannot = |err: std::io::Error| {
        let folder = file.parent().unwrap_or(file).to_owned();
        ArchiveError::NotWritable { folder, why: err.to_string() }
    };
    Ok(match state {
        FileState::Unchanged => None,
        FileState::WithoutWal => {
            if integer(writer, "PRAGMA wal_checkpoint(TRUNCATE)").await? != 0 {
                return Err(ArchiveError::Slow);
            }
            data_dir::set_aside_stale_wal(file, |id| !files.has_wal(id)).map_err(cannot)?;
            Some("the WAL of the archive was removed; wrote its posts to the archive")
        }
        FileState::Removed if is_ours => {
            check_room(writer, file).await?;
            data_dir::set_aside_stale_wal(file, |_| true).map_err(cannot)?;
            write_copy(writer, file).await?;
            Some("the archive was removed; wrote it again")
        }
        FileState::Removed | FileState::Replaced => {
            check_room(writer, file).await?;
            let aside = data_dir::claim_aside(file, "replaced", "sqlite").map_err(cannot)?;
            write_copy(writer, &aside).await.inspect_err(|_| drop(fs::remove_file(&aside)))?;
            data_dir::set_aside_stale_wal(file, |id| files.has_wal(id)).map_err(cannot)?;
            tracing::warn!(file = %aside.display(), "saved the archive that was replaced");
            Some("the archive was replaced; saved the previous one beside it")
        }
    })
}

/// Fails if the disk has too little space for a copy of a database.
async fn check_room(connection: &mut AnyConnection, file: &Path) -> Result<(), ArchiveError> {
    let pages = integer(connection, "PRAGMA page_count").await?;
    let size = pages * integer(connection, "PRAGMA page_size").await?;
    data_dir::check_room_for(file.parent().unwrap_or(file), u64::try_from(size).unwrap_or_default())
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = fs::metadata(file).ok()?;
    Some((found.clone().into(), found.len(), found.modified().ok()))
}
