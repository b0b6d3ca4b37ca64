//! The schema of the archive: SQL files that sqlx's migrator applies in order and records in `_sqlx_migrations`.
//!
//! A migration that was released never changes: the migrator compares checksums. Another one is added instead.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, Connection, Executor, Row, SqlSafeStr};

use super::connection::{Location, POSTGRES_SETTINGS, integer, write_copy};
use super::{ArchiveError, data_dir};

/// The newest schema that was recorded in SQLite's `user_version` or PostgreSQL's table `telewire_schema`, before there
/// was a table of migrations. It equals that of the migration with this version.
const NEWEST_BASELINE: i64 = 2;

/// How long the version of a schema may take to read: a database that has become unreachable does not answer.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Each migration: its version, its name, and its SQL for SQLite and for PostgreSQL.
const MIGRATIONS: [(i64, &str, &str, &str); 7] = [
    (
        1,
        "create tables",
        include_str!("migrations/sqlite/0001_create_tables.sql"),
        include_str!("migrations/postgres/0001_create_tables.sql"),
    ),
    (
        2,
        "add post.seen",
        include_str!("migrations/sqlite/0002_add_post_seen.sql"),
        include_str!("migrations/postgres/0002_add_post_seen.sql"),
    ),
    (
        3,
        "add expected_visit",
        include_str!("migrations/sqlite/0003_add_expected_visits.sql"),
        include_str!("migrations/postgres/0003_add_expected_visits.sql"),
    ),
    (
        4,
        "add post_version",
        include_str!("migrations/sqlite/0004_add_post_versions.sql"),
        include_str!("migrations/postgres/0004_add_post_versions.sql"),
    ),
    (
        5,
        "add article",
        include_str!("migrations/sqlite/0005_add_articles.sql"),
        include_str!("migrations/postgres/0005_add_articles.sql"),
    ),
    (
        6,
        "index alias.channel",
        include_str!("migrations/sqlite/0006_index_alias_channel.sql"),
        include_str!("migrations/postgres/0006_index_alias_channel.sql"),
    ),
    (
        7,
        "index post.published",
        include_str!("migrations/sqlite/0007_index_post_published.sql"),
        include_str!("migrations/postgres/0007_index_post_published.sql"),
    ),
];

/// Returns the migrations of a database. `is_postgres` selects the SQL dialect.
pub(super) fn migrations(is_postgres: bool) -> Vec<Migration> {
    let migration = |(version, name, sqlite, postgres): (i64, &'static str, &'static str, &'static str)| {
        let sql = if is_postgres { postgres } else { sqlite };
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    MIGRATIONS.map(migration).into()
}

/// The schema of an existing database.
struct Schema {
    /// 0 if there are no tables.
    version: i64,
    /// `_sqlx_migrations` exists.
    has_migrations: bool,
}

/// Applies the migrations that the database lacks, on SQLite all or none of them. A SQLite file is copied first.
///
/// # Errors
///
/// [`ArchiveError::NewerVersion`] if the database has a migration that this program does not know,
/// [`ArchiveError::OlderInUse`] if a service uses the file that a command would migrate.
pub(super) async fn migrate(
    connection: &mut AnyConnection,
    location: &Location,
    is_service: bool,
    migrations: Vec<Migration>,
) -> Result<(), ArchiveError> {
    let is_postgres = matches!(location, Location::Postgres(_));
    let newest = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    let schema = tokio::time::timeout(VERSION_TIMEOUT, schema(connection, is_postgres, newest)).await;
    let schema = schema.map_err(|_| ArchiveError::Slow)??;
    if schema.version == newest && schema.has_migrations {
        return Ok(());
    }
    if let Location::ReadOnlyFile(file, _) = location {
        let folder = file.parent().unwrap_or(file).to_owned();
        let why = "an older telewire has written the archive, which must be migrated first".to_owned();
        return Err(ArchiveError::NotWritable { folder, why });
    }
    let _lock = match location {
        Location::File(file) if schema.version > 0 && !is_service => Some(data_dir::lock_to_migrate(file)?),
        _ => None,
    };
    if let Location::File(file) = location
        && (1..newest).contains(&schema.version)
    {
        copy_before(connection, file, newest).await?;
    }
    let migrator = Migrator::with_migrations(migrations);
    let baseline = (!schema.has_migrations && schema.version > 0).then_some(schema.version);
    if schema.version > 0 {
        let (from, to) = (schema.version, newest);
        tracing::info!(from, to, "migrating the archive, which is not used until that is done");
    }
    let migrated = if is_postgres {
        // The migrator locks the database against other replicas, which wait until it is done.
        connection.execute("SET lock_timeout = 0").await?;
        let applied = apply(&migrator, connection, baseline).await;
        if applied.is_ok() {
            connection.execute(POSTGRES_SETTINGS).await?;
        }
        applied
    } else {
        // One transaction for all migrations. The migrator's own lock does nothing on SQLite.
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
        let applied = apply(&migrator, &mut tx, baseline).await;
        if applied.is_ok() {
            tx.commit().await?;
        }
        applied
    };
    migrated.map_err(|err| match err {
        MigrateError::VersionMissing(found) => ArchiveError::NewerVersion { found, newest },
        MigrateError::Execute(err) | MigrateError::ExecuteMigration(err, _) => err.into(),
        err => ArchiveError::Database(err.to_string()),
    })
}

/// Fails with [`ArchiveError::NewerVersion`] if a SQLite database has a migration that this program does not know.
pub(super) async fn check_version(connection: &mut AnyConnection) -> Result<(), ArchiveError> {
    let newest = MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or_default();
    schema(connection, false, newest).await.map(drop)
}

/// Runs the migrator. With a `baseline`, the migrations up to this version are recorded without being executed.
async fn apply(
    migrator: &Migrator,
    connection: &mut AnyConnection,
    baseline: Option<i64>,
) -> Result<(), MigrateError> {
    // `skip` and `run` do the same, but with them the compiler cannot prove that this future is `Send`.
    if baseline.is_some() {
        migrator.run_direct(baseline, connection, true).await?;
    }
    migrator.run_direct(None, connection, false).await
}

/// Reads the version of the schema.
async fn schema(
    connection: &mut AnyConnection,
    is_postgres: bool,
    newest: i64,
) -> Result<Schema, ArchiveError> {
    let baseline = if !is_postgres {
        integer(connection, "PRAGMA user_version").await?
    } else if has_table(connection, is_postgres, "telewire_schema").await? {
        integer(connection, "SELECT coalesce(max(version), 0) FROM telewire_schema").await?
    } else {
        0
    };
    let has_migrations = has_table(connection, is_postgres, "_sqlx_migrations").await?;
    let version = if has_migrations {
        integer(connection, "SELECT coalesce(max(version), 0) FROM _sqlx_migrations").await?
    } else {
        baseline
    };
    if baseline > NEWEST_BASELINE || version > newest {
        return Err(ArchiveError::NewerVersion { found: baseline.max(version), newest });
    }
    Ok(Schema { version, has_migrations })
}

async fn has_table(
    connection: &mut AnyConnection,
    is_postgres: bool,
    name: &'static str,
) -> Result<bool, sqlx::Error> {
    let query = if is_postgres {
        "SELECT count(to_regclass($1))"
    } else {
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1"
    };
    let row = sqlx::query(query).bind(name).fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

/// Copies a SQLite archive beside itself. Replaces a copy of an earlier attempt to migrate it: an older telewire may have
/// added posts since.
async fn copy_before(connection: &mut AnyConnection, file: &Path, newest: i64) -> Result<(), ArchiveError> {
    let copy = file.with_extension(format!("before-version-{newest}.sqlite"));
    write_copy(connection, &copy).await.map_err(|err| match err {
        // Nobody chose this file.
        ArchiveError::NotCopied { copy, why } => {
            ArchiveError::NotWritable { folder: copy.parent().unwrap_or(&copy).to_owned(), why }
        }
        err => err,
    })?;
    tracing::info!(copy = %copy.display(), "copied the archive before migrating it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::archive::connection::Locking;
    use crate::archive::database::Database;

    fn temporary_directory(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("telewire-migrations-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Returns the migrations, and another one for each of the `sql` texts.
    fn with_further(sql: &[&'static str]) -> Vec<Migration> {
        let mut all = migrations(false);
        for sql in sql {
            let version = i64::try_from(all.len()).unwrap() + 1;
            all.push(Migration::new(
                version,
                "test".into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            ));
        }
        all
    }

    fn newest() -> i64 {
        i64::try_from(MIGRATIONS.len()).unwrap()
    }

    async fn has(connection: &mut AnyConnection, table: &str) -> bool {
        connection.execute(AssertSqlSafe(format!("SELECT count(*) FROM {table}"))).await.is_ok()
    }

    #[tokio::test]
    async fn older_archive_is_copied_and_migrated_whole_or_not_at_all() {
        const ADD_TABLE: &str =
            "CREATE TABLE more (n INTEGER); INSERT INTO more SELECT count(*) FROM channel";
        let folder = temporary_directory("older");
        let location = Location::File(folder.join("archive.sqlite"));
        let database = Database::open(&location, true).await.unwrap();
        let mut connection = database.writes.acquire().await.unwrap();
        let broken = with_further(&[ADD_TABLE, "CREATE TABLE half (n INTEGER); nonsense"]);
        let broken = migrate(&mut connection, &location, true, broken).await;
        assert!(matches!(broken, Err(ArchiveError::Database(_))), "{broken:?}");
        assert!(!has(&mut connection, "more").await && !has(&mut connection, "half").await);
        let read_only = Location::ReadOnlyFile(folder.join("archive.sqlite"), Locking::Wal);
        let refused = migrate(&mut connection, &read_only, false, with_further(&[ADD_TABLE])).await;
        assert!(matches!(refused, Err(ArchiveError::NotWritable { .. })), "{refused:?}");
        let copy = |version: i64| folder.join(format!("archive.before-version-{version}.sqlite"));
        assert!(copy(newest() + 2).exists());
        migrate(&mut connection, &location, true, with_further(&[ADD_TABLE])).await.unwrap();
        assert!(has(&mut connection, "more").await && copy(newest() + 1).exists());
        let newer = migrate(&mut connection, &location, true, migrations(false)).await;
        let Err(ArchiveError::NewerVersion { found, newest: supported }) = newer else { panic!("{newer:?}") };
        assert_eq!((found, supported), (newest() + 1, newest()));
        drop(connection);
        database.close().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn second_upgrade_replaces_the_copy_of_the_first() {
        let folder = temporary_directory("again");
        let location = Location::File(folder.join("archive.sqlite"));
        let database = Database::open(&location, true).await.unwrap();
        let mut connection = database.writes.acquire().await.unwrap();
        let newer = || with_further(&["CREATE TABLE more (n INTEGER)"]);
        let version = newer().len();
        migrate(&mut connection, &location, true, newer()).await.unwrap();
        let downgrade = format!(
            "DROP TABLE more; DELETE FROM _sqlx_migrations WHERE version = {version};
             INSERT INTO channel (name, record, fetched, fresh_for) VALUES ('a', x'', 0, 0)"
        );
        connection.execute(AssertSqlSafe(downgrade)).await.unwrap();
        migrate(&mut connection, &location, true, newer()).await.unwrap();
        let copy = Location::File(folder.join(format!("archive.before-version-{version}.sqlite")));
        let copy = Database::open(&copy, true).await.unwrap();
        let mut copied = copy.reads.acquire().await.unwrap();
        assert_eq!(integer(&mut copied, "SELECT count(*) FROM channel").await.unwrap(), 1);
        drop((connection, copied));
        copy.close().await;
        database.close().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn baseline_is_recorded_and_the_rest_executed() {
        for version in [1, 2] {
            let folder = temporary_directory(&format!("baseline-{version}"));
            let location = Location::File(folder.join("archive.sqlite"));
            let database = Database::open(&location, true).await.unwrap();
            let mut connection = database.writes.acquire().await.unwrap();
            let forget = format!(
                "DROP TABLE _sqlx_migrations; DROP TABLE expected_visit; DROP TABLE post_version; DROP TABLE article;
                 DROP INDEX alias_channel; DROP INDEX post_published;
                 PRAGMA user_version = {version}"
            );
            connection.execute(AssertSqlSafe(forget)).await.unwrap();
            if version == 1 {
                connection.execute("ALTER TABLE post DROP COLUMN seen").await.unwrap();
            }
            migrate(&mut connection, &location, true, migrations(false)).await.unwrap();
            let applied = integer(&mut connection, "SELECT count(*) FROM _sqlx_migrations").await.unwrap();
            assert_eq!(applied, newest(), "from version {version}");
            connection.execute("SELECT seen FROM post").await.unwrap();
            assert!(folder.join(format!("archive.before-version-{}.sqlite", newest())).exists());
            drop(connection);
            database.close().await;
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_opens_of_a_new_file_all_succeed() {
        for n in 0..50 {
            let folder = temporary_directory(&format!("concurrent-{n}"));
            let location = Location::File(folder.join("archive.sqlite"));
            let opens: Vec<_> = (0..4)
                .map(|_| {
                    let location = location.clone();
                    tokio::spawn(async move { Database::open(&location, true).await })
                })
                .collect();
            for open in opens {
                open.await.unwrap().unwrap().close().await;
            }
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }
}
