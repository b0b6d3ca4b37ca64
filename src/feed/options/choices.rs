//! The named values of options, and the ids of entries.

use url::Url;

use super::values::Choice;

/// The longest prefix of entry ids, in bytes.
const MAX_PREFIX_BYTES: usize = 200;

/// The kind of a post. A post can be of several kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Text, and nothing that has another kind of content.
    Text,
    /// A photo.
    Photo,
    /// A video, but no GIF and no round one.
    Video,
    /// A GIF.
    Gif,
    /// A round video message.
    Round,
    /// A voice message.
    Voice,
    /// A piece of music.
    Audio,
    /// Another file.
    Document,
    /// A sticker.
    Sticker,
    /// A poll or a quiz.
    Poll,
    /// A point on the map.
    Location,
    /// A service message.
    Service,
    /// Forwarded from elsewhere.
    Forward,
    /// A reply to another post.
    Reply,
    /// Visible in Telegram only.
    Unsupported,
    /// Marked as an advertisement, as a law demands.
    Ad,
}

impl Choice for Kind {
    const ALL: &'static [(&'static str, Self)] = &[
        ("text", Self::Text),
        ("photo", Self::Photo),
        ("video", Self::Video),
        ("gif", Self::Gif),
        ("round", Self::Round),
        ("voice", Self::Voice),
        ("audio", Self::Audio),
        ("document", Self::Document),
        ("sticker", Self::Sticker),
        ("poll", Self::Poll),
        ("location", Self::Location),
        ("service", Self::Service),
        ("forward", Self::Forward),
        ("reply", Self::Reply),
        ("unsupported", Self::Unsupported),
        ("ad", Self::Ad),
    ];
}

/// A part of a body that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The preview of a linked web page.
    Preview,
    /// The line "Forwarded from".
    Forward,
    /// The author in that line.
    ForwardAuthor,
    /// The quotation of the post that this one replies to.
    Reply,
    /// The inline bot.
    Via,
    /// The buttons.
    Buttons,
    /// The author who signed the post.
    Signature,
    /// Pictures, videos, voice messages and stickers.
    Media,
}

impl Choice for Part {
    const ALL: &'static [(&'static str, Self)] = &[
        ("preview", Self::Preview),
        ("forward", Self::Forward),
        ("forward-author", Self::ForwardAuthor),
        ("reply", Self::Reply),
        ("via", Self::Via),
        ("buttons", Self::Buttons),
        ("signature", Self::Signature),
        ("media", Self::Media),
    ];
}

/// A count that feeds do not show by default, because it changes all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// The number of views.
    Views,
    /// The reactions.
    Reactions,
    /// The votes of a poll.
    PollResults,
}

impl Choice for Count {
    const ALL: &'static [(&'static str, Self)] =
        &[("views", Self::Views), ("reactions", Self::Reactions), ("poll-results", Self::PollResults)];
}

/// Whether words and expressions distinguish upper from lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// "ton" finds "TON".
    #[default]
    Insensitive,
    /// "ton" does not find "TON".
    Sensitive,
}

impl Choice for Case {
    const ALL: &'static [(&'static str, Self)] =
        &[("insensitive", Self::Insensitive), ("sensitive", Self::Sensitive)];
}

/// How titles are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TitleStyle {
    /// From the first line that says something.
    #[default]
    Auto,
    /// The first line of the text as it is.
    Line,
    /// The kind of the post, followed by its line.
    Kind,
    /// No title.
    None,
}

impl Choice for TitleStyle {
    const ALL: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("line", Self::Line), ("kind", Self::Kind), ("none", Self::None)];
}

/// Where the link of an entry leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkTarget {
    /// The page of the post, which offers to open the app.
    #[default]
    Post,
    /// The preview page of the channel, at the post.
    Preview,
    /// The app.
    App,
}

impl Choice for LinkTarget {
    const ALL: &'static [(&'static str, Self)] =
        &[("post", Self::Post), ("preview", Self::Preview), ("app", Self::App)];
}

/// How a feed links pictures and videos, instead of the server's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaChoice {
    /// The server's default.
    #[default]
    Auto,
    /// Permanent URLs, under which the server streams the files.
    Proxy,
    /// Permanent URLs, which redirect to Telegram.
    Redirect,
    /// Telegram's own URLs.
    Direct,
    /// Only links to the post.
    None,
}

impl Choice for MediaChoice {
    const ALL: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("proxy", Self::Proxy),
        ("redirect", Self::Redirect),
        ("direct", Self::Direct),
        ("none", Self::None),
    ];
}

/// How spoilers are shown in bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoilers {
    /// Folded until the reader opens them.
    #[default]
    Fold,
    /// Replaced by a mask.
    Mask,
    /// Shown as plain text, in titles too.
    Show,
}

impl Choice for Spoilers {
    const ALL: &'static [(&'static str, Self)] =
        &[("fold", Self::Fold), ("mask", Self::Mask), ("show", Self::Show)];
}

/// Which posts of several channels are left out, because the feed has them already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dedupe {
    /// None.
    #[default]
    None,
    /// Forwards of posts of other channels of the feed, and second forwards of one post.
    Forwards,
}

impl Choice for Dedupe {
    const ALL: &'static [(&'static str, Self)] = &[("none", Self::None), ("forwards", Self::Forwards)];
}

/// Whether posts are merged into digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Merge {
    /// Each post is an entry.
    #[default]
    None,
    /// One entry for each day.
    Day,
    /// One entry for each week, which begins on Monday.
    Week,
}

impl Choice for Merge {
    const ALL: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("day", Self::Day), ("week", Self::Week)];
}

/// The content that is added after a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Full {
    /// Nothing.
    #[default]
    None,
    /// The articles on Telegraph that it links to.
    Telegraph,
}

impl Choice for Full {
    const ALL: &'static [(&'static str, Self)] = &[("none", Self::None), ("telegraph", Self::Telegraph)];
}

/// The ids of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EntryIds {
    /// The permalink.
    #[default]
    Permalink,
    /// The URL of the post on the preview page.
    Preview,
    /// The number of the post.
    Number,
    /// [`Preview`](Self::Preview) without the scheme.
    Bare,
    /// This prefix, followed by the number of the post.
    Prefix(String),
}

impl EntryIds {
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("permalink", Self::Permalink),
        ("preview", Self::Preview),
        ("number", Self::Number),
        ("bare", Self::Bare),
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some((_, ids)) = Self::NAMES.into_iter().find(|(name, _)| *name == text) {
            return Some(ids);
        }
        let is_url = |text: &str| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        let is_prefix = text.len() <= MAX_PREFIX_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && is_url(text);
        is_prefix.then(|| Self::Prefix(text.to_owned()))
    }

    pub(super) fn text(&self) -> Vec<String> {
        match self {
            Self::Permalink => Vec::new(),
            Self::Prefix(prefix) => vec![prefix.clone()],
            named => Self::NAMES
                .iter()
                .filter(|(_, ids)| ids == named)
                .map(|(name, _)| (*name).to_owned())
                .collect(),
        }
    }
}
