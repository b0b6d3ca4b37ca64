//! The expected visits of readers: they survive a restart, and the channel is refreshed for them without a request.

use std::path::Path;

use jiff::SignedDuration;
use sqlx::{AssertSqlSafe, Executor, Row};
use telewire::archive::{Archive, ExpectedVisit};
use telewire::model::channel::ChannelName;
use tokio::runtime::Runtime;

use super::migrations::with_connection;
use super::{Kind, kinds};
use crate::support::app::{App, new_folder};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::postgres::Postgres;
use crate::support::wait::wait_until;
use crate::support::{CHANNEL, page};

const RSS: &str = "/harbour_news/rss";
const PREVIEW: &str = "/s/harbour_news";

fn fake() -> FakeTelegram {
    let fake = FakeTelegram::start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    fake
}

/// Runs SQL in the archive of a service that does not run.
fn execute(kind: &Kind, folder: &Path, sql: &str) {
    with_connection(kind, folder, async |connection| {
        connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    });
}

fn n_stored(kind: &Kind, folder: &Path) -> i64 {
    let mut n = 0;
    with_connection(kind, folder, async |connection| {
        n = connection.fetch_one("SELECT count(*) FROM expected_visit").await.unwrap().get(0);
    });
    n
}

/// Makes the channel stale, and a visit due in half a minute.
fn expect_visit(kind: &Kind, folder: &Path) {
    let now = telewire::clock::now().as_second();
    execute(kind, folder, "UPDATE channel SET fetched = 0");
    execute(kind, folder, &format!("INSERT INTO expected_visit VALUES ('{CHANNEL}', {}, 3600)", now + 30));
}

#[test]
fn expected_visit_of_before_a_restart_refreshes_the_channel() {
    for kind in kinds() {
        let fake = fake();
        let app = App::start(&fake.url(), &kind.flags());
        assert_eq!(app.get(RSS).status, 200);
        let folder = app.stop();
        expect_visit(&kind, &folder);
        let app = App::start_in(folder, &fake.url(), &kind.flags());
        wait_until("the channel is refreshed without a request", || fake.count(PREVIEW) == 2);
        app.wait_for_metric("telewire_refreshes_total{outcome=\"ok\"}", 1.0);
        let feed = app.get(RSS);
        assert!(feed.header("Cache-Status").unwrap().starts_with("telewire; hit; ttl="), "{}", kind.name);
        app.wait_for_metric("telewire_prefetches_total{outcome=\"used\"}", 1.0);
        assert_eq!(fake.count(PREVIEW), 2, "{}", kind.name);
    }
}

/// PostgreSQL ends one of two transactions that wait for each other, and that counts as a failure of the archive.
#[test]
fn replicas_that_store_visits_of_the_same_channels_do_not_block_each_other() {
    let Some(postgres) = Postgres::shared() else { return };
    let database = postgres.database();
    let kind = Kind { name: "PostgreSQL", database: Some(database.clone()) };
    let due = telewire::clock::now();
    let visit = ExpectedVisit { due, interval: SignedDuration::from_hours(1) };
    let changes = (0..50).map(|n| (ChannelName::new(&format!("pier_{n}")).unwrap(), vec![visit]));
    let changes: Vec<_> = changes.collect();
    let reversed: Vec<_> = changes.iter().rev().cloned().collect();
    let runtime = Runtime::new().unwrap();
    let open = || runtime.block_on(Archive::shared(&database.parse().unwrap())).unwrap();
    let replicas = [open(), open()];
    let folder = new_folder();
    execute(
        &kind,
        &folder,
        "INSERT INTO channel (name, record, fetched, fresh_for) VALUES ('pier', '', 0, 0);
         INSERT INTO alias (name, channel) SELECT 'pier_' || n, key FROM channel, generate_series(0, 49) AS n",
    );
    runtime.block_on(async {
        for _ in 0..50 {
            let store =
                (replicas[0].store_expected_visits(&changes), replicas[1].store_expected_visits(&reversed));
            tokio::try_join!(store.0, store.1).unwrap();
        }
    });
    assert_eq!(n_stored(&kind, &folder), 50);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_prefetching_nothing_is_stored() {
    for kind in kinds() {
        let fake = fake();
        let flags = [&kind.flags()[..], &["--no-prefetch"]].concat();
        let app = App::start(&fake.url(), &flags);
        assert_eq!(app.get(RSS).status, 200);
        let folder = app.stop();
        expect_visit(&kind, &folder);
        let app = App::start_in(folder, &fake.url(), &flags);
        wait_until("the visits are deleted", || n_stored(&kind, &app.folder) == 0);
        assert_eq!(fake.count(PREVIEW), 1, "{}", kind.name);
    }
}

#[test]
fn forgotten_channel_has_no_expected_visits() {
    for kind in kinds() {
        let fake = fake();
        let app = App::start(&fake.url(), &kind.flags());
        assert_eq!(app.get(RSS).status, 200);
        let folder = app.stop();
        expect_visit(&kind, &folder);
        let forget = [&["archive", "forget", CHANNEL, "--yes"], &kind.flags()[..]].concat();
        assert_eq!(crate::support::app::run_in(&folder, &forget).code, 0, "{}", kind.name);
        assert_eq!(n_stored(&kind, &folder), 0, "{}", kind.name);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
