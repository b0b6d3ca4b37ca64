//! What can go wrong with an archive.

use std::path::PathBuf;

use thiserror::Error;

/// Why the archive did not do what it was asked.
#[derive(Clone, Debug, Error)]
pub enum ArchiveError {
    /// It is left alone for a moment, since it has failed or was slow.
    #[error("the archive is temporarily unavailable")]
    CircuitOpen,
    /// It has not answered in time.
    #[error("the archive did not answer in time")]
    Slow,
    /// Another program is writing about the same channel, for too long.
    #[error("another process is writing to the same channel")]
    Busy,
    /// There is no room for more.
    #[error("the disk is full: nothing is archived until there is space again")]
    Full,
    /// The file is damaged.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// A newer program has written it.
    #[error(
        "the archive was written by a newer telewire (schema version {found}, this one supports {newest}): \
         update telewire, or use another --data-dir"
    )]
    NewerVersion {
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        newest: i64,
    },
    /// The file has something else in it.
    #[error(
        "{} is another program's database: choose another directory with --data-dir",
        .0.display()
    )]
    Foreign(PathBuf),
    /// Another program has the data folder.
    #[error("another telewire process uses the data directory {}: stop it, or choose another --data-dir", .0.display())]
    InUse(PathBuf),
    /// The data folder cannot be written to.
    #[error(
        "the data directory {} is not writable ({why}): make it writable for this user, choose another one with \
         --data-dir, or keep posts in memory with --no-archive",
        folder.display()
    )]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        why: String,
    },
    /// The file that was to be restored is none.
    #[error("{} is not an archive backup, or is damaged: {why}", file.display())]
    NotABackup {
        /// The file.
        file: PathBuf,
        /// The cause.
        why: String,
    },
    /// There is no archive in this place.
    #[error("no archive at {}: set --data-dir to the directory of the service", .0.display())]
    NotFound(PathBuf),
    /// The database says something else.
    #[error("{0}")]
    Database(String),
}

impl ArchiveError {
    /// Returns whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::CircuitOpen | Self::Slow | Self::Busy)
    }

    /// Returns the label of this error in metrics.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit-open",
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Damaged(_) => "damaged",
            Self::NewerVersion { .. } => "newer",
            Self::Foreign(_) => "foreign",
            Self::InUse(_) => "in-use",
            Self::NotWritable { .. } => "not-writable",
            Self::NotABackup { .. } => "not-a-backup",
            Self::NotFound(_) => "not-found",
            Self::Database(_) => "database",
        }
    }
}

impl From<sqlx::Error> for ArchiveError {
    fn from(err: sqlx::Error) -> Self {
        if matches!(err, sqlx::Error::PoolTimedOut) {
            // Whoever waits in a pool is not told why no connection could be made.
            return Self::Database("the database cannot be reached, or answers too late".to_owned());
        }
        let code = err.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
        // SQLite's codes are numbers, of which the lowercase byte is the class; PostgreSQL's have five characters.
        let class = if code.len() == 5 { None } else { code.parse::<u32>().ok().map(|code| code & 0xff) };
        match (class, &*code) {
            (Some(11 | 26), _) => Self::Damaged(err.to_string()),
            (Some(13), _) | (None, "53100") => Self::Full,
            // PostgreSQL's lock_not_available.
            (None, "55P03") => Self::Busy,
            _ => Self::Database(err.to_string()),
        }
    }
}
