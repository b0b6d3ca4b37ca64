//! Atom 1.0.

use atom_syndication::{Category, Content, FixedDateTime, Generator, Link, Person, Text};
use jiff::Timestamp;

use super::{Entry, Feed, Source, xml};

const ATOM: &str = "application/atom+xml";

/// Renders a feed as an Atom document.
pub(super) fn render(feed: &Feed) -> Vec<u8> {
    let document = atom_syndication::Feed {
        id: feed.home_url.clone(),
        title: Text::plain(feed.title.clone()),
        subtitle: Some(subtitle(&feed.description)),
        updated: time(feed.updated),
        authors: vec![person(&feed.title, Some(&feed.home_url))],
        generator: Some(Generator {
            value: "telewire".to_owned(),
            uri: None,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        }),
        icon: feed.icon.clone(),
        logo: feed.icon.clone(),
        links: links(feed),
        entries: feed.entries.iter().map(entry).collect(),
        ..atom_syndication::Feed::default()
    };
    xml::document(document.to_string())
}

/// Returns the description: as plain text, or as HTML if it has line breaks, which readers may collapse in plain text
/// (RFC 4287, section 3.1.1.1).
fn subtitle(description: &str) -> Text {
    if !description.contains('\n') {
        return Text::plain(description);
    }
    Text::html(xml::as_html(description).replace('\n', "<br>"))
}

fn links(feed: &Feed) -> Vec<Link> {
    let pages = [("next", &feed.next_url), ("previous", &feed.prev_url)];
    let pages = pages.into_iter().filter_map(|(rel, url)| Some(link(rel, url.as_deref()?, ATOM)));
    [link("self", &feed.self_url, ATOM), link("alternate", &feed.home_url, "text/html")]
        .into_iter()
        .chain(pages)
        .collect()
}

fn entry(entry: &Entry) -> atom_syndication::Entry {
    let alternate = link("alternate", &entry.url, "text/html");
    let enclosures = entry.media.iter().map(|medium| Link {
        length: medium.bytes.map(|bytes| bytes.to_string()),
        ..link("enclosure", &medium.url, medium.mime_type)
    });
    let category = |term: &String| Category { term: term.clone(), ..Category::default() };
    atom_syndication::Entry {
        id: entry.id.clone(),
        title: Text::plain(entry.title.clone().unwrap_or_default()),
        updated: time(entry.updated),
        published: Some(time(entry.published)),
        authors: entry.author.iter().map(|name| person(name, None)).collect(),
        categories: entry.categories.iter().map(category).collect(),
        source: entry.source.as_ref().map(|from| source(from, entry)),
        links: std::iter::once(alternate).chain(enclosures).collect(),
        content: Some(Content {
            content_type: Some("html".to_owned()),
            value: Some(entry.body.clone()),
            ..Content::default()
        }),
        ..atom_syndication::Entry::default()
    }
}

/// Returns the channel's feed (RFC 4287, section 4.2.11). Its own last change would change every entry whenever the channel
/// has a new post.
fn source(source: &Source, entry: &Entry) -> atom_syndication::Source {
    atom_syndication::Source {
        title: Text::plain(source.title.clone()),
        id: source.home_url.clone(),
        updated: time(entry.updated),
        links: vec![link("self", &source.feed_url, ATOM), link("alternate", &source.home_url, "text/html")],
        ..atom_syndication::Source::default()
    }
}

fn person(name: &str, uri: Option<&str>) -> Person {
    Person { name: name.to_owned(), uri: uri.map(str::to_owned), ..Person::default() }
}

fn link(rel: &str, href: &str, mime_type: &str) -> Link {
    Link {
        href: href.to_owned(),
        rel: rel.to_owned(),
        mime_type: Some(mime_type.to_owned()),
        ..Link::default()
    }
}

/// Converts a time by way of RFC 3339, which both crates support, so parsing cannot fail.
fn time(time: Timestamp) -> FixedDateTime {
    time.to_string().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;

    fn written(feed: &Feed) -> String {
        String::from_utf8(render(feed)).unwrap()
    }

    #[test]
    fn only_signed_entries_have_an_author() {
        let xml = written(&fixtures::built());
        assert_eq!(xml.matches("<author>").count(), 2, "one of the feed, one of the signed entry: {xml}");
        assert_eq!(xml.matches(r#"rel="enclosure""#).count(), 3, "{xml}");
        assert_eq!(xml.matches(r#" length="4096""#).count(), 1, "{xml}");
        assert!(xml.contains("<updated>2024-06-19T15:23:45+00:00</updated>"), "{xml}");
        assert!(!xml.contains("1970"), "{xml}");
    }
}
