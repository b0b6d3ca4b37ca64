//! Parses what people type or paste for a channel.

use std::borrow::Cow;

use thiserror::Error;
use url::Url;

use super::url::{PREVIEW_HOSTS, Target, target_of_app_url};
use crate::model::channel::ChannelName;

/// The hosts of Telegram's web app, whose fragments name a chat.
const WEB_APP_HOSTS: [&str; 4] =
    ["web.telegram.org", "webk.telegram.org", "weba.telegram.org", "webz.telegram.org"];

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
    /// The number of a chat, as Telegram's web app shows it.
    #[error(
        "{0:?} is the number of a chat, which leads nowhere outside of Telegram's apps: use the channel's name from its \
         profile; without a name it is private and has no public page"
    )]
    Number(String),
    /// A search in a channel.
    #[error(
        "{typed:?} is a search: the feed of a search is /{name}/rss?q=WORDS, and the feed of all posts /{name}/rss"
    )]
    Search {
        /// The text.
        typed: String,
        /// The channel.
        name: ChannelName,
        /// The words, or a hashtag with its `#`.
        words: String,
    },
}

/// Parses what a person types for a channel: `durov`, `@durov`, `durov.t.me`, `tg://resolve?domain=durov`, or the URL of
/// the channel or one of its posts on t.me, telegram.me, telegram.dog or web.telegram.org, or of its feed at RSSHub, with or
/// without a scheme.
///
/// # Errors
///
/// See [`ChannelParseError`]. [`ChannelParseError::Private`] is for invite links and posts of private channels (`t.me/c/…`).
/// All quote the first 80 characters.
pub fn parse_channel(typed: &str) -> Result<ChannelName, ChannelParseError> {
    // Pasted names often have white space and invisible marks around them, or the start of a fragment at the end.
    let typed = typed.trim_matches(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    let quoted = || typed.chars().take(80).collect::<String>();
    let not_a_channel = || ChannelParseError::NotAChannel(quoted());

    let bare = typed.strip_prefix('@').unwrap_or(typed).trim_end_matches('#');
    if let Some(name) = ChannelName::new(bare) {
        return if is_reserved(bare) { Err(not_a_channel()) } else { Ok(name) };
    }
    let is_app_url = typed.get(..3).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tg:"));
    let target = match typed {
        // The last segment of an invite link.
        _ if typed.starts_with('+') => Some(Target::Private),
        _ if is_number(typed) => Some(Target::Number),
        _ if is_app_url => target_of_app_url(typed),
        _ => target_of_web_url(typed),
    };
    let parse_name = |name: &str| {
        ChannelName::new(name).filter(|name| !is_reserved(name.as_str())).ok_or_else(not_a_channel)
    };
    match target.ok_or_else(not_a_channel)? {
        Target::Channel(name) => parse_name(&name),
        Target::Search(name, words) => {
            Err(ChannelParseError::Search { typed: quoted(), name: parse_name(&name)?, words })
        }
        Target::Private => Err(ChannelParseError::Private(quoted())),
        Target::Number => Err(ChannelParseError::Number(quoted())),
    }
}

/// Splits what a person types for several channels: at commas, and at white space before a URL or an `@name`, since browsers
/// paste lines as words. Only a URL ends a search: an `@name` may be one of its words.
#[must_use]
pub fn split_channels(typed: &str) -> Vec<String> {
    let mut channels: Vec<String> = Vec::new();
    for part in typed.split(',') {
        for (n, word) in part.split_whitespace().enumerate() {
            let is_url = word.contains("://") || PREVIEW_HOSTS.iter().any(|host| word.starts_with(host));
            let continues =
                |before: &&mut String| n > 0 && !is_url && (!word.starts_with('@') || before.contains("?q="));
            match channels.last_mut().filter(continues) {
                Some(channel) => {
                    channel.push(' ');
                    channel.push_str(word);
                }
                None => channels.push(word.to_owned()),
            }
        }
    }
    channels
}

/// Returns where a web URL leads.
fn target_of_web_url(typed: &str) -> Option<Target> {
    // Proxies that merge slashes turn a URL inside a path into `https:/t.me/…`.
    let (scheme, rest) = typed.split_once(":/").unwrap_or(("https", typed));
    let url = Url::parse(&format!("https://{}", rest.trim_start_matches('/'))).ok()?;
    if !scheme.get(..4)?.eq_ignore_ascii_case("http") {
        return None;
    }
    let host = url.host_str()?;
    let host = host.strip_prefix("www.").unwrap_or(host);
    if let Some(name) = PREVIEW_HOSTS.iter().find_map(|known| host.strip_suffix(known)?.strip_suffix('.')) {
        return Some(Target::Channel(name.to_owned()));
    }
    if WEB_APP_HOSTS.contains(&host) {
        return target_in_web_app(url.fragment()?);
    }
    let segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
    if let ["telegram", "channel", name, parameters @ ..] = segments.as_slice() {
        // RSSHub, on any host.
        let pairs = parameters.iter().flat_map(|pairs| url::form_urlencoded::parse(pairs.as_bytes()));
        return Some(in_channel((*name).to_owned(), pairs, "searchQuery"));
    }
    if !PREVIEW_HOSTS.contains(&host) {
        return None;
    }
    let first = match segments.as_slice() {
        ["s", first, ..] | [first, ..] => *first,
        [] => return None,
    };
    if first.starts_with('+') || first.starts_with("%20") || matches!(first, "c" | "joinchat") {
        return Some(Target::Private);
    }
    let name = first.trim_start_matches('@').to_owned();
    Some(in_channel(name, url.query_pairs(), "q"))
}

/// Returns a channel, or a search in it if a parameter has words.
fn in_channel<'a>(
    name: String,
    mut pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    parameter: &str,
) -> Target {
    match pairs.find(|(key, words)| key == parameter && !words.is_empty()) {
        Some((_, words)) => Target::Search(name, words.into_owned()),
        None => Target::Channel(name),
    }
}

/// Returns where a fragment of the web app leads: `@durov`, `-1001234567890`, `/im?p=@durov` in old versions, or
/// `?tgaddr=tg://…`.
fn target_in_web_app(fragment: &str) -> Option<Target> {
    if let Some(query) = fragment.strip_prefix('?') {
        let (_, url) = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "tgaddr")?;
        return target_of_app_url(&url);
    }
    let chat = fragment.strip_prefix("/im?p=").unwrap_or(fragment);
    let chat = chat.strip_prefix("%40").or(chat.strip_prefix('@')).ok_or(chat);
    let id = |chat: &str| chat.split(['/', '?', '&']).next().unwrap_or_default().to_owned();
    match chat {
        Ok(name) => Some(Target::Channel(id(name))),
        // A number, with the kind of the chat before it in old versions, or a thread after it.
        Err(number) => number.contains(|c: char| c.is_ascii_digit()).then_some(Target::Number),
    }
}

/// Returns whether a text is the number of a chat. Those of channels are negative.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_reserved(name: &str) -> bool {
    RESERVED_NAMES.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_channels_are_split_at_commas_and_before_urls() {
        for (typed, channels) in [
            ("durov", &["durov"][..]),
            ("durov,, @telegram ,", &["durov", "@telegram"]),
            ("t.me/durov\nhttps://t.me/s/telegram?q=a", &["t.me/durov", "https://t.me/s/telegram?q=a"]),
            ("durov @telegram", &["durov", "@telegram"]),
            ("Pavel Durov", &["Pavel Durov"]),
            ("t.me/s/durov?q=low tide", &["t.me/s/durov?q=low tide"]),
            ("https://t.me/s/durov?q=support 24/7", &["https://t.me/s/durov?q=support 24/7"]),
            ("https://t.me/s/durov?q=ask @durov", &["https://t.me/s/durov?q=ask @durov"]),
            (" , ", &[]),
        ] {
            assert_eq!(split_channels(typed), channels, "{typed}");
        }
    }

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
            "durov#",
            "@durov#",
            "t.me/durov#",
            "https://t.me/s/durov?q=",
            "https://web.telegram.org/k/#@durov",
            "web.telegram.org/a/#@durov/123",
            "https://web.telegram.org/z/#%40durov?thread=5",
            "https://web.telegram.org/#/im?p=@durov",
            "https://web.telegram.org/a/#?tgaddr=tg%3A%2F%2Fresolve%3Fdomain%3Ddurov",
            "rsshub.app/telegram/channel/durov",
            "https://rsshub.example.org:1200/telegram/channel/durov?limit=5",
            "https://rsshub.app/telegram/channel/durov/showLinkPreview=0",
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
    fn parse_channel_reports_numbers_of_chats() {
        for typed in [
            "https://web.telegram.org/a/#-1001234567890",
            "https://web.telegram.org/k/#-1234567890",
            "https://web.telegram.org/a/#-1001234567890_5",
            "https://web.telegram.org/#/im?p=c1234567890_42",
            "-1001234567890",
            "1234567890",
        ] {
            assert!(matches!(parse_channel(typed), Err(ChannelParseError::Number(_))), "{typed}");
        }
    }

    #[test]
    fn parse_channel_reports_searches() {
        for (typed, words) in [
            ("t.me/s/durov?q=%23news", "#news"),
            ("https://t.me/s/durov/?before=5&q=low+tide", "low tide"),
            ("https://rsshub.app/telegram/channel/durov/searchQuery=news&showViaBot=0", "news"),
            ("https://rsshub.app/telegram/channel/durov/showViaBot=0&searchQuery=%23news", "#news"),
        ] {
            let Err(ChannelParseError::Search { name, words: found, .. }) = parse_channel(typed) else {
                panic!("{typed}")
            };
            assert_eq!((name.as_str(), found.as_str()), ("durov", words), "{typed}");
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
            "durov#news",
            "#durov",
            "-",
            "https://web.telegram.org/k/",
            "https://web.telegram.org/k/#",
            "https://web.telegram.org/k/#/login",
            "https://rsshub.app/telegram/durov",
            "https://rsshub.app/telegram/channel/",
            &long,
        ] {
            assert!(matches!(parse_channel(typed), Err(ChannelParseError::NotAChannel(_))), "{typed:?}");
        }
        assert!(parse_channel(&long).unwrap_err().to_string().len() < 300);
    }
}
