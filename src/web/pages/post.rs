//! One post on a page: the body of its feed entry, with its date.

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::links::{body, path_of, path_of_post};
use super::request::PageRequest;
use crate::feed::Entry;
use crate::model::channel::ChannelName;
use crate::telegram::url::post_of;
use crate::web::feed_cache::ArchivedPosts;

/// Returns a post.
pub(super) fn post(request: &PageRequest, entry: &Entry, archived: &ArchivedPosts) -> Markup {
    let words = request.words();
    // A digest leads to Telegram.
    let local = entry.post.and_then(|_| post_of(&entry.id));
    let local = local.map(|(name, id)| path_of_post(&name, id));
    html! {
        article.post id=[entry.post.filter(|_| entry.source.is_none()).map(|id| format!("p{id}"))] aria-label=[entry.title.as_deref()] {
            header {
                @if let Some(source) = &entry.source {
                    a.source href=(source_link(request, &source.feed_url).unwrap_or_else(|| source.home_url.clone())) dir="auto" { (source.title) }
                }
                a.date href=(local.map_or_else(|| entry.url.clone(), |path| request.link(&path))) {
                    time datetime=(entry.published) { (date(entry.published)) }
                }
                @if entry.updated != entry.published { span.edited { (words.edited) } }
                @if let Some(author) = entry.author.as_ref().filter(|_| entry.source.is_none()) { span.author dir="auto" { (author) } }
            }
            div.body dir="auto" { (PreEscaped(body(request, entry, archived))) }
            footer { a href=(entry.url) rel="noopener" { (words.open_in_telegram) } }
        }
    }
}

/// Returns the page of the channel that has this feed.
fn source_link(request: &PageRequest, feed_url: &str) -> Option<String> {
    let name = feed_url.rsplit('/').nth(1).and_then(ChannelName::new)?;
    Some(request.link(&path_of(&name)))
}

/// Returns a time for people without a script, which shows it in their own time zone.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
