//! RSS 2.0, with `content:encoded`, Dublin Core, Media RSS, `atom:link` and `itunes:duration`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rss::extension::atom::{AtomExtension, Link};
use rss::extension::dublincore::DublinCoreExtension;
use rss::extension::itunes::ITunesItemExtension;
use rss::extension::{Extension, ExtensionMap};

use super::{Enclosure, Entry, Feed, Format, Medium, xml};

/// How long readers should wait between two requests.
const TTL_MINUTES: u32 = 15;

const MEDIA_NAMESPACE: &str = "http://search.yahoo.com/mrss/";

/// Renders a feed as an RSS document.
pub(super) fn render(feed: &Feed) -> Vec<u8> {
    xml::document(channel(feed).to_string())
}

fn channel(feed: &Feed) -> rss::Channel {
    let has_media = feed.entries.iter().any(|entry| !entry.media.is_empty());
    let media = has_media.then(|| ("media".to_owned(), MEDIA_NAMESPACE.to_owned()));
    rss::Channel {
        title: feed.title.clone(),
        link: feed.home_url.clone(),
        description: feed.description.clone(),
        last_build_date: (feed.updated != Timestamp::UNIX_EPOCH).then(|| rfc_822(feed.updated)),
        generator: Some(concat!("telewire ", env!("CARGO_PKG_VERSION")).to_owned()),
        ttl: Some(TTL_MINUTES.to_string()),
        image: feed.icon.clone().map(|url| rss::Image {
            url,
            title: feed.title.clone(),
            link: feed.home_url.clone(),
            ..rss::Image::default()
        }),
        atom_ext: Some(AtomExtension { links: links(feed) }),
        namespaces: media.into_iter().collect(),
        items: feed.entries.iter().map(item).collect(),
        ..rss::Channel::default()
    }
}

/// Returns the links to the feed itself and to its older and newer feed pages (RFC 5005, section 3).
fn links(feed: &Feed) -> Vec<Link> {
    let (mime_type, _) = Format::Rss.content_type().split_once(';').unwrap_or_default();
    [("self", Some(&feed.self_url)), ("next", feed.next_url.as_ref()), ("previous", feed.prev_url.as_ref())]
        .into_iter()
        .filter_map(|(rel, url)| {
            Some(Link {
                href: url?.clone(),
                rel: rel.to_owned(),
                mime_type: Some(mime_type.to_owned()),
                ..Link::default()
            })
        })
        .collect()
}

fn item(entry: &Entry) -> rss::Item {
    // Description and content become CDATA sections. Removing a character from the finished document could end one
    // (`]]\u{1}>`), so these two are filtered first.
    let cdata = |text: &str| Some(xml::legal(text).into_owned());
    rss::Item {
        title: entry.title.clone(),
        link: Some(entry.url.clone()),
        // Readers parse it as HTML.
        description: cdata(&xml::as_html(&entry.summary)),
        content: cdata(&entry.body),
        categories: entry
            .categories
            .iter()
            .map(|name| rss::Category { name: name.clone(), domain: None })
            .collect(),
        enclosure: main_medium(&entry.media).map(enclosure),
        guid: Some(rss::Guid { value: entry.id.clone(), permalink: entry.id.contains("://") }),
        pub_date: Some(rfc_822(entry.published)),
        source: entry
            .source
            .as_ref()
            .map(|source| rss::Source { url: source.feed_url.clone(), title: Some(source.title.clone()) }),
        // Only for a signature: readers would repeat the channel's name on every item.
        dublin_core_ext: entry
            .author
            .clone()
            .map(|author| DublinCoreExtension { creators: vec![author], ..DublinCoreExtension::default() }),
        itunes_ext: main_medium(&entry.media).and_then(|medium| medium.seconds).map(duration),
        extensions: media(&entry.media),
        ..rss::Item::default()
    }
}

/// Returns the medium of the only enclosure that an item may have: the first video or audio file, else the first picture.
fn main_medium(media: &[Enclosure]) -> Option<&Enclosure> {
    media.iter().find(|medium| medium.medium != Medium::Image).or(media.first())
}

/// The `length` attribute is required; 0 is customary if the length is unknown.
fn enclosure(medium: &Enclosure) -> rss::Enclosure {
    rss::Enclosure {
        url: medium.url.clone(),
        length: medium.bytes.unwrap_or_default().to_string(),
        mime_type: medium.mime_type.to_owned(),
    }
}

/// Returns the duration for podcast players. The crate declares the namespace only in a feed that has one.
fn duration(seconds: u32) -> ITunesItemExtension {
    ITunesItemExtension { duration: Some(seconds.to_string()), ..ITunesItemExtension::default() }
}

/// Returns all enclosures as `media:content` elements.
fn media(media: &[Enclosure]) -> ExtensionMap {
    if media.is_empty() {
        return ExtensionMap::new();
    }
    let contents = media.iter().map(media_content).collect();
    BTreeMap::from([("media".to_owned(), BTreeMap::from([("content".to_owned(), contents)]))])
}

fn media_content(enclosure: &Enclosure) -> Extension {
    let medium = match enclosure.medium {
        Medium::Image => "image",
        Medium::Video => "video",
        Medium::Audio => "audio",
    };
    let known = [
        ("url", Some(enclosure.url.clone())),
        ("type", Some(enclosure.mime_type.to_owned())),
        ("medium", Some(medium.to_owned())),
        ("fileSize", enclosure.bytes.map(|bytes| bytes.to_string())),
        ("duration", enclosure.seconds.map(|seconds| seconds.to_string())),
        ("width", enclosure.size.map(|size| size.width.to_string())),
        ("height", enclosure.size.map(|size| size.height.to_string())),
    ];
    let thumbnail = enclosure.thumbnail.as_ref().map(|url| Extension {
        name: "media:thumbnail".to_owned(),
        attrs: BTreeMap::from([("url".to_owned(), url.clone())]),
        ..Extension::default()
    });
    Extension {
        name: "media:content".to_owned(),
        attrs: known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        children: thumbnail.map(|thumbnail| ("thumbnail".to_owned(), vec![thumbnail])).into_iter().collect(),
        ..Extension::default()
    }
}

fn rfc_822(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;

    fn written(feed: &Feed) -> String {
        String::from_utf8(render(feed)).unwrap()
    }

    #[test]
    fn elements_are_written_once_and_empty_ones_omitted() {
        let xml = written(&fixtures::built());
        for part in [
            "<guid>https://example.org/sample/8</guid>",
            "<pubDate>Wed, 19 Jun 2024 15:23:45 GMT</pubDate>",
            "<lastBuildDate>Wed, 19 Jun 2024 15:23:45 GMT</lastBuildDate>",
            "<dc:creator>Ada</dc:creator>",
            r#"<enclosure url="https://media.example.org/v.mp4?a=1&amp;b=2" length="4096" type="video/mp4"/>"#,
            r#"<enclosure url="https://media.example.org/p.jpg" length="0" type="image/jpeg"/>"#,
            "<itunes:duration>63</itunes:duration>",
            r#"duration="63" fileSize="4096" height="360" medium="video" type="video/mp4" url="https://media.example.org/v.mp4?a=1&amp;b=2" width="640"><media:thumbnail url="https://media.example.org/p">"#,
            r#"<atom:link href="https://feeds.example.org/sample/rss?limit=9&amp;hide=buttons" rel="self" type="application/rss+xml"/>"#,
            "<ttl>15</ttl>",
            "<category>tag</category>",
        ] {
            assert!(xml.contains(part), "{part}: {xml}");
        }
        assert_eq!(xml.matches("<dc:creator>").count(), 1, "only the signed item: {xml}");
        assert_eq!(xml.matches("<enclosure").count(), 2, "one per item");
        assert!(xml.find("<description><![CDATA[").unwrap() < xml.find("<content:encoded>").unwrap());
        let without_media = written(&fixtures::feed(vec![fixtures::entry("x")]));
        assert!(
            ["xmlns:media", "xmlns:itunes", "<image>"].iter().all(|part| !without_media.contains(part)),
            "{without_media}"
        );
    }
}
