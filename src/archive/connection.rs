//! Helpers for connections: the location of a database, one-integer queries, copies of SQLite files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sqlx::{AnyConnection, Row};
use url::Url;

use super::{ArchiveError, data_dir};

/// Settings of each PostgreSQL connection: a replica that hangs inside a transaction must not block the others.
pub(super) const POSTGRES_SETTINGS: &str =
    "SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '15s'";

/// Where an archive is.
#[derive(Clone, Debug)]
pub(super) enum Location {
    /// In memory, in at most this many bytes.
    Memory(u64),
    /// In a SQLite file.
    File(PathBuf),
    /// In a SQLite file that this user cannot write.
    ReadOnlyFile(PathBuf, Locking),
    /// In a PostgreSQL database.
    Postgres(Url),
}

/// How a SQLite file without write permission is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locking {
    /// With the locks in the index of its WAL: a process has it open.
    Wal,
    /// Without locks: no process had it open, and the index cannot be created. Holds its length and the time of its last change.
    Unlocked(u64, Option<SystemTime>),
}

impl Locking {
    /// Returns how a file is to be read now.
    pub(super) fn of(file: &Path) -> Self {
        if data_dir::wal_files(file)[0].exists() {
            return Self::Wal;
        }
        let metadata = fs::metadata(file).ok();
        let changed = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        Self::Unlocked(metadata.map_or(0, |metadata| metadata.len()), changed)
    }
}

/// Copies a SQLite database to a file that must not exist. The file gets its name when it is complete.
pub(super) async fn back_up(connection: &mut AnyConnection, copy: &Path) -> Result<(), ArchiveError> {
    if copy.exists() {
        return Err(ArchiveError::NotCopied { copy: copy.to_owned(), why: "it already exists".to_owned() });
    }
    write_copy(connection, copy).await
}

/// Copies a SQLite database to a file, which replaces an existing one when it is complete.
pub(super) async fn write_copy(connection: &mut AnyConnection, copy: &Path) -> Result<(), ArchiveError> {
    let cannot = |err: io::Error| match err.kind() {
        io::ErrorKind::StorageFull => ArchiveError::Full,
        _ => ArchiveError::NotCopied { copy: copy.to_owned(), why: err.to_string() },
    };
    let copy = &std::path::absolute(copy).map_err(cannot)?;
    let part = PathBuf::from(format!("{}.part", copy.display()));
    // An error of creating the file is clearer than that of SQLite. SQLite accepts an empty file, which an interrupted
    // backup would not leave.
    drop(fs::File::create(&part).map_err(cannot)?);
    let vacuum = sqlx::query("VACUUM INTO $1").bind(part.to_string_lossy().into_owned());
    let copied = match vacuum.execute(connection).await {
        Ok(_) => fs::rename(&part, copy).map_err(cannot),
        Err(err) => Err(err.into()),
    };
    copied.inspect_err(|_| drop(fs::remove_file(&part)))
}

/// Returns whether a connection is to PostgreSQL.
pub(super) fn is_postgres(connection: &AnyConnection) -> bool {
    connection.backend_name() == "PostgreSQL"
}

/// Runs a query that returns one integer.
pub(super) async fn integer(connection: &mut AnyConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(query).fetch_one(connection).await?;
    // The result of a PRAGMA has a smaller type.
    row.try_get::<i64, _>(0).or_else(|_| row.try_get::<i32, _>(0).map(i64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_of_a_file_that_is_read_without_locks_is_noticed() {
        let folder = std::env::temp_dir().join(format!("telewire-locking-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("archive.sqlite");
        fs::write(&file, "a").unwrap();
        let unlocked = Locking::of(&file);
        assert!(unlocked != Locking::Wal && unlocked == Locking::of(&file));
        fs::write(&file, "ab").unwrap();
        assert_ne!(Locking::of(&file), unlocked);
        fs::write(&data_dir::wal_files(&file)[0], "").unwrap();
        assert_eq!(Locking::of(&file), Locking::Wal);
        fs::remove_dir_all(folder).unwrap();
    }
}
