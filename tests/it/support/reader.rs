//! Reads feeds back with a feed reader's parser (feed-rs).

use feed_rs::model::Entry;
use telewire::feed::context::FeedContext;
use telewire::feed::sanitize::sanitize;
use telewire::feed::{self, Feed, Format};
use telewire::media::signed_url::MediaLinker;
use telewire::model::post::Snapshot;
use telewire::telegram::url::MEDIA_HOSTS;

/// Returns the feed of a snapshot, as a service at feeds.example.org with `--media direct` serves it.
pub(crate) fn feed(snapshot: &Snapshot, format: Format) -> Feed {
    let url = format!("https://feeds.example.org/{}/{}", snapshot.channel.name, format.name());
    let context = FeedContext { url, media: direct(), ..FeedContext::default() };
    feed::build(&snapshot.clone().into(), &context)
}

/// Returns a linker that keeps Telegram's own media URLs.
pub(crate) fn direct() -> MediaLinker {
    MediaLinker { hosts: MEDIA_HOSTS.parse().unwrap(), proxy: None, redirects: false }
}

/// The fields of an entry that must be the same in all formats.
#[derive(Debug, PartialEq, Eq)]
struct EntryFields {
    id: String,
    link: String,
    title: String,
    published: i64,
    body: String,
}

/// Parses the feed of a snapshot in every format and compares it with the posts.
///
/// # Errors
///
/// If the entries are not the posts, newest first, each with the permalink as its id and link, or if a body contains
/// something that the sanitizer removes. Says which format and what differs.
pub(crate) fn read_back(snapshot: &Snapshot) -> Result<(), String> {
    for format in Format::ALL {
        let feed = feed(snapshot, format);
        let bytes = feed::render(&feed, format);
        let read = feed_rs::parser::parse(bytes.as_slice()).map_err(|err| format!("{format:?}: {err}"))?;
        if read.entries.len() != snapshot.posts.len() {
            return Err(format!(
                "{format:?}: {} entries of {} posts",
                read.entries.len(),
                snapshot.posts.len()
            ));
        }
        let newest_first = snapshot.posts.iter().rev().zip(&feed.entries);
        for (read, (post, entry)) in read.entries.iter().zip(newest_first) {
            let expected = EntryFields {
                id: post.permalink.clone(),
                link: post.permalink.clone(),
                title: entry.title.clone().unwrap_or_default(),
                published: post.published.as_second(),
                body: entry.body.clone(),
            };
            if sanitize(&entry.body) != entry.body {
                return Err(format!("{format:?}: the sanitizer would change this body: {}", entry.body));
            }
            let actual = entry_fields(read);
            if actual != expected {
                return Err(format!("{format:?}:\n  expected {expected:?}\n  actual   {actual:?}"));
            }
        }
    }
    Ok(())
}

/// Compares the ids of entries with those that RSSHub and RSS-Bridge make of the same page: the link of a post's date.
/// Returns the number of equal ids.
///
/// # Errors
///
/// If an id of theirs is missing. A link without a number, of a deleted post, is no id anywhere.
pub(crate) fn compare_ids(snapshot: &Snapshot, html: &str) -> Result<usize, String> {
    let entries = feed(snapshot, Format::Rss).entries;
    let dates = html.split("tgme_widget_message_date\" href=\"").skip(1);
    let links = dates.filter_map(|rest| rest.split('"').next());
    let links: Vec<&str> = links.filter(|link| link.ends_with(|c: char| c.is_ascii_digit())).collect();
    let missing = links.iter().find(|link| !entries.iter().any(|entry| entry.id == **link));
    missing.map_or(Ok(links.len()), |link| Err(format!("no entry has the id {link}")))
}

fn entry_fields(entry: &Entry) -> EntryFields {
    let alternate = entry.links.iter().find(|link| link.rel.as_deref().is_none_or(|rel| rel == "alternate"));
    EntryFields {
        id: entry.id.clone(),
        link: alternate.map(|link| link.href.clone()).unwrap_or_default(),
        title: entry.title.as_ref().map(|title| title.content.clone()).unwrap_or_default(),
        published: entry.published.map(|time| time.timestamp()).unwrap_or_default(),
        body: entry.content.as_ref().and_then(|content| content.body.clone()).unwrap_or_default(),
    }
}
