//! Links to pages of channels and posts, also in the bodies of entries.

use super::request::PageRequest;
use crate::channels::Channels;
use crate::feed::Entry;
use crate::model::channel::ChannelName;
use crate::model::post::PostId;
use crate::telegram::url::{hashtag, post_of};
use crate::web::canonical;
use crate::web::feed_cache::ArchivedPosts;

/// The start tag of a link, as the body of an entry has it.
const LINK: &str = "<a href=\"";

/// Returns the relative path of a channel's page.
pub(super) fn path_of(name: &ChannelName) -> String {
    canonical::path(name, None).trim_start_matches('/').to_owned()
}

/// Returns the relative path of a post's page.
pub(super) fn path_of_post(name: &ChannelName, id: PostId) -> String {
    canonical::path_of_post(name, id).trim_start_matches('/').to_owned()
}

/// Returns the option of a channel's page that has what a search on Telegram finds: a hashtag or words.
pub(in crate::web) fn search_option(words: &str) -> (&'static str, &str) {
    match words.strip_prefix('#') {
        Some(tag) if !tag.is_empty() && !tag.contains([' ', ',']) => ("tag", tag),
        _ => ("q", words),
    }
}

/// Returns the relative path of the page with what a search in a channel on Telegram finds.
pub(super) fn search_path(name: &ChannelName, words: &str) -> String {
    let (option, value) = search_option(words);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair(option, value);
    format!("{}?{}", path_of(name), query.finish())
}

/// Returns which of the posts that entries link to have pages here. `None` if the archive cannot be read.
pub(in crate::web) async fn archived_posts<'a>(
    channels: &Channels,
    entries: impl Iterator<Item = &'a Entry>,
) -> Option<ArchivedPosts> {
    let linked = entries.flat_map(|entry| {
        let own = post_of(&entry.id);
        let urls = entry.body.split(LINK).skip(1).filter_map(|rest| rest.split('"').next());
        urls.filter_map(move |url| other_post(own.as_ref()?, url))
    });
    channels.archived_of(linked.collect()).await
}

/// Returns the body of an entry for a page: links to other archived posts and to hashtags of its channel lead to their pages
/// here, links without a text are removed, and pictures are loaded when they are about to be seen.
pub(super) fn body(request: &PageRequest, entry: &Entry, archived: &ArchivedPosts) -> String {
    let own = post_of(&entry.id);
    let body = entry.body.replace("<img ", "<img loading=\"lazy\" ");
    let mut out = String::with_capacity(body.len());
    let mut rest = body.as_str();
    while let Some((before, after)) = rest.split_once(LINK) {
        out.push_str(before);
        let (url, tail) = after.split_at(after.find('"').unwrap_or(after.len()));
        let text = tail.split_once('>').map_or("", |(_, text)| text);
        if let Some(after_link) = text.strip_prefix("</a>") {
            rest = after_link;
            continue;
        }
        out.push_str(LINK);
        match own.as_ref().and_then(|own| local_path(own, url, archived)) {
            Some(path) => out.push_str(&request.link(&path).replace('&', "&amp;")),
            None => out.push_str(url),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Returns the path of the page here that shows what a URL on Telegram shows: another post of the channel, or its posts with
/// a hashtag.
fn local_path(own: &(ChannelName, PostId), url: &str, archived: &ArchivedPosts) -> Option<String> {
    let post = other_post(own, url).filter(|post| archived.contains(post));
    let post = post.map(|(name, id)| path_of_post(&name, id));
    let tag = || hashtag(url).filter(|(name, _)| *name == own.0);
    post.or_else(|| tag().map(|(name, tag)| search_path(&name, &format!("#{tag}"))))
}

/// Returns the other post of the same channel that a URL leads to. A link to the post itself is there because Telegram shows
/// more of it.
fn other_post(own: &(ChannelName, PostId), url: &str) -> Option<(ChannelName, PostId)> {
    post_of(url).filter(|post| post.0 == own.0 && post.1 != own.1)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Uri};

    use super::*;
    use std::collections::HashSet;

    use crate::feed::fixtures;
    use crate::language::Language;
    use crate::telegram::url::{post_url, preview_url};

    #[test]
    fn links_to_archived_posts_and_hashtags_stay_on_the_service() {
        let url = post_url("Sample", PostId::new(12).unwrap());
        let unknown = post_url("Sample", PostId::new(11).unwrap());
        let archived = HashSet::from([post_of(&url).unwrap()]);
        let [own, other] = ["Sample", "Others"].map(|name| post_url(name, PostId::new(13).unwrap()));
        let tag = preview_url("Sample", PostId::new(1).unwrap()).replace("/1", "?q=%23low_tide");
        for (from, to) in [
            ("<p>a</p>", "<p>a</p>"),
            (&format!("<a href=\"{unknown}\">b</a>"), &format!("<a href=\"{unknown}\">b</a>")),
            (
                &format!("<a href=\"{url}?single\" rel=\"x\">b</a> {url}"),
                &format!("<a href=\"../sample/12?lang=ru\" rel=\"x\">b</a> {url}"),
            ),
            (&format!("<a href=\"{own}\">b</a>"), &format!("<a href=\"{own}\">b</a>")),
            (&format!("<a href=\"{other}\">b</a>"), &format!("<a href=\"{other}\">b</a>")),
            (
                &format!("<a href=\"{tag}\">#low_tide</a>"),
                "<a href=\"../sample?tag=low_tide&amp;lang=ru\">#low_tide</a>",
            ),
            ("<a href=\"https://example.org/1\">c</a>", "<a href=\"https://example.org/1\">c</a>"),
            ("a<a href=\"https://example.org/1\" rel=\"x\"></a>b", "ab"),
            ("<img src=\"a.jpg\" alt=\"\">", "<img loading=\"lazy\" src=\"a.jpg\" alt=\"\">"),
        ] {
            let uri = Uri::from_static("/sample/12?lang=ru");
            let request = PageRequest::with(&HeaderMap::new(), &uri, Language::English, false);
            let entry = Entry { id: own.clone(), ..fixtures::entry(from) };
            assert_eq!(body(&request, &entry, &archived), to);
        }
    }
}
