//! Builds a [`Feed`] from a snapshot.

use super::media_links::MediaLinks;
use super::options::FeedOptions;
use super::{Entry, Feed, body, enclosure, plain_text, title};
use crate::model::channel::Channel;
use crate::model::media_file::FileName;
use crate::model::post::{Post, Snapshot};

/// How long readers should wait between two requests, for the RSS `ttl` element.
pub(super) const TTL_MINUTES: u32 = 15;

/// Maximum size of all entries as XML, in bytes. The posts of [`MAX_PAGE_BYTES`](crate::model::paging::MAX_PAGE_BYTES) may be
/// several times as large as HTML; those that do not fit are on the next feed page.
const MAX_FEED_BYTES: usize = 4 << 20;

/// Builds the feed of a channel, the same for the same snapshot and options.
#[must_use]
pub fn build(snapshot: &Snapshot, options: &FeedOptions) -> Feed {
    let channel = &snapshot.channel;
    let linker = &options.media;
    let mut entries: Vec<Entry> = Vec::new();
    let mut size = 0;
    for post in snapshot.posts.iter().rev() {
        let entry = entry(post, channel, MediaLinks::new(post, &channel.name, linker));
        size += entry.size();
        if size > MAX_FEED_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    let oldest = snapshot.posts.iter().rev().nth(entries.len().saturating_sub(1));
    let has_older = snapshot.has_older || entries.len() < snapshot.posts.len();
    let title = plain_text::visible_line(&channel.title).unwrap_or_else(|| channel.name.to_string());
    Feed {
        description: description(channel),
        home_url: channel.url.clone(),
        self_url: options.self_url.clone(),
        next_url: oldest.filter(|_| has_older).map(|post| next_url(post, options)),
        prev_url: options.prev_url.clone(),
        icon: channel.photo.as_deref().and_then(|url| linker.url(&channel.name, None, FileName::PHOTO, url)),
        author: title.clone(),
        title,
        updated: entries.iter().map(|entry| entry.updated).max().unwrap_or_default(),
        ttl_minutes: TTL_MINUTES,
        entries,
    }
}

/// Returns the URL of the next feed page, which begins below this post (RFC 5005, section 3).
fn next_url(oldest: &Post, options: &FeedOptions) -> String {
    let (base, _) = options.self_url.split_once('?').unwrap_or((&options.self_url, ""));
    let limit = options.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    format!("{base}?before={}{limit}", oldest.id)
}

/// Returns the channel's description line by line, preceded by Telegram's warning if there is one. Of several blank lines
/// in a row one is kept.
fn description(channel: &Channel) -> String {
    let mut lines: Vec<String> =
        channel.about.text().lines().map(|line| plain_text::visible_line(line).unwrap_or_default()).collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    let mut about = lines.join("\n").trim().to_owned();
    if about.is_empty() {
        about = format!("@{} on Telegram", channel.name);
    }
    match channel.warning.as_deref().and_then(plain_text::visible_line) {
        Some(warning) => format!("{warning}: {about}"),
        None => about,
    }
}

fn entry(post: &Post, channel: &Channel, links: MediaLinks<'_>) -> Entry {
    let is_category = |tag: &String| !tag.contains(',');
    Entry {
        id: post.permalink.clone(),
        url: post.permalink.clone(),
        title: title::title(post, &channel.signature_lines),
        summary: title::summary(post),
        body: body::body(post, links),
        published: post.published,
        updated: post.updated.unwrap_or(post.published),
        author: post.signature.as_deref().and_then(plain_text::visible_line),
        // FreshRSS splits a category at commas.
        categories: post
            .full_text()
            .hashtags()
            .into_iter()
            .filter_map(plain_text::visible_line)
            .filter(is_category)
            .collect(),
        media: enclosure::enclosures(post, links),
    }
}
