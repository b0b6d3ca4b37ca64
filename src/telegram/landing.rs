//! What a page without posts means.
//!
//! Telegram answers 200 or a redirect to almost anything; what is the matter is only in the page. Each case has
//! a sentence of its own, for the person who typed the channel's name.

use scraper::{ElementRef, Html};
use thiserror::Error;

use super::dom;
use super::selectors as class;

/// Why there are no posts to be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoPosts {
    /// Nobody on Telegram has this name in public.
    #[error("nobody on Telegram has this name, or the channel is private: check the spelling")]
    Nobody,
    /// Telegram does not take this for a name at all.
    #[error("Telegram does not accept this as a channel's name: check the spelling")]
    NotAName,
    /// A person.
    #[error("this is a person's name, not a channel's: only public channels have posts to read")]
    User,
    /// A bot.
    #[error("this is a bot, not a channel: only public channels have posts to read")]
    Bot,
    /// A group, where members talk.
    #[error(
        "this is a group, not a channel: Telegram shows the posts of groups only to people with an account"
    )]
    Group,
    /// Something that only invited people can read.
    #[error("this is an invitation to a private chat: private channels and groups have no public page")]
    Invite,
    /// A channel whose posts Telegram does not show on the web.
    #[error(
        "this channel exists, but Telegram does not show its posts on the web: its owner has switched the preview \
         off, or Telegram has restricted the channel"
    )]
    PreviewOff,
    /// Telegram has blocked the channel, and says why.
    #[error("Telegram does not show this channel: {0}")]
    Blocked(String),
    /// A channel that has not published anything.
    #[error("this channel exists, but has not published anything yet")]
    Empty,
    /// The page of a single post, or its widget, rather than of a channel.
    #[error("this is the page of a single post, not of a channel")]
    SinglePost,
    /// The widget of a post that is gone.
    #[error("this post does not exist, or no longer")]
    PostGone,
    /// A page that is known to be untrue, or cannot be told from one: Telegram answers so when asked too often.
    #[error("Telegram holds this channel's posts back for the moment, as it does when it is asked too often")]
    SoftBan,
    /// The upstream sends us somewhere else.
    #[error("Telegram sends this request elsewhere, to {0}")]
    Elsewhere(String),
    /// The page ends before its end.
    #[error("the page of this channel arrived cut short")]
    CutShort,
    /// The page is of another channel.
    #[error("Telegram answered with the page of another channel, {0}")]
    OtherChannel(String),
    /// There are posts on the page, and not one could be read.
    #[error("none of the {0} posts on this page could be read: Telegram may have changed its markup")]
    Unreadable(usize),
    /// Nested or crowded beyond anything Telegram makes.
    #[error("the answer is not a page of Telegram's: it is nested or crowded beyond measure")]
    TooComplex,
    /// Something else: a log-in page, a network's own page, an error.
    #[error("the answer is not a page of Telegram's; something on the way may have answered in its place")]
    NotTelegram,
}

impl NoPosts {
    /// Whether Telegram itself says that there is nothing to be had, rather than something having gone wrong on
    /// the way. Only the first is worth remembering.
    #[must_use]
    pub fn is_telegrams_word(&self) -> bool {
        match self {
            Self::Nobody
            | Self::NotAName
            | Self::User
            | Self::Bot
            | Self::Group
            | Self::Invite
            | Self::PreviewOff
            | Self::Blocked(_)
            | Self::Empty
            | Self::SinglePost
            | Self::PostGone => true,
            Self::SoftBan
            | Self::Elsewhere(_)
            | Self::CutShort
            | Self::OtherChannel(_)
            | Self::Unreadable(_)
            | Self::TooComplex
            | Self::NotTelegram => false,
        }
    }
}

/// Tells what a page without a single message is.
pub(super) fn classify(html: &Html) -> NoPosts {
    let root = html.root_element();
    let find = |class| dom::first(root, class);
    let text = |class| find(class).and_then(dom::line);
    if let Some(error) = text(class::WIDGET_ERROR) {
        return if error == "Post not found" { NoPosts::PostGone } else { NoPosts::Blocked(error) };
    }
    if let Some(info) = find(class::CHANNEL_INFO) {
        return preview_without_posts(info, find(class::OLDER).is_some());
    }
    if find(class::NO_POSTS).is_some() {
        return NoPosts::SoftBan;
    }
    if find(class::POST_PAGE).is_some() {
        return NoPosts::SinglePost;
    }
    if let Some(landing) = landing(root) {
        return landing;
    }
    if title(root).is_some_and(|title| title == "Telegram Messenger") && has_class_prefix(root, "tl_main") {
        return NoPosts::NotAName;
    }
    NoPosts::NotTelegram
}

/// An empty channel counts nothing but its subscribers; one that counts photos and links has posts, whatever
/// the page says.
fn preview_without_posts(info: ElementRef<'_>, has_older: bool) -> NoPosts {
    let kinds = dom::all(info, class::COUNTER_TYPE).filter_map(dom::line);
    let counts_posts = kinds.into_iter().any(|kind| !is_audience(&kind));
    if counts_posts || has_older { NoPosts::SoftBan } else { NoPosts::Empty }
}

fn is_audience(word: &str) -> bool {
    word.starts_with("subscriber") || word.starts_with("member")
}

/// The page `t.me/NAME`, in the order of checks that tells all captures apart.
fn landing(root: ElementRef<'_>) -> Option<NoPosts> {
    let action = dom::first(root, class::LANDING_ACTION)?;
    let label = dom::line(action).unwrap_or_default();
    let name = dom::first(root, class::LANDING_TITLE).and_then(dom::line);
    let extras: Vec<String> = dom::all(root, class::LANDING_EXTRA).filter_map(dom::line).collect();
    let extra = |what: fn(&str) -> bool| extras.iter().any(|extra| what(extra));
    let app_link = meta(root, "al:ios:url").unwrap_or_default();

    Some(if app_link.contains("invite=") || label.starts_with("Join ") {
        NoPosts::Invite
    } else if extra(|extra| extra.split(' ').any(|word| word.starts_with("subscriber"))) {
        // With a preview to offer, being sent here is an untrue answer.
        let offers_preview = dom::first(root, class::LANDING_PREVIEW).is_some();
        if offers_preview { NoPosts::SoftBan } else { NoPosts::PreviewOff }
    } else if extra(|extra| extra.contains(" member")) {
        NoPosts::Group
    } else if label == "Start Bot" || extra(is_of_a_bot) {
        NoPosts::Bot
    } else if name.is_some() {
        if label == "Send Message" { NoPosts::User } else { NoPosts::PreviewOff }
    } else if label == "View Post" {
        NoPosts::Blocked(dom::first(root, class::LANDING_ABOUT).and_then(dom::line).unwrap_or_default())
    } else {
        NoPosts::Nobody
    })
}

/// Only bots count users, and only bots have names that end in `bot`.
fn is_of_a_bot(extra: &str) -> bool {
    extra.contains("monthly user") || (extra.starts_with('@') && extra.to_ascii_lowercase().ends_with("bot"))
}

/// The content of a `<meta>` of the page, by its name or property.
pub(super) fn meta<'a>(root: ElementRef<'a>, name: &str) -> Option<&'a str> {
    root.descendent_elements()
        .filter(|element| element.value().name() == "meta")
        .find(|meta| meta.attr("property").or_else(|| meta.attr("name")) == Some(name))
        .and_then(|meta| meta.attr("content"))
}

fn title(root: ElementRef<'_>) -> Option<String> {
    dom::tag(root, "title").and_then(dom::line)
}

fn has_class_prefix(root: ElementRef<'_>, prefix: &str) -> bool {
    root.descendent_elements().any(|element| dom::classes(element).any(|class| class.starts_with(prefix)))
}
