//! The commands of `archive`, beside a running service and alone.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;

use super::history::{CALM, NAME, assert_page, channel, down_to, feed, ids, service};
use super::migrations::with_connection;
use super::{damaged_files, kinds};
use crate::support::app::{self, App};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, Gate};

#[test]
fn forget_deletes_one_channel_after_confirmation() {
    for kind in kinds() {
        let (fake, _history) = channel(20);
        let start = "2026-05-01T08:00:00Z".parse().unwrap();
        fake.add_channel(FakeChannel::with_posts("quiet_pier", 5, start));
        let app = service(&kind, &fake, &CALM);
        assert_page(&app, &kind, "/old_harbour/json", &down_to(20, 1));
        assert_eq!(app.get("/quiet_pier/json").status, 200);
        let command =
            |args: &[&str]| app::run_in(&app.folder, &[&["archive"], args, &kind.flags()[..]].concat());
        let unconfirmed = command(&["forget", NAME]);
        assert!(unconfirmed.code == 2 && unconfirmed.stderr.contains("--yes"), "{unconfirmed:?}");
        assert_eq!(command(&["forget", "nobody_here", "--yes"]).code, 4);
        assert!(command(&["stats"]).stdout.contains("2 channels, 25 posts, "), "nothing is deleted yet");
        let forgotten = command(&["forget", NAME, "--yes"]);
        assert_eq!((forgotten.code, forgotten.stderr.trim()), (0, "deleted 20 posts of old_harbour"));
        assert!(command(&["stats"]).stdout.contains("1 channels, 5 posts, "), "{}", kind.name);
        assert_eq!(command(&["export", NAME]).code, 4);
        assert_eq!(app.get("/old_harbour/json").status, 200, "the channel is fetched again");
    }
}

#[test]
fn restoring_what_is_not_a_regular_file_is_refused() {
    let folder = app::new_folder();
    assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    for backup in ["pipe", "."] {
        let restored = app::run_in(&folder, &["archive", "restore", backup]);
        assert!(restored.code != 0 && restored.stderr.contains("it is not a regular file"), "{restored:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn archive_can_be_backed_up_pruned_and_restored() {
    for kind in kinds() {
        let (fake, _history) = channel(100);
        let app = service(&kind, &fake, &CALM);
        assert_page(&app, &kind, "/old_harbour/json?limit=90", &down_to(100, 11));
        let command =
            |args: &[&str]| app::run_in(&app.folder, &[&["archive"], args, &kind.flags()[..]].concat());
        let copied = command(&["backup", "copy.sqlite"]);
        if kind.database.is_some() {
            assert!(copied.code == 7 && copied.stderr.contains("pg_dump"), "{copied:?}");
        } else {
            assert_eq!(copied.code, 0, "{copied:?}");
            assert_ne!(command(&["backup", "copy.sqlite"]).code, 0, "a backup does not overwrite a file");
        }
        assert_eq!(command(&["prune"]).code, 2, "prune requires a limit");
        let pruned = command(&["prune", "--keep-posts", "30"]);
        assert!(pruned.code == 0 && pruned.stderr.contains("deleted 70 posts"), "{pruned:?}");
        let pruned = command(&["prune", "--keep-days", "1"]);
        assert!(pruned.stderr.contains("deleted 10 posts"), "the newest 20 are kept: {pruned:?}");
        assert!(command(&["stats"]).stdout.contains("1 channels, 20 posts, "));
        // Requesting deleted posts fetches them again.
        assert_page(&app, &kind, "/old_harbour/json?limit=50", &down_to(100, 51));
        let nothing = command(&["export", "nobody_here"]);
        assert!(nothing.code == 4 && nothing.stderr.contains("no posts of nobody_here"), "{nothing:?}");
        if kind.database.is_none() {
            // SQLite would apply the WAL of the running archive to the restored file.
            let refused = command(&["restore", "copy.sqlite"]);
            assert!(refused.code == 7 && refused.stderr.contains("another telewire process"), "{refused:?}");
            let folder = app.kill();
            let replaced = (0..4).map(|_| {
                let restored = app::run_in(&folder, &["archive", "restore", "copy.sqlite"]);
                assert_eq!(restored.code, 0, "{restored:?}");
                restored.stderr.split_once("previous archive is ").unwrap().1.trim_end().to_owned()
            });
            let replaced: BTreeSet<_> = replaced.collect();
            assert_eq!(
                replaced.len(),
                4,
                "every replaced archive is kept, also within a second: {replaced:?}"
            );
            assert!(replaced.iter().all(|file| file.contains("replaced-") && folder.join(file).exists()));
            fake.override_all(Answer::status(500));
            let app = App::start_in(folder, &fake.url(), &CALM);
            assert_page(&app, &kind, "/old_harbour/json?limit=90", &down_to(100, 11));
            assert!(damaged_files(&app.folder).is_empty());
            let folder = app.kill();
            for nonsense in ["nonsense", ""] {
                fs::write(folder.join("nonsense"), nonsense).unwrap();
                let refused = app::run_in(&folder, &["archive", "restore", "nonsense"]);
                assert!(
                    refused.code == 6 && refused.stderr.contains("nonsense is not an archive backup"),
                    "{refused:?}"
                );
            }
            let app = App::start_in(folder, &fake.url(), &CALM);
            assert_eq!(
                ids(&feed(&app, "/old_harbour/json?limit=90")),
                down_to(100, 11),
                "the archive is unchanged"
            );
        }
    }
}

#[test]
fn size_of_an_archive_includes_articles() {
    for kind in kinds() {
        let (fake, _history) = channel(3);
        let app = service(&kind, &fake, &CALM);
        assert_eq!(app.get("/old_harbour/json").status, 200);
        // Numbers that no database compresses.
        let mut seed = 1_u64;
        let article: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed.to_be_bytes()[0]
        })
        .take(1 << 20)
        .collect();
        with_connection(&kind, &app.folder, async |connection| {
            let insert = sqlx::query(
                "INSERT INTO article (channel, post, n, path, fetched, body) SELECT channel, id, 0, 'a', 0, $1 FROM post",
            );
            insert.bind(&article).execute(connection).await.unwrap();
        });
        let stats = app::run_in(&app.folder, &[&["archive", "stats"], &kind.flags()[..]].concat()).stdout;
        assert!(stats.trim_end().ends_with(" MiB"), "{}: {stats}", kind.name);
    }
}

/// Also of commands that fail.
#[test]
fn commands_leave_no_wal_behind() {
    let (fake, _history) = channel(20);
    let app = App::start(&fake.url(), &CALM);
    assert_eq!(app.get("/old_harbour/json").status, 200);
    let folder = app.stop();
    for (command, code) in [
        (&["stats"][..], 0),
        (&["export", "nobody_here"], 4),
        (&["forget", "nobody_here", "--yes"], 4),
        (&["forget", NAME], 2),
        (&["prune", "--keep-posts", "20"], 0),
        (&["backfill", "nobody_here", "--upstream", "http://127.0.0.1:1"], 5),
    ] {
        let out = app::run_in(&folder, &[&["archive"], command].concat());
        assert_eq!(out.code, code, "{command:?}: {out:?}");
        assert!(!folder.join("data/archive.sqlite-wal").exists(), "{command:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn archive_in_use_by_a_command_is_not_replaced() {
    let (fake, history) = channel(60);
    let folder = App::start(&fake.url(), &CALM).stop();
    assert_eq!(app::run_in(&folder, &["archive", "backup", "copy.sqlite"]).code, 0);
    let gate = Gate::default();
    let older = "/s/old_harbour?before=41";
    let page = Answer::page(&history.lock().unwrap().preview_page(Some(41)));
    fake.on(older, Answer { gate: Some(gate.clone()), ..page });
    let backfill = {
        let (folder, upstream) = (folder.clone(), fake.url());
        thread::spawn(move || app::run_in(&folder, &["archive", "backfill", NAME, "--upstream", &upstream]))
    };
    fake.wait_for(older);
    let restore = || app::run_in(&folder, &["archive", "restore", "copy.sqlite"]);
    let refused = restore();
    assert!(refused.code == 7 && refused.stderr.contains("another telewire process"), "{refused:?}");
    assert_eq!(app::run_in(&folder, &["archive", "stats"]).code, 0, "read-only commands work");
    gate.open();
    assert_eq!(backfill.join().unwrap().code, 0);
    assert_eq!(restore().code, 0);
}

/// A copy that cannot be written and a backup that cannot be read are no faults of the archive.
#[test]
fn failures_of_other_files_differ_from_those_of_the_archive() {
    let (fake, _history) = channel(3);
    let app = App::start(&fake.url(), &CALM);
    assert_eq!(app.get("/old_harbour/rss").status, 200);
    let folder = app.stop();
    fs::write(folder.join("taken.sqlite"), "taken").unwrap();
    for (arguments, code, message) in [
        (&["backup", "absent/copy.sqlite"][..], 6, "cannot write absent/copy.sqlite (No such file"),
        (&["backup", "taken.sqlite"], 6, "cannot write taken.sqlite (it already exists): choose another"),
        (
            &["restore", "data"],
            6,
            "data is not an archive backup, or is damaged: choose another backup (it is not",
        ),
        (&["restore", "taken.sqlite"], 6, "taken.sqlite is not an archive backup"),
        (&["export", "nobody_here"], 4, "no posts of nobody_here"),
        (&["backfill", NAME, "--upstream", "http://127.0.0.1:1"], 5, "3 posts archived"),
        (&["backup", "copy.sqlite"], 0, "copied the archive to copy.sqlite"),
    ] {
        let output = app::run_in(&folder, &[&["archive"], arguments].concat());
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(message), "{arguments:?}: {output:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// SQLite's own words come last, and on the same line.
#[test]
fn damaged_archive_is_reported_in_plain_words() {
    let (fake, _history) = channel(30);
    let app = App::start(&fake.url(), &CALM);
    assert_eq!(app.get("/old_harbour/rss").status, 200);
    let folder = app.stop();
    let file = folder.join("data/archive.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    bytes[4096..].fill(0x55);
    fs::write(&file, bytes).unwrap();
    let stats = app::run_in(&folder, &["archive", "stats"]);
    let start =
        "telewire: the archive is damaged: restore a backup with `telewire archive restore`, or start";
    assert!(stats.code == 7 && stats.stderr.starts_with(start), "{stats:?}");
    assert_eq!(stats.stderr.lines().count(), 1, "{stats:?}");
    let app = App::start_in(folder, &fake.url(), &CALM);
    let incident = "the archive was damaged; kept it under another name and began a new one";
    assert!(app.get("/-/readyz").text().contains(incident), "{}", app.get("/-/readyz").text());
    assert_eq!(damaged_files(&app.folder).len(), 1);
}
