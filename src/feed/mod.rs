//! Feeds: `(Snapshot, FeedOptions) → Feed → RSS, Atom or JSON Feed`.
//!
//! [`build`] makes the neutral [`Feed`], in which every text is already plain or sanitized; [`render`] writes
//! it in one of three formats. The same posts and options are always the same bytes: there is no clock here,
//! and nothing that changes without a post being changed (views, votes) gets in.

pub mod options;
pub mod sanitize;

mod atom;
mod body;
mod build;
mod enclosure;
#[cfg(test)]
mod fixtures;
mod json;
mod media_links;
mod plain_text;
mod rss;
mod title;
mod xml;

use jiff::Timestamp;

use crate::model::post::Size;

pub use build::build;

/// A channel as a feed, in no format yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The channel's title, plain text; never blank.
    pub title: String,
    /// What the channel says of itself, plain text; never blank.
    pub description: String,
    /// The channel's page for people.
    pub home_url: String,
    /// The feed's own public address.
    pub self_url: String,
    /// The address of the next older page of the feed.
    pub next_url: Option<String>,
    /// The address of the next newer page of the feed.
    pub prev_url: Option<String>,
    /// The channel's photo, if it may be embedded.
    pub icon: Option<String>,
    /// Who publishes: the channel's title.
    pub author: String,
    /// When the newest change of an entry was.
    pub updated: Timestamp,
    /// Advice to readers: how long to wait before asking again.
    pub ttl_minutes: u32,
    /// The entries, newest first.
    pub entries: Vec<Entry>,
}

/// A post as an element of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its identity for ever, the same in every format: the post's permalink.
    pub id: String,
    /// Its page for people.
    pub url: String,
    /// Plain text on one line; never blank.
    pub title: String,
    /// The beginning of it as plain text; never blank.
    pub summary: String,
    /// The whole post as sanitized HTML; never empty.
    pub body: String,
    /// When it was published.
    pub published: Timestamp,
    /// When its content last changed.
    pub updated: Timestamp,
    /// Who signed it, if not just the channel.
    pub author: Option<String>,
    /// Its hashtags, without `#`.
    pub categories: Vec<String>,
    /// Its media, as far as they may be embedded; each is also in the body.
    pub media: Vec<Enclosure>,
}

/// A picture, video or recording of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosure {
    /// Its address, spelled as in the body.
    pub url: String,
    /// Its MIME type.
    pub mime_type: &'static str,
    /// What it is to a person.
    pub medium: Medium,
    /// Its length.
    pub seconds: Option<u32>,
    /// Its width and height.
    pub size: Option<Size>,
    /// A still picture of it.
    pub thumbnail: Option<String>,
}

/// What an enclosure is to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Something to look at.
    Image,
    /// Something to watch.
    Video,
    /// Something to listen to.
    Audio,
}

/// The formats that a feed can be written in.
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

    /// The format of this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The name that stands in addresses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rss => "rss",
            Self::Atom => "atom",
            Self::Json => "json",
        }
    }

    /// The value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Rss => "application/rss+xml; charset=utf-8",
            Self::Atom => "application/atom+xml; charset=utf-8",
            Self::Json => "application/feed+json",
        }
    }
}

/// Writes the feed in a format.
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
    fn names_lead_back_to_formats() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("RSS"), None);
    }

    #[test]
    fn a_feed_has_the_newest_entry_first_and_its_time() {
        let feed = fixtures::built();
        assert_eq!(
            feed.entries.iter().map(|entry| entry.title.as_str()).collect::<Vec<_>>(),
            ["Photo", "Headline ‹b›"]
        );
        assert_eq!(feed.updated, feed.entries[0].published);
        assert_eq!(feed.description, "@sample on Telegram");
        assert_eq!(feed.entries[1].categories, ["tag"]);
        assert_eq!(feed.icon.as_deref(), Some("https://media.example.org/photo.jpg"));
    }

    #[test]
    fn every_format_says_the_same_to_a_reader() {
        let feed = fixtures::built();
        for format in Format::ALL {
            let read = feed_rs::parser::parse(render(&feed, format).as_slice()).unwrap();
            assert_eq!(read.entries.len(), 2, "{format:?}");
            for (read, entry) in read.entries.iter().zip(&feed.entries) {
                assert_eq!(read.id, entry.id, "{format:?}");
                assert_eq!(read.title.as_ref().unwrap().content, entry.title, "{format:?}");
                assert_eq!(read.content.as_ref().unwrap().body.as_ref(), Some(&entry.body), "{format:?}");
                assert_eq!(read.published.unwrap().timestamp(), entry.published.as_second(), "{format:?}");
            }
        }
    }
}
