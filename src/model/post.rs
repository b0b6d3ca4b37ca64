//! Posts: everything that a channel publishes, as its preview page shows it.

mod counts;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::channel::Channel;
use crate::model::rich_text::{self, RichText};

pub use counts::{Counts, Reaction, ReactionKind};

/// A channel and a range of its posts. Snapshots are cached, and feeds are built from them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The channel header.
    pub channel: Channel,
    /// The posts, sorted by ascending id, without duplicates; never empty.
    pub posts: Vec<Post>,
    /// The channel has older posts than these.
    pub has_older: bool,
}

/// A post's number in its channel. Ids rise with time and have gaps; an album has the id of its first item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PostId(NonZeroU32);

impl PostId {
    /// The highest id, which Telegram does not assign.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// Returns the id, or `None` for 0, which Telegram does not assign.
    #[must_use]
    pub fn new(id: u32) -> Option<Self> {
        NonZeroU32::new(id).map(Self)
    }

    /// Returns the id as a number.
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
/// URLs are absolute but not sanitized; `feed` sanitizes them before it writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The number in the channel.
    pub id: PostId,
    /// The permanent URL, `https://t.me/NAME/ID`, with the name as t.me spells it.
    pub permalink: String,
    /// When it was published.
    pub published: Timestamp,
    /// When a change of the post's content was first seen. A preview page does not show this time.
    pub updated: Option<Timestamp>,
    /// The preview page marks the post as edited, without a time.
    pub edited: bool,
    /// A service message, such as "Channel photo updated".
    pub service: bool,
    /// The name of the author, if the channel signs its posts.
    pub signature: Option<String>,
    /// The inline bot that created the post.
    pub via_bot: Option<NamedLink>,
    /// The source of a forwarded post.
    pub forward: Option<Forward>,
    /// The post that this one replies to.
    pub reply: Option<Reply>,
    /// Photos, videos, stickers, locations and so on, in the preview page's order; also the figures of the text.
    pub media: Vec<Media>,
    /// The sizes in bytes of the files of some media, by their position. A size is known after the file was served.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub file_sizes: BTreeMap<usize, u64>,
    /// How many times the post was edited to show other media.
    #[serde(rename = "edition", default, skip_serializing_if = "is_zero")]
    pub revision: u32,
    /// The text without the captions of documents; empty for a post with media only.
    pub text: RichText,
    /// The text is above the media and documents instead of below.
    pub text_above_media: bool,
    /// A poll or a quiz.
    pub poll: Option<Poll>,
    /// Attached documents and music. The preview page shows their names only, without URLs.
    #[serde(rename = "files")]
    pub documents: Vec<Document>,
    /// The preview of a link in the text.
    pub preview: Option<LinkPreview>,
    /// The buttons below the post, row by row.
    pub buttons: Vec<NamedLink>,
    /// Parts in markup that the parser does not know.
    pub unknown: Vec<UnknownMarkup>,
    /// The explanation on the preview page, verbatim, if it does not show the post itself.
    pub only_in_telegram: Option<String>,
    /// Reactions and their counts. Part of a feed only if its reader wants them, because they change all the time.
    pub reactions: Vec<Reaction>,
    /// The number of views, rounded by Telegram, with the same rule.
    pub views: Option<u64>,
}

impl Post {
    /// Returns the size of the post as JSON, the form in which it is archived and cached.
    #[must_use]
    pub fn json_len(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }

    /// Returns a post without content.
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
            file_sizes: BTreeMap::new(),
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

    /// Returns the media that are not figures of the text, with their numbers.
    pub fn attached_media(&self) -> impl Iterator<Item = (usize, &Media)> {
        let mut figures = self.text.figures().filter(|n| *n < self.media.len()).peekable();
        self.media.iter().enumerate().filter(move |(n, _)| figures.next_if_eq(n).is_none())
    }

    /// Returns the text with the captions of the documents.
    #[must_use]
    pub fn full_text(&self) -> Cow<'_, RichText> {
        let captions = self.documents.iter().map(|document| &document.caption);
        let mut text = Cow::Borrowed(&self.text);
        for caption in captions.filter(|caption| !caption.is_empty()) {
            text.to_mut().push_paragraph(caption);
        }
        text
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
fn is_zero(revision: &u32) -> bool {
    *revision == 0
}

/// A name, usually linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedLink {
    /// The visible name.
    pub name: String,
    /// The link target.
    pub url: Option<String>,
}

/// The source of a forwarded post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The channel or person; without a URL if the author hides the account.
    pub from: NamedLink,
    /// The author who signed the post in that channel.
    pub author: Option<String>,
}

/// The post that another one replies to, as the preview page quotes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The author, linked to the post. The name is empty if the page does not show it.
    pub to: NamedLink,
    /// The text, truncated by Telegram, or the kind of its media ("Video").
    pub text: String,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Never 0.
    pub width: u32,
    /// Never 0.
    pub height: u32,
}

/// A medium of a post.
///
/// A new kind of medium is parsed in `telegram::markup`, `telegram::post` and `telegram::media`, compared in `archive::merge`,
/// and written by `feed::body::media`, `feed::enclosure` and `feed::title`; its file URLs are listed in `model::media_file`,
/// and `cli::check` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Media {
    /// A photo.
    Photo {
        /// The URL of the picture (JPEG); absent if it can be seen in Telegram only.
        url: Option<String>,
        /// Telegram's number of the file, which stays the same when the URL changes. `None` for items of an album.
        file: Option<u64>,
        /// The size at which the preview page shows it.
        size: Option<Size>,
        /// The id under which Telegram shows this item of an album alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<PostId>,
    },
    /// A video or GIF.
    Video(Video),
    /// A voice message (Ogg).
    Voice {
        /// The URL of the recording; absent if it can be heard in Telegram only.
        url: Option<String>,
        /// The duration in seconds; `None` if the page shows none.
        seconds: Option<u32>,
    },
    /// A sticker.
    Sticker {
        /// The URL of the file.
        url: String,
        /// The file format.
        format: StickerFormat,
        /// The URL of a still picture, for animated stickers.
        still: Option<String>,
    },
    /// A point on the map, or a venue there.
    Location {
        /// The URL of a web page with the map.
        url: String,
        /// The URL of a picture of the map.
        map: Option<String>,
        /// The name of the venue.
        title: Option<String>,
        /// The street address of the venue.
        address: Option<String>,
    },
    /// A shared contact.
    Contact {
        /// The person's name.
        name: String,
        /// The telephone number, as displayed.
        phone: Option<String>,
    },
    /// A game of a bot.
    Game(GameOrInvoice),
    /// An invoice of a bot.
    Invoice(GameOrInvoice),
}

/// A video or GIF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// The URL of the file (MP4); absent if the file is too big for the preview page.
    pub url: Option<String>,
    /// The URL of a still picture (JPEG).
    pub poster: Option<String>,
    /// The duration in seconds; `None` if the page shows none.
    pub seconds: Option<u32>,
    /// The size at which the preview page shows it.
    pub size: Option<Size>,
    /// How Telegram plays the video.
    pub kind: VideoKind,
    /// The id under which Telegram shows this item of an album alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<PostId>,
}

/// How Telegram plays a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VideoKind {
    /// With controls and sound.
    Plain,
    /// A GIF: plays automatically, without sound, in a loop.
    Animation,
    /// A round video message.
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
    /// The name of the game or product.
    pub title: String,
    /// The description.
    pub description: Option<String>,
    /// The URL of a picture.
    pub image: Option<String>,
    /// The price or another label.
    pub note: Option<String>,
}

/// A poll or quiz.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// The question, plain text on one line.
    pub question: String,
    /// The kind, verbatim: `Anonymous Poll`, `Quiz`, `Final Results`.
    pub kind: String,
    /// The answers, in the preview page's order.
    pub options: Vec<PollOption>,
    /// The number of voters, which changes all the time.
    pub voters: Option<u64>,
}

/// One answer of a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollOption {
    /// The answer, plain text on one line.
    pub text: String,
    /// The share of the votes, which changes all the time.
    pub percent: Option<u8>,
}

/// An attached file. It can be downloaded in Telegram only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The file name, or the title of a piece of music.
    pub name: String,
    /// The size as displayed ("6.5 MB"), or the performer of a piece of music.
    pub note: Option<String>,
    /// A piece of music rather than a file.
    pub audio: bool,
    /// The id under which Telegram shows this one of several documents alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<PostId>,
    /// The text below the document.
    #[serde(default, skip_serializing_if = "RichText::is_empty")]
    pub caption: RichText,
}

/// The preview of a linked web page. At least one field besides the URL is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkPreview {
    /// The URL of the linked web page.
    pub url: String,
    /// The name of the website.
    pub site: Option<String>,
    /// The title of the web page.
    pub title: Option<String>,
    /// A summary, with its links.
    #[serde(default, deserialize_with = "rich_text::deserialize_rich_or_plain")]
    pub description: Option<RichText>,
    /// The URL of a picture.
    pub image: Option<String>,
    /// The URL of a video.
    pub video: Option<String>,
    /// The URL of the website's player, meant for an iframe.
    pub embed: Option<String>,
}

/// A part of a post in unknown markup. It is kept, so that feeds and `telewire check` can show that something is
/// missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownMarkup {
    /// The element and its classes as a CSS selector: `div.tgme_widget_message_giveaway`.
    pub markup: String,
    /// The text; may be empty.
    pub text: String,
    /// The part also shows pictures, videos or other content besides its text.
    pub more_than_text: bool,
}
