//! A single archived post with its history, and pages of archived posts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::album;
use super::channel::Channel;
use super::paging::PrevPage;
use super::post::{Post, PostId, Snapshot};

/// An archived post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedPost {
    /// The channel header.
    pub channel: Channel,
    /// The post as Telegram showed it last.
    pub post: Post,
    /// The versions of the post before its author's edits, newest first.
    pub versions: Vec<PostVersion>,
    /// When the post was found to be deleted on Telegram.
    pub gone_since: Option<Timestamp>,
    /// The next older archived post that is not deleted. Posts in between may not be archived.
    pub older: Option<PostId>,
    /// The next newer archived post that is not deleted. Posts in between may not be archived.
    pub newer: Option<PostId>,
}

/// The content of a post before an edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostVersion {
    /// The post, without counts and with empty file URLs, because Telegram's expire. [`Post::updated`] is when this
    /// version was first seen, `None` for the first one.
    pub post: Post,
    /// When a preview page last showed this version. The author edited it between then and [`Post::updated`] of the
    /// next newer version.
    pub until: Timestamp,
}

impl ArchivedPost {
    /// Returns a post of a snapshot by its id, or by the id of an item of its album. A snapshot has no history.
    #[must_use]
    pub fn in_snapshot(snapshot: Snapshot, id: PostId) -> Option<Self> {
        let Snapshot { channel, mut posts, .. } = snapshot;
        let n = posts.iter().rposition(|post| post.id == id || album::is_inside(id, post))?;
        let id_at = |n: usize| posts.get(n).map(|post| post.id);
        let (older, newer) = (n.checked_sub(1).and_then(id_at), id_at(n + 1));
        Some(Self {
            channel,
            post: posts.swap_remove(n),
            versions: Vec::new(),
            gone_since: None,
            older,
            newer,
        })
    }
}

/// A page of a channel's archived posts. Unlike a feed page, it also shows the posts below a gap.
#[derive(Clone, Debug)]
pub struct ArchivedPage {
    /// The channel and the posts.
    pub snapshot: Snapshot,
    /// See [`ArchivedChannel::changed`](super::paging::ArchivedChannel::changed).
    pub changed: Option<Timestamp>,
    /// The next older page has the posts before this id; `None` if no older ones are archived.
    pub older: Option<PostId>,
    /// The next newer page; `None` on the newest one.
    pub newer: Option<PrevPage>,
    /// Telegram may have posts directly below this page that are not archived.
    pub is_above_gap: bool,
    /// See [`FeedPage::is_from_memory`](super::paging::FeedPage::is_from_memory).
    pub is_from_memory: bool,
}
