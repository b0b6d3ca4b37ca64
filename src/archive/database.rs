//! The two databases, SQLite and PostgreSQL, and their differences.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Transaction};

use super::ArchiveError;
use super::connection::{Location, Locking, POSTGRES_SETTINGS, back_up, integer};
use super::data_dir::{self, FileId};
use super::migrations::{check_version, migrate, migrations};

/// Connections for reading a SQLite file.
const SQLITE_READ_CONNECTIONS: u32 = 2;

/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 8;

/// How long to wait for a connection of a pool. Most callers have a shorter timeout of their own.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a file is checked when it is opened. Damage that this check does not reach is found when it is read.
const CHECK_TIME_LIMIT: Duration = Duration::from_millis(500);

/// Installs the database drivers, which may happen only once.
static DRIVERS: Once = Once::new();

/// Setting of a new SQLite file: deleted rows free disk space.
const NEW_FILE_PRAGMA: &str = "PRAGMA auto_vacuum = INCREMENTAL";

/// Settings of each SQLite connection: other processes may read and write too, and a killed process loses nothing that was
/// committed.
const SQLITE_PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
    PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 1048576; PRAGMA wal_autocheckpoint = 200; \
    PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY";

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) reads: AnyPool,
    /// A single connection for SQLite, which has one writer at a time.
    pub(super) writes: AnyPool,
    pub(super) is_postgres: bool,
    /// The files of a SQLite database.
    pub(super) files: Option<OpenFiles>,
}

impl Database {
    /// Opens a database and migrates it. With `is_service`, this process has locked the data directory as its service.
    pub(super) async fn open(location: &Location, is_service: bool) -> Result<Self, ArchiveError> {
        let _open_lock = match location {
            Location::File(file) => data_dir::lock_for_open(file).await,
            Location::Memory(_) | Location::ReadOnlyFile(..) | Location::Postgres(_) => None,
        };
        let database = Self::connect(location).await?;
        let mut connection = database.writes.acquire().await?;
        migrate(&mut connection, location, is_service, migrations(database.is_postgres)).await?;
        drop(connection);
        Ok(database)
    }

    /// Opens a database without migrating it. A SQLite file is checked.
    pub(super) async fn connect(location: &Location) -> Result<Self, ArchiveError> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        Ok(match location {
            Location::Memory(_) => {
                let only = sqlite_pool("sqlite::memory:", 1).await?;
                Self { reads: only.clone(), writes: only, is_postgres: false, files: None }
            }
            Location::File(file) => {
                // The last connection to be closed writes the WAL back and waits for the disk, so this one stays open until
                // others are.
                let mut first = connect_options(&file_url(file, "rwc"))?.connect().await?;
                let opened = Self::open_file(&mut first, file).await;
                let closed = first.close().await;
                let database = opened?;
                closed?;
                database
            }
            Location::ReadOnlyFile(file, locking) => Self::open_to_read(file, *locking).await?,
            Location::Postgres(url) => {
                let pool = AnyPoolOptions::new()
                    .max_connections(POSTGRES_CONNECTIONS)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    // A test costs a round trip each time; the first query notices a lost connection too.
                    .test_before_acquire(false)
                    .after_connect(|connection, _| {
                        Box::pin(async move { connection.execute(POSTGRES_SETTINGS).await.map(drop) })
                    })
                    .connect_with(connect_options(url.as_str())?)
                    .await?;
                Self { reads: pool.clone(), writes: pool, is_postgres: true, files: None }
            }
        })
    }

    /// Checks a file through its `first` connection, and opens it.
    async fn open_file(first: &mut AnyConnection, file: &Path) -> Result<Self, ArchiveError> {
        // Before the pools, whose pragmas change the file, and which retry for seconds if it cannot be opened.
        refuse_foreign(first, file).await?;
        check_integrity(file).await?;
        check_version(first).await?;
        set_up(first).await?;
        // SQLite also opens a file that this user cannot write, and begins a transaction for writing in it.
        if let Err(err) = first.execute("BEGIN IMMEDIATE; CREATE TABLE writable (a); ROLLBACK").await {
            let err = ArchiveError::from(err);
            return Err(if has_unknown_format(file) { ArchiveError::Damaged(err.to_string()) } else { err });
        }
        let main = FileId::of(file);
        let url = file_url(file, "rw");
        let (reads, writes) =
            (sqlite_pool(&url, SQLITE_READ_CONNECTIONS).await?, sqlite_pool(&url, 1).await?);
        // Every connection is opened now: later, another file may have the name.
        drop(try_join_all((0..SQLITE_READ_CONNECTIONS).map(|_| reads.acquire())).await?);
        let files = Some(OpenFiles::of(file)).filter(|files| files.main == main);
        if files.is_none() {
            return Err(ArchiveError::Replaced(file.to_owned()));
        }
        Ok(Self { reads, writes, is_postgres: false, files })
    }

    /// Opens a file that cannot be written.
    async fn open_to_read(file: &Path, locking: Locking) -> Result<Self, ArchiveError> {
        let url = file_url(file, if locking == Locking::Wal { "ro" } else { "ro&immutable=1" });
        // A pool retries for seconds if the file cannot be opened.
        let mut first = connect_options(&url)?.connect().await?;
        refuse_foreign(&mut first, file).await?;
        first.close().await?;
        let only = sqlite_pool(&url, 1).await?;
        Ok(Self { reads: only.clone(), writes: only, is_postgres: false, files: None })
    }

    /// Begins a transaction for writing. On SQLite it excludes other writers from its start.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        if self.is_postgres {
            self.writes.begin().await
        } else {
            self.writes.begin_with("BEGIN IMMEDIATE").await
        }
    }

    /// Begins a transaction for reading, in which all statements see the same state. Keep it short: SQLite's WAL grows until
    /// it ends, and PostgreSQL keeps the rows that are deleted meanwhile.
    pub(super) async fn begin_reading(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        if self.is_postgres {
            self.reads.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
        } else {
            self.reads.begin().await
        }
    }

    /// Returns whether the files of a SQLite database have their names.
    pub(super) fn is_in_place(&self, file: &Path) -> bool {
        self.files.is_none_or(|files| files.state(file) == FileState::Unchanged)
    }

    /// Returns the size of the tables in bytes.
    pub(super) async fn size(&self) -> Result<u64, sqlx::Error> {
        let mut connection = self.reads.acquire().await?;
        let size = if self.is_postgres {
            // The table of channels, and all that refer to it directly or through others.
            integer(
                &mut connection,
                "WITH RECURSIVE archive (id) AS (SELECT 'channel'::regclass::oid UNION
                     SELECT conrelid FROM pg_constraint JOIN archive ON confrelid = id WHERE contype = 'f')
                 SELECT sum(pg_total_relation_size(id))::bigint FROM archive",
            )
            .await?
        } else {
            let unused = integer(&mut connection, "PRAGMA freelist_count").await?;
            let pages = integer(&mut connection, "PRAGMA page_count").await?;
            (pages - unused) * integer(&mut connection, "PRAGMA page_size").await?
        };
        Ok(u64::try_from(size).unwrap_or_default())
    }

    /// Returns unused space of a SQLite file to the disk.
    pub(super) async fn shrink(&self) -> Result<(), sqlx::Error> {
        if !self.is_postgres {
            let mut connection = self.writes.acquire().await?;
            connection.execute("PRAGMA incremental_vacuum").await?;
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }

    /// Copies the SQLite database to a file that must not exist.
    pub(super) async fn back_up(&self, copy: &Path) -> Result<(), ArchiveError> {
        back_up(&mut *self.reads.acquire().await?, copy).await
    }

    /// Closes every connection, after its running query. No further query begins from this call on.
    pub(super) fn close(&self) -> impl Future<Output = ()> {
        let (reads, writes) = (self.reads.close(), self.writes.close());
        async move {
            reads.await;
            writes.await;
        }
    }
}

/// The files of an open SQLite database, as they were when it was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenFiles {
    main: Option<FileId>,
    /// The WAL and its index.
    wal: [Option<FileId>; 2],
}

/// Where the files of an open SQLite database are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// Under their names.
    Unchanged,
    /// The file is in place, its WAL is removed or replaced.
    WithoutWal,
    /// No file has the name, or an empty one.
    Removed,
    /// Another file has the name.
    Replaced,
}

impl OpenFiles {
    fn of(file: &Path) -> Self {
        Self { main: FileId::of(file), wal: data_dir::wal_files(file).map(|log| FileId::of(&log)) }
    }

    /// Returns whether the open files still have their names.
    pub(super) fn state(&self, file: &Path) -> FileState {
        let found = Self::of(file);
        if found.main != self.main {
            let is_empty = std::fs::metadata(file).map_or(true, |found| found.len() == 0);
            return if is_empty { FileState::Removed } else { FileState::Replaced };
        }
        if found.wal == self.wal { FileState::Unchanged } else { FileState::WithoutWal }
    }

    /// Returns whether a file is the WAL or its index.
    pub(super) fn has_wal(&self, id: FileId) -> bool {
        self.wal.contains(&Some(id))
    }
}

async fn sqlite_pool(url: &str, n: u32) -> Result<AnyPool, ArchiveError> {
    let pool = AnyPoolOptions::new()
        .max_connections(n)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A database in memory ends with its connection.
        .min_connections(u32::from(n == 1))
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| Box::pin(set_up(connection)))
        // SQLite ends a transaction automatically after an I/O error. The driver then fails to roll it back, counts it as open,
        // and refuses every later one: such a connection is replaced.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(connect_options(url)?);
    Ok(pool.await?)
}

/// Applies the settings of SQLite to a new connection.
async fn set_up(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    // SQLite writes this setting even if the value is the same, and waits for the disk.
    if integer(connection, "PRAGMA auto_vacuum").await? == 0 {
        connection.execute(NEW_FILE_PRAGMA).await?;
    }
    connection.execute(SQLITE_PRAGMAS).await.map(drop)
}

fn connect_options(url: &str) -> Result<AnyConnectOptions, sqlx::Error> {
    let options: AnyConnectOptions = url.parse()?;
    // Callers log failed queries.
    Ok(options.disable_statement_logging())
}

/// Returns the URL of a SQLite file. The mode is `ro`, `rw`, or `rwc` to create the file if it does not exist.
fn file_url(file: &Path, mode: &str) -> String {
    let path: String = url::form_urlencoded::byte_serialize(file.as_os_str().as_encoded_bytes()).collect();
    // In the path of a URL, a space is not `+`.
    format!("sqlite://{}?mode={mode}", path.replace('+', "%20"))
}

/// Returns whether the header of a file has a number of the format for writing that no SQLite knows (file format, section
/// 1.3.3). SQLite then only reads the file.
fn has_unknown_format(file: &Path) -> bool {
    let mut header = [0; 19];
    File::open(file).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18] > 2
}

/// Checks a file for damage for at most [`CHECK_TIME_LIMIT`].
pub(super) async fn check_integrity(file: &Path) -> Result<(), ArchiveError> {
    let options = SqliteConnectOptions::new().filename(file);
    let mut connection = options.disable_statement_logging().connect().await?;
    let begun = Instant::now();
    connection.lock_handle().await?.set_progress_handler(1000, move || begun.elapsed() < CHECK_TIME_LIMIT);
    let said: Result<String, _> =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await;
    connection.lock_handle().await?.remove_progress_handler();
    let verdict = match said {
        Ok(said) if said == "ok" => Ok(()),
        Ok(said) => Err(ArchiveError::Damaged(said.lines().collect::<Vec<_>>().join(" "))),
        Err(_) if begun.elapsed() >= CHECK_TIME_LIMIT => Ok(()),
        Err(err) => Err(err.into()),
    };
    connection.close().await?;
    verdict
}

/// Checks that an open file is not another program's.
async fn refuse_foreign(connection: &mut AnyConnection, file: &Path) -> Result<(), ArchiveError> {
    match Contents::read(connection).await? {
        Contents::Foreign => Err(ArchiveError::Foreign(file.to_owned())),
        Contents::Archive | Contents::Incomplete => Ok(()),
    }
}

/// The kind of tables in a SQLite file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// The tables that every version of the archive has.
    Archive,
    /// Tables of another program only.
    Foreign,
    /// No tables, or not all of an archive.
    Incomplete,
}

impl Contents {
    /// Reads the names of the tables in a file.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Damaged`] also if it is not a SQLite file.
    pub(super) async fn of(file: &Path) -> Result<Self, ArchiveError> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let mut connection = connect_options(&file_url(file, "rw"))?.connect().await?;
        let contents = Self::read(&mut connection).await;
        let closed = connection.close().await;
        let contents = contents?;
        closed?;
        Ok(contents)
    }

    async fn read(connection: &mut AnyConnection) -> Result<Self, ArchiveError> {
        let tables = "SELECT count(*), count(*) FILTER (WHERE name IN ('channel', 'alias', 'post'))
            FROM sqlite_schema WHERE type = 'table'";
        Ok(match sqlx::query_as::<_, (i64, i64)>(tables).fetch_one(connection).await? {
            (_, 3) => Self::Archive,
            (1.., 0) => Self::Foreign,
            _ => Self::Incomplete,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After an I/O error, which ends a transaction in SQLite but not for the driver.
    #[tokio::test]
    async fn connection_whose_transaction_ended_on_its_own_is_replaced() {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let file = std::env::temp_dir().join(format!("telewire-transaction-{}.sqlite", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let pool = sqlite_pool(&file_url(&file, "rw"), 1).await.unwrap();
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        transaction.execute("ROLLBACK").await.unwrap();
        assert!(transaction.commit().await.is_err());
        pool.begin_with("BEGIN IMMEDIATE").await.unwrap().commit().await.unwrap();
        pool.close().await;
        std::fs::remove_file(&file).unwrap();
    }

    /// Each byte of the header, except the version of the schema: a greater one is a newer archive's.
    #[tokio::test]
    async fn damage_to_the_header_is_found_or_harmless() {
        let folder = std::env::temp_dir().join(format!("telewire-header-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("archive.sqlite");
        let location = Location::File(file.clone());
        Database::open(&location, true).await.unwrap().close().await;
        let good = std::fs::read(&file).unwrap();
        for (at, value) in (0..60).chain(64..100).flat_map(|at| [(at, 0), (at, 0xff)]) {
            let mut bad = good.clone();
            bad[at] = value;
            std::fs::write(&file, bad).unwrap();
            match Database::open(&location, true).await {
                Ok(database) => database.close().await,
                Err(err) => assert!(matches!(err, ArchiveError::Damaged(_)), "byte {at} is {value}: {err}"),
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
