//! Feeds: `(posts, FeedOptions) → select → filter → merge → limit → shape → Feed → RSS, Atom or JSON Feed`.
//!
//! A [`select::Scan`] selects posts with a [`filter::Filter`] and decides which digests are complete; it alone takes the
//! time, as an argument. [`build()`] returns a [`Feed`], which is independent of the format and contains only plain text and sanitized HTML.
//! [`render`] writes it in one of three formats. The same posts and options always give the same bytes: the module
//! reads no clock, and feeds contain nothing that changes without the post being edited, such as views and votes, unless
//! their reader asks for that.

pub mod compat;
pub mod context;
pub mod filter;
pub mod opml;
pub mod options;
pub mod sanitize;
pub mod select;
pub mod several_channels;

mod atom;
mod body;
mod build;
mod digest;
mod enclosure;
#[cfg(test)]
pub(crate) mod fixtures;
mod json;
mod kinds;
mod media_links;
mod plain_text;
mod rss;
mod scan;
mod shape;
mod title;
pub(crate) mod xml;

use jiff::Timestamp;

use crate::model::post::{PostId, Size};

pub use build::{about, build};

/// A channel as a feed, independent of the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The channel's title as plain text; never blank.
    pub title: String,
    /// The channel's description as plain text; never blank. Line breaks are `\n`.
    pub description: String,
    /// The URL of the channel's web page.
    pub home_url: String,
    /// The feed's own public URL.
    pub self_url: String,
    /// The URL of the next older feed page.
    pub next_url: Option<String>,
    /// The URL of the next newer feed page.
    pub prev_url: Option<String>,
    /// The URL of the channel's photo, if it may be embedded.
    pub icon: Option<String>,
    /// The latest [`Entry::updated`], or when the newest post was published that does not pass the filters. The Unix epoch if
    /// there are no posts.
    pub updated: Timestamp,
    /// The entries, newest first.
    pub entries: Vec<Entry>,
}

/// A post as a feed entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The permanent id, the same in every format: the post's permalink, unless the reader wants others.
    pub id: String,
    /// The URL of the post's web page.
    pub url: String,
    /// The title: plain text on one line; never blank. `None` if the reader wants no titles.
    pub title: Option<String>,
    /// The beginning of the post: plain text on one line; never blank.
    pub summary: String,
    /// The whole post as sanitized HTML; never empty.
    pub body: String,
    /// When the post was published.
    pub published: Timestamp,
    /// When the post's content last changed.
    pub updated: Timestamp,
    /// The author who signed the post, if any; in a feed of several channels also the channel.
    pub author: Option<String>,
    /// The hashtags, without `#`.
    pub categories: Vec<String>,
    /// The media files that may be embedded; the body embeds the same files.
    pub media: Vec<Enclosure>,
    /// The channel's own feed, in a feed of several channels.
    pub source: Option<Source>,
    /// The post; `None` for a digest of several posts.
    pub post: Option<PostId>,
}

/// The feed that an entry comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The channel's title.
    pub title: String,
    /// The URL of the channel's web page.
    pub home_url: String,
    /// The public URL of the channel's own feed.
    pub feed_url: String,
}

impl Entry {
    /// Returns the approximate size in an XML document, in bytes.
    fn size(&self) -> usize {
        /// The markup of an entry or enclosure.
        const MARKUP: usize = 300;
        let escaped = |text: &String| {
            let is_special = |byte: &u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
            text.len() + 5 * text.bytes().filter(is_special).count()
        };
        let texts = [&self.summary, &self.body]
            .into_iter()
            .chain(&self.title)
            .chain(&self.author)
            .chain(&self.categories)
            .chain(self.source.iter().flat_map(|source| [&source.title, &source.home_url, &source.feed_url]));
        let urls = self.media.iter().flat_map(|file| [&file.url].into_iter().chain(&file.thumbnail));
        texts.chain(urls).map(escaped).sum::<usize>() + MARKUP * (1 + self.media.len())
    }
}

/// A picture, video or audio file of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosure {
    /// The URL, identical to the one in the body.
    pub url: String,
    /// The MIME type, by the kind of the file in Telegram.
    pub mime_type: &'static str,
    /// The kind of content.
    pub medium: Medium,
    /// The duration in seconds.
    pub seconds: Option<u32>,
    /// The size of the file in bytes; known after the file was served once.
    pub bytes: Option<u64>,
    /// The size at which the preview page shows it.
    pub size: Option<Size>,
    /// The URL of a still picture.
    pub thumbnail: Option<String>,
}

/// The kind of an enclosure's content, as in Media RSS. The kinds of media of posts are in `model::post::Media`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A picture.
    Image,
    /// A video or GIF.
    Video,
    /// A voice message.
    Audio,
}

/// A feed format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// RSS 2.0.
    Rss,
    /// Atom 1.0.
    Atom,
    /// JSON Feed 1.1.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Rss, Self::Atom, Self::Json];

    /// Returns the format with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Returns the name that is used in URLs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rss => "rss",
            Self::Atom => "atom",
            Self::Json => "json",
        }
    }

    /// Returns the name that people know the format by.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Rss => "RSS",
            Self::Atom => "Atom",
            Self::Json => "JSON Feed",
        }
    }

    /// Returns the value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Rss => "application/rss+xml; charset=utf-8",
            Self::Atom => "application/atom+xml; charset=utf-8",
            Self::Json => "application/feed+json",
        }
    }
}

/// Renders a feed in a format.
#[must_use]
pub fn render(feed: &Feed, format: Format) -> Vec<u8> {
    match format {
        Format::Rss => rss::render(feed),
        Format::Atom => atom::render(feed),
        Format::Json => json::render(feed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_by_name() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("RSS"), None);
    }

    #[test]
    fn feed_starts_with_the_newest_entry_and_has_its_time() {
        let feed = fixtures::built();
        assert_eq!(
            feed.entries.iter().map(|entry| entry.title.as_deref()).collect::<Vec<_>>(),
            [Some("Photo"), Some("Headline ‹b›")]
        );
        assert_eq!(feed.updated, feed.entries[0].published);
        assert_eq!(feed.description, "@sample on Telegram");
        assert_eq!(feed.entries[1].categories, ["tag"]);
        assert_eq!(feed.icon.as_deref(), Some("https://media.example.org/photo.jpg"));
    }

    #[test]
    fn every_format_is_read_back_equal() {
        let feed = fixtures::built();
        for format in Format::ALL {
            let read = feed_rs::parser::parse(render(&feed, format).as_slice()).unwrap();
            assert_eq!(read.entries.len(), 2, "{format:?}");
            for (read, entry) in read.entries.iter().zip(&feed.entries) {
                assert_eq!(read.id, entry.id, "{format:?}");
                assert_eq!(
                    read.title.as_ref().map(|title| &title.content),
                    entry.title.as_ref(),
                    "{format:?}"
                );
                assert_eq!(read.content.as_ref().unwrap().body.as_ref(), Some(&entry.body), "{format:?}");
                assert_eq!(read.published.unwrap().timestamp(), entry.published.as_second(), "{format:?}");
            }
        }
    }
}
