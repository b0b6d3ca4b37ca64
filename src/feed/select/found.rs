//! Posts that Telegram's search has found, beside those of a channel's history.

use std::collections::BTreeMap;

use crate::model::album::is_inside;
use crate::model::post::{Post, PostId};

/// Returns all posts by ascending id. Of two with the same id, the latter has its history from the archive. An item of an
/// album, which a search may have found alone, is left to the whole album.
pub(super) fn union(found: Vec<Post>, posts: Vec<Post>) -> Vec<Post> {
    if found.is_empty() {
        return posts;
    }
    let all: BTreeMap<PostId, Post> = found.into_iter().chain(posts).map(|post| (post.id, post)).collect();
    let mut all: Vec<Post> = all.into_values().collect();
    all.dedup_by(|post, before| is_inside(post.id, before));
    all
}
