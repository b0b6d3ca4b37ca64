//! Counts of views, reactions and votes of the channels whose feeds show them.
//!
//! Cached snapshots and the archive do not follow counts, which change with almost every page. So they are kept here, apart,
//! and only for channels that somebody asked for them; a page that is fetched for any reason then updates them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use moka::sync::Cache;

use super::Channels;
use crate::archive::Caller;
use crate::compressed_json;
use crate::model::channel::ChannelName;
use crate::model::paging::MAX_POSTS_PER_PAGE;
use crate::model::post::{Counts, Post, PostId};

/// The size of all counts, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Approximate size of an entry beside its compressed counts, in bytes.
const ENTRY_OVERHEAD: usize = 256;

type CountsByPost = BTreeMap<PostId, Counts>;

/// Compressed counts by the name that was requested.
pub(super) struct CountsCache(Cache<ChannelName, Arc<[u8]>>);

impl CountsCache {
    pub(super) fn new() -> Self {
        let weigher = |_: &ChannelName, counts: &Arc<[u8]>| {
            u32::try_from(ENTRY_OVERHEAD + counts.len()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).build())
    }

    fn get(&self, name: &ChannelName) -> Option<CountsByPost> {
        // Counts that cannot be decoded are as good as none.
        Some(compressed_json::decode(&self.0.get(name)?, usize::MAX).unwrap_or_default())
    }

    /// Updates the counts of a channel with those of its newest posts, if they are kept.
    pub(super) fn update(&self, name: &ChannelName, posts: &[Post]) -> io::Result<()> {
        let Some(mut counts) = self.get(name) else { return Ok(()) };
        counts.extend(posts.iter().map(|post| (post.id, post.counts())));
        while counts.len() > MAX_POSTS_PER_PAGE.into() {
            counts.pop_first();
        }
        self.0.insert(name.clone(), compressed_json::encode(&counts)?.into());
        Ok(())
    }

    /// Keeps the counts of a channel from now on, beginning with those of these posts.
    fn insert(&self, name: &ChannelName, posts: &[Post]) -> io::Result<()> {
        let none = compressed_json::encode(&CountsByPost::new())?;
        self.0.insert(name.clone(), none.into());
        self.update(name, posts)
    }
}

impl Channels {
    /// Gives posts of a channel their newest known counts, and keeps the channel's counts up to date from now on. Until the
    /// next page is fetched, they are those of the time when each post was archived.
    pub async fn set_counts(&self, name: &ChannelName, posts: &mut [Post]) {
        if self.counts.get(name).is_none() {
            let archived = self.archive.load(name, Caller::Reader).await.ok().flatten();
            let posts = archived.map(|archived| archived.snapshot.posts).unwrap_or_default();
            if let Err(err) = self.counts.insert(name, &posts) {
                tracing::error!(channel = %name, error = %err, "cannot keep the counts of a channel");
            }
        }
        let mut counts = self.counts.get(name).unwrap_or_default();
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

    fn posts(ids: std::ops::RangeInclusive<u32>, views: u64) -> Vec<Post> {
        let post = |id| {
            let post =
                Post::empty(PostId::new(id).unwrap(), "https://example.org/1".into(), Timestamp::UNIX_EPOCH);
            Post { views: Some(views), ..post }
        };
        ids.map(post).collect()
    }

    #[test]
    fn counts_are_kept_only_for_channels_that_were_asked_for() {
        let (cache, name) = (CountsCache::new(), ChannelName::new("sample").unwrap());
        cache.update(&name, &posts(1..=3, 1)).unwrap();
        assert_eq!(cache.get(&name), None);
        cache.insert(&name, &posts(1..=3, 1)).unwrap();
        cache.update(&name, &posts(3..=250, 2)).unwrap();
        let counts = cache.get(&name).unwrap();
        assert_eq!(counts.len(), usize::from(MAX_POSTS_PER_PAGE));
        assert!(counts.values().all(|counts| counts.views == Some(2)));
    }
}
