//! The values of options: names that stand for variants, lists of names, numbers and durations.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use url::Url;

use crate::model::paging::MAX_POSTS_PER_PAGE;

/// The longest duration of an option, 100 years: more than the age of any post.
const MAX_SECONDS: i64 = 100 * 365 * 86_400;

/// The units of durations, the longest first, in seconds.
const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The longest prefix of entry ids, in bytes.
const MAX_PREFIX_BYTES: usize = 200;

/// The most tags of one feed.
const MAX_TAGS: usize = 32;

/// The longest tag, in bytes. Telegram's own limit is lower.
const MAX_TAG_BYTES: usize = 256;

/// A value that has a name in URLs.
pub trait Choice: Copy + Ord + 'static {
    /// Every value with its name.
    const ALL: &'static [(&'static str, Self)];

    /// Returns the value with this name.
    #[must_use]
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Returns the name.
    #[must_use]
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

/// Returns the names of all values.
pub(super) fn names<T: Choice>() -> Vec<&'static str> {
    T::ALL.iter().map(|(name, _)| *name).collect()
}

/// Adds a comma-separated list of names to a set; `None` if one of them is unknown.
pub(super) fn add_choices<T: Choice>(set: &mut BTreeSet<T>, list: &str) -> Option<()> {
    let added = list.split(',').map(|name| T::from_name(name.trim()));
    set.extend(added.collect::<Option<Vec<T>>>()?);
    Some(())
}

/// Returns a set as a list of names.
pub(super) fn choices<T: Choice>(set: &BTreeSet<T>) -> Vec<String> {
    joined(set.iter().map(|value| value.name()), ",")
}

/// Returns a value by its name, unless it is the default.
pub(super) fn choice<T: Choice + Default>(value: T) -> Vec<String> {
    if value == T::default() { Vec::new() } else { vec![value.name().to_owned()] }
}

/// Adds a comma-separated list of hashtags to a set. They are compared in lower case and without their sign.
pub(super) fn add_tags(set: &mut BTreeSet<String>, list: &str) -> Option<()> {
    for tag in list.split(',') {
        let tag = tag.trim().trim_start_matches(['#', '$']).to_lowercase();
        let is_tag = !tag.is_empty()
            && tag.len() <= MAX_TAG_BYTES
            && tag.chars().all(|c| !c.is_whitespace() && !c.is_control());
        set.insert(is_tag.then_some(tag)?);
    }
    (set.len() <= MAX_TAGS).then_some(())
}

/// Returns the tags as a list.
pub(super) fn tags(set: &BTreeSet<String>) -> Vec<String> {
    joined(set.iter().map(String::as_str), ",")
}

/// Returns the names as one value; no value without names.
pub(super) fn joined<'a>(names: impl Iterator<Item = &'a str>, separator: &str) -> Vec<String> {
    let list = names.collect::<Vec<_>>().join(separator);
    if list.is_empty() { Vec::new() } else { vec![list] }
}

/// Parses a positive number of posts and clamps it to the maximum.
pub(super) fn limit(text: &str) -> Option<u8> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))?;
    (limit > 0).then(|| u8::try_from(limit).unwrap_or(u8::MAX).min(MAX_POSTS_PER_PAGE))
}

/// Parses a positive duration with one unit, such as `90m`, and clamps it to the maximum.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number = &text[..text.len() - 1];
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| number.parse::<i64>().unwrap_or(i64::MAX))?;
    (number > 0).then(|| SignedDuration::from_secs(number.saturating_mul(seconds).min(MAX_SECONDS)))
}

/// Writes a duration with the longest unit that divides it.
pub(super) fn duration_text(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (unit, length) = UNITS.into_iter().find(|(_, length)| seconds % length == 0).unwrap_or(('s', 1));
    format!("{}{unit}", seconds / length)
}

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
    /// They do not.
    #[default]
    Insensitive,
    /// They do.
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
    /// As the server does by default.
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
    /// As plain text, in titles too.
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

/// What follows a post.
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

/// Returns the name of a time zone in its canonical spelling; empty for UTC.
pub(super) fn zone(text: &str) -> Option<String> {
    let zone = TimeZone::get(text).ok()?;
    Some(if zone == TimeZone::UTC { String::new() } else { zone.iana_name()?.to_owned() })
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
