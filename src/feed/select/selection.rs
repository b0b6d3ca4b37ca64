//! The posts that a scan has selected.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{FeedOptions, Filter, Period, Scan};
use crate::model::article::LinkedArticle;
use crate::model::channel::Channel;
use crate::model::paging::Deletion;
use crate::model::post::{Post, PostId, Snapshot};

/// The posts of a feed.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The channel.
    pub channel: Channel,
    /// The posts, newest first.
    pub posts: Vec<Post>,
    /// Posts that were deleted since; only digests depend on them.
    pub deletions: Vec<Deletion>,
    /// The articles that posts link to, if the reader wants them.
    pub articles: HashMap<PostId, Vec<LinkedArticle>>,
    /// The posts for the next feed page.
    pub rest: Rest,
    /// When the newest post was published that the scan looked at.
    pub newest: Option<Timestamp>,
    /// When another selection would result from the same posts.
    pub expires: Option<Timestamp>,
    /// The number of posts that the scan looked at, without those that are too young.
    pub n_looked_at: usize,
    /// The size of the posts as JSON, if there may be more than a page of them; otherwise 0.
    pub n_bytes: usize,
    /// A period that is too large for a digest: its posts are entries of their own.
    pub(in crate::feed) too_large: Option<Period>,
    /// The beginning of the oldest period of digests and the end of the newest one; `None` without digests.
    pub span: Option<(Timestamp, Timestamp)>,
}

impl From<Snapshot> for Selection {
    /// Selects all posts.
    fn from(snapshot: Snapshot) -> Self {
        let mut scan = Scan::new(FeedOptions::default(), Filter::default(), Timestamp::MIN);
        scan.look_at(&snapshot.channel, snapshot.posts, snapshot.has_older);
        scan.finish(snapshot.channel)
    }
}

/// A post and its place in the order of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The post.
    pub id: PostId,
    /// The date of its entry: when it was published, or when its digest is complete.
    pub at: Timestamp,
}

/// The posts that a selection leaves to the next feed page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are no older posts.
    Nothing,
    /// Posts older than this one.
    After(Place),
    /// Posts that are older than all entries of the feed, which has enough of them; see [`Scan::stopping_at`].
    TooOld,
}
