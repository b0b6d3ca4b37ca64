//! Answers from the archive and from memory alone, which cost Telegram nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::backfill::page_from_memory;
use super::failures::Failure;
use super::{CachedChannel, Channels, CompressedSnapshot};
use crate::archive::{ArchiveError, Caller};
use crate::model::archived_post::{ArchivedPage, ArchivedPost};
use crate::model::channel::ChannelName;
use crate::model::paging::{FeedPage, FeedPageRequest};
use crate::model::post::PostId;

impl Channels {
    /// Returns a channel from the cache or the archive, however old, without asking Telegram. `None` also if Telegram has said
    /// that the channel is gone and the archive has not recorded that yet.
    pub async fn stored(self: &Arc<Self>, name: &ChannelName) -> Option<CachedChannel> {
        if self.known_failure(name).is_some() {
            return None;
        }
        if self.snapshots.get(name).is_none() {
            let (channels, name) = (Arc::clone(self), name.clone());
            self.loads
                .run(name.clone(), || async move { channels.reload(&name, Caller::Reader).await })
                .await;
        }
        self.cached(name).map(|(cached, _)| cached)
    }

    /// Returns archived posts of a channel without asking Telegram. `None` if the archive cannot be read.
    pub async fn archived_page(&self, name: &ChannelName, request: FeedPageRequest) -> Option<FeedPage> {
        self.archive.feed_page(name, request, Caller::Reader).await.ok().flatten()
    }

    /// Returns a post by its id, or by the id of an item of its album, also if it is deleted on Telegram. `None` if it is not
    /// archived or the channel is gone. A post that is only in memory has no earlier versions.
    ///
    /// # Errors
    ///
    /// If the archive cannot be read and the post is not in memory.
    pub async fn archived_post(
        &self,
        name: &ChannelName,
        id: PostId,
    ) -> Result<Option<ArchivedPost>, Failure> {
        let archived = self.archive.post(name, id).await;
        let in_memory =
            |cached: &CompressedSnapshot| ArchivedPost::in_snapshot(cached.decompress().ok()?, id);
        self.or_from_memory(name, archived, in_memory)
    }

    /// Returns which of these posts are archived. `None` if the archive cannot be read.
    pub async fn archived_of(
        &self,
        posts: Vec<(ChannelName, PostId)>,
    ) -> Option<HashSet<(ChannelName, PostId)>> {
        if posts.is_empty() {
            return Some(HashSet::new());
        }
        self.archive.archived_of(posts).await.ok()
    }

    /// Returns a page of archived posts for the channel's web page: the next older page is that before
    /// [`ArchivedPage::older`]. `None` if no posts of this range are archived or the channel is gone.
    ///
    /// # Errors
    ///
    /// If the archive cannot be read and no posts of this range are in memory.
    pub async fn browse(
        &self,
        name: &ChannelName,
        request: FeedPageRequest,
    ) -> Result<Option<ArchivedPage>, Failure> {
        let archived = self.archive.browse(name, request).await;
        let in_memory = |cached: &CompressedSnapshot| {
            let FeedPage { snapshot, changed, prev, is_from_memory, .. } =
                page_from_memory(cached, request).ok()?;
            let snapshot = snapshot?;
            let older = snapshot.has_older.then_some(snapshot.posts[0].id);
            let is_above_gap = false;
            Some(ArchivedPage { snapshot, changed, older, newer: prev, is_above_gap, is_from_memory })
        };
        self.or_from_memory(name, archived, in_memory)
    }

    /// Answers from memory if the archive failed, or lacks posts that it could not store.
    fn or_from_memory<T>(
        &self,
        name: &ChannelName,
        archived: Result<Option<T>, ArchiveError>,
        in_memory: impl FnOnce(&CompressedSnapshot) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        if let Ok(Some(found)) = archived {
            return Ok(Some(found));
        }
        let cached = self.snapshots.get(name).and_then(|entry| in_memory(&entry.snapshot));
        match archived {
            Err(err) if cached.is_none() => {
                tracing::debug!(channel = %name, error = %err, "cannot answer without the archive");
                Err(Failure::older_unavailable())
            }
            _ => Ok(cached),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;
    use jiff::{SignedDuration, Timestamp};
    use tokio::time::Instant;

    use super::*;
    use crate::archive::PageScope;
    use crate::channels::failures::PriorState;
    use crate::channels::simulation::{archived_channels, channels, config, page};
    use crate::channels::{ChannelsConfig, Freshness, RefreshError, Visitor, to_archive};
    use crate::clock;
    use crate::telegram::error::PageError;
    use crate::telegram::page::{self, PageSource};

    #[tokio::test]
    async fn panicked_refresh_does_not_hide_the_archive() {
        let is_first = AtomicBool::new(true);
        let pages = move |name: &ChannelName| {
            let (page, may_answer) = (page(name, &[clock::now()]), is_first.swap(false, Ordering::Relaxed));
            async move { if may_answer { Ok(page) } else { panic!("on purpose") } }.boxed()
        };
        let freshness = Freshness { min: Duration::ZERO, max: Duration::ZERO };
        let config = ChannelsConfig { freshness, ..config(false) };
        let channels = archived_channels(Box::new(pages), config).await;
        let name = ChannelName::new("harbour_news").unwrap();
        let get = || channels.get(&name, Visitor::new([127, 0, 0, 1].into(), b"reader"));
        assert!(get().await.is_ok() && get().await.is_ok());
        assert!(channels.failures.get(&name).is_some(), "the second refresh panicked");
        channels.snapshots.remove(&name);
        get().await.unwrap();
    }

    #[tokio::test]
    async fn channel_that_is_gone_does_not_return_from_the_archive() {
        let pages = |name: &ChannelName| {
            let page = page(name, &[clock::now()]);
            async move { Ok(page) }.boxed()
        };
        let channels = archived_channels(Box::new(pages), config(false)).await;
        let name = ChannelName::new("harbour_news").unwrap();
        channels.get(&name, Visitor::new([127, 0, 0, 1].into(), b"reader")).await.unwrap();
        channels.snapshots.remove(&name);
        assert!(channels.stored(&name).await.is_some());
        channels.snapshots.remove(&name);
        let gone = RefreshError::Page(PageError::NotFound);
        channels.failures.record(&name, gone, PriorState::Unknown, Instant::now());
        assert!(channels.stored(&name).await.is_none());
    }

    /// The page was cached without the archive, because that was slow.
    #[tokio::test]
    async fn archived_result_of_a_slow_merge_replaces_that_of_memory() {
        let name = ChannelName::new("harbour_news").unwrap();
        let now = clock::now();
        let pages = |_: &ChannelName| async { unreachable!() }.boxed();
        let channels = archived_channels(Box::new(pages), config(false)).await;
        let merge = |page, at| channels.archive.merge(&name, page, PageScope::Newest, at, Duration::ZERO);
        let page = |posts: &[Timestamp]| {
            let page = page::parse(&page(&name, posts), PageSource::Saved(None)).unwrap();
            Arc::new(to_archive(page))
        };
        let (first, second) = (page(&[now]), page(&[now, now]));
        merge(first, now - SignedDuration::from_secs(60)).await.unwrap();
        let fetched = Timestamp::from_second(now.as_second() - 1).unwrap() + SignedDuration::from_millis(500);
        channels.cache_page(&name, None, &second, fetched, Duration::ZERO).await.unwrap();
        let n_posts = || channels.snapshots.get(&name).unwrap().snapshot.n_posts();
        assert_eq!(n_posts(), 1);
        merge(second, fetched).await.unwrap();
        channels.reload(&name, Caller::Background).await;
        assert_eq!(n_posts(), 2);
    }

    /// The archive cannot be used, and the only page has albums.
    #[tokio::test(start_paused = true)]
    async fn without_the_archive_posts_come_from_memory() {
        let page = include_str!("../../tests/pages/album.html").to_owned();
        let pages = move |_: &ChannelName| {
            let page = page.clone();
            async move { Ok(page) }.boxed()
        };
        let channels = channels(Box::new(pages), 1, false);
        let (name, id) = (ChannelName::new("lantern_walks").unwrap(), |id| PostId::new(id).unwrap());
        assert!(channels.archived_post(&name, id(306)).await.is_err(), "nothing is known yet");
        channels.get(&name, Visitor::new([127, 0, 0, 1].into(), b"reader")).await.unwrap();
        for item in [313, 314] {
            let found = channels.archived_post(&name, id(item)).await.unwrap().unwrap();
            let beside = (found.older.map(PostId::get), found.newer.map(PostId::get));
            assert_eq!((found.post.id, beside), (id(313), (Some(306), Some(316))));
        }
        assert!(channels.archived_post(&name, id(300)).await.is_err());
        let request = |before| FeedPageRequest { before, limit: Some(2) };
        let newest = channels.browse(&name, request(None)).await.unwrap().unwrap();
        assert_eq!((newest.older, newest.newer), (Some(id(313)), None));
        let older = channels.browse(&name, request(newest.older)).await.unwrap().unwrap();
        assert_eq!(older.snapshot.posts.last().unwrap().id, id(306));
        assert!(channels.browse(&name, request(Some(id(301)))).await.is_err());
    }
}
