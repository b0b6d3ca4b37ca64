//! One post on a page: the body of its feed entry, with its date.

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::request::PageRequest;
use crate::feed::Entry;
use crate::model::channel::ChannelName;
use crate::model::post::PostId;
use crate::telegram::url::{hashtag, post_of};
use crate::web::canonical;

/// The start tag of a link, as the body of an entry has it.
const LINK: &str = "<a href=\"";

/// Returns a post.
pub(super) fn post(request: &PageRequest, entry: &Entry) -> Markup {
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
            div.body dir="auto" { (PreEscaped(body(request, &entry.id, &entry.body))) }
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

/// Returns the body of an entry for a page: links to other posts and to hashtags of its channel lead to their pages here, links
/// without a text are removed, and pictures are loaded when they are about to be seen.
pub(super) fn body(request: &PageRequest, permalink: &str, body: &str) -> String {
    let own = post_of(permalink);
    let body = body.replace("<img ", "<img loading=\"lazy\" ");
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
        match own.as_ref().and_then(|own| local_path(own, url)) {
            Some(path) => out.push_str(&request.link(&path).replace('&', "&amp;")),
            None => out.push_str(url),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Returns the path of the page here that shows what a URL on Telegram shows: another post of the channel, or its posts with
/// a hashtag. A link to the post itself is there because Telegram shows more of it.
fn local_path(own: &(ChannelName, PostId), url: &str) -> Option<String> {
    let post = post_of(url).filter(|post| post.0 == own.0 && post.1 != own.1);
    let post = post.map(|(name, id)| path_of_post(&name, id));
    let tag = || hashtag(url).filter(|(name, _)| *name == own.0);
    post.or_else(|| tag().map(|(name, tag)| search_path(&name, &format!("#{tag}"))))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Uri};

    use super::*;
    use crate::language::Language;
    use crate::telegram::url::{post_url, preview_url};

    #[test]
    fn links_to_posts_and_hashtags_stay_on_the_service() {
        let url = post_url("Sample", PostId::new(12).unwrap());
        let [own, other] = ["Sample", "Others"].map(|name| post_url(name, PostId::new(13).unwrap()));
        let tag = preview_url("Sample", PostId::new(1).unwrap()).replace("/1", "?q=%23low_tide");
        for (from, to) in [
            ("<p>a</p>", "<p>a</p>"),
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
            assert_eq!(body(&request, &own, from), to);
        }
    }
}
