//! Everything besides the posts and the reader's options that a feed depends on.

use super::options::FeedOptions;
use crate::media::signed_url::MediaLinker;

/// Where a feed is served, and how.
#[derive(Clone, Debug, Default)]
pub struct FeedContext {
    /// The feed's public URL without a query.
    pub url: String,
    /// The URL of the next newer feed page; `None` on the newest one.
    pub prev_url: Option<String>,
    /// Turns media files into URLs.
    pub media: MediaLinker,
    /// The options that the reader asked for.
    pub options: FeedOptions,
    /// The options of the feed without a query.
    pub defaults: FeedOptions,
}

impl FeedContext {
    /// Returns the feed's own public URL.
    #[must_use]
    pub fn self_url(&self) -> String {
        self.url_with(&self.options)
    }

    /// Returns the URL of the feed with other options.
    #[must_use]
    pub fn url_with(&self, options: &FeedOptions) -> String {
        let query = options.query_over(&self.defaults);
        if query.is_empty() { self.url.clone() } else { format!("{}?{query}", self.url) }
    }
}
