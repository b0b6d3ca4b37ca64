//! URLs on t.me: parses those that people type or paste, and builds those of pages and permalinks.

use thiserror::Error;
use url::Url;

use crate::model::channel::ChannelName;
use crate::model::post::PostId;

/// The hosts that serve preview pages; permalinks have the first.
///
/// telegram.me and telegram.dog belong to Telegram too, and were reachable when t.me did not resolve in 2026.
const PREVIEW_HOSTS: [&str; 3] = ["t.me", "telegram.me", "telegram.dog"];

/// The default of `--upstream`: base URLs in order of preference.
pub const UPSTREAMS: &str = "https://t.me,https://telegram.me,https://telegram.dog";

/// The hosts, with their subdomains, from which Telegram serves pictures and videos.
///
/// The CDN's name has changed back and forth between three of these since 2018.
pub const MEDIA_HOSTS: &str = "telesco.pe,cdn-telegram.org,telegram-cdn.org,telegram.space,telegram.org";

/// First path segments of t.me that are not channels; most are valid channel names.
const RESERVED_NAMES: [&str; 18] = [
    "addemoji",
    "addlist",
    "addstickers",
    "addtheme",
    "boost",
    "confirmphone",
    "contact",
    "giftcode",
    "invoice",
    "login",
    "nft",
    "proxy",
    "setlanguage",
    "share",
    "socks",
    "start",
    "stars",
    "startgroup",
];

/// Why a typed text is not a public channel. Holds the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChannelParseError {
    /// Neither a valid name nor a URL of a channel.
    #[error(
        "{0:?} is not a channel: use its name, 4 to 32 letters, digits and _ starting with a letter, \
         such as durov, @durov or t.me/durov"
    )]
    NotAChannel(String),
    /// A URL of a private chat.
    #[error(
        "{0:?} leads to a private chat: private channels and groups have no public page, so there is nothing to read"
    )]
    Private(String),
}

/// Parses what a person types for a channel: `durov`, `@durov`, `durov.t.me`, `tg://resolve?domain=durov`, or the URL of
/// the channel or one of its posts on t.me, telegram.me or telegram.dog, with or without a scheme.
///
/// # Errors
///
/// [`ChannelParseError::Private`] for invite links and for posts of private channels (`t.me/c/…`),
/// [`ChannelParseError::NotAChannel`] for everything else. Both quote the first 80 characters.
pub fn parse_channel(typed: &str) -> Result<ChannelName, ChannelParseError> {
    // Pasted names often have white space and invisible marks around them.
    let typed = typed.trim_matches(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    let quoted = || typed.chars().take(80).collect::<String>();
    let not_a_channel = || ChannelParseError::NotAChannel(quoted());

    let bare = typed.strip_prefix('@').unwrap_or(typed);
    if let Some(name) = ChannelName::new(bare) {
        return if is_reserved(bare) { Err(not_a_channel()) } else { Ok(name) };
    }
    if typed.starts_with('+') {
        // The last segment of an invite link.
        return Err(ChannelParseError::Private(quoted()));
    }
    let (name, private) = if typed.get(..3).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tg:")) {
        name_in_app_url(typed)
    } else {
        name_in_web_url(typed)
    }
    .ok_or_else(not_a_channel)?;
    if private {
        return Err(ChannelParseError::Private(quoted()));
    }
    ChannelName::new(&name).filter(|name| !is_reserved(name.as_str())).ok_or_else(not_a_channel)
}

/// Returns the channel name in a `tg:` URL, and whether the URL leads to a private chat instead.
fn name_in_app_url(typed: &str) -> Option<(String, bool)> {
    let url = Url::parse(typed).ok()?;
    // tg://resolve?… and tg:resolve?… are both in use.
    let action = url.host_str().unwrap_or_else(|| url.path());
    if matches!(action, "join" | "privatepost") {
        return Some((String::new(), true));
    }
    let (_, domain) = url.query_pairs().find(|(key, _)| key == "domain")?;
    (action == "resolve").then(|| (domain.into_owned(), false))
}

/// Returns the channel name in a web URL, and whether the URL leads to a private chat instead.
fn name_in_web_url(typed: &str) -> Option<(String, bool)> {
    // Proxies that merge slashes turn a URL inside a path into `https:/t.me/…`.
    let rest = typed.split_once(":/").map_or(typed, |(_, rest)| rest);
    let url = Url::parse(&format!("https://{}", rest.trim_start_matches('/'))).ok()?;
    if typed.contains(":/") && !typed.get(..4)?.eq_ignore_ascii_case("http") {
        return None;
    }
    let host = url.host_str()?;
    let host = host.strip_prefix("www.").unwrap_or(host);
    if let Some(name) = PREVIEW_HOSTS.iter().find_map(|known| host.strip_suffix(known)?.strip_suffix('.')) {
        return Some((name.to_owned(), false));
    }
    if !PREVIEW_HOSTS.contains(&host) {
        return None;
    }
    let mut segments = url.path_segments()?.filter(|segment| !segment.is_empty());
    let first = match segments.next()? {
        "s" => segments.next()?,
        first => first,
    };
    let private = first.starts_with('+') || first.starts_with("%20") || matches!(first, "c" | "joinchat");
    Some((first.trim_start_matches('@').to_owned(), private))
}

fn is_reserved(name: &str) -> bool {
    RESERVED_NAMES.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Returns whether a URL is on one of the hosts that serve preview pages.
#[must_use]
pub(super) fn is_telegram(url: &Url) -> bool {
    url.host_str().is_some_and(|host| PREVIEW_HOSTS.contains(&host))
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

/// A page of a channel to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageRequest {
    /// The preview page with its newest posts.
    Newest,
    /// The preview page with posts older than this one.
    Before(PostId),
    /// The page of one post, which links to the app.
    Post(PostId),
    /// The widget of one post, for embedding in other sites.
    Widget(PostId),
}

/// Returns the path and query of a page on an upstream.
#[must_use]
pub(super) fn page_path(name: &ChannelName, request: PageRequest) -> (String, Option<String>) {
    match request {
        PageRequest::Newest => (format!("/s/{name}"), None),
        PageRequest::Before(id) => (format!("/s/{name}"), Some(format!("before={id}"))),
        PageRequest::Post(id) => (format!("/{name}/{id}"), None),
        PageRequest::Widget(id) => (format!("/{name}/{id}"), Some("embed=1&mode=tme".to_owned())),
    }
}

/// Makes a URL of a preview page absolute: hashtags are `?q=%23tag`, and older pages have `//host/…`.
///
/// A `tg:` URL of a channel or post becomes its `https:` URL, because most feed readers drop `tg:` links. `None` if it is
/// not a URL.
#[must_use]
pub(super) fn resolve(href: &str, name: &str) -> Option<String> {
    let href = href.trim();
    let Ok(url) = Url::parse(href) else {
        let page = Url::parse(&format!("https://{}/s/{name}", PREVIEW_HOSTS[0])).ok()?;
        return page.join(href).ok().map(String::from);
    };
    if url.scheme() == "tg" {
        let (domain, private) = name_in_app_url(href).unwrap_or_default();
        if let (Some(channel), false) = (ChannelName::new(&domain), private) {
            let post = url.query_pairs().find(|(key, _)| key == "post").and_then(|(_, id)| id.parse().ok());
            let id = post.and_then(PostId::new);
            let to = |id| post_url(channel.as_str(), id);
            return Some(id.map_or_else(|| channel_url(channel.as_str()), to));
        }
    }
    // An absolute URL keeps its spelling, because URLs are compared as strings.
    Some(href.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_channel_accepts_every_spelling() {
        for typed in [
            "durov",
            "@durov",
            " durov ",
            "\u{200e}durov\n",
            "t.me/durov",
            "T.ME/durov",
            "www.t.me/durov",
            "http://t.me/durov",
            "https:/t.me/durov",
            "https://t.me/s/durov?before=5",
            "https://t.me/s/durov/",
            "https://t.me/durov/123",
            "https://t.me/durov/123?single",
            "https://t.me/@durov",
            "telegram.me/durov",
            "https://telegram.dog/s/durov",
            "durov.t.me",
            "https://durov.t.me/123",
            "tg://resolve?domain=durov",
            "tg:resolve?domain=durov&post=123",
            "TG://resolve?domain=durov",
        ] {
            assert_eq!(
                parse_channel(typed).map(|name| name.to_string()),
                Ok("durov".to_owned()),
                "{typed:?}"
            );
        }
    }

    #[test]
    fn parse_channel_reports_private_chats() {
        for typed in [
            "t.me/+AbCdEfGhIjKl",
            "+AbCdEfGhIjKl",
            "https://t.me/joinchat/AbCdEfGhIjKl",
            "https://t.me/c/1234567/89",
            "tg://join?invite=AbCdEfGhIjKl",
            "tg://privatepost?channel=1234567&post=89",
        ] {
            assert!(matches!(parse_channel(typed), Err(ChannelParseError::Private(_))), "{typed}");
        }
    }

    #[test]
    fn parse_channel_rejects_everything_else() {
        let long = "x".repeat(5000);
        for typed in [
            "",
            " ",
            "@",
            "abc",
            "a b c d",
            "durov!",
            "@@durov",
            "дуров",
            "https://",
            "https://t.me",
            "https://t.me/",
            "https://t.me/s/",
            "https://example.com/durov",
            "example.com",
            "ftp://t.me/durov",
            "javascript:durov",
            "t.me/addstickers/durov",
            "share",
            "t.me/share/url?url=x",
            "tg://proxy?server=x",
            "tg://resolve",
            "tg:",
            "../durov",
            "durov/rss/x",
            "nott.me/durov",
            "t.me.example.com/durov",
            &long,
        ] {
            assert!(matches!(parse_channel(typed), Err(ChannelParseError::NotAChannel(_))), "{typed:?}");
        }
        assert!(parse_channel(&long).unwrap_err().to_string().len() < 300);
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
            ("tg://user?id=5", "tg://user?id=5"),
            ("mailto:a@example.com", "mailto:a@example.com"),
        ] {
            assert_eq!(resolve(href, "durov").as_deref(), Some(absolute), "{href}");
        }
        assert_eq!(resolve("https://[", "durov"), None);
    }
}
