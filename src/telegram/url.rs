//! URLs on t.me: builds those of pages and permalinks, and resolves those in pages.

use url::{Url, form_urlencoded};

use crate::model::channel::ChannelName;
use crate::model::post::PostId;

/// The hosts that serve preview pages; permalinks have the first.
///
/// telegram.me and telegram.dog belong to Telegram too, and were reachable when t.me did not resolve in 2026.
pub const PREVIEW_HOSTS: [&str; 3] = ["t.me", "telegram.me", "telegram.dog"];

/// The default of `--upstream`: base URLs in order of preference.
pub const UPSTREAMS: &str = "https://t.me,https://telegram.me,https://telegram.dog";

/// The hosts, with their subdomains, from which Telegram serves pictures and videos.
///
/// The CDN's name has changed back and forth between three of these since 2018. The last one has the pictures of articles.
pub const MEDIA_HOSTS: &str =
    "telesco.pe,cdn-telegram.org,telegram-cdn.org,telegram.space,telegram.org,telegra.ph";

/// Where a URL leads.
pub(super) enum Target {
    Channel(String),
    /// Posts of this channel with these words.
    Search(String, String),
    Private,
    Number,
}

/// Returns where a `tg:` URL leads.
pub(super) fn target_of_app_url(typed: &str) -> Option<Target> {
    let url = Url::parse(typed).ok()?;
    let action = app_action(&url);
    if matches!(action, "join" | "privatepost") {
        return Some(Target::Private);
    }
    let (_, domain) = url.query_pairs().find(|(key, _)| key == "domain")?;
    (action == "resolve").then(|| Target::Channel(domain.into_owned()))
}

/// Returns whether a URL is on one of the hosts that serve preview pages.
#[must_use]
pub(super) fn is_telegram(url: &Url) -> bool {
    url.host_str().is_some_and(|host| PREVIEW_HOSTS.contains(&host))
}

/// Returns the URL of Telegram's search for a text in a channel, as hashtags on its preview page have it.
pub(super) fn search_url(name: &ChannelName, text: &str) -> String {
    let (path, query) = page_path(name, PageRequest::Search(text));
    format!("https://{}{path}?{}", PREVIEW_HOSTS[0], query.unwrap_or_default())
}

/// Returns the URL of a channel: `https://t.me/NAME`.
#[must_use]
pub fn channel_url(name: &str) -> String {
    format!("https://{}/{name}", PREVIEW_HOSTS[0])
}

/// Returns the permalink of a post. `name` must be spelled as t.me spells it.
#[must_use]
pub fn post_url(name: &str, id: PostId) -> String {
    format!("https://{}/{name}/{id}", PREVIEW_HOSTS[0])
}

/// Returns the channel and the number of the post that a URL leads to; `None` if it leads elsewhere.
#[must_use]
pub fn post_of(url: &str) -> Option<(ChannelName, PostId)> {
    let url = Url::parse(url).ok().filter(is_telegram)?;
    let (name, id) = url.path().trim_matches('/').split_once('/')?;
    Some((ChannelName::new(name)?, id.parse().ok().and_then(PostId::new)?))
}

/// Returns the channel and the hashtag, without `#`, of the URL that a hashtag in a post leads to: `…/s/NAME?q=%23TAG`;
/// `None` for any other URL.
#[must_use]
pub fn hashtag(url: &str) -> Option<(ChannelName, String)> {
    let url = Url::parse(url).ok().filter(is_telegram)?;
    let name = ChannelName::new(url.path().strip_prefix("/s/")?)?;
    let (_, words) = url.query_pairs().find(|(key, _)| key == "q")?;
    Some((name, words.strip_prefix('#').filter(|tag| !tag.contains(char::is_whitespace))?.to_owned()))
}

/// Returns the URL of one item of an album. `permalink` is the album's.
#[must_use]
pub fn item_url(permalink: &str, item: PostId) -> String {
    let (channel, _) = permalink.rsplit_once('/').unwrap_or((permalink, ""));
    format!("{channel}/{item}?single")
}

/// Returns the id of an item of an album from the link to it, `…/NAME/ID?single`. `None` for a link to a whole post.
#[must_use]
pub(super) fn item_id(href: &str) -> Option<PostId> {
    let (path, _) = href.split_once("?single")?;
    path.rsplit('/').next()?.parse().ok().and_then(PostId::new)
}

/// Returns the URL of the channel's preview page, at a post. It shows the post without the app.
#[must_use]
pub fn preview_url(name: &str, id: PostId) -> String {
    format!("https://{}/s/{name}/{id}", PREVIEW_HOSTS[0])
}

/// Returns the URL that opens a post in the app.
#[must_use]
pub fn app_url(name: &str, id: PostId) -> String {
    format!("tg://resolve?domain={name}&post={id}")
}

/// A page of a channel to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageRequest<'a> {
    /// The preview page with its newest posts.
    Newest,
    /// The preview page with posts older than this one.
    Before(PostId),
    /// The preview page with the newest posts that Telegram's search finds for a text.
    Search(&'a str),
    /// The page of one post, which links to the app.
    Post(PostId),
    /// The widget of one post, for embedding in other sites.
    Widget(PostId),
}

/// Returns the path and query of a page on an upstream.
#[must_use]
pub(super) fn page_path(name: &ChannelName, request: PageRequest<'_>) -> (String, Option<String>) {
    match request {
        PageRequest::Newest => (format!("/s/{name}"), None),
        PageRequest::Before(id) => (format!("/s/{name}"), Some(format!("before={id}"))),
        PageRequest::Search(text) => {
            let text = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            (format!("/s/{name}"), Some(format!("q={text}")))
        }
        PageRequest::Post(id) => (format!("/{name}/{id}"), None),
        PageRequest::Widget(id) => (format!("/{name}/{id}"), Some("embed=1&mode=tme".to_owned())),
    }
}

/// Makes a URL of a preview page absolute: hashtags are `?q=%23tag`, and older pages have `//host/…`.
///
/// A `tg:` URL of a channel, a post, an invitation, a set of stickers or a proxy becomes its `https:` URL, with its other
/// parameters, because most feed readers drop `tg:` links. `None` if it is not a URL.
#[must_use]
pub(super) fn resolve(href: &str, name: &str) -> Option<String> {
    let href = href.trim();
    let Ok(url) = Url::parse(href) else {
        let page = Url::parse(&format!("https://{}/s/{name}", PREVIEW_HOSTS[0])).ok()?;
        return page.join(href).ok().map(String::from);
    };
    let web_url = Some(&url).filter(|url| url.scheme() == "tg").and_then(web_url);
    // An absolute URL keeps its spelling, because URLs are compared as strings.
    Some(web_url.unwrap_or_else(|| href.to_owned()))
}

/// Returns the `https:` URL of a `tg:` URL; `None` if there is none.
fn web_url(url: &Url) -> Option<String> {
    let pairs = || url.query().unwrap_or_default().split('&');
    let value = |wanted: &str| {
        let (_, value) = pairs().filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == wanted)?;
        Some(value).filter(|value| !value.is_empty())
    };
    let (path, in_path): (String, &[&str]) = match app_action(url) {
        "resolve" => {
            // Some bots have names of three letters, which channels cannot have.
            let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let name = value("domain").filter(is_name)?;
            let post = value("post").and_then(|id| id.parse().ok()).and_then(PostId::new);
            let path = match (post, value("appname"), value("story")) {
                (Some(id), ..) => format!("{name}/{id}"),
                (None, Some(app), _) => format!("{name}/{app}"),
                (None, None, Some(story)) => format!("{name}/s/{story}"),
                (None, None, None) => name.to_owned(),
            };
            (path, &["domain", "post", "appname", "story"])
        }
        "join" => (format!("+{}", value("invite")?), &["invite"]),
        kind @ ("addstickers" | "addemoji") => (format!("{kind}/{}", value("set")?), &["set"]),
        "addlist" => (format!("addlist/{}", value("slug")?), &["slug"]),
        kind @ ("proxy" | "socks") => (kind.to_owned(), &[]),
        _ => return None,
    };
    let is_other = |pair: &&str| !in_path.contains(&pair.split('=').next().unwrap_or_default());
    let query = pairs().filter(is_other).collect::<Vec<_>>().join("&");
    let base = channel_url(&path);
    Some(if query.is_empty() { base } else { format!("{base}?{query}") })
}

/// Returns what a `tg:` URL does. `tg://resolve?…` and `tg:resolve?…` are both in use.
fn app_action(url: &Url) -> &str {
    url.host_str().unwrap_or_else(|| url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_found_in_their_urls_only() {
        let post = |url: &str| post_of(url).map(|(name, id)| format!("{name}/{id}"));
        assert_eq!(post("https://t.me/durov/7?single").as_deref(), Some("durov/7"));
        assert_eq!(post("https://telegram.me/durov/7/").as_deref(), Some("durov/7"));
        for url in ["https://t.me/durov", "https://t.me/c/123/7", "https://example.org/durov/7", "durov/7"] {
            assert_eq!(post(url), None, "{url}");
        }
    }

    #[test]
    fn resolve_makes_urls_of_the_page_absolute() {
        for (href, absolute) in [
            ("?q=%23tag", "https://t.me/s/durov?q=%23tag"),
            ("//cdn4.telesco.pe/file/x.jpg", "https://cdn4.telesco.pe/file/x.jpg"),
            ("/durov/5", "https://t.me/durov/5"),
            ("https://example.com", "https://example.com"),
            ("tg://resolve?domain=durov", "https://t.me/durov"),
            ("tg://resolve?domain=durov&post=7", "https://t.me/durov/7"),
            ("tg:resolve?domain=durov&post=7&single&comment=9", "https://t.me/durov/7?single&comment=9"),
            ("tg://resolve?domain=gif&start=1", "https://t.me/gif?start=1"),
            ("tg://resolve?start=a%26b&domain=some_bot", "https://t.me/some_bot?start=a%26b"),
            (
                "tg://resolve?domain=some_bot&appname=tides&startapp=1",
                "https://t.me/some_bot/tides?startapp=1",
            ),
            ("tg://resolve?domain=durov&story=5", "https://t.me/durov/s/5"),
            ("tg://join?invite=AbC-d_E", "https://t.me/+AbC-d_E"),
            ("tg:join?invite=AbC", "https://t.me/+AbC"),
            ("tg://addstickers?set=Tides", "https://t.me/addstickers/Tides"),
            ("tg://addemoji?set=Tides", "https://t.me/addemoji/Tides"),
            ("tg://addlist?slug=AbC", "https://t.me/addlist/AbC"),
            ("tg://proxy?server=a.example&port=443", "https://t.me/proxy?server=a.example&port=443"),
            ("tg://join?invite=", "tg://join?invite="),
            ("tg://resolve", "tg://resolve"),
            ("tg://user?id=5", "tg://user?id=5"),
            ("mailto:a@example.com", "mailto:a@example.com"),
        ] {
            assert_eq!(resolve(href, "durov").as_deref(), Some(absolute), "{href}");
        }
        assert_eq!(resolve("https://[", "durov"), None);
    }
}
