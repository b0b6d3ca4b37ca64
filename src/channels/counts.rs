//! Counts of channels, and of the posts whose feeds show them.
//!
//! Cached snapshots do not follow counts, which change with almost every page. The counters of a channel are in the archive:
//! every merge writes its row anyway. The views, reactions and votes of posts are stored here, in memory, only for channels
//! whose readers have asked for them; every page that this process fetches updates them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use moka::sync::Cache;

use super::Channels;
use crate::archive::{ArchiveError, Caller};
use crate::compressed_json;
use crate::model::channel::{ChannelName, Counter};
use crate::model::paging::MAX_POSTS_PER_PAGE;
use crate::model::post::{Counts, Post, PostId};

/// The size of all counts of posts, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Approximate size of an entry beside its compressed counts, in bytes.
const ENTRY_OVERHEAD: usize = 256;

type CountsByPost = BTreeMap<PostId, Counts>;

/// The compressed [`CountsByPost`] by the name that was requested.
pub(super) struct CountsCache(Cache<ChannelName, Arc<[u8]>>);

impl CountsCache {
    pub(super) fn new() -> Self {
        let weigher = |_: &ChannelName, counts: &Arc<[u8]>| {
            u32::try_from(ENTRY_OVERHEAD + counts.len()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).build())
    }

    fn of_posts(&self, name: &ChannelName) -> Option<CountsByPost> {
        // Counts that cannot be decoded are dropped.
        Some(compressed_json::decode(&self.0.get(name)?, usize::MAX).unwrap_or_default())
    }

    /// Updates the counts of a channel's posts if they are stored.
    pub(super) fn update(&self, name: &ChannelName, posts: &[Post]) -> io::Result<()> {
        match self.of_posts(name) {
            Some(counts) => self.store(name, counts, posts),
            None => Ok(()),
        }
    }

    /// Stores the counts of a channel's posts, with those of these posts. The newest posts are kept.
    fn store(&self, name: &ChannelName, mut counts: CountsByPost, posts: &[Post]) -> io::Result<()> {
        counts.extend(posts.iter().map(|post| (post.id, post.counts())));
        while counts.len() > MAX_POSTS_PER_PAGE.into() {
            counts.pop_first();
        }
        self.0.insert(name.clone(), compressed_json::encode(&counts)?.into());
        Ok(())
    }
}

impl Channels {
    /// Returns the counters in the header of the last archived page of a channel, as in "70 subscribers".
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn counters(&self, name: &ChannelName) -> Result<Vec<Counter>, ArchiveError> {
        self.archive.counters(name).await
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

    fn posts(ids: std::ops::RangeInclusive<u32>, n: u64) -> Vec<Post> {
        let post = |id| {
            let post =
                Post::empty(PostId::new(id).unwrap(), "https://example.org/1".into(), Timestamp::UNIX_EPOCH);
            Post { views: Some(n), ..post }
        };
        ids.map(post).collect()
    }

    #[test]
    fn counts_of_posts_are_kept_only_for_channels_that_were_asked_for() {
        let (cache, name) = (CountsCache::new(), ChannelName::new("sample").unwrap());
        cache.update(&name, &posts(1..=3, 1)).unwrap();
        assert_eq!(cache.of_posts(&name), None);
        cache.store(&name, CountsByPost::new(), &posts(1..=3, 1)).unwrap();
        cache.update(&name, &posts(3..=250, 2)).unwrap();
        let counts = cache.of_posts(&name).unwrap();
        assert_eq!(counts.len(), usize::from(MAX_POSTS_PER_PAGE));
        assert!(counts.values().all(|counts| counts.views == Some(2)));
    }
}
