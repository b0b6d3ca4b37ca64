//! Posts: everything a channel publishes, as a person sees it.

use std::fmt;
use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::channel::Channel;
use crate::model::rich_text::RichText;

/// What one channel is known to have published: what is cached, and what feeds are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The channel.
    pub channel: Channel,
    /// Its posts by ascending id, each id once; never empty.
    pub posts: Vec<Post>,
    /// There are older posts than these.
    pub has_older: bool,
}

/// A post's number in its channel. Ids rise with time and have gaps; an album has the id of its first item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PostId(NonZeroU32);

impl PostId {
    /// Higher than any that Telegram gives.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// The id, unless `id` is 0, which Telegram never gives.
    #[must_use]
    pub fn new(id: u32) -> Option<Self> {
        NonZeroU32::new(id).map(Self)
    }
}

impl PostId {
    /// The id as a number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One published post.
///
/// Addresses are absolute and have been resolved, but come from Telegram as they are: whoever shows one
/// sanitizes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Its number in the channel.
    pub id: PostId,
    /// Its address for ever, `https://t.me/NAME/ID`, in t.me's own spelling of the name.
    pub permalink: String,
    /// When it was published.
    pub published: Timestamp,
    /// When a change of its own content was first seen; a page alone does not tell.
    pub updated: Option<Timestamp>,
    /// The page says that it was changed after it was published, but not when.
    pub edited: bool,
    /// It tells what happened to the channel ("Channel photo updated"), rather than being written by someone.
    pub service: bool,
    /// Who signed it.
    pub signature: Option<String>,
    /// The bot through which it was made.
    pub via_bot: Option<NamedLink>,
    /// Where it was forwarded from.
    pub forward: Option<Forward>,
    /// What it answers.
    pub reply: Option<Reply>,
    /// What it shows, in the page's order: photos, videos, stickers, places, ….
    pub media: Vec<Media>,
    /// How often it was seen to show something else than before.
    #[serde(rename = "edition", default, skip_serializing_if = "is_zero")]
    pub revision: u32,
    /// What it says; empty when it only shows something.
    pub text: RichText,
    /// The text stands above the media, not below.
    pub text_above_media: bool,
    /// A poll or a quiz.
    pub poll: Option<Poll>,
    /// Attached files and music, which the preview page names but does not hand out.
    #[serde(rename = "files")]
    pub documents: Vec<Document>,
    /// What the page shows of a link in the text.
    pub preview: Option<LinkPreview>,
    /// Buttons below the post, row after row.
    pub buttons: Vec<NamedLink>,
    /// Parts of a kind that is not known here.
    pub unknown: Vec<UnknownMarkup>,
    /// Set when the preview page does not show the post, with the page's own words for that.
    pub only_in_telegram: Option<String>,
    /// Reactions with their counts; never part of a feed, since they change all the time.
    pub reactions: Vec<Reaction>,
    /// How often it was seen, rounded by Telegram; never part of a feed.
    pub views: Option<u64>,
}

impl Post {
    /// A post that says and shows nothing.
    #[must_use]
    pub fn empty(id: PostId, permalink: String, published: Timestamp) -> Self {
        Self {
            id,
            permalink,
            published,
            updated: None,
            edited: false,
            service: false,
            signature: None,
            via_bot: None,
            forward: None,
            reply: None,
            media: Vec::new(),
            revision: 0,
            text: RichText::default(),
            text_above_media: false,
            poll: None,
            documents: Vec::new(),
            preview: None,
            buttons: Vec::new(),
            unknown: Vec::new(),
            only_in_telegram: None,
            reactions: Vec::new(),
            views: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(revision: &u32) -> bool {
    *revision == 0
}

/// A name with the address it leads to, if any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedLink {
    /// The name as shown.
    pub name: String,
    /// Where it leads.
    pub url: Option<String>,
}

/// Where a post was forwarded from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The channel or person; without address when hidden.
    pub from: NamedLink,
    /// The author within that channel.
    pub author: Option<String>,
}

/// The post that a post answers, as quoted by the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Whose post it is, with the address of that post.
    pub to: NamedLink,
    /// Its text, cut by Telegram, or what it shows ("Video").
    pub text: String,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Width; not 0.
    pub width: u32,
    /// Height; not 0.
    pub height: u32,
}

/// Something a post shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Media {
    /// A photo.
    Photo {
        /// Address of the picture (JPEG).
        url: String,
        /// Telegram's number of the file, which stays when the address changes; albums do not tell it.
        file: Option<u64>,
        /// Size at which the page shows it.
        size: Option<Size>,
    },
    /// A video, with sound or without.
    Video(Video),
    /// A voice message (Ogg).
    Voice {
        /// Address of the recording.
        url: String,
        /// Length in seconds.
        seconds: Option<u32>,
    },
    /// A sticker.
    Sticker {
        /// Address of the sticker's file.
        url: String,
        /// Its format.
        format: StickerFormat,
        /// A still picture of it, for animated stickers.
        still: Option<String>,
    },
    /// A point on the map, or a venue there.
    Location {
        /// Address of the map for people.
        url: String,
        /// Picture of the map.
        map: Option<String>,
        /// Name of the venue.
        title: Option<String>,
        /// Address of the venue.
        address: Option<String>,
    },
    /// A person's card.
    Contact {
        /// Name.
        name: String,
        /// Telephone number.
        phone: Option<String>,
    },
    /// A game.
    Game(GameOrInvoice),
    /// An invoice.
    Invoice(GameOrInvoice),
}

/// A moving picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// Address of the file (MP4). Absent when the preview page finds it too big to hand out.
    pub url: Option<String>,
    /// Address of a still picture.
    pub poster: Option<String>,
    /// Length in seconds.
    pub seconds: Option<u32>,
    /// Size at which the page shows it.
    pub size: Option<Size>,
    /// How Telegram plays it.
    pub kind: VideoKind,
}

/// How Telegram plays a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VideoKind {
    /// On request, with sound.
    Plain,
    /// By itself, silent, again and again: a GIF.
    Animation,
    /// A video message in a circle.
    Round,
}

/// The file format of a sticker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StickerFormat {
    /// A picture.
    Webp,
    /// Telegram's own vector animation, which no feed reader shows.
    Tgs,
    /// A short video.
    Webm,
}

/// A game or an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameOrInvoice {
    /// Its name.
    pub title: String,
    /// What it is.
    pub description: Option<String>,
    /// A picture of it.
    pub image: Option<String>,
    /// What it costs, or what its label says.
    pub note: Option<String>,
}

/// A poll or quiz.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// The question.
    pub question: String,
    /// Telegram's word for its kind: `Anonymous Poll`, `Quiz`, `Final Results`.
    pub kind: String,
    /// The answers to choose from, in order.
    pub options: Vec<PollOption>,
    /// How many voted; never part of a feed.
    pub voters: Option<u64>,
}

/// One answer of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollOption {
    /// The answer.
    pub text: String,
    /// Its share of the votes in percent; never part of a feed.
    pub percent: Option<u8>,
}

/// An attached file that can only be fetched in Telegram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// File name; of a track, its title.
    pub name: String,
    /// Size as shown ("6.5 MB"); of a track, the performer.
    pub note: Option<String>,
    /// It is a piece of music.
    pub audio: bool,
}

/// What the page shows of a linked page. At least one part beside the address is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPreview {
    /// The linked page.
    pub url: String,
    /// Name of its site.
    pub site: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// What it says; line breaks are `\n`.
    pub description: Option<String>,
    /// A picture of it.
    pub image: Option<String>,
    /// A video on it.
    pub video: Option<String>,
    /// A player of its site, meant for an inline frame.
    pub embed: Option<String>,
}

/// A reaction to a post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// What was chosen.
    pub kind: ReactionKind,
    /// How often, rounded by Telegram.
    pub n: u64,
}

/// What a reaction shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReactionKind {
    /// An emoji.
    Emoji(String),
    /// A custom emoji, by Telegram's id.
    Custom(String),
    /// Paid stars.
    Stars,
}

/// A part of a post in markup that is not known here, kept so that nothing is lost in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownMarkup {
    /// Its element and classes, as in a selector: `div.tgme_widget_message_giveaway`.
    pub markup: String,
    /// Its text, if it has any.
    pub text: String,
    /// It also shows something that is no text: a picture, a video.
    pub more_than_text: bool,
}
