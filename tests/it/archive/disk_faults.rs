//! Disk faults: full disks, unwritable directories, files that are damaged or belong to another program.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

use super::damaged_files;
use super::history::HASTY;
use crate::support::app::{self, App};
use crate::support::disk::Disk;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::print_note;

const FEED: &str = "/cold_store/rss";

fn channel(n: u32) -> (FakeTelegram, Arc<Mutex<FakeChannel>>) {
    let fake = FakeTelegram::start();
    let history =
        fake.add_channel(FakeChannel::with_posts("cold_store", n, "2026-05-01T08:00:00Z".parse().unwrap()));
    (fake, history)
}

/// Returns the directory of a stopped service that has archived 200 posts.
fn filled() -> (FakeTelegram, Arc<Mutex<FakeChannel>>, PathBuf) {
    let (fake, history) = channel(200);
    let app = App::start(&fake.url(), &HASTY);
    assert_eq!(app.get("/cold_store/rss?limit=200").text().matches("<item>").count(), 200);
    (fake, history, app.stop())
}

/// Runs a service that must fail to start, and returns its standard error.
pub(super) fn refused(folder: &Path, flags: &[&str]) -> String {
    let output = app::run_in(folder, &[&["serve", "--listen", "127.0.0.1:0"], flags].concat());
    assert_eq!(output.code, 1, "{output:?}");
    output.stderr
}

#[test]
fn second_service_on_a_data_directory_is_refused() {
    let (fake, _history) = channel(3);
    let app = App::start(&fake.url(), &[]);
    let stderr = refused(&app.folder, &[]);
    assert!(stderr.contains("another telewire process uses the data directory ./data"), "{stderr}");
    // Read-only commands are not refused.
    assert_eq!(app::run_in(&app.folder, &["archive", "stats"]).code, 0);
    let folder = app.kill();
    let app = App::start_in(folder, &fake.url(), &[]);
    assert_eq!(app.get(FEED).status, 200, "a killed process holds no lock");
}

#[test]
fn unwritable_data_directory_is_refused_with_a_hint() {
    let folder = app::new_folder();
    fs::write(folder.join("data"), "a file").unwrap();
    let stderr = refused(&folder, &[]);
    assert!(
        stderr.contains("./data is not a directory: choose a directory") && stderr.contains("--no-archive"),
        "{stderr}"
    );
    let (fake, _history) = channel(3);
    let app = App::start_in(folder.clone(), &fake.url(), &["--no-archive"]);
    assert_eq!(app.get(FEED).status, 200);
    let Some(disk) = Disk::new("size=1m,ro") else { return };
    let stderr = refused(&folder, &["--data-dir", disk.0.to_str().unwrap()]);
    assert!(
        stderr.contains("cannot write to the data directory") && stderr.contains("--no-archive"),
        "{stderr}"
    );
}

/// SQLite opens such a file to read it. A service would look healthy and lose every post.
#[test]
fn unwritable_archive_in_a_writable_directory_is_refused() {
    let (_fake, _history, folder) = filled();
    let file = folder.join("data/archive.sqlite");
    let Some(read_only) = Disk::read_only_file(&file) else { return };
    let stderr = refused(&folder, &[]);
    assert!(stderr.contains("cannot write to the data directory ./data (archive.sqlite: "), "{stderr}");
    let stats = app::run_in(&folder, &["archive", "stats"]);
    assert!(stats.code == 0 && stats.stdout.contains("1 channels, "), "{stats:?}");
    drop(read_only);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn directory_in_place_of_the_archive_is_named() {
    let folder = app::new_folder();
    let file = folder.join("data/archive.sqlite");
    fs::create_dir_all(&file).unwrap();
    let stderr = refused(&folder, &[]);
    assert!(stderr.contains("/data/archive.sqlite is a directory: remove it"), "{stderr}");
    let stats = app::run_in(&folder, &["archive", "stats"]);
    assert!(stats.code == 7 && stats.stderr.contains("archive.sqlite is a directory"), "{stats:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn new_directory_on_a_full_disk_is_served_from_memory() {
    let Some(disk) = Disk::new("size=1m") else { return };
    let (fake, _history) = channel(3);
    drop(fs::write(disk.0.join("filler"), vec![1; 2 << 20]));
    let data = disk.0.join("new");
    let key = "0123456789abcdef0123456789abcdef";
    let app = App::start(&fake.url(), &["--data-dir", data.to_str().unwrap(), "--media-key", key]);
    assert_eq!(app.get(FEED).status, 200);
    let ready = app.get("/-/readyz");
    assert_eq!(ready.text(), "ready; the archive is unavailable: the disk is full\n");
    let copy = app::run_in(&app.folder, &["archive", "backup", "copy.sqlite"]);
    assert_eq!(copy.code, 7, "{copy:?}");
}

#[test]
fn failed_restore_leaves_no_copy() {
    let Some(disk) = Disk::new("size=1m") else { return };
    let (_fake, _history, folder) = filled();
    let data = disk.0.join("data");
    fs::create_dir(&data).unwrap();
    drop(fs::write(disk.0.join("filler"), vec![1; 2 << 20]));
    let restore = ["archive", "restore", "data/archive.sqlite", "--data-dir", data.to_str().unwrap()];
    let restored = app::run_in(&folder, &restore);
    assert!(restored.code == 7 && restored.stderr.contains("archive.restored.sqlite"), "{restored:?}");
    assert!(!data.join("archive.restored.sqlite").exists());
    fs::remove_dir_all(folder).unwrap();
}

/// An operator restores as root what a service without rights has to write.
#[test]
fn restored_archive_belongs_to_the_owner_of_the_previous_one() {
    const SERVICE: u32 = 65_534;
    let (_fake, _history, folder) = filled();
    let file = folder.join("data/archive.sqlite");
    if chown(&file, Some(SERVICE), Some(SERVICE)).is_err() {
        return print_note("cannot change owners: restoring the archive of another user is not tested");
    }
    assert_eq!(app::run_in(&folder, &["archive", "backup", "copy.sqlite"]).code, 0);
    assert_eq!(app::run_in(&folder, &["archive", "restore", "copy.sqlite"]).code, 0);
    for name in ["archive.sqlite", "archive.lock", "open.lock", "telewire.lock"] {
        assert_eq!(fs::metadata(folder.join("data").join(name)).unwrap().uid(), SERVICE, "{name}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// Commands that only read, as far as the name of the data directory.
const READING: [&[&str]; 3] = [&["archive", "stats"], &["archive", "export", "cold_store"], &["opml"]];

/// Commands that write to the archive.
const WRITING: [&[&str]; 4] = [
    &["archive", "restore", "copy.sqlite"],
    &["archive", "prune", "--keep-posts", "20"],
    &["archive", "forget", "cold_store", "--yes"],
    &["archive", "backfill", "cold_store", "--upstream", "http://127.0.0.1:1"],
];

#[test]
fn commands_explain_a_data_directory_that_they_cannot_use() {
    let folder = app::new_folder();
    for directory in ["empty", "foreign"] {
        fs::create_dir(folder.join(directory)).unwrap();
    }
    fs::write(folder.join("file"), "a file").unwrap();
    fs::write(folder.join("copy.sqlite"), "no archive").unwrap();
    let foreign = folder.join("foreign/archive.sqlite");
    create_foreign(&foreign);
    let before = fs::read(&foreign).unwrap();
    for (directory, commands, message) in [
        ("absent", &READING[..], "/absent/archive.sqlite: set --data-dir to the directory of the service"),
        ("empty", &READING, "no archive at "),
        ("file", &READING, "file is not a directory: choose a directory with --data-dir"),
        ("file", &WRITING, "file is not a directory: choose a directory with --data-dir"),
        ("foreign", &READING, "/archive.sqlite is another program's database: choose another directory"),
        ("foreign", &WRITING, "/archive.sqlite is another program's database: choose another directory"),
    ] {
        for command in commands {
            let output = app::run_in(&folder, &[command, &["--data-dir", directory][..]].concat());
            assert!(
                output.code == 7 && output.stderr.contains(message),
                "{command:?} {directory}: {output:?}"
            );
        }
    }
    assert!(fs::read(&foreign).unwrap() == before);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn read_only_data_directory_can_be_read() {
    let (fake, _history) = channel(200);
    let app = App::start(&fake.url(), &HASTY);
    assert_eq!(app.get("/cold_store/rss?limit=200").status, 200);
    let Some(view) = Disk::read_only_view(&app.folder.join("data")) else { return };
    let data = view.0.to_str().unwrap();
    let assert_readable = |folder: &Path| {
        let run = |args: &[&str]| app::run_in(folder, &[args, &["--data-dir", data]].concat());
        for command in READING {
            assert_eq!(run(command), app::run_in(folder, command), "{command:?}");
        }
        let stats = run(&["archive", "stats"]);
        assert!(stats.stdout.contains("1 channels, 200 posts, "), "{stats:?}");
        fs::remove_file(folder.join("copy.sqlite")).ok();
        assert_eq!(run(&["archive", "backup", "copy.sqlite"]).code, 0);
        for command in WRITING {
            let written = run(command);
            let why = "cannot write to the data directory";
            assert!(written.code == 7 && written.stderr.contains(why), "{command:?}: {written:?}");
        }
    };
    assert_readable(&app.folder);
    let folder = app.stop();
    assert_readable(&folder);
    assert!(!folder.join("data/archive.sqlite-wal").exists(), "reading leaves no WAL");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn archive_with_a_newer_user_version_is_refused() {
    let (fake, _history, folder) = filled();
    // The offset of `user_version` in a SQLite file.
    write_at(&folder.join("data/archive.sqlite"), 60, &99_u32.to_be_bytes());
    let stderr = refused(&folder, &["--upstream", &fake.url()]);
    assert!(stderr.contains("written by a newer telewire (schema version 99"), "{stderr}");
    let stats = app::run_in(&folder, &["archive", "stats"]);
    assert!(stats.code == 7 && stats.stderr.contains("newer telewire"), "{stats:?}");
    fs::remove_dir_all(folder).unwrap();
}

/// Damages a file.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn damaged_file_is_quarantined_and_feeds_continue() {
    let cut = |file: &Path| {
        let length = fs::metadata(file).unwrap().len();
        OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    };
    let garbage = |file: &Path| fs::write(file, "x".repeat(100_000)).unwrap();
    let zeros = |file: &Path| write_at(file, 0, &[0; 100]);
    let middle = |file: &Path| write_at(file, 8 * 4096, &[0xa5; 4096]);
    let damages: [(&str, Damage); 4] = [
        ("garbage", &garbage),
        ("zeroed header", &zeros),
        ("truncated", &cut),
        ("overwritten page", &middle),
    ];
    for (damage, harm) in damages {
        let (fake, _history, folder) = filled();
        harm(&folder.join("data/archive.sqlite"));
        let app = App::start_in(folder, &fake.url(), &HASTY);
        assert_eq!(app.get("/cold_store/rss?limit=200").text().matches("<item>").count(), 200, "{damage}");
        assert_eq!(damaged_files(&app.folder).len(), 1, "{damage}: the damaged file is kept");
        let folder = app.stop();
        fake.override_all(Answer::status(500));
        let app = App::start_in(folder, &fake.url(), &HASTY);
        assert_eq!(app.get(FEED).status, 200, "{damage}");
        assert_eq!(damaged_files(&app.folder).len(), 1, "{damage}: the new archive is intact");
    }
}

/// Creates a database of another program.
fn create_foreign(file: &Path) {
    let tables = async {
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        connection.execute("CREATE TABLE bookmarks (url TEXT)").await.unwrap();
        connection.close().await.unwrap();
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(tables);
}

#[test]
fn database_of_another_program_is_left_unchanged() {
    let folder = app::new_folder();
    let file = folder.join("data/archive.sqlite");
    fs::create_dir(folder.join("data")).unwrap();
    create_foreign(&file);
    let before = fs::read(&file).unwrap();
    let looked = app::run_in(&folder, &["archive", "stats"]);
    assert_eq!(looked.code, 7, "{looked:?}");
    for stderr in [refused(&folder, &[]), looked.stderr] {
        assert!(stderr.contains("is another program's database"), "{stderr}");
    }
    assert!(fs::read(&file).unwrap() == before);
}

#[test]
fn random_damage_never_stops_the_service() {
    let (fake, _history, folder) = filled();
    let file = folder.join("data/archive.sqlite");
    let mut good = Vec::new();
    File::open(&file).unwrap().read_to_end(&mut good).unwrap();
    let mut folder = folder;
    for n in 0..30 {
        let mut random = fastrand::Rng::with_seed(n);
        let mut bad = good.clone();
        (0..100).for_each(|_| bad[random.usize(..good.len())] = random.u8(..));
        fs::remove_dir_all(folder.join("data")).unwrap();
        fs::create_dir(folder.join("data")).unwrap();
        fs::write(&file, &bad).unwrap();
        // Keep `user_version`: a changed one looks like a newer schema.
        fs::write(&file, [&bad[..60], &good[60..64], &bad[64..]].concat()).unwrap();
        let app = App::start_in(folder, &fake.url(), &HASTY);
        for target in [FEED, "/cold_store/rss?limit=200", FEED, "/cold_store/json?before=100"] {
            let answer = app.get(target);
            assert_eq!(answer.status, 200, "damage {n}: {target}: {}", answer.text());
        }
        folder = app.kill();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn full_disk_stops_the_archive_but_not_the_feeds() {
    let Some(disk) = Disk::new("size=8m") else { return };
    let data = disk.0.to_str().unwrap();
    let flags = [&HASTY[..], &["--data-dir", data]].concat();
    let (fake, history) = channel(100);
    let app = App::start(&fake.url(), &flags);
    assert_eq!(app.get("/cold_store/rss?limit=100").text().matches("<item>").count(), 100);
    let filler = disk.0.join("filler");
    let mut filling = File::create(&filler).unwrap();
    while filling.write_all(&[7; 4096]).is_ok() {}
    let publish = |at: &str| history.lock().unwrap().publish(0, at.parse::<Timestamp>().unwrap());
    let wait_for = |id: u32| {
        let is_there = || app.get(FEED).text().contains(&format!("<guid>https://t.me/cold_store/{id}<"));
        assert!((0..5000).any(|_| is_there()), "post {id} does not appear");
    };
    wait_for(publish("2026-05-01T10:00:00Z"));
    app.wait_for_metric("telewire_archive_up", 0.0);
    let deleted = publish("2026-05-01T10:30:00Z");
    wait_for(deleted);
    let limited = app.get("/cold_store/rss?limit=100");
    assert!(limited.text().contains(&format!("cold_store/{deleted}<")), "the archive lacks it");
    history.lock().unwrap().posts.remove(&deleted);
    let ready = app.get("/-/readyz");
    assert_eq!((ready.status, ready.text()), (200, "ready; the archive is unavailable: the disk is full\n"));
    assert!(refused(&app.folder, &["--data-dir", data]).contains("another telewire process"));
    assert_eq!(app.get("/cold_store/rss?limit=100").status, 200);
    let pruned = app::run_in(&disk.0, &["archive", "prune", "--keep-posts", "20", "--data-dir", data]);
    assert!(pruned.code == 0 && pruned.stderr.contains("deleted 80 posts"), "{pruned:?}");
    drop(filling);
    fs::remove_file(&filler).unwrap();
    let last = publish("2026-05-01T11:00:00Z");
    wait_for(last);
    app.wait_for_metric("telewire_archive_up", 1.0);
    let folder = app.stop();
    fake.override_all(Answer::status(500));
    let app = App::start_in(folder, &fake.url(), &flags);
    assert!(app.get(FEED).text().contains(&format!("cold_store/{last}<")), "posts are archived again");
    let export = app::run_in(&disk.0, &["archive", "export", "cold_store", "--data-dir", data]);
    assert!(export.stdout.contains(&format!("Post {deleted} of")), "posts read meanwhile are archived");
}

pub(super) fn write_at(file: &Path, offset: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}
