//! The two databases, and what is different between them.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor, Row, Transaction,
};
use url::Url;

use super::ArchiveError;
use super::schema::{STEPS, Step};

/// Connections that read a file at a time.
const SQLITE_READ_CONNECTIONS: u32 = 2;

/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 8;

/// How long a connection may be waited for; whoever waits has a limit of their own.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a file is examined when it is opened. What damage is behind that is met when it is read.
const CHECK_TIME_LIMIT: Duration = Duration::from_millis(500);

/// What SQLite is told on every connection: other processes may read and write too; nothing committed is lost when
/// the program is killed; deleted rows make room on the disk.
const SQLITE_PRAGMAS: &str = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
    PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 1048576; PRAGMA wal_autocheckpoint = 200; \
    PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY";

/// What PostgreSQL is told on every connection: a copy of the program that hangs in the middle of a transaction does not
/// hold up the others.
const POSTGRES_SETTINGS: &str = "SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '15s'";

/// Where an archive is.
#[derive(Clone, Debug)]
pub(super) enum Location {
    /// Nowhere but in memory, in at most so many bytes.
    Memory(u64),
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(Url),
}

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) reads: AnyPool,
    /// For SQLite a single connection: there is one writer.
    pub(super) writes: AnyPool,
    pub(super) is_postgres: bool,
}

impl Database {
    /// Opens the archive at a place, and brings its tables up to date.
    pub(super) async fn open(location: &Location) -> Result<Self, ArchiveError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let database = match location {
            Location::Memory(_) => {
                let only = sqlite_pool("sqlite::memory:", 1).await?;
                Self { reads: only.clone(), writes: only, is_postgres: false }
            }
            Location::File(file) => {
                // Before anything in it is changed.
                if file.exists() && probe_schema(file).await?.is_foreign() {
                    return Err(ArchiveError::Foreign(file.clone()));
                }
                // Before a pool, which tries again and again what cannot be opened.
                check_integrity(file).await?;
                let url = file_url(file);
                let (reads, writes) =
                    (sqlite_pool(&url, SQLITE_READ_CONNECTIONS).await?, sqlite_pool(&url, 1).await?);
                Self { reads, writes, is_postgres: false }
            }
            Location::Postgres(url) => {
                let pool = AnyPoolOptions::new()
                    .max_connections(POSTGRES_CONNECTIONS)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    // It costs a reader's time each time; a connection that is lost is noticed by its first query.
                    .test_before_acquire(false)
                    .after_connect(|connection, _| {
                        Box::pin(async move { connection.execute(POSTGRES_SETTINGS).await.map(drop) })
                    })
                    .connect_with(connect_options(url.as_str())?)
                    .await?;
                Self { reads: pool.clone(), writes: pool, is_postgres: true }
            }
        };
        database.migrate(location, &STEPS).await?;
        Ok(database)
    }

    /// Begins a transaction that writes, alone on SQLite.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        if self.is_postgres {
            self.writes.begin().await
        } else {
            self.writes.begin_with("BEGIN IMMEDIATE").await
        }
    }

    /// Makes whoever else writes about this name wait until the transaction ends.
    pub(super) async fn lock_channel(&self, tx: &mut AnyConnection, name: &str) -> Result<(), sqlx::Error> {
        if self.is_postgres {
            sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))::text").bind(name).fetch_all(tx).await?;
        }
        Ok(())
    }

    /// Takes the steps that the archive has not taken yet, all of them or none.
    async fn migrate(&self, location: &Location, steps: &[Step]) -> Result<(), ArchiveError> {
        let mut connection = self.writes.acquire().await?;
        let newest = i64::try_from(steps.len()).unwrap_or(i64::MAX);
        if self.is_postgres {
            connection
                .execute("CREATE TABLE IF NOT EXISTS telewire_schema (version BIGINT NOT NULL)")
                .await
                // Another copy is at the same.
                .or_else(|err| err.as_database_error().is_some().then(Default::default).ok_or(err))?;
        }
        let found = self.version(&mut connection).await?;
        if found > newest {
            return Err(ArchiveError::NewerVersion { found, newest });
        }
        if found == newest {
            return Ok(());
        }
        if let Location::File(file) = location
            && found > 0
        {
            let copy = file.with_extension(format!("before-version-{newest}.sqlite"));
            if !copy.exists() {
                back_up(&mut connection, &copy).await?;
                tracing::info!(
                    "before the archive is brought up to date, it was copied to {}",
                    copy.display()
                );
            }
        }
        let begin = if self.is_postgres { "BEGIN" } else { "BEGIN IMMEDIATE" };
        let mut tx = connection.begin_with(begin).await?;
        if self.is_postgres {
            tx.execute("LOCK TABLE telewire_schema IN EXCLUSIVE MODE").await?;
        }
        // Another program may have taken the steps since.
        let found = usize::try_from(self.version(&mut tx).await?).unwrap_or_default();
        for step in steps.iter().skip(found) {
            for statement in if self.is_postgres { step.postgres } else { step.sqlite } {
                tx.execute(*statement).await?;
            }
        }
        if self.is_postgres {
            tx.execute("DELETE FROM telewire_schema").await?;
            let insert = sqlx::query("INSERT INTO telewire_schema VALUES ($1)").bind(newest);
            insert.execute(&mut *tx).await?;
        } else {
            tx.execute(AssertSqlSafe(format!("PRAGMA user_version = {newest}"))).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn version(&self, connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
        if self.is_postgres {
            let version =
                sqlx::query("SELECT max(version) FROM telewire_schema").fetch_one(connection).await?;
            Ok(version.try_get::<Option<i64>, _>(0)?.unwrap_or(0))
        } else {
            integer(connection, "PRAGMA user_version").await
        }
    }

    /// Bytes that the archive takes.
    pub(super) async fn size(&self) -> Result<u64, sqlx::Error> {
        let mut connection = self.reads.acquire().await?;
        let size = if self.is_postgres {
            integer(
                &mut connection,
                "SELECT (pg_total_relation_size('post') + pg_total_relation_size('channel')
                    + pg_total_relation_size('alias') + pg_total_relation_size('gap'))::bigint",
            )
            .await?
        } else {
            let unused = integer(&mut connection, "PRAGMA freelist_count").await?;
            let pages = integer(&mut connection, "PRAGMA page_count").await?;
            (pages - unused) * integer(&mut connection, "PRAGMA page_size").await?
        };
        Ok(u64::try_from(size).unwrap_or_default())
    }

    /// Gives room that is no longer needed back to the disk.
    pub(super) async fn shrink(&self) -> Result<(), sqlx::Error> {
        if !self.is_postgres {
            let mut connection = self.writes.acquire().await?;
            connection.execute("PRAGMA incremental_vacuum").await?;
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }

    /// Writes a whole copy to a file that does not exist.
    pub(super) async fn back_up(&self, copy: &Path) -> Result<(), ArchiveError> {
        back_up(&mut *self.reads.acquire().await?, copy).await
    }

    /// Ends every connection, as soon as nobody works with it any more.
    pub(super) async fn close(&self) {
        self.reads.close().await;
        self.writes.close().await;
    }
}

/// The copy has its name only when it is whole.
async fn back_up(connection: &mut AnyConnection, copy: &Path) -> Result<(), ArchiveError> {
    let cannot = |err: std::io::Error| ArchiveError::Database(format!("{}: {err}", copy.display()));
    let copy = &std::path::absolute(copy).map_err(cannot)?;
    if copy.exists() {
        let why = "it is there already, and a backup does not overwrite";
        return Err(ArchiveError::Database(format!("{}: {why}", copy.display())));
    }
    let part = PathBuf::from(format!("{}.part", copy.display()));
    // Of a copy that was broken off.
    drop(std::fs::remove_file(&part));
    let vacuum = sqlx::query("VACUUM INTO $1").bind(part.to_string_lossy().into_owned());
    vacuum.execute(connection).await?;
    std::fs::rename(&part, copy).map_err(cannot)
}

async fn integer(connection: &mut AnyConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(query).fetch_one(connection).await?;
    // SQLite has a smaller type for what a PRAGMA says.
    row.try_get::<i64, _>(0).or_else(|_| row.try_get::<i32, _>(0).map(i64::from))
}

async fn sqlite_pool(url: &str, n: u32) -> Result<AnyPool, ArchiveError> {
    let pool = AnyPoolOptions::new()
        .max_connections(n)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // What is in memory is gone with its connection.
        .min_connections(u32::from(n == 1))
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(SQLITE_PRAGMAS).await.map(drop) })
        })
        .connect_with(connect_options(url)?);
    Ok(pool.await?)
}

fn connect_options(url: &str) -> Result<AnyConnectOptions, sqlx::Error> {
    let options: AnyConnectOptions = url.parse()?;
    // A query that fails is logged where that is handled.
    Ok(options.disable_statement_logging())
}

fn file_url(file: &Path) -> String {
    let path: String = url::form_urlencoded::byte_serialize(file.as_os_str().as_encoded_bytes()).collect();
    // The path of an address, not of a form.
    format!("sqlite://{}?mode=rw", path.replace('+', "%20"))
}

/// Looks whether a file can be used, which is made when it is not there: for a moment, a large one is not read to its
/// end.
pub(super) async fn check_integrity(file: &Path) -> Result<(), ArchiveError> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.disable_statement_logging().connect().await?;
    connection.execute(SQLITE_PRAGMAS).await?;
    let begun = Instant::now();
    connection.lock_handle().await?.set_progress_handler(1000, move || begun.elapsed() < CHECK_TIME_LIMIT);
    let said: Result<String, _> =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await;
    connection.lock_handle().await?.remove_progress_handler();
    let verdict = match said {
        Ok(said) if said == "ok" => Ok(()),
        Ok(said) => Err(ArchiveError::Damaged(said)),
        Err(_) if begun.elapsed() >= CHECK_TIME_LIMIT => Ok(()),
        Err(err) => Err(err.into()),
    };
    connection.close().await?;
    verdict
}

/// What a SQLite file has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SchemaProbe {
    n_tables: i64,
    /// Those among them that every archive has had from its first version on.
    n_ours: i64,
}

impl SchemaProbe {
    const OURS: i64 = 3;

    /// Whether it is an archive.
    pub(super) fn is_archive(self) -> bool {
        self.n_ours == Self::OURS
    }

    /// Whether it has nothing of an archive, not even of a damaged one, but something else.
    fn is_foreign(self) -> bool {
        self.n_tables > 0 && self.n_ours == 0
    }
}

/// Looks what is in a SQLite file, which must be there.
///
/// # Errors
///
/// [`ArchiveError::Damaged`] also when it is no such file at all.
pub(super) async fn probe_schema(file: &Path) -> Result<SchemaProbe, ArchiveError> {
    let options = SqliteConnectOptions::new().filename(file);
    let mut connection = options.disable_statement_logging().connect().await?;
    let tables = "SELECT count(*), count(*) FILTER (WHERE name IN ('channel', 'alias', 'post'))
        FROM sqlite_schema WHERE type = 'table'";
    let (n_tables, n_ours) = sqlx::query_as(tables).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(SchemaProbe { n_tables, n_ours })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_3: Step = Step {
        sqlite: &["CREATE TABLE more (n INTEGER)", "INSERT INTO more SELECT count(*) FROM channel"],
        postgres: &[],
    };
    const BROKEN: Step = Step { sqlite: &["CREATE TABLE half (n INTEGER)", "nonsense"], postgres: &[] };

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("telewire-schema-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    async fn has(database: &Database, table: &str) -> bool {
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query(query).fetch_one(&database.writes).await.is_ok()
    }

    #[tokio::test]
    async fn an_older_archive_is_copied_and_brought_up_to_date_whole_or_not_at_all() {
        let folder = folder("steps");
        let location = Location::File(folder.join("archive.sqlite"));
        let database = Database::open(&location).await.unwrap();
        let broken = database.migrate(&location, &[STEPS[0], STEPS[1], STEP_3, BROKEN]).await;
        assert!(matches!(broken, Err(ArchiveError::Database(_))), "{broken:?}");
        assert!(!has(&database, "more").await && !has(&database, "half").await);
        assert!(folder.join("archive.before-version-4.sqlite").exists());
        database.migrate(&location, &[STEPS[0], STEPS[1], STEP_3]).await.unwrap();
        assert!(has(&database, "more").await && folder.join("archive.before-version-3.sqlite").exists());
        let newer = database.migrate(&location, &STEPS).await;
        assert!(matches!(newer, Err(ArchiveError::NewerVersion { found: 3, newest: 2 })), "{newer:?}");
        database.close().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
