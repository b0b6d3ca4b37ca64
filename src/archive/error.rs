//! Errors of the archive.

use std::path::PathBuf;

use thiserror::Error;

/// Why an operation of the archive failed.
#[derive(Clone, Debug, Error)]
pub enum ArchiveError {
    /// The circuit is open, because the archive failed or was slow.
    #[error("the archive is temporarily unavailable")]
    CircuitOpen,
    /// The caller's timeout passed.
    #[error("the archive did not answer in time")]
    Slow,
    /// Another process holds the lock of the channel for too long, or writes the same rows in another order.
    #[error("another process is writing to the same channel")]
    Busy,
    /// The disk has too little free space.
    #[error("the disk is full: nothing is archived until there is space again")]
    Full,
    /// The file is damaged; the text is SQLite's reason.
    #[error(
        "the archive is damaged: restore a backup with `telewire archive restore`, or start the service, which \
         keeps the damaged file under another name and begins a new archive ({0})"
    )]
    Damaged(String),
    /// The schema is newer than this program.
    #[error(
        "the archive was written by a newer telewire (schema version {found}, this one supports {newest}): \
         update telewire, or use another archive"
    )]
    NewerVersion {
        /// The version of the schema.
        found: i64,
        /// The newest version that this program knows.
        newest: i64,
    },
    /// The file is a database of another program.
    #[error(
        "{} is another program's database: choose another directory with --data-dir",
        .0.display()
    )]
    Foreign(PathBuf),
    /// Another process has locked the data directory.
    #[error("another telewire process uses the data directory {}: stop it, or choose another --data-dir", .0.display())]
    InUse(PathBuf),
    /// An older service uses the archive, which must be migrated first.
    #[error("an older telewire uses the data directory {}: stop it first, or run this command with its version", .0.display())]
    OlderInUse(PathBuf),
    /// The data directory cannot be written.
    #[error(
        "cannot write to the data directory {} ({why}): make it writable for this user, run telewire as another user, \
         or choose another directory with --data-dir",
        folder.display()
    )]
    NotWritable {
        /// The data directory.
        folder: PathBuf,
        /// The cause.
        why: String,
    },
    /// A file stands where the data directory should be.
    #[error("{} is not a directory: choose a directory with --data-dir", .0.display())]
    NotADirectory(PathBuf),
    /// A directory stands where the archive should be.
    #[error("{} is a directory: remove it, or choose another one with --data-dir", .0.display())]
    NotAFile(PathBuf),
    /// The archive cannot be read.
    #[error("cannot read {} ({why}): run the command as the user of the service", file.display())]
    NotReadable {
        /// The file of the archive.
        file: PathBuf,
        /// The cause.
        why: String,
    },
    /// A copy of the archive cannot be written.
    #[error("cannot write {} ({why}): choose another file", copy.display())]
    NotCopied {
        /// The file of the copy.
        copy: PathBuf,
        /// The cause.
        why: String,
    },
    /// The file to restore is not a backup.
    #[error("{} is not an archive backup, or is damaged: choose another backup ({why})", file.display())]
    NotABackup {
        /// The file to restore.
        file: PathBuf,
        /// The cause.
        why: String,
    },
    /// There is no archive at this path.
    #[error("no archive at {}: set --data-dir to the directory of the service", .0.display())]
    NotFound(PathBuf),
    /// The archive at this path is not the one that was opened.
    #[error("{} was removed, replaced or changed while it was in use: run the command again", .0.display())]
    Replaced(PathBuf),
    /// The archived posts that a page has to be compared with are larger than those of any real channel.
    #[error("cannot merge the page: the archived posts around its posts are too large")]
    PageTooLarge,
    /// A page was fetched before another channel got its name.
    #[error("the page is older than the archived one of another channel with the same name")]
    PageOutdated,
    /// SQLite may not open or write the file; the text is its reason.
    #[error(
        "cannot open or write the archive ({0}): check the permissions of its files, and the limit of \
         open files"
    )]
    NoAccess(String),
    /// Any other error, as text.
    #[error("{0}")]
    Database(String),
}

impl ArchiveError {
    /// Returns whether the page can never be merged.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::PageTooLarge | Self::PageOutdated)
    }

    /// Returns whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::CircuitOpen | Self::Slow | Self::Busy)
    }

    /// Returns the error for the readiness check: constant text without paths, because everybody can read it.
    #[must_use]
    pub fn summary(&self) -> &'static str {
        match self {
            Self::CircuitOpen
            | Self::Slow
            | Self::Busy
            | Self::PageTooLarge
            | Self::PageOutdated
            | Self::NotCopied { .. }
            | Self::Database(_) => "it failed or was slow",
            Self::Full => "the disk is full",
            Self::Damaged(_) | Self::NotABackup { .. } => "the file is damaged",
            Self::NewerVersion { .. } => "a newer telewire has written the file",
            Self::Foreign(_) => "the file is another program's database",
            Self::InUse(_) | Self::OlderInUse(_) => "another telewire process uses the data directory",
            Self::NotWritable { .. } | Self::NotADirectory(_) | Self::NotAFile(_) => {
                "the data directory cannot be written"
            }
            Self::NoAccess(_) => "the file cannot be opened or written",
            Self::NotReadable { .. } => "the file cannot be read",
            Self::NotFound(_) => "there is no archive",
            Self::Replaced(_) => "the file was removed or replaced while in use",
        }
    }

    /// All labels that [`code`](Self::code) returns.
    pub(super) const CODES: [&str; 20] = [
        "circuit-open",
        "slow",
        "busy",
        "full",
        "damaged",
        "newer",
        "foreign",
        "in-use",
        "not-writable",
        "not-a-directory",
        "not-a-file",
        "not-readable",
        "not-copied",
        "not-a-backup",
        "not-found",
        "replaced",
        "page-too-large",
        "page-outdated",
        "no-access",
        "database",
    ];

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
            Self::InUse(_) | Self::OlderInUse(_) => "in-use",
            Self::NotWritable { .. } => "not-writable",
            Self::NotADirectory(_) => "not-a-directory",
            Self::NotAFile(_) => "not-a-file",
            Self::NotReadable { .. } => "not-readable",
            Self::NotCopied { .. } => "not-copied",
            Self::NotABackup { .. } => "not-a-backup",
            Self::NotFound(_) => "not-found",
            Self::Replaced(_) => "replaced",
            Self::PageTooLarge => "page-too-large",
            Self::PageOutdated => "page-outdated",
            Self::NoAccess(_) => "no-access",
            Self::Database(_) => "database",
        }
    }
}

impl From<sqlx::Error> for ArchiveError {
    fn from(err: sqlx::Error) -> Self {
        if matches!(err, sqlx::Error::PoolTimedOut) {
            // The pool does not say why no connection could be opened.
            return Self::Database("the database is unreachable or too slow".to_owned());
        }
        if matches!(err, sqlx::Error::PoolClosed) {
            // Another task has replaced the database; the next query opens it.
            return Self::CircuitOpen;
        }
        let code = err.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
        // SQLite's codes are numbers whose low byte is the class; PostgreSQL's have five characters.
        let class = if code.len() == 5 { None } else { code.parse::<u32>().ok().map(|code| code & 0xff) };
        match (class, &*code) {
            (Some(11 | 26), _) => Self::Damaged(message(&err)),
            // A damaged format number in the header is a general error to SQLite.
            (Some(1), _) if message(&err) == "unsupported file format" => Self::Damaged(message(&err)),
            (Some(13), _) | (None, "53100") => Self::Full,
            (Some(3 | 8 | 14), _) => Self::NoAccess(message(&err)),
            // PostgreSQL's lock_not_available, deadlock_detected and serialization_failure.
            (None, "55P03" | "40P01" | "40001") => Self::Busy,
            _ => Self::Database(message(&err)),
        }
    }
}

/// Returns the database's own message, without the prefix and the code that sqlx adds.
fn message(err: &sqlx::Error) -> String {
    err.as_database_error().map_or_else(|| err.to_string(), |err| err.message().to_owned())
}
