//! JSON Feed 1.1.

use jiff::Timestamp;
use serde::Serialize;

use super::{Enclosure, Entry, Feed};

/// The top-level object. `version` is written first, because some readers detect the format by it.
#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    title: &'a str,
    home_page_url: &'a str,
    feed_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_url: Option<&'a str>,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<&'a str>,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Author<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    content_html: &'a str,
    date_published: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<Timestamp>,
    /// The author of a signed post. The feed names none, because Miniflux joins the authors of feed and item.
    #[serde(skip_serializing_if = "Option::is_none")]
    authors: Option<[Author<'a>; 1]>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment<'a>>,
}

#[derive(Serialize)]
struct Attachment<'a> {
    url: &'a str,
    mime_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_in_bytes: Option<u64>,
    /// In whole seconds: yarr rejects the whole feed if one has a fraction.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_in_seconds: Option<u32>,
}

/// Renders a feed as a JSON document.
pub(super) fn render(feed: &Feed) -> Vec<u8> {
    let document = Document {
        version: "https://jsonfeed.org/version/1.1",
        title: &feed.title,
        home_page_url: &feed.home_url,
        feed_url: &feed.self_url,
        next_url: feed.next_url.as_deref(),
        description: &feed.description,
        icon: feed.icon.as_deref(),
        items: feed.entries.iter().map(item).collect(),
    };
    // Serializing strings and numbers to memory cannot fail.
    serde_json::to_vec(&document).unwrap_or_default()
}

fn item(entry: &Entry) -> Item<'_> {
    Item {
        id: &entry.id,
        url: &entry.url,
        title: entry.title.as_deref(),
        content_html: &entry.body,
        date_published: entry.published,
        date_modified: (entry.updated != entry.published).then_some(entry.updated),
        authors: entry.author.as_deref().map(|name| [Author { name }]),
        tags: &entry.categories,
        attachments: entry.media.iter().map(attachment).collect(),
    }
}

fn attachment(enclosure: &Enclosure) -> Attachment<'_> {
    Attachment {
        url: &enclosure.url,
        mime_type: enclosure.mime_type,
        size_in_bytes: enclosure.bytes,
        duration_in_seconds: enclosure.seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;

    fn written(feed: &Feed) -> String {
        String::from_utf8(render(feed)).unwrap()
    }

    #[test]
    fn version_is_first_and_empty_members_are_omitted() {
        let json = written(&fixtures::built());
        assert!(json.starts_with(r#"{"version":"https://jsonfeed.org/version/1.1","title":"#), "{json}");
        for absent in ["null", "[]", r#""""#, "date_modified", "language"] {
            assert!(!json.contains(absent), "{absent}: {json}");
        }
        let video = r#""mime_type":"video/mp4","size_in_bytes":4096,"duration_in_seconds":63}"#;
        assert!(json.contains(video), "{json}");
        let edited =
            Entry { updated: fixtures::TIME + jiff::SignedDuration::from_secs(1), ..fixtures::entry("x") };
        let json = written(&fixtures::feed(vec![edited]));
        assert!(json.contains(r#""date_modified":"2024-06-19T15:22:46Z""#), "{json}");
    }
}
