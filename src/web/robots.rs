//! The pages that search engines may list.

/// Whether search engines may list the home page and the pages of channels. Feeds, pages of single posts and the service's own
/// URLs are never listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Robots {
    /// No page.
    #[default]
    NoIndex,
    /// The home page and the pages of channels.
    Index,
}

impl Robots {
    /// Returns the value of `X-Robots-Tag` of a page; `None` if it may be listed.
    pub(super) fn tag(self) -> Option<&'static str> {
        match self {
            Self::NoIndex => Some("noindex, nofollow"),
            Self::Index => None,
        }
    }

    /// Returns `robots.txt` (RFC 9309). Crawlers have no use for feeds, and their requests would use up the rate limit of
    /// requests to Telegram.
    pub(super) fn txt(self) -> &'static str {
        match self {
            Self::NoIndex => "User-agent: *\nDisallow: /\n",
            Self::Index => {
                "User-agent: *\nAllow: /-/assets/\nAllow: /-/media/\nDisallow: /-/\nDisallow: /*?\nDisallow: /*/rss$\nDisallow: /*/atom$\nDisallow: /*/json$\n"
            }
        }
    }
}
