//! Feed pages: which posts a request selects, and what it gets.

use std::time::Duration;

use jiff::Timestamp;

use super::post::{PostId, Snapshot};

/// The minimum number of posts on a feed's first page: as many as Telegram's preview page shows.
pub const MIN_POSTS_PER_PAGE: usize = 20;

/// The maximum number of posts on a feed page.
pub const MAX_POSTS_PER_PAGE: u8 = 200;

/// The maximum size of a post as JSON, in bytes: more than twice that of 32,768 characters, Telegram's longest text.
pub const MAX_POST_BYTES: usize = 256 << 10;

/// The maximum size of the posts of a feed page or preview page as JSON, in bytes: 10 KiB for each of
/// [`MAX_POSTS_PER_PAGE`].
pub const MAX_PAGE_BYTES: usize = 2 << 20;

/// Removes the oldest posts, the first ones, beyond `max_posts` and [`MAX_PAGE_BYTES`]. `json_len` returns the size of one:
/// [`Post::json_len`](super::post::Post::json_len), unless it is known already. Returns whether there were any.
pub fn drop_excess<T>(posts: &mut Vec<T>, max_posts: usize, json_len: impl Fn(&T) -> usize) -> bool {
    let mut n_bytes = 0;
    let fits = |post: &&T| {
        n_bytes += json_len(post);
        n_bytes <= MAX_PAGE_BYTES
    };
    let n_kept = posts.iter().rev().take(max_posts).take_while(fits).count();
    let n_dropped = posts.len() - n_kept;
    posts.drain(..n_dropped);
    n_dropped > 0
}

/// A range of ids whose posts have not been fetched: posts below and above it are archived, Telegram may have more in
/// between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The highest archived id below the gap; 0 if nothing below it is archived.
    pub above: u32,
    /// The lowest archived id above the gap; Telegram is asked for the posts before this one.
    pub below: PostId,
    /// The preview page above the gap links to older posts.
    pub linked: bool,
    /// The gap is filled only when a request asks for posts in it.
    pub lazy: bool,
    /// Number of failed attempts to fill it.
    pub failures: u32,
    /// When the next attempt is due, in seconds since the Unix epoch.
    pub retry: i64,
}

/// Which posts of a channel a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FeedPageRequest {
    /// Selects posts with lower ids only.
    pub before: Option<PostId>,
    /// The maximum number of posts; by default as many as the first feed page shows.
    pub limit: Option<u8>,
}

/// The next newer feed page, for `rel="previous"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrevPage {
    /// The first feed page.
    Newest,
    /// The feed page with the posts before this id.
    Before(PostId),
}

/// A feed page: a range of a channel's posts.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The channel and the posts; `None` if there are no posts in this range.
    pub snapshot: Option<Snapshot>,
    /// See [`ArchivedChannel::changed`].
    pub changed: Option<Timestamp>,
    /// The next newer feed page; `None` on the newest one.
    pub prev: Option<PrevPage>,
    /// The highest gap in the range of these posts, or directly below them if the feed page is not full.
    pub gap: Option<Gap>,
    /// The posts are those in memory, because the archive could not be read. It may have more.
    pub is_from_memory: bool,
}

/// The next newer post than those of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newer {
    /// When it was published.
    pub published: Timestamp,
    /// There is a gap below it.
    pub is_above_gap: bool,
}

/// A post that was deleted on Telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// When it had been published.
    pub published: Timestamp,
    /// When it was found to be gone.
    pub gone: Timestamp,
}

/// A channel loaded from the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedChannel {
    /// The newest posts, as the first feed page shows them.
    pub snapshot: Snapshot,
    /// When the last visible change happened that no post's own timestamp shows: a deletion, a new channel title, a
    /// new URL.
    pub changed: Option<Timestamp>,
    /// When the channel was last fetched from Telegram.
    pub fetched: Timestamp,
    /// How long after `fetched` the channel counts as fresh.
    pub fresh_for: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::post::Post;

    #[test]
    fn oldest_posts_beyond_a_limit_are_dropped() {
        let post = |id, len: usize| Post {
            text: "x".repeat(len).as_str().into(),
            ..Post::empty(PostId::new(id).unwrap(), String::new(), Timestamp::UNIX_EPOCH)
        };
        let left = |mut posts: Vec<Post>| {
            let is_cut = drop_excess(&mut posts, 3, Post::json_len);
            (is_cut, posts.iter().map(|post| post.id.get()).collect::<Vec<_>>())
        };
        assert_eq!(left((1..=3).map(|id| post(id, 9)).collect()), (false, vec![1, 2, 3]));
        assert_eq!(left((1..=5).map(|id| post(id, 9)).collect()), (true, vec![3, 4, 5]));
        assert_eq!(left((1..=3).map(|id| post(id, MAX_PAGE_BYTES / 2 - 999)).collect()), (true, vec![2, 3]));
    }
}
