//! What the person who runs the service decides about feeds.

use crate::media::signed_url::MediaLinker;

/// What a feed is made by, beside the posts.
#[derive(Clone, Debug, Default)]
pub struct FeedOptions {
    /// The feed's own public address.
    pub self_url: String,
    /// The most posts of a page, when the reader has chosen it; the next page then has as many.
    pub limit: Option<u8>,
    /// The address of the next newer page, of one that is not the newest.
    pub prev_url: Option<String>,
    /// How pictures and videos are addressed.
    pub media: MediaLinker,
}
