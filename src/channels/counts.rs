//! Counts: those in the headers of channels, and the views, reactions and votes of the channels whose feeds show them.
//!
//! Cached snapshots and the archive do not follow counts, which change with almost every page. So they are kept here, apart;
//! a page that is fetched for any reason updates them. Those of posts are kept only for channels that somebody asked for them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use moka::sync::Cache;

use super::Channels;
use crate::archive::Caller;
use crate::compressed_json;
use crate::model::channel::{ChannelName, Counter};
use crate::model::paging::MAX_POSTS_PER_PAGE;
use crate::model::post::{Counts, Post, PostId, Snapshot};

/// The size of all counts, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Approximate size of an entry beside its compressed counts, in bytes.
const ENTRY_OVERHEAD: usize = 256;

/// Approximate size of a counter in the header of a channel, in bytes.
const COUNTER_SIZE: usize = 64;

type CountsByPost = BTreeMap<PostId, Counts>;

/// What is kept for a channel.
#[derive(Clone, Default)]
struct Kept {
    /// The counters of the newest page; none before a page is fetched.
    counters: Vec<Counter>,
    /// Compressed [`CountsByPost`], if somebody asked for them.
    posts: Option<Arc<[u8]>>,
}

impl Kept {
    fn posts(&self) -> Option<CountsByPost> {
        // Counts that cannot be decoded are as good as none.
        Some(compressed_json::decode(self.posts.as_ref()?, usize::MAX).unwrap_or_default())
    }
}

/// The counts by the name that was requested.
pub(super) struct CountsCache(Cache<ChannelName, Kept>);

impl CountsCache {
    pub(super) fn new() -> Self {
        let weigher = |_: &ChannelName, kept: &Kept| {
            let counts = kept.posts.as_ref().map_or(0, |posts| posts.len());
            u32::try_from(ENTRY_OVERHEAD + kept.counters.len() * COUNTER_SIZE + counts).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).build())
    }

    fn get(&self, name: &ChannelName) -> Kept {
        self.0.get(name).unwrap_or_default()
    }

    /// Keeps the counters of a channel's newest page, and updates the counts of its posts if they are kept.
    pub(super) fn update(&self, name: &ChannelName, page: &Snapshot) -> io::Result<()> {
        let Kept { posts, .. } = self.get(name);
        self.0.insert(name.clone(), Kept { counters: page.channel.counters.clone(), posts });
        self.update_posts(name, &page.posts)
    }

    fn update_posts(&self, name: &ChannelName, posts: &[Post]) -> io::Result<()> {
        let kept = self.get(name);
        let Some(mut counts) = kept.posts() else { return Ok(()) };
        counts.extend(posts.iter().map(|post| (post.id, post.counts())));
        while counts.len() > MAX_POSTS_PER_PAGE.into() {
            counts.pop_first();
        }
        let counts = compressed_json::encode(&counts)?.into();
        self.0.insert(name.clone(), Kept { posts: Some(counts), ..kept });
        Ok(())
    }

    /// Keeps the counts of a channel's posts from now on, beginning with those of these posts.
    fn insert_posts(&self, name: &ChannelName, posts: &[Post]) -> io::Result<()> {
        let none = compressed_json::encode(&CountsByPost::new())?.into();
        self.0.insert(name.clone(), Kept { posts: Some(none), ..self.get(name) });
        self.update_posts(name, posts)
    }
}

impl Channels {
    /// Returns the counters in the header of the channel's newest page; none if no page was fetched lately.
    #[must_use]
    pub fn counters(&self, name: &ChannelName) -> Vec<Counter> {
        self.counts.get(name).counters
    }

    /// Gives posts of a channel their newest known counts, and keeps the counts of its posts up to date from now on. Until the
    /// next page is fetched, they are those of the time when each post was archived.
    pub async fn set_counts(&self, name: &ChannelName, posts: &mut [Post]) {
        if self.counts.get(name).posts.is_none() {
            let archived = self.archive.load(name, Caller::Reader).await.ok().flatten();
            let posts = archived.map(|archived| archived.snapshot.posts).unwrap_or_default();
            if let Err(err) = self.counts.insert_posts(name, &posts) {
                tracing::error!(channel = %name, error = %err, "cannot keep the counts of a channel");
            }
        }
        let mut counts = self.counts.get(name).posts().unwrap_or_default();
        for post in posts {
            if let Some(counts) = counts.remove(&post.id) {
                post.set_counts(counts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::channel::Channel;

    fn page(ids: std::ops::RangeInclusive<u32>, n: u64) -> Snapshot {
        let post = |id| {
            let post =
                Post::empty(PostId::new(id).unwrap(), "https://example.org/1".into(), Timestamp::UNIX_EPOCH);
            Post { views: Some(n), ..post }
        };
        let name = ChannelName::new("sample").unwrap();
        let counters = vec![Counter { what: "subscribers".into(), n }];
        let channel =
            Channel { counters, ..Channel::new(name, "https://example.org".into(), "Sample".into()) };
        Snapshot { channel, posts: ids.map(post).collect(), has_older: false }
    }

    #[test]
    fn counts_of_posts_are_kept_only_for_channels_that_were_asked_for() {
        let (cache, name) = (CountsCache::new(), ChannelName::new("sample").unwrap());
        cache.update(&name, &page(1..=3, 1)).unwrap();
        assert_eq!(cache.get(&name).posts(), None);
        cache.insert_posts(&name, &page(1..=3, 1).posts).unwrap();
        cache.update(&name, &page(3..=250, 2)).unwrap();
        let counts = cache.get(&name).posts().unwrap();
        assert_eq!(counts.len(), usize::from(MAX_POSTS_PER_PAGE));
        assert!(counts.values().all(|counts| counts.views == Some(2)));
    }

    #[test]
    fn counters_of_a_channel_are_those_of_its_newest_page() {
        let (cache, name) = (CountsCache::new(), ChannelName::new("sample").unwrap());
        assert_eq!(cache.get(&name).counters, []);
        for n in [5, 7] {
            cache.update(&name, &page(1..=3, n)).unwrap();
            cache.insert_posts(&name, &[]).unwrap();
            assert_eq!(cache.get(&name).counters, page(1..=1, n).channel.counters);
        }
    }
}
