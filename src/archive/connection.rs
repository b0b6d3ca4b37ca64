//! Helpers for connections: the location of a database, one-integer queries, copies of SQLite files.

use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Row};
use url::Url;

use super::ArchiveError;

/// Where an archive is.
#[derive(Clone, Debug)]
pub(super) enum Location {
    /// In memory, in at most this many bytes.
    Memory(u64),
    /// In a SQLite file.
    File(PathBuf),
    /// In a SQLite file that this user cannot write.
    ReadOnlyFile(PathBuf),
    /// In a PostgreSQL database.
    Postgres(Url),
}

/// Copies a SQLite database to a file that must not exist. The file gets its name when it is complete.
pub(super) async fn back_up(connection: &mut AnyConnection, copy: &Path) -> Result<(), ArchiveError> {
    if copy.exists() {
        return Err(ArchiveError::Database(format!(
            "{} already exists: choose another name",
            copy.display()
        )));
    }
    write_copy(connection, copy).await
}

/// Copies a SQLite database to a file, which replaces an existing one when it is complete.
pub(super) async fn write_copy(connection: &mut AnyConnection, copy: &Path) -> Result<(), ArchiveError> {
    let cannot =
        |err: std::io::Error| ArchiveError::Database(format!("cannot write {}: {err}", copy.display()));
    let copy = &std::path::absolute(copy).map_err(cannot)?;
    let part = PathBuf::from(format!("{}.part", copy.display()));
    // An error of creating the file is clearer than that of SQLite. SQLite accepts an empty file, which an interrupted
    // backup would not leave.
    drop(std::fs::File::create(&part).map_err(cannot)?);
    let vacuum = sqlx::query("VACUUM INTO $1").bind(part.to_string_lossy().into_owned());
    let copied = match vacuum.execute(connection).await {
        Ok(_) => std::fs::rename(&part, copy).map_err(cannot),
        Err(err) => Err(err.into()),
    };
    copied.inspect_err(|_| drop(std::fs::remove_file(&part)))
}

/// Runs a query that returns one integer.
pub(super) async fn integer(connection: &mut AnyConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(query).fetch_one(connection).await?;
    // The result of a PRAGMA has a smaller type.
    row.try_get::<i64, _>(0).or_else(|_| row.try_get::<i32, _>(0).map(i64::from))
}
