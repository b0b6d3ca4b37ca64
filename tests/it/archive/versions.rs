//! Earlier versions of edited posts, single posts, and pages for people.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::{AnyConnection, Connection, Executor, Row};
use telewire::archive::{Archive, ArchiveError, FetchedPage, PageScope, Retention};
use telewire::channels::to_archive;
use telewire::model::archived_post::{ArchivedPage, ArchivedPost};
use telewire::model::channel::ChannelName;
use telewire::model::paging::{FeedPageRequest, PrevPage};
use telewire::model::post::PostId;
use telewire::telegram::page::{self, PageSource};
use tokio::runtime::Runtime;

use super::history::{NAME, down_to, start};
use super::migrations::with_connection;
use super::{Kind, kinds};
use crate::support::app::{self, Output};
use crate::support::fake_channel::FakeChannel;

/// An archive, and where it is unless it is in memory.
pub(super) struct Fixture {
    pub(super) name: &'static str,
    kind: Option<Kind>,
    folder: PathBuf,
    pub(super) archive: Arc<Archive>,
    pub(super) runtime: Runtime,
}

/// Returns a new archive of each kind, and one in memory as for `--no-archive`.
pub(super) fn fixtures() -> Vec<Fixture> {
    let fixture = |kind: Option<Kind>| {
        let (runtime, folder) = (Runtime::new().unwrap(), app::new_folder());
        let archive = runtime.block_on(async {
            match &kind {
                None => Archive::in_memory(64 << 20).await.unwrap(),
                Some(Kind { database: Some(url), .. }) => {
                    Archive::shared(&url.parse().unwrap()).await.unwrap()
                }
                Some(_) => Archive::open_or_create(&folder.join("data")).await.unwrap(),
            }
        });
        Fixture { name: kind.as_ref().map_or("memory", |kind| kind.name), kind, folder, archive, runtime }
    };
    kinds().into_iter().map(Some).chain([None]).map(fixture).collect()
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.runtime.block_on(self.archive.close());
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Fixture {
    pub(super) fn merge(&self, name: &str, page: FetchedPage, at: Timestamp) {
        let name = ChannelName::new(name).unwrap();
        let merge = self.archive.merge(&name, Arc::new(page), PageScope::Newest, at, Duration::ZERO);
        self.runtime.block_on(merge).unwrap();
    }

    /// Merges the newest page of the channel, `n` hours after the first one.
    pub(super) fn refresh(&self, history: &FakeChannel, n: u32) {
        self.merge(&history.name, newest_page(history), hour(n));
    }

    pub(super) fn post(&self, name: &str, id: u32) -> Option<ArchivedPost> {
        let name = ChannelName::new(name).unwrap();
        self.runtime.block_on(self.archive.post(&name, PostId::new(id).unwrap())).unwrap()
    }

    /// Returns the texts of a post's earlier versions, the newest first.
    pub(super) fn texts(&self, id: u32) -> Vec<String> {
        let versions = self.post(NAME, id).unwrap().versions;
        versions.into_iter().map(|version| version.post.text.text().to_owned()).collect()
    }

    fn browse(&self, before: Option<u32>, limit: u8) -> Option<ArchivedPage> {
        let name = ChannelName::new(NAME).unwrap();
        let request = FeedPageRequest { before: before.and_then(PostId::new), limit: Some(limit) };
        self.runtime.block_on(self.archive.browse(&name, request)).unwrap()
    }

    /// Runs an `archive` command beside this archive.
    fn command(&self, kind: &Kind, args: &[&str]) -> Output {
        let output = app::run_in(&self.folder, &[&["archive"], args, &kind.flags()].concat());
        assert_eq!(output.code, 0, "{}: {output:?}", self.name);
        output
    }

    fn n_versions(&self, kind: &Kind) -> i64 {
        let mut n = 0;
        with_connection(kind, &self.folder, async |connection| {
            n = connection.fetch_one("SELECT count(*) FROM post_version").await.unwrap().get(0);
        });
        n
    }
}

pub(super) fn hour(n: u32) -> Timestamp {
    start() + SignedDuration::from_hours(1000 + i64::from(n))
}

/// Takes three seconds: the time that a change waits for a lock.
#[test]
fn changes_of_a_channel_wait_for_those_of_other_replicas() {
    for fixture in fixtures() {
        let Some(url) = fixture.kind.as_ref().and_then(|kind| kind.database.as_deref()) else { continue };
        let history = FakeChannel::with_posts(NAME, 30, start());
        fixture.refresh(&history, 0);
        let (name, post) = (ChannelName::new(NAME).unwrap(), PostId::new(30).unwrap());
        let changes = fixture.runtime.block_on(async {
            let mut other = AnyConnection::connect(url).await.unwrap();
            other.execute("BEGIN; SELECT key FROM channel FOR NO KEY UPDATE").await.unwrap();
            let retention = Retention { keep_posts: Some(20), keep_days: None };
            let article = fixture.archive.store_article(&name, post, "Piers-05-01", None, start());
            tokio::join!(article, fixture.archive.prune(retention, start()))
        });
        let has_waited = |err: &ArchiveError| matches!(err, ArchiveError::Busy | ArchiveError::Slow);
        let (article, prune) = (changes.0.as_ref().err(), changes.1.as_ref().err());
        assert!(article.is_some_and(has_waited) && prune.is_some_and(has_waited), "{changes:?}");
    }
}

pub(super) fn newest_page(history: &FakeChannel) -> FetchedPage {
    fetched(&history.name, &history.preview_page(None))
}

fn fetched(name: &str, html: &str) -> FetchedPage {
    let name = ChannelName::new(name).unwrap();
    to_archive(page::parse(html, PageSource::Fetched(&name)).unwrap())
}

#[test]
fn post_edited_twice_and_deleted_keeps_its_versions() {
    for fixture in fixtures() {
        let mut history = FakeChannel::with_posts(NAME, 3, start());
        let views = |n: &str| history.preview_page(None).replace(">7</span>", &format!(">{n}</span>"));
        fixture.merge(NAME, fetched(NAME, &views("7")), hour(0));
        fixture.merge(NAME, fetched(NAME, &views("8")), hour(1));
        history.edit(2);
        fixture.refresh(&history, 2);
        fixture.refresh(&history, 3);
        history.edit(2);
        fixture.refresh(&history, 4);
        history.posts.remove(&2);
        fixture.refresh(&history, 5);
        assert_eq!(fixture.post(NAME, 2).unwrap().gone_since, None, "{}: missing once", fixture.name);
        fixture.refresh(&history, 6);
        let found = fixture.post("Old_Harbour", 2).unwrap();
        assert_eq!(found.gone_since, Some(hour(6)), "{}", fixture.name);
        assert_eq!(found.post.text.text(), "Post 2 of old_harbour, edited, edited");
        assert_eq!(found.post.updated, Some(hour(4)));
        let versions: Vec<_> =
            found.versions.iter().map(|v| (v.post.text.text(), v.post.updated, v.until)).collect();
        let expected = [
            ("Post 2 of old_harbour, edited", Some(hour(2)), hour(3)),
            ("Post 2 of old_harbour", None, hour(1)),
        ];
        assert_eq!(versions, expected, "{}", fixture.name);
        assert_eq!((found.older, found.newer), (PostId::new(1), PostId::new(3)));
        assert_eq!(
            fixture.post(NAME, 3).unwrap().older,
            PostId::new(1),
            "{}: deleted posts are skipped",
            fixture.name
        );
        assert_eq!(fixture.post(NAME, 4), None);
        assert_eq!(fixture.post("quiet_pier", 2), None);
        let Some(kind) = &fixture.kind else { continue };
        let export = fixture.command(kind, &["export", NAME]).stdout;
        let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let n_versions = |line: &Value| line["versions"].as_array().map_or(0, Vec::len);
        let posts = lines.iter().filter(|line| line["kind"] == "post");
        assert_eq!(posts.map(n_versions).collect::<Vec<_>>(), [0, 2, 0], "{}: {export}", fixture.name);
        assert!(export.contains(&format!("\"until\":\"{}\"", hour(3))), "{export}");
    }
}

#[test]
fn rotated_urls_counts_and_previous_media_urls_are_no_versions() {
    for fixture in fixtures() {
        let mut history = FakeChannel::with_posts(NAME, 2, start());
        history.publish(2, start() + SignedDuration::from_hours(1));
        history.publish(0, start() + SignedDuration::from_hours(2));
        fixture.refresh(&history, 0);
        history.token += 1;
        let html = history.preview_page(None).replace(">7</span>", ">8</span>");
        fixture.merge(NAME, fetched(NAME, &html), hour(1));
        assert_eq!(fixture.texts(3), [""; 0], "{}", fixture.name);
        history.edit(3);
        fixture.refresh(&history, 2);
        let json = serde_json::to_string(&fixture.post(NAME, 3).unwrap().versions).unwrap();
        assert!(
            json.contains("Post 3 of old_harbour\"") && !json.contains("token="),
            "{}: {json}",
            fixture.name
        );
    }
}

#[test]
fn versions_are_limited_to_the_newest() {
    for fixture in fixtures() {
        let mut history = FakeChannel::with_posts(NAME, 2, start());
        fixture.refresh(&history, 0);
        for n in 1..=25 {
            history.posts.get_mut(&1).unwrap().text = format!("Text {n}");
            fixture.refresh(&history, n);
        }
        let expected: Vec<_> = (5..25).rev().map(|n| format!("Text {n}")).collect();
        assert_eq!(fixture.texts(1), expected, "{}", fixture.name);
        assert!(fixture.kind.as_ref().is_none_or(|kind| fixture.n_versions(kind) == 20), "{}", fixture.name);
    }
}

/// The post may show more of the same than the other parser read, so the archive cannot tell whether it was edited.
#[test]
fn post_of_another_parser_version_is_replaced_without_a_version() {
    for fixture in fixtures() {
        let Some(kind) = &fixture.kind else { continue };
        let mut history = FakeChannel::with_posts(NAME, 2, start());
        let first = history.posts[&1].text.clone();
        fixture.refresh(&history, 0);
        let forget_parser = || {
            with_connection(kind, &fixture.folder, async |connection| {
                connection.execute("UPDATE post SET rules = 1").await.unwrap();
            });
        };
        forget_parser();
        history.edit(1);
        fixture.refresh(&history, 1);
        assert_eq!(fixture.texts(1), [""; 0], "{}", fixture.name);
        "Other".clone_into(&mut history.posts.get_mut(&1).unwrap().text);
        fixture.refresh(&history, 2);
        assert_eq!(fixture.texts(1), [format!("{first}, edited")], "{}", fixture.name);
        // The same text as that of the newest version is no earlier version.
        forget_parser();
        history.posts.get_mut(&1).unwrap().text = format!("{first}, edited");
        fixture.refresh(&history, 3);
        assert_eq!(fixture.texts(1), [""; 0], "{}", fixture.name);
    }
}

#[test]
fn versions_are_deleted_with_their_post() {
    for fixture in fixtures() {
        let Some(kind) = &fixture.kind else { continue };
        let mut history = FakeChannel::with_posts(NAME, 30, start());
        history.page_size = 30;
        fixture.refresh(&history, 0);
        for id in [1, 30] {
            history.edit(id);
        }
        fixture.refresh(&history, 1);
        assert_eq!(fixture.n_versions(kind), 2, "{}", fixture.name);
        let retention = Retention { keep_posts: Some(20), keep_days: None };
        assert_eq!(fixture.runtime.block_on(fixture.archive.prune(retention, hour(2))).unwrap(), 10);
        assert_eq!((fixture.n_versions(kind), fixture.texts(30).len()), (1, 1), "{}", fixture.name);
        fixture.command(kind, &["forget", NAME, "--yes"]);
        assert_eq!(fixture.n_versions(kind), 0, "{}", fixture.name);
    }
}

#[test]
fn id_of_an_album_item_leads_to_the_album() {
    for fixture in fixtures() {
        let mut history = FakeChannel::new(NAME, 6);
        history.publish(5, start());
        for n in 1..=3 {
            history.publish(0, start() + SignedDuration::from_mins(n));
        }
        // The page cuts the album: it shows items 3 to 5.
        fixture.refresh(&history, 0);
        assert_eq!(fixture.post(NAME, 3).unwrap().post.id.get(), 3, "{}", fixture.name);
        history.page_size = 20;
        fixture.refresh(&history, 1);
        for id in 1..=5 {
            let found = fixture.post(NAME, id).unwrap();
            let (shown, newer) = (found.post.id.get(), found.newer);
            assert_eq!((shown, found.gone_since, newer), (1, None, PostId::new(6)), "{}: {id}", fixture.name);
        }
        assert_eq!(fixture.post(NAME, 6).unwrap().post.id.get(), 6);
        assert_eq!(fixture.post(NAME, 9), None);
    }
}

#[test]
fn versions_stay_with_their_channel_when_names_move() {
    const NEW_NAME: &str = "new_harbour";
    for fixture in fixtures() {
        let page = |number: u64, name: &str, text: &str| {
            let mut history = FakeChannel::with_posts(name, 1, start());
            text.clone_into(&mut history.posts.get_mut(&1).unwrap().text);
            let mut page = newest_page(&history);
            page.snapshot.channel.id = Some(number);
            page
        };
        fixture.merge(NAME, page(111, NAME, "first"), hour(0));
        fixture.merge(NAME, page(111, NEW_NAME, "second"), hour(1));
        for name in [NAME, NEW_NAME] {
            let found = fixture.post(name, 1).unwrap();
            assert_eq!(found.channel.name.as_str(), NEW_NAME, "{}", fixture.name);
            assert_eq!(
                (found.post.text.text(), found.versions.len()),
                ("second", 1),
                "{}: {name}",
                fixture.name
            );
        }
        fixture.merge(NAME, page(222, NAME, "other"), hour(2));
        let (other, moved) = (fixture.post(NAME, 1).unwrap(), fixture.post(NEW_NAME, 1).unwrap());
        assert_eq!((other.post.text.text(), other.versions.len()), ("other", 0), "{}", fixture.name);
        assert_eq!((moved.post.text.text(), moved.versions.len()), ("second", 1), "{}", fixture.name);
    }
}

#[test]
fn post_of_a_channel_that_is_gone_is_not_shown() {
    for fixture in fixtures() {
        fixture.refresh(&FakeChannel::with_posts(NAME, 3, start()), 0);
        fixture
            .runtime
            .block_on(fixture.archive.mark_gone(&ChannelName::new(NAME).unwrap(), hour(1)))
            .unwrap();
        assert_eq!(fixture.post(NAME, 2), None, "{}", fixture.name);
        assert!(fixture.browse(None, 20).is_none(), "{}", fixture.name);
    }
}

#[test]
fn pages_are_turned_over_gaps_to_the_oldest_archived_post_and_back() {
    for fixture in fixtures() {
        let mut history = FakeChannel::with_posts(NAME, 30, start());
        fixture.refresh(&history, 0);
        for n in 30..100 {
            history.publish(0, start() + SignedDuration::from_mins(n));
        }
        fixture.refresh(&history, 1);
        // Telegram was not asked for the posts below 11 and for those between 30 and 81.
        let archived = [down_to(100, 81), down_to(30, 11)].concat();
        for limit in [1, 7, 20, 200] {
            let context = format!("{}, {limit} posts", fixture.name);
            let (mut before, mut shown, mut starts) = (None, Vec::new(), Vec::new());
            loop {
                let page = fixture.browse(before, limit).unwrap();
                let ids: Vec<u32> = page.snapshot.posts.iter().rev().map(|post| post.id.get()).collect();
                assert!(!ids.is_empty() && ids.len() <= limit.into(), "{context}: {ids:?}");
                let lowest = *ids.last().unwrap();
                assert_eq!(page.is_above_gap, lowest == 81 || lowest == 11, "{context}: {lowest}");
                assert_eq!(page.newer.is_none(), before.is_none(), "{context}");
                shown.extend(ids);
                starts.push(before);
                before = page.older.map(PostId::get);
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(shown, archived, "{context}");
            // Every page leads back to the newest one.
            for start in starts.into_iter().flatten() {
                let (mut newer, mut n_pages) = (fixture.browse(Some(start), limit).unwrap().newer, 0);
                while let Some(PrevPage::Before(id)) = newer {
                    newer = fixture.browse(Some(id.get()), limit).unwrap().newer;
                    n_pages += 1;
                }
                assert!(newer == Some(PrevPage::Newest) && n_pages < 40, "{context}: from {start}");
            }
        }
        assert!(fixture.browse(Some(11), 20).is_none(), "{}", fixture.name);
    }
}
