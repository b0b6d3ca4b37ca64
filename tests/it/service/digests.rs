//! Property test: digests of random histories, of which the archive has only parts, compared with a plain model.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use telewire::archive::{Archive, Caller, PageScope};
use telewire::channels::to_archive;
use telewire::model::channel::ChannelName;
use telewire::model::paging::FeedPageRequest;
use telewire::model::post::PostId;
use telewire::telegram::page::{self, PageSource};
use tokio::runtime::Runtime;

use super::several_channels::{FAST, parsed};
use crate::support::app::{App, new_folder};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::FakeTelegram;
use crate::support::now;

/// Channels of each kind.
const CHANNELS: usize = 24;

/// Posts of a preview page: few, so that a day has several pages.
const PAGE_SIZE: usize = 6;

/// Limits of a feed; empty for its default.
const LIMITS: [&str; 4] = ["&limit=1", "&limit=2", "", "&limit=200"];

const MERGES: [&str; 2] = ["day", "week"];

/// A day of the time zone in which it is noon now, so that no day ends during the test.
#[derive(Clone, Copy)]
struct Clock {
    now: Timestamp,
    hours: i64,
}

impl Clock {
    fn new() -> Self {
        let now = Timestamp::from_second(now().as_second()).unwrap();
        Self { now, hours: 12 - now.as_second().div_euclid(3600).rem_euclid(24) }
    }

    /// Returns the name of the zone, whose sign is that of POSIX, for a query.
    fn zone(self) -> String {
        format!("Etc/GMT{}{}", if self.hours > 0 { "-" } else { "%2B" }, self.hours.abs())
    }

    /// Returns the moment at this second of a day.
    fn at(self, days_ago: usize, seconds: i64) -> Timestamp {
        let offset = self.hours * 3600;
        let today = (self.now.as_second() + offset).div_euclid(86_400) * 86_400 - offset;
        Timestamp::from_second(today - i64::try_from(days_ago).unwrap() * 86_400 + seconds).unwrap()
    }

    /// Returns the part of an id that names the day or week of a moment.
    fn label(self, merge: &str, at: Timestamp) -> String {
        let local = at + SignedDuration::from_hours(self.hours);
        local.strftime(if merge == "day" { "%F" } else { "%G-W%V" }).to_string()
    }
}

/// A random history.
#[derive(Clone, Debug)]
struct History {
    /// The number of posts of each day; that of the first one is the oldest.
    days: Vec<u8>,
    /// When the last page was fetched, at noon. The channel has no later posts.
    fetched_days_ago: usize,
    /// Older pages that are archived, by the place of their newest post in the history, in thousandths.
    pages: Vec<u32>,
    /// The n-th newest posts that are edited or deleted after that.
    edited: Vec<usize>,
    deleted: Vec<usize>,
}

fn history() -> impl Strategy<Value = History> {
    let days = proptest::collection::vec(prop_oneof![1 => Just(0_u8), 3 => 0..8_u8], 3..20);
    let pages = proptest::collection::vec(1..=1_000_u32, 0..14);
    let places = || proptest::collection::vec(1..PAGE_SIZE - 1, 0..3);
    (days, 0..3_usize, pages, places(), places()).prop_map(|(days, stale, pages, edited, deleted)| History {
        fetched_days_ago: stale.min(days.len() - 1),
        days,
        pages,
        edited,
        deleted,
    })
}

/// A channel, and what the archive knows of it.
#[derive(Debug)]
struct Channel {
    name: String,
    history: History,
    /// When each post was published.
    published: BTreeMap<u32, Timestamp>,
    /// The posts that the archive shows.
    archived: Vec<u32>,
    /// Posts of the channel are archived if their ids are in one of these ranges.
    known: Vec<std::ops::Range<u32>>,
    fetched: Timestamp,
}

impl Channel {
    /// Archives a part of a history.
    async fn play(archive: &Archive, name: String, history: History, clock: Clock) -> (Self, FakeChannel) {
        let mut fake = FakeChannel::new(&name, PAGE_SIZE);
        let mut published = BTreeMap::new();
        let fetched = clock.at(history.fetched_days_ago, 12 * 3600);
        for (day, n) in history.days.iter().enumerate() {
            let days_ago = history.days.len() - 1 - day;
            // Telegram shows no channel without posts.
            for n in 0..i64::from((*n).max(u8::from(day == 0))) {
                let at = clock.at(days_ago, n * 3600 * 3 + 60);
                if at < fetched {
                    published.insert(fake.publish(0, at), at);
                }
            }
        }
        let channel = ChannelName::new(&name).unwrap();
        let mut played = Self { name, history, published, archived: Vec::new(), known: Vec::new(), fetched };
        let long = Duration::from_hours(24 * 365);
        let merge = async |played: &mut Self, fake: &FakeChannel, scope, at| {
            let before = if let PageScope::Gap(from, _) = scope { Some(from.get()) } else { None };
            let page = page::parse(&fake.preview_page(before), PageSource::Fetched(&channel)).unwrap();
            let lowest = page.snapshot.posts[0].id.get();
            let from = if page.older.is_some() { lowest } else { 0 };
            played.known.push(from..before.unwrap_or(u32::MAX));
            archive.merge(&channel, Arc::new(to_archive(page)), scope, at, long).await.unwrap();
        };
        let before = fetched - SignedDuration::from_hours(1);
        merge(&mut played, &fake, PageScope::Newest, before).await;
        for thousandth in played.history.pages.clone() {
            let below = PostId::new((fake.next_id * thousandth / 1_000).max(2)).unwrap();
            let request = FeedPageRequest { before: Some(below), limit: Some(1) };
            let page = archive.feed_page(&channel, request, Caller::Reader).await.unwrap().unwrap();
            if let Some(gap) = page.gap {
                let from = below.min(gap.below);
                if fake.posts.keys().next().unwrap() < &from.get() {
                    merge(&mut played, &fake, PageScope::Gap(from, gap), before).await;
                }
            }
        }
        let newest: Vec<u32> = fake.posts.keys().rev().copied().collect();
        for n in played.history.edited.iter().filter(|n| **n < newest.len()) {
            fake.edit(newest[*n]);
        }
        for n in played.history.deleted.iter().filter(|n| **n + 1 < newest.len()) {
            fake.posts.remove(&newest[*n]);
        }
        // A post is gone when two pages lack it.
        for seconds_before in [1, 0] {
            let at = fetched - SignedDuration::from_secs(seconds_before);
            merge(&mut played, &fake, PageScope::Newest, at).await;
        }
        let is_known = |id: &u32| played.known.iter().any(|range| range.contains(id));
        played.archived = fake.posts.keys().copied().filter(is_known).collect();
        (played, fake)
    }

    /// Returns the digests that are over at a moment, with their posts, the newest first, each with whether the archive knows
    /// that it is complete.
    fn periods(&self, merge: &str, clock: Clock, posts: &[u32], until: Timestamp) -> Vec<(Digest, bool)> {
        let label = |id: &u32| clock.label(merge, self.published[id]);
        let is_known = |id: u32| self.known.iter().any(|range| range.contains(&id));
        let current = clock.label(merge, until);
        let mut digests: Vec<_> = posts
            .chunk_by(|a, b| label(a) == label(b))
            .filter(|period| label(&period[0]) != current)
            .map(|period| {
                let before = posts.iter().rfind(|id| **id < period[0]).map_or(0, |id| *id);
                let after =
                    posts.iter().find(|id| **id > period[period.len() - 1]).map_or(u32::MAX, |id| *id);
                // No post has the id 0.
                let is_complete = (before.max(1)..after.min(self.newest() + 1)).all(is_known);
                let label = label(&period[0]);
                (Digest { channel: self.name.clone(), label, posts: period.to_vec() }, is_complete)
            })
            .collect();
        digests.reverse();
        digests
    }

    fn newest(&self) -> u32 {
        *self.published.keys().next_back().unwrap()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Digest {
    channel: String,
    label: String,
    posts: Vec<u32>,
}

impl Digest {
    /// Reads a digest of a feed.
    fn read(item: &Value) -> Self {
        let id = item["id"].as_str().unwrap().trim_start_matches("https://t.me/");
        let (channel, label) = id.split_once('#').unwrap();
        let text = item["content_html"].as_str().unwrap();
        let end = format!(" of {channel}");
        let posts = text.split("Post ").skip(1).map(|rest| rest[..rest.find(&end).unwrap()].parse().unwrap());
        Self { channel: channel.to_owned(), label: label.to_owned(), posts: posts.collect() }
    }
}

/// Returns the entries of all pages, and whether the last page says that older posts cannot be fetched now.
fn all_pages(app: &App, target: &str) -> (Vec<Value>, bool) {
    let (mut next, mut entries, mut n_pages) = (target.to_owned(), Vec::new(), 0);
    while !next.is_empty() {
        let answer = app.get(&next);
        if answer.status == 503 && n_pages > 0 {
            return (entries, true);
        }
        let feed = parsed(&answer);
        let url = feed["next_url"].as_str().and_then(|url| url.split_once(&app.address.to_string()));
        let older = url.map_or(String::new(), |(_, path)| path.to_owned());
        assert_ne!(older, next, "the page leads to itself");
        let items = feed["items"].as_array().unwrap();
        assert!(!items.is_empty() || older.is_empty(), "{next}: an empty page leads to {older}");
        entries.extend(items.iter().cloned());
        next = older;
        n_pages += 1;
        assert!(n_pages < 100, "{target}: the pages do not end");
    }
    (entries, false)
}

fn digests(entries: &[Value]) -> Vec<Digest> {
    entries.iter().map(Digest::read).collect()
}

/// Returns random channels with names of this kind in the archive of a new data directory, and the directory.
fn archived(kind: &str, clock: Clock) -> (Vec<(Channel, FakeChannel)>, std::path::PathBuf) {
    let folder = new_folder();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let channels = Runtime::new().unwrap().block_on(async {
        let archive = Archive::open_for_service(&folder.join("data")).await.unwrap();
        let mut channels = Vec::new();
        for n in 0..CHANNELS {
            let history = history().new_tree(&mut runner).unwrap().current();
            channels.push(Channel::play(&archive, format!("{kind}_{n:02}"), history, clock).await);
        }
        archive.close().await;
        channels
    });
    (channels, folder)
}

#[test]
fn digests_of_an_incomplete_archive_are_complete_or_left_out() {
    let clock = Clock::new();
    let (channels, folder) = archived("heron", clock);
    let channels: Vec<Channel> = channels.into_iter().map(|(channel, _)| channel).collect();
    // Telegram cannot be asked for the posts in the gaps.
    let fake = FakeTelegram::start();
    let app = App::start_in(folder, &fake.url(), &FAST);
    for merge in MERGES {
        for group in channels.chunks(3) {
            let periods = group
                .iter()
                .flat_map(|channel| channel.periods(merge, clock, &channel.archived, channel.fetched));
            let mut expected: Vec<Digest> =
                periods.filter(|(_, is_complete)| *is_complete).map(|(it, _)| it).collect();
            expected.sort_by_key(|digest| (Reverse(digest.label.clone()), digest.channel.clone()));
            let names: Vec<&str> = group.iter().map(|channel| &*channel.name).collect();
            let mut of_limits = Vec::new();
            for limit in LIMITS {
                let target = format!("/{}/json?merge={merge}&tz={}{limit}", names.join(","), clock.zone());
                let (entries, _) = all_pages(&app, &target);
                assert_eq!(digests(&entries), expected, "{target}: {group:#?}");
                of_limits.push(entries);
            }
            assert!(of_limits.iter().all(|entries| *entries == of_limits[0]), "entries depend on the page");
        }
        for channel in &channels {
            let periods = channel.periods(merge, clock, &channel.archived, channel.fetched);
            let expected: Vec<Digest> = periods
                .into_iter()
                .take_while(|(_, is_complete)| *is_complete)
                .map(|(digest, _)| digest)
                .collect();
            for limit in LIMITS {
                let target = format!("/{}/json?merge={merge}&tz={}{limit}", channel.name, clock.zone());
                let (entries, _) = all_pages(&app, &target);
                assert_eq!(digests(&entries), expected, "{target}: {channel:#?}");
            }
        }
    }
}

#[test]
fn digests_fetch_the_older_posts_that_they_need() {
    let clock = Clock::new();
    let (channels, folder) = archived("kettle", clock);
    let fake = FakeTelegram::start();
    let app = App::start_in(folder, &fake.url(), &FAST);
    for (n, (channel, truth)) in channels.into_iter().enumerate() {
        let posts: Vec<u32> = truth.posts.keys().copied().collect();
        fake.add_channel(truth);
        let (merge, limit) = (MERGES[n % 2], LIMITS[n / 2 % 4]);
        // The service reads the channel again.
        let periods = channel.periods(merge, clock, &posts, clock.now);
        let expected: Vec<Digest> = periods.into_iter().map(|(digest, _)| digest).collect();
        let target = format!("/{}/json?merge={merge}&tz={}{limit}", channel.name, clock.zone());
        let first = parsed(&app.get(&target));
        assert_eq!(
            first["items"].as_array().unwrap().is_empty(),
            expected.is_empty(),
            "{target}: {channel:#?}"
        );
        if expected.is_empty() {
            assert!(first["description"].as_str().unwrap().starts_with("The next digest is still to come"));
        }
        let (entries, is_unavailable) = all_pages(&app, &target);
        assert!(!is_unavailable);
        assert_eq!(digests(&entries), expected, "{target}: {channel:#?}");
    }
}
