//! Property test: random histories of a channel against the fake t.me. Whatever is published, edited and deleted
//! between two refreshes, and however pages cut albums, the archive has each post once and up to date.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use telewire::archive::{Archive, ArchiveError, Caller, PageScope};
use telewire::channels::{fetch_page, follow_up, to_archive};
use telewire::model::channel::ChannelName;
use telewire::model::paging::FeedPageRequest;
use telewire::model::post::{Post, PostId};
use telewire::net::http_client::HttpClientConfig;
use telewire::telegram::client::{Client, ClientOptions};
use telewire::telegram::page::{self, PageSource};
use telewire::telegram::upstream::{Priority, RateLimits, UpstreamUrl};
use telewire::telegram::url::PageRequest;
use tokio::runtime::Runtime;

use super::{Kind, kinds};
use crate::support::fake_channel::{FakeChannel, FakePost};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::page;

/// Histories for each kind of archive.
const HISTORIES: u32 = 1000;

/// Places of a page: few, so that pages cut many albums.
const PLACES: usize = 6;

/// Pages fetched to fill a gap: more than any gap needs.
const GAP_PAGES: usize = 100;

#[derive(Clone, Debug)]
enum Event {
    /// This many text posts are published.
    Publish(u8),
    /// A post with this many pictures is published.
    Album(u8),
    /// An album is published that shows two pictures at first, and all of them within a minute.
    Half(u8),
    /// The n-th newest post gets another text.
    Edit(u8),
    /// The n-th newest post is deleted.
    Delete(u8),
    /// The channel is refreshed.
    Refresh,
    /// A refresh fails because Telegram denies that the channel exists.
    Outage,
    /// The archive is closed and opened again.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u8..12).prop_map(Event::Publish),
        3 => (1_u8..=5).prop_map(Event::Album),
        1 => (3_u8..=5).prop_map(Event::Half),
        2 => (0_u8..12).prop_map(Event::Edit),
        2 => (0_u8..12).prop_map(Event::Delete),
        6 => Just(Event::Refresh),
        1 => Just(Event::Outage),
        1 => Just(Event::Restart),
    ]
}

#[test]
fn random_histories_are_archived_once_and_up_to_date() {
    // In parallel, because each spends most of its time waiting for the disk.
    let players: Vec<_> = kinds().into_iter().map(|kind| thread::spawn(move || play(&kind))).collect();
    for player in players {
        player.join().unwrap();
    }
}

fn play(kind: &Kind) {
    let runtime = Runtime::new().unwrap();
    let folder = tempdir(kind.name);
    let fake = FakeTelegram::start();
    let options = ClientOptions {
        telegraph: UpstreamUrl::parse(&fake.url()).unwrap(),
        upstreams: vec![UpstreamUrl::parse(&fake.url()).unwrap()],
        limits: RateLimits {
            rate: u32::MAX.try_into().unwrap(),
            burst: u32::MAX.try_into().unwrap(),
            ..RateLimits::default()
        },
        http: HttpClientConfig { user_agent: "test".parse().unwrap(), proxies: Vec::new(), dns: Vec::new() },
    };
    let client = Client::new(&options).unwrap();
    let open = || async {
        match &kind.database {
            Some(url) => Archive::shared(&url.parse().unwrap()).await.unwrap(),
            None => loop {
                match Archive::open_for_service(&folder).await {
                    // A process that another test is starting inherits the locked files for a moment.
                    Err(ArchiveError::InUse(_)) => tokio::task::yield_now().await,
                    opened => break opened.unwrap(),
                }
            },
        }
    };
    let histories = proptest::collection::vec(event(), 1..24);
    let config = Config { cases: HISTORIES, failure_persistence: None, ..Config::default() };
    let played = Mutex::new((runtime.block_on(open()), 0));
    let outcome = TestRunner::new(config).run(&histories, |events| {
        let mut played = played.lock().unwrap_or_else(PoisonError::into_inner);
        let (archive, n) = &mut *played;
        *n += 1;
        let mut play = Play::new(&fake, &client, *n);
        runtime.block_on(async {
            for event in [Event::Refresh].into_iter().chain(events) {
                if matches!(event, Event::Restart) {
                    archive.close().await;
                    // The directory is unlocked when the old archive is dropped.
                    *archive = Archive::in_memory(1 << 20).await.unwrap();
                    *archive = open().await;
                }
                play.event(archive, event).await?;
            }
            play.end(archive).await
        })
    });
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(outcome.is_ok(), "{}: {}", kind.name, outcome.unwrap_err());
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("model-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// One history and its invariants.
struct Play<'a> {
    fake: &'a FakeTelegram,
    client: &'a Client,
    name: ChannelName,
    history: Arc<Mutex<FakeChannel>>,
    now: Timestamp,
    /// The posts of the last check, by id.
    archived: BTreeMap<u32, Post>,
    /// The texts of each post that were archived, in order.
    texts: BTreeMap<u32, Vec<String>>,
    /// When each post was published, including deleted ones.
    published: BTreeMap<u32, Timestamp>,
    /// An album that is not complete yet.
    half: Option<u32>,
}

impl<'a> Play<'a> {
    fn new(fake: &'a FakeTelegram, client: &'a Client, n: u32) -> Self {
        let name = format!("channel_{n}");
        let mut play = Self {
            fake,
            client,
            history: fake.add_channel(FakeChannel::new(&name, PLACES)),
            name: ChannelName::new(&name).unwrap(),
            now: "2026-08-01T12:00:00Z".parse().unwrap(),
            archived: BTreeMap::new(),
            texts: BTreeMap::new(),
            published: BTreeMap::new(),
            half: None,
        };
        // The first page has the whole history.
        play.publish(0);
        play
    }

    fn publish(&mut self, n_pictures: u32) {
        let id = self.history.lock().unwrap().publish(n_pictures, self.now);
        self.published.insert(id, self.now);
    }

    async fn event(&mut self, archive: &Archive, event: Event) -> Result<(), TestCaseError> {
        self.now += SignedDuration::from_secs(20);
        if let Some(id) = self.half.take_if(|_| !matches!(event, Event::Refresh)) {
            self.complete(id);
        }
        let nth = |n: u8| {
            let history = self.history.lock().unwrap();
            history.posts.keys().rev().nth(n.into()).copied()
        };
        match event {
            // Deleting the last post would make the channel look empty.
            Event::Publish(n) => (0..n).for_each(|_| self.publish(0)),
            Event::Album(n) => self.publish(n.into()),
            Event::Half(n) => {
                self.publish(n.into());
                let mut history = self.history.lock().unwrap();
                let (id, album) = history.posts.iter_mut().next_back().unwrap();
                album.n_shown = 2;
                self.half = Some(*id);
            }
            Event::Edit(n) => {
                if let Some(id) = nth(n) {
                    self.history.lock().unwrap().edit(id);
                }
            }
            Event::Delete(n) => {
                let is_last = self.history.lock().unwrap().posts.len() == 1;
                if let Some(id) = nth(n).filter(|_| !is_last) {
                    self.history.lock().unwrap().posts.remove(&id);
                }
            }
            Event::Refresh => {
                self.refresh(archive).await?;
                if let Some(id) = self.half.take() {
                    self.complete(id);
                }
                self.check(archive).await?;
            }
            Event::Outage => {
                self.fake.override_all(Answer::page(&page("landing_nobody")));
                let page =
                    fetch_page(self.client, &self.name, PageRequest::Newest, Priority::High, None).await;
                prop_assert!(page.is_err());
                self.fake.clear_override();
            }
            Event::Restart => self.check(archive).await?,
        }
        Ok(())
    }

    fn complete(&mut self, id: u32) {
        if let Some(post) = self.history.lock().unwrap().posts.get_mut(&id) {
            post.n_shown = post.n_pictures;
        }
    }

    async fn refresh(&mut self, archive: &Archive) -> Result<(), TestCaseError> {
        let page = fetch_page(self.client, &self.name, PageRequest::Newest, Priority::High, None).await;
        let page = page.map_err(|err| TestCaseError::fail(err.to_string()))?;
        let merged = archive
            .merge(&self.name, Arc::new(to_archive(page)), PageScope::Newest, self.now, Duration::ZERO)
            .await;
        prop_assert!(merged.is_ok(), "{merged:?}");
        follow_up(self.client, archive, &self.name, GAP_PAGES, false, || self.now).await;
        Ok(())
    }

    async fn posts(&self, archive: &Archive) -> BTreeMap<u32, Post> {
        let mut posts = BTreeMap::new();
        let mut before = None;
        loop {
            let request = FeedPageRequest { before, limit: Some(50) };
            let page = archive.feed_page(&self.name, request, Caller::Background).await.unwrap();
            let Some(snapshot) = page.and_then(|page| page.snapshot) else { return posts };
            before = Some(snapshot.posts[0].id);
            posts.extend(snapshot.posts.into_iter().map(|post| (post.id.get(), post)));
        }
    }

    /// Checks the invariants that always hold.
    async fn check(&mut self, archive: &Archive) -> Result<(), TestCaseError> {
        let posts = self.posts(archive).await;
        let history = self.history.lock().unwrap();
        for (id, post) in &posts {
            let published = self.published.get(id);
            prop_assert_eq!(
                published,
                Some(&post.published),
                "{} is part of a post, or its date changed",
                id
            );
            prop_assert_eq!(&post.permalink, &format!("https://t.me/{}/{id}", self.name));
            let text = post.text.text();
            if let Some(before) = self.archived.get(id) {
                let is_edited = before.text != post.text;
                prop_assert_eq!(is_edited, before.updated != post.updated, "{}: {:?} {:?}", id, before, post);
            } else if let Some(before) = self.texts.get(id).and_then(|texts| texts.last()) {
                // The post counted as deleted and was shown again.
                prop_assert_eq!(before != text, post.updated.is_some() && before != text);
            } else {
                prop_assert_eq!(post.updated, None, "{} is new", id);
            }
            if let Some(now) = history.posts.get(id) {
                prop_assert!(now.text.starts_with(text), "{} has the text {:?}", id, text);
                let n_pictures = usize::try_from(now.n_pictures).unwrap();
                prop_assert_eq!(post.media.len(), n_pictures, "{} is incomplete", id);
            }
        }
        drop(history);
        for (id, post) in &posts {
            let texts = self.texts.entry(*id).or_default();
            if texts.last().is_none_or(|last| last != post.text.text()) {
                texts.push(post.text.text().to_owned());
            }
        }
        self.archived = posts;
        Ok(())
    }

    /// Checks that the archive has every text that an edited post ever had.
    async fn check_versions(&self, archive: &Archive) -> Result<(), TestCaseError> {
        for (id, texts) in self.texts.iter().filter(|(_, texts)| texts.len() > 1) {
            let post = archive.post(&self.name, PostId::new(*id).unwrap()).await.unwrap();
            let post = post.ok_or_else(|| TestCaseError::fail(format!("{id} is missing")))?;
            let versions = post.versions.iter().rev().map(|version| version.post.text.text());
            let found: Vec<_> = versions.chain([post.post.text.text()]).collect();
            prop_assert_eq!(found, texts.iter().map(String::as_str).collect::<Vec<_>>(), "{}", id);
        }
        Ok(())
    }

    /// Checks the invariants that hold once nothing more happens.
    async fn end(&mut self, archive: &Archive) -> Result<(), TestCaseError> {
        self.now += SignedDuration::from_mins(5);
        if let Some(id) = self.half.take() {
            self.complete(id);
        }
        for _ in 0..3 {
            self.refresh(archive).await?;
            self.now += SignedDuration::from_mins(5);
        }
        self.check(archive).await?;
        self.check_versions(archive).await?;
        let history = self.history.lock().unwrap();
        let first_known = self.archived.keys().next().copied().unwrap_or(0);
        for id in history.posts.keys().filter(|id| **id >= first_known) {
            prop_assert!(self.archived.contains_key(id), "{} is missing in {:?}", id, self.archived.keys());
        }
        // The archive agrees with the newest page: same texts, and no other posts inside its range.
        let mut n_places = 0;
        let is_whole = |(_, post): &(&u32, &FakePost)| {
            n_places += usize::try_from(post.n_shown.max(1)).unwrap();
            n_places <= PLACES
        };
        let newest: Vec<_> = history.posts.iter().rev().take_while(is_whole).collect();
        for (id, post) in &newest {
            prop_assert_eq!(self.archived[*id].text.text(), &post.text);
        }
        if let (Some((lowest, _)), Some((highest, _))) = (newest.last(), newest.first()) {
            let inside = self.archived.range(**lowest..**highest).map(|(id, _)| id);
            let deleted: Vec<_> = inside.filter(|id| !history.posts.contains_key(id)).collect();
            prop_assert!(deleted.is_empty(), "deleted posts {:?} are still shown", deleted);
        }
        Ok(())
    }
}

#[test]
fn merge_of_an_earlier_page_does_not_move_last_modified_back() {
    let name = ChannelName::new("quiet_pier").unwrap();
    let now: Timestamp = "2026-08-01T12:00:00Z".parse().unwrap();
    let page = FakeChannel::with_posts("quiet_pier", 3, now).preview_page(None);
    let retitled = |title: &str| {
        let html = page.replace("<span>quiet_pier</span>", &format!("<span>{title}</span>"));
        Arc::new(to_archive(page::parse(&html, PageSource::Fetched(&name)).unwrap()))
    };
    Runtime::new().unwrap().block_on(async {
        let archive = Archive::in_memory(1 << 20).await.unwrap();
        for (title, hours) in [("First", 0), ("Second", 2), ("Third", 1)] {
            let fetched = now + SignedDuration::from_hours(hours);
            archive.merge(&name, retitled(title), PageScope::Newest, fetched, Duration::ZERO).await.unwrap();
        }
        let archived = archive.load(&name, Caller::Reader).await.unwrap().unwrap();
        assert_eq!(archived.changed, Some(now + SignedDuration::from_hours(2)));
    });
}
