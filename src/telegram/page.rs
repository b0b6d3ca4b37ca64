//! Parses a preview page into its channel and posts, or into the reason why it has none.

use jiff::Timestamp;
use scraper::{ElementRef, Html};

use super::error::PageError;
use super::markup as class;
use super::no_posts::{self, meta};
use super::post::{self, Message, PostError};
use super::{dom, parser, text, url};
use crate::model::channel::{Channel, ChannelName, Counter};
use crate::model::paging::drop_excess;
use crate::model::post::{Post, PostId, Snapshot};

/// Maximum number of messages that are read, the newest ones. Telegram's pages have 20.
const MAX_MESSAGES: usize = 100;

/// Maximum size of a channel's JSON. Telegram limits the title and the description to 255 characters each.
const MAX_CHANNEL_BYTES: usize = 16 << 10;

/// A parsed preview page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewPage {
    /// The channel, and at least one post.
    pub snapshot: Snapshot,
    /// Messages that could not be parsed.
    pub skipped: Vec<Skipped>,
    /// Unknown tags in texts, each with its post. Their text is part of the post.
    pub unknown_tags: Vec<(PostId, String)>,
    /// The cursor of the page's link to older posts, for `?before=`.
    pub older: Option<PostId>,
}

/// A message that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The reason why it could not be parsed.
    pub error: PostError,
    /// The first 80 characters of its text, to find it on the page.
    pub text: String,
}

/// The origin of a page, which decides how strictly it is checked.
#[derive(Clone, Copy, Debug)]
pub enum PageSource<'a> {
    /// Fetched for this channel: it must be a preview page of the channel.
    Fetched(&'a ChannelName),
    /// Read from a file, of this channel if one is given. Parts of pages and widgets of single posts are accepted too.
    Saved(Option<&'a ChannelName>),
}

/// Parses a page.
///
/// # Errors
///
/// If the page has no posts or cannot be trusted. A message that cannot be parsed is not an error: it is listed in
/// [`PreviewPage::skipped`].
pub fn parse(html: &str, source: PageSource<'_>) -> Result<PreviewPage, PageError> {
    if is_truncated(html) {
        return Err(PageError::Truncated);
    }
    let mut document = parser::parse(html).map_err(|parser::LimitExceeded| PageError::DomLimitExceeded)?;
    separate_messages(&mut document);
    let root = document.root_element();
    let mut messages = Vec::new();
    let mut skipped = Vec::new();
    let asked = match source {
        PageSource::Fetched(asked) => Some(asked),
        PageSource::Saved(asked) => asked,
    };
    let page_channel = header_name(root).or_else(|| asked.cloned());
    let mut elements: Vec<_> = dom::all(root, class::MESSAGE).collect();
    let n_left_out = elements.len().saturating_sub(MAX_MESSAGES);
    elements.drain(..n_left_out);
    for (message, published) in elements.iter().copied().zip(publication_dates(&elements)) {
        match post::parse(message, published, page_channel.as_ref()) {
            Ok(message) => messages.push(message),
            Err(error) => skipped.push(Skipped {
                error,
                text: dom::line(message).unwrap_or_default().chars().take(80).collect(),
            }),
        }
    }
    let Some(newest) = messages.iter().max_by_key(|message| message.post.id) else {
        // The widget of a missing post is a message that contains the reason.
        let is_explained = skipped.is_empty() || dom::first(root, class::WIDGET_ERROR).is_some();
        return Err(if is_explained {
            no_posts::classify(&document)
        } else {
            PageError::Unreadable(skipped.len())
        });
    };
    let channel = channel(&document, newest);
    if channel.json_len() > MAX_CHANNEL_BYTES {
        return Err(PageError::DomLimitExceeded);
    }
    if matches!(source, PageSource::Fetched(_)) && dom::first(root, class::HISTORY).is_none() {
        return Err(PageError::SinglePost);
    }
    if let PageSource::Fetched(asked) | PageSource::Saved(Some(asked)) = source
        && channel.name != *asked
        // A channel with several names has a page under each; the header repeats the requested name.
        && header_name(root).as_ref() != Some(asked)
    {
        return Err(PageError::OtherChannel(channel.name.to_string()));
    }
    let tags =
        |message: &Message| message.unknown_tags.iter().map(|tag| (message.post.id, tag.clone())).collect();
    let unknown_tags = messages.iter().flat_map(|message| -> Vec<_> { tags(message) }).collect();
    messages.sort_by_key(|message| message.post.id);
    messages.dedup_by_key(|message| message.post.id);
    let is_cut = drop_excess(&mut messages, MAX_MESSAGES, |message| message.json_len) || n_left_out > 0;
    let posts: Vec<Post> = messages.into_iter().map(|message| message.post).collect();
    let older = if is_cut { posts.first().map(|post| post.id) } else { older_cursor(root) };
    let snapshot = Snapshot { channel, posts, has_older: older.is_some() };
    Ok(PreviewPage { snapshot, skipped, unknown_tags, older })
}

/// Moves each message that is inside another one behind it. The HTML parser nests them if an end tag is missing.
fn separate_messages(document: &mut Html) {
    let is_message = |element: &ElementRef<'_>| dom::has_class(*element, class::MESSAGE);
    let messages = document.root_element().descendent_elements().filter(is_message);
    let nested: Vec<_> = messages
        .filter_map(|message| {
            let outer = message.ancestors().filter_map(ElementRef::wrap).filter(is_message).last()?;
            Some((message.id(), outer.id()))
        })
        .collect();
    for (message, outer) in nested.into_iter().rev() {
        if let Some(mut message) = document.tree.get_mut(message) {
            message.detach();
        }
        if let Some(mut outer) = document.tree.get_mut(outer) {
            outer.insert_id_after(message);
        }
    }
}

/// Returns the publication date of each message. A message without a date (seen in 2023) gets that of the previous
/// message, or at the start of the page that of the next one with a date.
fn publication_dates(messages: &[ElementRef<'_>]) -> Vec<Option<Timestamp>> {
    let own: Vec<_> = messages.iter().map(|message| post::published(*message)).collect();
    let first = own.iter().flatten().next().copied();
    let mut before = first;
    own.into_iter()
        .map(|date| {
            before = date.or(before);
            before
        })
        .collect()
}

/// Returns whether the end of the page is missing. Without `Content-Length` a broken connection looks like the end of
/// the body, and a page with half of its posts looks complete.
fn is_truncated(html: &str) -> bool {
    const START: &str = "<!doctype html>";
    let head = html[..html.floor_char_boundary(1024)].trim_start().to_ascii_lowercase();
    let is_start = !head.is_empty() && START.starts_with(&head);
    let is_document = is_start || head.contains("<html") || head.contains("<!doctype");
    is_document && html.rfind("</html>").is_none_or(|end| html.len() - end >= 512)
}

fn channel(document: &Html, newest: &Message) -> Channel {
    let root = document.root_element();
    let info = dom::first(root, class::CHANNEL_INFO);
    let inside = |class| info.and_then(|info| dom::first(info, class));
    let name = newest.channel.as_str();
    let title = inside(class::CHANNEL_TITLE)
        .and_then(|title| dom::line(dom::first_tag(title, "span").unwrap_or(title)))
        .or_else(|| dom::first(root, class::OWNER).and_then(dom::line))
        .or_else(|| meta(root, "og:title").map(str::to_owned));
    let photo = inside(class::CHANNEL_PHOTO).and_then(|photo| dom::first_tag(photo, "img")?.attr("src"));
    let warning = info.into_iter().flat_map(|info| dom::all(info, class::WARNING)).find_map(dom::line);
    let strip = |label: String| label.trim_matches(['[', ']', ' ']).to_owned();
    let title = title.filter(|title| !title.trim().is_empty()).unwrap_or_else(|| name.to_owned());
    Channel {
        id: newest.channel_id,
        about: inside(class::CHANNEL_ABOUT)
            .map(|about| text::parse(about, name, &mut Vec::new(), None))
            .unwrap_or_default(),
        photo: photo.filter(|url| !url.starts_with("data:")).and_then(|url| url::resolve(url, name)),
        counters: info
            .into_iter()
            .flat_map(|info| dom::all(info, class::CHANNEL_COUNTER))
            .filter_map(counter)
            .collect(),
        verified: inside(class::VERIFIED).is_some(),
        warning: warning.map(strip),
        ..Channel::new(newest.channel.clone(), url::channel_url(name), title)
    }
}

fn counter(element: ElementRef<'_>) -> Option<Counter> {
    let n =
        dom::first(element, class::COUNTER_VALUE).and_then(dom::line).and_then(|n| dom::parse_count(&n))?;
    Some(Counter { what: dom::first(element, class::COUNTER_TYPE).and_then(dom::line)?, n })
}

fn header_name(root: ElementRef<'_>) -> Option<ChannelName> {
    let name = dom::first(root, class::CHANNEL_USERNAME).and_then(dom::line)?;
    ChannelName::new(name.trim_start_matches('@'))
}

/// Returns the cursor in the link to older posts. It cannot be computed from the posts, because ids have gaps.
fn older_cursor(root: ElementRef<'_>) -> Option<PostId> {
    dom::all(root, class::OLDER)
        .filter_map(|link| link.attr("data-before"))
        .find_map(|before| before.parse().ok().and_then(PostId::new))
}
