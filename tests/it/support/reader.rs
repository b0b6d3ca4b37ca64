//! A feed reader (feed-rs): what it makes of our feeds.

use feed_rs::model::Entry;
use telewire::feed::options::FeedOptions;
use telewire::feed::sanitize::sanitize;
use telewire::feed::{self, Feed, Format};
use telewire::media::signed_url::MediaLinker;
use telewire::model::post::Snapshot;
use telewire::telegram::url::MEDIA_HOSTS;

/// The feed of a snapshot as a service at feeds.example.org gives it.
pub(crate) fn feed(snapshot: &Snapshot, format: Format) -> Feed {
    let self_url = format!("https://feeds.example.org/{}/{}", snapshot.channel.name, format.name());
    let options = FeedOptions { self_url, media: direct(), ..FeedOptions::default() };
    feed::build(snapshot, &options)
}

/// Files as Telegram addresses them.
fn direct() -> MediaLinker {
    MediaLinker { hosts: MEDIA_HOSTS.parse().unwrap(), proxy: None }
}

/// What all formats must tell a reader of an entry.
#[derive(Debug, PartialEq, Eq)]
struct EntryFields {
    id: String,
    link: String,
    title: String,
    published: i64,
    body: String,
}

/// Reads the feed in every format, and compares with the posts: the same entries, newest first, each with the
/// permalink as its id and its link, and nothing in its body that the sanitizer would take out.
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
                title: entry.title.clone(),
                published: post.published.as_second(),
                body: entry.body.clone(),
            };
            if sanitize(&entry.body) != entry.body {
                return Err(format!("{format:?}: not what the sanitizer leaves: {}", entry.body));
            }
            let actual = entry_fields(read);
            if actual != expected {
                return Err(format!("{format:?}:\n  expected {expected:?}\n  actual   {actual:?}"));
            }
        }
    }
    Ok(())
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
