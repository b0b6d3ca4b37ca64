//! Schemas: archives that older versions wrote are opened, those of newer versions are refused.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Row};
use telewire::model::channel::{Channel, ChannelName};
use telewire::model::post::{Post, PostId};
use tokio::runtime::Runtime;

use super::{Kind, kinds};
use crate::support::app::{self, App};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::postgres::Postgres;
use crate::support::wait::wait_until;

const NAME: &str = "old_quay";

/// The tables of schema version 2, as telewire created them before it used sqlx's migrator.
const SQLITE_TABLES: &str = "
    CREATE TABLE channel (
        key INTEGER PRIMARY KEY AUTOINCREMENT, telegram_id INTEGER, name TEXT NOT NULL, record BLOB NOT NULL,
        changed INTEGER, fetched INTEGER NOT NULL, fresh_for INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE alias (
        name TEXT PRIMARY KEY, channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE TABLE post (
        channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE, id INTEGER NOT NULL,
        published INTEGER NOT NULL, missing INTEGER NOT NULL, gone INTEGER, rules INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL, PRIMARY KEY (channel, id)
    );
    CREATE TABLE gap (
        channel INTEGER NOT NULL REFERENCES channel ON DELETE CASCADE, above INTEGER NOT NULL,
        below INTEGER NOT NULL, linked INTEGER NOT NULL, lazy INTEGER NOT NULL,
        failures INTEGER NOT NULL DEFAULT 0, retry INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (channel, below)
    ) WITHOUT ROWID;
    ALTER TABLE post ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
    PRAGMA user_version = 2;";

/// Repeats the test on PostgreSQL.
const POSTGRES_TABLES: &str = "
    CREATE TABLE telewire_schema (version BIGINT NOT NULL);
    CREATE TABLE channel (
        key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, telegram_id BIGINT, name TEXT NOT NULL,
        record BYTEA NOT NULL, changed BIGINT, fetched BIGINT NOT NULL, fresh_for BIGINT NOT NULL,
        gone BIGINT NOT NULL DEFAULT 0
    );
    CREATE TABLE alias (name TEXT PRIMARY KEY, channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE);
    CREATE TABLE post (
        channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE, id BIGINT NOT NULL,
        published BIGINT NOT NULL, missing BIGINT NOT NULL, gone BIGINT, rules BIGINT NOT NULL,
        attempts BIGINT NOT NULL DEFAULT 0, body BYTEA NOT NULL, PRIMARY KEY (channel, id)
    );
    CREATE TABLE gap (
        channel BIGINT NOT NULL REFERENCES channel ON DELETE CASCADE, above BIGINT NOT NULL,
        below BIGINT NOT NULL, linked BIGINT NOT NULL, lazy BIGINT NOT NULL,
        failures BIGINT NOT NULL DEFAULT 0, retry BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (channel, below)
    );
    CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until TIMESTAMPTZ NOT NULL);
    ALTER TABLE post ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
    INSERT INTO telewire_schema VALUES (2);";

/// Runs `work` with a connection to the database of an archive.
pub(super) fn with_connection(kind: &Kind, folder: &Path, work: impl AsyncFnOnce(&mut AnyConnection)) {
    sqlx::any::install_default_drivers();
    let file = folder.join("data/archive.sqlite");
    fs::create_dir_all(folder.join("data")).unwrap();
    let url = kind.database.clone().unwrap_or_else(|| format!("sqlite://{}?mode=rwc", file.display()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = AnyConnection::connect(&url).await.unwrap();
        work(&mut connection).await;
        connection.close().await.unwrap();
    });
}

fn compressed(value: &impl Serialize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(value).unwrap()).unwrap();
    encoder.finish().unwrap()
}

/// Writes an archive with one post, as the version before sqlx's migrator did.
async fn write_old_archive(connection: &mut AnyConnection, tables: &'static str) {
    connection.execute(tables).await.unwrap();
    let url = format!("https://t.me/{NAME}");
    let channel = Channel::new(ChannelName::new(NAME).unwrap(), url.clone(), "Old Quay".to_owned());
    let insert = sqlx::query("INSERT INTO channel (name, record, fetched, fresh_for) VALUES ($1, $2, 0, 0)");
    insert.bind(NAME).bind(compressed(&channel)).execute(&mut *connection).await.unwrap();
    let insert = sqlx::query("INSERT INTO alias (name, channel) SELECT name, key FROM channel");
    insert.execute(&mut *connection).await.unwrap();
    let published: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    let post = Post::empty(PostId::new(7).unwrap(), format!("{url}/7"), published);
    let insert = sqlx::query(
        "INSERT INTO post (channel, id, published, missing, rules, body) SELECT key, 7, $1, 0, 1, $2 FROM channel",
    );
    insert.bind(published.as_second()).bind(compressed(&post)).execute(connection).await.unwrap();
}

#[test]
fn archive_without_a_migrations_table_is_adopted() {
    for kind in kinds() {
        let tables = if kind.database.is_some() { POSTGRES_TABLES } else { SQLITE_TABLES };
        let folder = app::new_folder();
        with_connection(&kind, &folder, async |connection| write_old_archive(connection, tables).await);
        let fake = FakeTelegram::start();
        fake.override_all(Answer::status(500));
        let mut folder = folder;
        for n in 1..=2 {
            let app = App::start_in(folder, &fake.url(), &kind.flags());
            let feed = app.get(&format!("/{NAME}/rss"));
            assert_eq!(feed.status, 200, "{}, start {n}: {}", kind.name, feed.text());
            assert!(feed.text().contains(&format!("https://t.me/{NAME}/7<")), "{}", kind.name);
            folder = app.stop();
        }
        let files = fs::read_dir(folder.join("data")).unwrap();
        let copies = files
            .filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().contains("before-version"));
        assert_eq!(copies.count(), usize::from(kind.database.is_none()), "{}: copied once", kind.name);
        with_connection(&kind, &folder, async |connection| {
            let applied = connection.fetch_all("SELECT version FROM _sqlx_migrations").await.unwrap();
            assert_eq!(applied.len(), 7, "{}", kind.name);
        });
    }
}

#[test]
fn command_does_not_migrate_the_archive_of_a_running_service() {
    let kind = Kind { name: "SQLite", database: None };
    let folder = app::new_folder();
    with_connection(&kind, &folder, async |connection| write_old_archive(connection, SQLITE_TABLES).await);
    let service = fs::File::create(folder.join("data/telewire.lock")).unwrap();
    service.try_lock().unwrap();
    for command in [&["archive", "stats"][..], &["archive", "backup", "copy.sqlite"], &["opml"]] {
        let refused = app::run_in(&folder, command);
        assert_eq!(refused.code, 7, "{command:?}: {refused:?}");
        assert!(refused.stderr.contains("an older telewire uses the data directory"), "{refused:?}");
    }
    with_connection(&kind, &folder, async |connection| {
        connection.execute("SELECT 1 FROM _sqlx_migrations").await.unwrap_err();
    });
    drop(service);
    assert_eq!(app::run_in(&folder, &["archive", "stats"]).code, 0);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn restored_older_backup_is_migrated_by_the_next_start() {
    let kind = Kind { name: "SQLite", database: None };
    let folder = app::new_folder();
    with_connection(&kind, &folder, async |connection| write_old_archive(connection, SQLITE_TABLES).await);
    fs::rename(folder.join("data/archive.sqlite"), folder.join("old.sqlite")).unwrap();
    assert_eq!(app::run_in(&folder, &["archive", "restore", "old.sqlite"]).code, 0);
    let files = || -> Vec<_> {
        let files = fs::read_dir(folder.join("data")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".sqlite")).collect()
    };
    assert_eq!(files(), ["archive.sqlite"]);
    let stats = app::run_in(&folder, &["archive", "stats"]);
    assert!(stats.stdout.contains("1 channels, 1 posts"), "{stats:?}");
    assert!(files().iter().any(|name| name.starts_with("archive.before-version-")), "{:?}", files());
    fs::remove_dir_all(folder).unwrap();
}

/// The migration waits for a lock here, as long as it would work on a large archive.
#[test]
fn migration_of_a_shared_archive_may_take_longer_than_its_callers_wait() {
    let Some(postgres) = Postgres::shared() else { return };
    let kind = Kind { name: "PostgreSQL", database: Some(postgres.database()) };
    let folder = app::new_folder();
    with_connection(&kind, &folder, async |connection| write_old_archive(connection, POSTGRES_TABLES).await);
    let runtime = Runtime::new().unwrap();
    let pool = runtime.block_on(AnyPool::connect(kind.database.as_ref().unwrap())).unwrap();
    let mut lock = runtime.block_on(pool.begin()).unwrap();
    runtime.block_on(lock.execute("LOCK TABLE alias")).unwrap();
    let fake = FakeTelegram::start();
    fake.override_all(Answer::status(500));
    let apps: Vec<_> = (0..2).map(|_| App::start(&fake.url(), &kind.flags())).collect();
    let longer_than_the_timeouts = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND query LIKE '%CREATE TABLE expected_visit%' AND now() - query_start > '6 s'";
    wait_until("the migration has taken longer than all timeouts", || {
        runtime.block_on(pool.fetch_one(longer_than_the_timeouts)).unwrap().get::<i64, _>(0) == 1
    });
    let n_connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
    let n_connections = runtime.block_on(pool.fetch_one(n_connections)).unwrap().get::<i64, _>(0);
    assert!(n_connections < 10, "each replica migrates once: {n_connections} connections");
    runtime.block_on(lock.rollback()).unwrap();
    for app in &apps {
        wait_until("the archive is used", || app.get("/-/readyz").text() == "ready\n");
        assert_eq!(app.get(&format!("/{NAME}/rss")).status, 200);
    }
}

#[test]
fn archive_with_a_newer_schema_is_refused() {
    let newer_migration = "INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, execution_time \
         FROM _sqlx_migrations WHERE version = 1";
    for kind in kinds() {
        let newer_baseline = if kind.database.is_some() {
            "CREATE TABLE telewire_schema (version BIGINT NOT NULL); INSERT INTO telewire_schema VALUES (99)"
        } else {
            "PRAGMA user_version = 99"
        };
        for change in [newer_migration, newer_baseline] {
            let fake = FakeTelegram::start();
            let _history =
                fake.add_channel(FakeChannel::with_posts(NAME, 3, "2026-05-01T08:00:00Z".parse().unwrap()));
            let app = App::start(&fake.url(), &kind.flags());
            assert_eq!(app.get(&format!("/{NAME}/rss")).status, 200);
            let folder = app.stop();
            with_connection(&kind, &folder, async |connection| {
                connection.execute(AssertSqlSafe(change)).await.unwrap();
            });
            let stats = app::run_in(&folder, &[&["archive", "stats"], &kind.flags()[..]].concat());
            assert_eq!(stats.code, 7, "{}: {stats:?}", kind.name);
            assert!(
                stats.stderr.contains("written by a newer telewire (schema version 99"),
                "{}: {stats:?}",
                kind.name
            );
            let serve = ["serve", "--listen", "127.0.0.1:0"];
            let served = app::run_in(&folder, &[&serve, &kind.flags()[..]].concat());
            assert!(served.code == 1 && served.stderr.contains("newer telewire"), "{served:?}");
            if change == newer_migration {
                with_connection(&kind, &folder, async |connection| {
                    connection.execute("DELETE FROM _sqlx_migrations WHERE version = 99").await.unwrap();
                });
            }
        }
    }
}

#[test]
fn concurrent_processes_create_one_archive() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        let _history =
            fake.add_channel(FakeChannel::with_posts(NAME, 3, "2026-05-01T08:00:00Z".parse().unwrap()));
        let folder = app::new_folder();
        let processes: Vec<_> = (0..4)
            .map(|_| {
                let upstream = fake.url();
                let backfill = ["archive", "backfill", NAME, "--upstream", &upstream];
                let arguments: Vec<String> =
                    [&backfill, &kind.flags()[..]].concat().into_iter().map(str::to_owned).collect();
                let folder = folder.clone();
                thread::spawn(move || {
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    app::run_in(&folder, &arguments)
                })
            })
            .collect();
        for process in processes {
            let output = process.join().unwrap();
            assert_eq!(output.code, 0, "{}: {output:?}", kind.name);
        }
        let stats = app::run_in(&folder, &[&["archive", "stats"], &kind.flags()[..]].concat());
        assert!(stats.stdout.contains("1 channels, 3 posts"), "{}: {stats:?}", kind.name);
        fs::remove_dir_all(folder).unwrap();
    }
}
