//! Counts of channels, and of the posts whose feeds show them.
//!
//! Cached snapshots and the archive do not follow counts, which change with almost every page. So they are stored here, in
//! memory, and every page that this process fetches updates them. The views, reactions and votes of posts are stored only for
//! channels whose readers have asked for them.

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

/// The size of all counts of posts, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Approximate size of an entry beside its compressed counts, in bytes.
const ENTRY_OVERHEAD: usize = 256;

/// The channels whose counters are stored. They take about half a kilobyte each.
const MAX_CHANNELS: u64 = 20_000;

type CountsByPost = BTreeMap<PostId, Counts>;

/// The counts by the name that was requested.
pub(super) struct CountsCache {
    /// The numbers in the headers of channels.
    channels: Cache<ChannelName, Arc<[Counter]>>,
    /// Compressed [`CountsByPost`].
    posts: Cache<ChannelName, Arc<[u8]>>,
}

impl CountsCache {
    pub(super) fn new() -> Self {
        let weigher = |_: &ChannelName, counts: &Arc<[u8]>| {
            u32::try_from(ENTRY_OVERHEAD + counts.len()).unwrap_or(u32::MAX)
        };
        Self {
            channels: Cache::new(MAX_CHANNELS),
            posts: Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).build(),
        }
    }

    fn counters(&self, name: &ChannelName) -> Option<Arc<[Counter]>> {
        self.channels.get(name)
    }

    fn of_posts(&self, name: &ChannelName) -> Option<CountsByPost> {
        // Counts that cannot be decoded are dropped.
        Some(compressed_json::decode(&self.posts.get(name)?, usize::MAX).unwrap_or_default())
    }

    /// Stores the counters of a channel's newest page, and updates the counts of its posts if they are stored.
    pub(super) fn update(&self, name: &ChannelName, page: &Snapshot) -> io::Result<()> {
        self.channels.insert(name.clone(), page.channel.counters.as_slice().into());
        match self.of_posts(name) {
            Some(counts) => self.store(name, counts, &page.posts),
            None => Ok(()),
        }
    }

    /// Stores the counts of a channel's posts, with those of these posts. The newest posts are kept.
    fn store(&self, name: &ChannelName, mut counts: CountsByPost, posts: &[Post]) -> io::Result<()> {
        counts.extend(posts.iter().map(|post| (post.id, post.counts())));
        while counts.len() > MAX_POSTS_PER_PAGE.into() {
            counts.pop_first();
        }
        self.posts.insert(name.clone(), compressed_json::encode(&counts)?.into());
        Ok(())
    }
}

impl Channels {
    /// Returns the counters in the header of the channel's newest page, as in "70 subscribers"; empty if this process has not
    /// fetched a page since its start.
    #[must_use]
    pub fn counters(&self, name: &ChannelName) -> Arc<[Counter]> {
        self.counts.counters(name).unwrap_or_default()
    }

    /// Gives posts of a channel their newest known counts, and keeps the counts of its posts up to date from now on. Until the
    /// next page is fetched, they are those of the time when each post was archived.
    pub async fn set_counts(&self, name: &ChannelName, posts: &mut [Post]) {
        if self.counts.of_posts(name).is_none() {
            let archived = self.archive.load(name, Caller::Reader).await.ok().flatten();
            let posts = archived.map(|archived| archived.snapshot.posts).unwrap_or_default();
            if let Err(err) = self.counts.store(name, CountsByPost::new(), &posts) {
                tracing::error!(channel = %name, error = %err, "cannot keep the counts of a channel");
            }
        }
        let mut counts = self.counts.of_posts(name).unwrap_or_default();
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
        assert_eq!(cache.of_posts(&name), None);
        cache.store(&name, CountsByPost::new(), &page(1..=3, 1).posts).unwrap();
        cache.update(&name, &page(3..=250, 2)).unwrap();
        let counts = cache.of_posts(&name).unwrap();
        assert_eq!(counts.len(), usize::from(MAX_POSTS_PER_PAGE));
        assert!(counts.values().all(|counts| counts.views == Some(2)));
    }

    #[test]
    fn counters_of_a_channel_are_those_of_its_newest_page() {
        let (cache, name) = (CountsCache::new(), ChannelName::new("sample").unwrap());
        assert_eq!(cache.counters(&name), None);
        for n in [5, 7] {
            cache.update(&name, &page(1..=3, n)).unwrap();
            assert_eq!(cache.counters(&name).unwrap()[..], page(1..=1, n).channel.counters);
        }
    }
}
