//! A data directory whose files are removed or replaced while a service uses it. Nothing that was archived is lost, feeds
//! go on, and the readiness check says what happened.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

use super::damaged_files;
use super::disk_faults::{refused, write_at};
use super::history::HASTY;
use crate::support::app::{self, App};
use crate::support::disk::Disk;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::wait::wait_until;

const NAME: &str = "salt_store";
/// A channel that only a replaced archive has.
const OTHER: &str = "rope_store";

/// A service with an archive, and an old URL of a media file.
struct Service {
    fake: FakeTelegram,
    history: Arc<Mutex<FakeChannel>>,
    app: App,
    media: String,
    /// The archived posts.
    posts: BTreeSet<u32>,
}

impl Service {
    fn start() -> Self {
        let fake = FakeTelegram::start();
        let mut history = FakeChannel::with_posts(NAME, 59, "2026-05-01T08:00:00Z".parse().unwrap());
        history.media_base_url = fake.url();
        history.publish(1, "2026-05-01T10:00:00Z".parse().unwrap());
        let history = fake.add_channel(history);
        let app = start_in(app::new_folder(), &fake);
        let feed = app.get(&format!("/{NAME}/json?limit=60")).text().to_owned();
        let media = feed.split_once("/-/media/").unwrap().1.split(['"', '\\']).next().unwrap();
        let service =
            Self { fake, history, app, media: format!("/-/media/{media}"), posts: (1..=60).collect() };
        assert_eq!(archived(&service.app.folder, NAME), service.posts);
        service
    }

    fn data(&self, file: &str) -> PathBuf {
        self.app.folder.join("data").join(file)
    }

    /// Copies the archive to a file outside of the data directory.
    fn back_up(&self) -> PathBuf {
        let copy = self.app.folder.join("copy.sqlite");
        assert_eq!(app::run_in(&self.app.folder, &["archive", "backup", "copy.sqlite"]).code, 0);
        copy
    }

    /// Publishes a post and waits until the feed has it.
    fn publish(&mut self) {
        let id = self.history.lock().unwrap().publish(0, "2026-05-01T11:00:00Z".parse().unwrap());
        let link = format!("\"https://t.me/{NAME}/{id}\"");
        let feed = format!("/{NAME}/json");
        wait_until("the feed has the new post", || self.app.get(&feed).text().contains(&link));
        self.posts.insert(id);
    }

    fn ready(&self) -> String {
        let answer = self.app.get("/-/readyz");
        assert_eq!(answer.status, 200);
        answer.text().to_owned()
    }

    /// Waits until the readiness check reports this incident or problem.
    fn wait_for(&self, report: &str) {
        wait_until(report, || self.ready().contains(report));
    }

    /// Waits until the readiness check reports this incident and no problem.
    fn wait_for_repair(&self, incident: &str) {
        wait_until(incident, || {
            let ready = self.ready();
            ready.starts_with("ready\n") && ready.contains(incident)
        });
    }

    /// Returns the files in the data directory that are named after a reason and the time.
    fn set_aside(&self, why: &str, extension: &str) -> Vec<PathBuf> {
        let (start, end) = (format!("archive.{why}-2"), format!(".{extension}"));
        let files = fs::read_dir(self.data("")).unwrap().map(|file| file.unwrap().path());
        let is_wanted = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_str().unwrap();
            // The name is reserved by an empty file until the copy is complete.
            name.starts_with(&start) && name.ends_with(&end) && fs::metadata(file).unwrap().len() > 0
        };
        files.filter(is_wanted).collect()
    }

    /// Returns the posts in the only archive that was saved because another file replaced it.
    fn saved(&self) -> BTreeSet<u32> {
        let files = self.set_aside("replaced", "sqlite");
        assert_eq!(files.len(), 1, "{files:?}");
        archived_in(&files[0], NAME)
    }

    /// Checks what holds after every repair, also after a crash and a restart without Telegram's pages. `posts` are
    /// those that the archive in use has.
    fn assert_repaired(mut self, posts: &BTreeSet<u32>) {
        let stderr = refused(&self.app.folder, &[]);
        assert!(stderr.contains("another telewire process uses the data directory"), "{stderr}");
        assert_eq!(self.app.get(&self.media).status, 200, "an old media URL is valid");
        self.publish();
        let last = *self.posts.last().unwrap();
        wait_until("the new post is archived", || archived(&self.app.folder, NAME).contains(&last));
        let folder = self.app.kill();
        let found = archived(&folder, NAME);
        assert!(found.is_superset(posts), "{:?} are lost", posts.difference(&found));
        self.fake.on(&format!("/s/{NAME}"), Answer::status(500));
        let app = start_in(folder, &self.fake);
        assert_eq!(app.get(&format!("/{NAME}/json")).status, 200);
        assert_eq!(app.get(&self.media).status, 200, "an old media URL is valid after the restart");
        assert!(damaged_files(&app.folder).is_empty());
    }
}

fn start_in(folder: PathBuf, fake: &FakeTelegram) -> App {
    let host = fake.host();
    App::start_in(folder, &fake.url(), &[&HASTY[..], &["--media-hosts", &host]].concat())
}

/// Returns the archived posts of a channel in the data directory of a service.
fn archived(folder: &Path, channel: &str) -> BTreeSet<u32> {
    let export = app::run_in(folder, &["archive", "export", channel]);
    let id = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["post"]["id"].as_u64().and_then(|id| u32::try_from(id).ok())
    };
    export.stdout.lines().filter_map(id).collect()
}

/// Returns the archived posts of a channel in a file.
fn archived_in(file: &Path, channel: &str) -> BTreeSet<u32> {
    let folder = app::new_folder();
    fs::create_dir(folder.join("data")).unwrap();
    fs::copy(file, folder.join("data/archive.sqlite")).unwrap();
    let posts = archived(&folder, channel);
    fs::remove_dir_all(folder).unwrap();
    posts
}

/// Returns an archive with posts 1 to 20 of [`OTHER`].
fn other_archive() -> PathBuf {
    let fake = FakeTelegram::start();
    fake.add_channel(FakeChannel::with_posts(OTHER, 20, "2026-05-01T08:00:00Z".parse().unwrap()));
    let app = start_in(app::new_folder(), &fake);
    assert_eq!(app.get(&format!("/{OTHER}/json")).status, 200);
    app.stop().join("data/archive.sqlite")
}

fn run_sql(file: &Path, sql: &'static str) {
    let run = async {
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run);
}

#[test]
fn removed_data_directory_is_written_again() {
    let mut service = Service::start();
    let key = fs::read(service.data("media.key")).unwrap();
    fs::remove_dir_all(service.data("")).unwrap();
    service.publish();
    for incident in [
        "the archive was removed; wrote it again",
        "a lock file was removed; locked the data directory again",
        "the ballast was removed; wrote it again",
        "the media key was removed; wrote it again",
    ] {
        service.wait_for_repair(incident);
    }
    assert_eq!(fs::read(service.data("media.key")).unwrap(), key);
    assert!(service.data("ballast").exists());
    let posts = service.posts.clone();
    service.assert_repaired(&posts);
}

#[test]
fn removed_archive_is_written_again() {
    let mut service = Service::start();
    fs::remove_file(service.data("archive.sqlite")).unwrap();
    service.publish();
    service.wait_for_repair("the archive was removed; wrote it again");
    let posts = service.posts.clone();
    service.assert_repaired(&posts);
}

#[test]
fn removed_wal_is_written_to_the_archive() {
    for files in [&["archive.sqlite-wal"][..], &["archive.sqlite-wal", "archive.sqlite-shm"]] {
        let mut service = Service::start();
        service.publish();
        for file in files {
            fs::remove_file(service.data(file)).unwrap();
        }
        service.publish();
        service.wait_for_repair("the WAL of the archive was removed; wrote its posts to the archive");
        let posts = service.posts.clone();
        service.assert_repaired(&posts);
    }
}

#[test]
fn removed_locks_are_taken_again() {
    for file in ["telewire.lock", "archive.lock"] {
        let service = Service::start();
        let command = |args: &[&str]| app::run_in(&service.app.folder, &[&["archive"], args].concat());
        assert_eq!(command(&["backup", "copy.sqlite"]).code, 0);
        fs::remove_file(service.data(file)).unwrap();
        service.wait_for_repair("a lock file was removed; locked the data directory again");
        let restored = command(&["restore", "copy.sqlite"]);
        assert!(
            restored.code == 7 && restored.stderr.contains("another telewire process"),
            "{file}: {restored:?}"
        );
        let posts = service.posts.clone();
        service.assert_repaired(&posts);
    }
}

#[test]
fn removed_media_key_is_written_again() {
    let service = Service::start();
    let key = fs::read(service.data("media.key")).unwrap();
    fs::remove_file(service.data("media.key")).unwrap();
    service.wait_for_repair("the media key was removed; wrote it again");
    assert_eq!(fs::read(service.data("media.key")).unwrap(), key);
    let posts = service.posts.clone();
    service.assert_repaired(&posts);
}

#[test]
fn replaced_archive_is_saved_beside_the_new_one() {
    let mut service = Service::start();
    fs::rename(other_archive(), service.data("archive.sqlite")).unwrap();
    service.publish();
    service.wait_for_repair("the archive was replaced; saved the previous one beside it");
    assert!(service.saved().is_superset(&service.posts));
    assert_eq!(service.set_aside("stale", "wal").len(), 1, "the WAL of the previous archive");
    assert_eq!(archived(&service.app.folder, OTHER), (1..=20).collect());
    assert_eq!(service.app.get(&format!("/{OTHER}/json")).status, 200, "from the new archive");
    service.assert_repaired(&BTreeSet::new());
}

#[test]
fn archive_that_is_replaced_with_its_wal_keeps_both() {
    let mut service = Service::start();
    let other = start_in(app::new_folder(), &service.fake);
    assert_eq!(other.get(&format!("/{NAME}/json?limit=40")).status, 200);
    let folder = other.kill();
    let newer = archived(&service.app.folder, NAME).split_off(&41);
    for file in ["archive.sqlite-wal", "archive.sqlite"] {
        fs::rename(folder.join("data").join(file), service.data(file)).unwrap();
    }
    service.publish();
    service.wait_for_repair("the archive was replaced; saved the previous one beside it");
    assert!(service.saved().is_superset(&service.posts));
    assert!(archived(&service.app.folder, NAME).is_superset(&newer), "posts in the WAL of the new archive");
    fs::remove_dir_all(folder).unwrap();
    service.assert_repaired(&newer);
}

#[test]
fn archive_that_is_replaced_twice_is_saved_twice() {
    let mut service = Service::start();
    let backup = service.back_up();
    for n in 1..=2 {
        service.publish();
        fs::copy(&backup, service.data("new.sqlite")).unwrap();
        fs::rename(service.data("new.sqlite"), service.data("archive.sqlite")).unwrap();
        wait_until("the archive is saved", || service.set_aside("replaced", "sqlite").len() == n);
        service.wait_for_repair("the archive was replaced; saved the previous one beside it");
    }
    let saved = service.set_aside("replaced", "sqlite");
    let saved: BTreeSet<u32> = saved.iter().flat_map(|file| archived_in(file, NAME)).collect();
    assert!(saved.is_superset(&service.posts), "{saved:?}");
    service.assert_repaired(&(1..=60).collect());
}

#[test]
fn archive_that_is_replaced_before_a_shutdown_is_saved() {
    let mut service = Service::start();
    service.publish();
    fs::rename(other_archive(), service.data("archive.sqlite")).unwrap();
    let Service { app, fake, posts, .. } = service;
    let folder = app.stop();
    let app = start_in(folder, &fake);
    assert_eq!(app.get(&format!("/{OTHER}/json")).status, 200);
    assert!(damaged_files(&app.folder).is_empty());
    let files = fs::read_dir(app.folder.join("data")).unwrap().map(|file| file.unwrap().path());
    let saved: Vec<_> = files.filter(|file| file.to_str().unwrap().contains("replaced-2")).collect();
    assert_eq!(archived_in(&saved[0], NAME), posts);
}

#[test]
fn archive_that_is_replaced_by_an_empty_file_is_written_again() {
    let mut service = Service::start();
    File::create(service.data("new.sqlite")).unwrap();
    fs::rename(service.data("new.sqlite"), service.data("archive.sqlite")).unwrap();
    service.publish();
    service.wait_for_repair("the archive was removed; wrote it again");
    let posts = service.posts.clone();
    service.assert_repaired(&posts);
}

#[test]
fn unusable_file_that_replaces_the_archive_is_left_unchanged() {
    for problem in [
        "the archive is unavailable: the file is another program's database",
        "the archive is unavailable: a newer telewire has written the file",
    ] {
        let mut service = Service::start();
        let file = service.back_up();
        if problem.ends_with("database") {
            fs::remove_file(&file).unwrap();
            run_sql(&file, "CREATE TABLE bookmarks (url TEXT)");
        } else {
            // The offset of `user_version` in a SQLite file.
            write_at(&file, 60, &99_u32.to_be_bytes());
        }
        let (archive, before) = (service.data("archive.sqlite"), fs::read(&file).unwrap());
        fs::rename(&file, &archive).unwrap();
        service.publish();
        service.wait_for(problem);
        service.wait_for("the archive was replaced; saved the previous one beside it");
        service.publish();
        assert_eq!(service.app.get(&service.media).status, 200);
        assert!(refused(&service.app.folder, &[]).contains("another telewire process"));
        assert!(fs::read(&archive).unwrap() == before, "{problem}");
        // The saved archive, moved back, is used.
        let saved = service.set_aside("replaced", "sqlite").pop().unwrap();
        let posts = archived_in(&saved, NAME);
        assert!(posts.is_superset(&(1..=60).collect()));
        fs::rename(saved, archive).unwrap();
        service.wait_for_repair("the archive was replaced");
        service.assert_repaired(&posts);
    }
}

#[test]
fn archive_is_kept_until_a_removed_data_directory_can_be_written() {
    let mut service = Service::start();
    let data = service.app.folder.join("data");
    fs::remove_dir_all(&data).unwrap();
    fs::write(&data, "a file").unwrap();
    service.wait_for("the archive is unavailable: the data directory cannot be written");
    service.publish();
    assert_eq!(service.app.get(&service.media).status, 200);
    fs::remove_file(&data).unwrap();
    service.wait_for_repair("the archive was removed; wrote it again");
    service.wait_for_repair("the media key was removed; wrote it again");
    let posts = service.posts.clone();
    service.assert_repaired(&posts);
}

#[test]
fn read_only_data_directory_stops_neither_feeds_nor_the_archive() {
    let mut service = Service::start();
    let data = service.app.folder.join("data");
    let Some(disk) = Disk::mount(data, "size=1m,ro") else { return };
    service.wait_for("the archive is unavailable: the data directory cannot be written");
    service.publish();
    assert_eq!(service.app.get(&service.media).status, 200);
    drop(disk);
    wait_until("the archive is available", || service.ready().starts_with("ready\n"));
    let posts = service.posts.clone();
    service.assert_repaired(&posts);
}

#[test]
fn data_directory_that_another_service_has_locked_is_left_to_it() {
    let mut service = Service::start();
    let locked = service.data("new.lock");
    let other = File::create(&locked).unwrap();
    other.lock().unwrap();
    fs::rename(locked, service.data("telewire.lock")).unwrap();
    service.wait_for("the archive is unavailable: another telewire process uses the data directory");
    service.publish();
    assert_eq!(service.app.get(&service.media).status, 200);
    drop(other);
    service.wait_for_repair("a lock file was removed; locked the data directory again");
    service.assert_repaired(&(1..=60).collect());
}
