//! One post on a page: the body of its feed entry, with its date and its hashtags.

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::request::PageRequest;
use crate::feed::Entry;
use crate::model::channel::ChannelName;
use crate::telegram::url::post_of;
use crate::web::canonical;

/// The start tag of a link, as the body of an entry has it.
const LINK: &str = "<a href=\"";

/// Returns a post. `channel` is the channel of the page; `None` if it has several.
pub(super) fn post(request: &PageRequest, channel: Option<&ChannelName>, entry: &Entry) -> Markup {
    let words = request.words();
    let local = channel.zip(entry.post).map(|(name, id)| format!("{}/{id}", path_of(name)));
    html! {
        article.post id=[entry.post.map(|id| format!("p{id}"))] aria-label=[entry.title.as_deref()] {
            header {
                @if let Some(source) = &entry.source {
                    a.source href=(source.home_url) dir="auto" { (source.title) }
                }
                a.date href=(local.map_or_else(|| entry.url.clone(), |path| request.link(&path))) {
                    time datetime=(entry.published) { (date(entry.published)) }
                }
                @if entry.updated != entry.published { span.edited { (words.edited) } }
                @if let Some(author) = &entry.author { span.author dir="auto" { (author) } }
            }
            div.body dir="auto" { (PreEscaped(with_local_links(&entry.body, &request.root))) }
            footer {
                @if let Some(name) = channel {
                    @for tag in &entry.categories {
                        a href=(request.link(&tag_path(name, tag))) dir="auto" { "#" (tag) }
                    }
                }
                a.telegram href=(entry.url) rel="noopener" { (words.open_in_telegram) }
            }
        }
    }
}

/// Returns a time for people without a script, which shows it in their own time zone.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns the relative path of a channel's page.
pub(super) fn path_of(name: &ChannelName) -> String {
    canonical::path(name, None).trim_start_matches('/').to_owned()
}

fn tag_path(name: &ChannelName, tag: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("tag", tag);
    format!("{}?{}", path_of(name), query.finish())
}

/// Returns the body with links to posts on Telegram replaced by links to their pages here.
pub(super) fn with_local_links(body: &str, root: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some((before, after)) = rest.split_once(LINK) {
        out.push_str(before);
        out.push_str(LINK);
        let end = after.find('"').unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        if let Some((name, id)) = post_of(url) {
            out.extend([root, &path_of(&name), "/", &id.to_string()]);
        } else {
            out.push_str(url);
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::post::PostId;
    use crate::telegram::url::post_url;

    #[test]
    fn links_to_posts_stay_on_the_service() {
        let url = post_url("Sample", PostId::new(12).unwrap());
        let body = format!(
            "<p>a <a href=\"{url}?single\" rel=\"x\">b</a> <a href=\"https://example.org/1\">c</a> {url}</p>"
        );
        let expected = format!(
            "<p>a <a href=\"../sample/12\" rel=\"x\">b</a> <a href=\"https://example.org/1\">c</a> {url}</p>"
        );
        assert_eq!(with_local_links(&body, "../"), expected);
        assert_eq!(with_local_links("<p>a</p>", ""), "<p>a</p>");
    }
}
