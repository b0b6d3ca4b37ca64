//! The options of a feed, beside its posts.

use crate::media::signed_url::MediaLinker;

/// Everything besides the posts that a feed depends on.
#[derive(Clone, Debug, Default)]
pub struct FeedOptions {
    /// The feed's own public URL.
    pub self_url: String,
    /// The page size requested by the reader; the link to the next feed page repeats it.
    pub limit: Option<u8>,
    /// The URL of the next newer feed page; `None` on the newest one.
    pub prev_url: Option<String>,
    /// Turns media files into URLs.
    pub media: MediaLinker,
}
