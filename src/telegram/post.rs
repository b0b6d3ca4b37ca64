//! Parses a message element of a page into a [`Post`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use scraper::{ElementRef, Node};
use serde::Deserialize;
use thiserror::Error;

use super::markup::{self as class, Role};
use super::{buttons, dom, media, text, url};
use crate::model::channel::ChannelName;
use crate::model::paging::MAX_POST_BYTES;
use crate::model::post::{
    Document, Forward, LinkPreview, NamedLink, Poll, PollOption, Post, PostId, Reaction, ReactionKind, Reply,
    UnknownMarkup,
};
use crate::model::rich_text::RichText;

/// Why a message element could not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum PostError {
    /// Neither `data-post`, nor the date's link, nor `data-view` contains a post id.
    #[error("the message has no post id")]
    NoId,
    /// The post is larger than any that Telegram allows.
    #[error("the message is larger than {} KiB", MAX_POST_BYTES >> 10)]
    TooLarge,
    /// No message on the page has a valid date.
    #[error("the message has no date, and no other one on the page has one")]
    NoDate,
}

/// A post, and what its message element says about the channel.
pub(super) struct Message {
    pub(super) post: Post,
    /// See [`Post::json_len`].
    pub(super) json_len: usize,
    /// The channel's name as t.me spells it.
    pub(super) channel: ChannelName,
    /// The channel's numeric id.
    pub(super) channel_id: Option<u64>,
    /// Unknown tags in texts. Their text is part of the post.
    pub(super) unknown_tags: Vec<String>,
}

/// The `data-view` attribute, which the page's script sends back to count views. Its `t` is the time of the page, not of
/// the post.
#[derive(Default, Deserialize)]
struct DataView {
    /// The channel's id, negated.
    c: Option<i64>,
    /// The post's id: a number, or a string that ends in `g` for an album.
    p: Option<serde_json::Value>,
}

/// Parses a message element. `published` is its own [`published`] date, or its neighbour's. `page_channel` is the channel of
/// the page, for a message that does not name its own.
pub(super) fn parse(
    message: ElementRef<'_>,
    published: Option<Timestamp>,
    page_channel: Option<&ChannelName>,
) -> Result<Message, PostError> {
    let view = data_view(message);
    let footer = footer(message);
    let (channel, id) = channel_and_id(message, footer, &view, page_channel).ok_or(PostError::NoId)?;
    let published = published.ok_or(PostError::NoDate)?;
    let find = |class| dom::first(footer, class);
    let number = |class| find(class).and_then(dom::line).and_then(|text| dom::parse_count(&text));
    let mut builder = PostBuilder {
        name: channel.as_str(),
        voters: number(class::VOTERS),
        unknown_tags: Vec::new(),
        n_figures: 0,
        post: Post {
            edited: find(class::META).is_some_and(|meta| dom::own_text(meta).contains("edited")),
            service: dom::has_class(message, class::SERVICE),
            signature: find(class::SIGNATURE).and_then(dom::line),
            views: number(class::VIEWS),
            ..Post::empty(id, url::post_url(channel.as_str(), id), published)
        },
    };
    builder.parse_children(message);
    let PostBuilder { mut post, unknown_tags, .. } = builder;
    if is_blank(&post) {
        // The page hides the content of this post, so the entry must link to it.
        post.only_in_telegram.get_or_insert_default();
    }
    let json_len = post.json_len();
    if json_len > MAX_POST_BYTES {
        return Err(PostError::TooLarge);
    }
    let channel_id = view.c.and_then(|c| u64::try_from(c.checked_neg()?).ok());
    Ok(Message { post, json_len, channel, channel_id, unknown_tags })
}

/// Returns the footer of a message; the message itself if it has none with a date.
fn footer(message: ElementRef<'_>) -> ElementRef<'_> {
    let has_date = |footer: &ElementRef<'_>| dom::first(*footer, class::DATE).is_some();
    dom::first(message, class::FOOTER).filter(has_date).unwrap_or(message)
}

/// Returns whether a post has no visible content.
fn is_blank(post: &Post) -> bool {
    post.text.is_empty()
        && post.media.is_empty()
        && post.documents.is_empty()
        && post.poll.is_none()
        && post.preview.is_none()
        && post.unknown.is_empty()
}

fn data_view(message: ElementRef<'_>) -> DataView {
    let decode = |view| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(view).ok()?).ok();
    message.attr("data-view").and_then(decode).unwrap_or_default()
}

/// Returns the channel's name as t.me spells it, and the post's id.
///
/// `data-post` contains both. Widgets of 2018 have them only in the date's link, and some pages have the id only in
/// `data-view`. Some posts have no name (`data-post="/220"`): they are the page's channel's.
fn channel_and_id(
    message: ElementRef<'_>,
    footer: ElementRef<'_>,
    view: &DataView,
    page_channel: Option<&ChannelName>,
) -> Option<(ChannelName, PostId)> {
    let link = dom::first(footer, class::DATE).and_then(|date| date.attr("href"));
    let link = link.and_then(|link| link.split_once("://")?.1.split_once('/')).map(|(_, path)| path);
    let places = [message.attr("data-post"), link];
    let parts = || places.iter().flatten().filter_map(|place| place.split_once('/'));
    let name = parts().find_map(|(name, _)| ChannelName::new(name)).or_else(|| page_channel.cloned())?;
    let number = |text: &str| text.trim_end_matches('g').parse().ok().and_then(PostId::new);
    let viewed = view.p.as_ref().and_then(|p| p.as_str().map_or_else(|| number(&p.to_string()), number));
    let id = parts().find_map(|(_, id)| number(id.split(['?', '/']).next()?)).or(viewed)?;
    Some((name, id))
}

/// Returns the date in the post's link. The `<time>` elements of players come first, but are durations.
pub(super) fn published(message: ElementRef<'_>) -> Option<Timestamp> {
    let in_link = dom::first(footer(message), class::DATE).and_then(|date| dom::first_tag(date, "time"));
    in_link?.attr("datetime")?.trim().parse().ok()
}

/// Returns the text of an element, and the URL that it leads to.
fn named_link(link: ElementRef<'_>, channel: &str) -> NamedLink {
    NamedLink { name: dom::line(link).unwrap_or_default(), url: target(link, channel) }
}

fn target(link: ElementRef<'_>, channel: &str) -> Option<String> {
    url::resolve(&dom::href(link)?, channel)
}

/// A post under construction.
struct PostBuilder<'a> {
    /// The channel's name, to resolve relative URLs.
    name: &'a str,
    /// The number of voters in the message's footer.
    voters: Option<u64>,
    unknown_tags: Vec<String>,
    /// How many of the post's media are figures of its text.
    n_figures: usize,
    post: Post,
}

impl PostBuilder<'_> {
    /// Parses the parts in an element, also those inside wrappers.
    fn parse_children(&mut self, element: ElementRef<'_>) {
        for child in element.children() {
            match (child.value(), ElementRef::wrap(child)) {
                (_, Some(child)) => match role(child) {
                    Some(role) => self.parse_part(child, role),
                    None => self.unknown(child),
                },
                (Node::Text(text), None) if !text.trim().is_empty() => {
                    self.post.unknown.push(UnknownMarkup {
                        markup: "text outside of any block".to_owned(),
                        text: text.trim().to_owned(),
                        more_than_text: false,
                    });
                }
                _ => {}
            }
        }
    }

    fn parse_part(&mut self, element: ElementRef<'_>, role: Role) {
        match role {
            Role::Wrapper => self.parse_children(element),
            // `parse` has already read the date, signature and views of the footer.
            Role::Ignored | Role::Footer => {}
            Role::Author => self.via_bot(element),
            Role::Forward => {
                self.via_bot(element);
                self.post.forward = Some(self.forward(element));
            }
            Role::Reply => self.post.reply = Some(self.reply(element)),
            Role::Text => self.text(element),
            Role::Document => {
                self.note_order();
                self.post.documents.extend(document(element));
            }
            Role::Poll => self.post.poll = Some(poll(element, self.voters)),
            Role::Preview | Role::PreviewPart => self.preview(element),
            Role::Reactions => {
                self.post.reactions.extend(dom::all(element, class::REACTION).filter_map(reaction));
            }
            Role::Keyboard => {
                let buttons = dom::all(element, class::BUTTON).map(|button| named_link(button, self.name));
                buttons::add(&mut self.post, buttons);
            }
            Role::OnlyInTelegram => {
                let label = dom::first(element, class::NOT_SUPPORTED_LABEL).and_then(dom::line);
                self.post.only_in_telegram = Some(label.unwrap_or_default());
            }
            Role::Photo
            | Role::ServicePhoto
            | Role::Video
            | Role::RoundVideo
            | Role::Voice
            | Role::Sticker
            | Role::Location
            | Role::Contact
            | Role::Game
            | Role::Invoice => match media::parse(element, role, self.name) {
                Some(medium) => {
                    self.note_order();
                    self.post.media.push(medium);
                }
                None => self.unknown(element),
            },
        }
    }

    /// Notes before the first medium or document whether the text stands above it.
    fn note_order(&mut self) {
        let (post, n_figures) = (&mut self.post, self.n_figures);
        let is_first = post.media.len() == n_figures && post.documents.is_empty();
        post.text_above_media |= is_first && !post.text.is_empty();
    }

    fn text(&mut self, element: ElementRef<'_>) {
        // A caption of an album is a text inside a text.
        if dom::first(element, class::TEXT).is_some() {
            return self.parse_children(element);
        }
        let mut tags = Vec::new();
        // The text below a document is its caption. With several documents, each may have one.
        if let Some(document) = self.post.documents.last_mut() {
            document.caption.push_paragraph(&text::parse(element, self.name, &mut tags, None));
        } else {
            let n_media = self.post.media.len();
            let text = text::parse(element, self.name, &mut tags, Some(&mut self.post.media));
            self.n_figures += self.post.media.len() - n_media;
            self.post.text.push_paragraph(&text);
        }
        for tag in tags {
            if shows_more_than_text(&tag) {
                let markup = format!("{tag} inside a text");
                self.post.unknown.push(UnknownMarkup { markup, text: String::new(), more_than_text: true });
            } else {
                self.unknown_tags.push(tag);
            }
        }
    }

    fn via_bot(&mut self, element: ElementRef<'_>) {
        let bot = dom::first(element, class::VIA_BOT).map(|bot| named_link(bot, self.name));
        self.post.via_bot = bot.or(self.post.via_bot.take());
    }

    fn forward(&self, element: ElementRef<'_>) -> Forward {
        let name = dom::first(element, class::FORWARD_NAME);
        let mut from = named_link(name.unwrap_or(element), self.name);
        if name.is_none() {
            from.name = from.name.trim_start_matches("Forwarded from").trim().to_owned();
        }
        let author = dom::first(element, class::FORWARD_AUTHOR).and_then(dom::line);
        Forward { from, author }
    }

    fn reply(&self, element: ElementRef<'_>) -> Reply {
        let name = dom::first(element, class::REPLY_AUTHOR).and_then(dom::line);
        let quote = [class::REPLY_TEXT, class::REPLY_METATEXT, class::TEXT];
        let quote = quote.iter().find_map(|class| dom::first(element, class));
        // Without its element, the name is what precedes the quote.
        let name = name.or_else(|| {
            let (whole, quote) = (dom::line(element)?, quote.and_then(dom::line).unwrap_or_default());
            Some(whole.strip_suffix(&quote)?.trim().to_owned())
        });
        let to = NamedLink { name: name.unwrap_or_default(), url: target(element, self.name) };
        Reply { to, text: quote.map(dom::lines).unwrap_or_default() }
    }

    /// Parses a link preview, or a part of one that the HTML parser moved out of it.
    fn preview(&mut self, element: ElementRef<'_>) {
        let preview = self.post.preview.get_or_insert_default();
        // A preview has at most one part of each kind; the element may be a part itself.
        let part = |name: &str| {
            if dom::has_class(element, name) { Some(element) } else { dom::first(element, name) }
        };
        let absolute = |url: &str| url::resolve(url, self.name);
        let link = element.attr("href").or_else(|| dom::first(element, class::PREVIEW)?.attr("href"));
        if let (true, Some(url)) = (preview.url.is_empty(), link.and_then(absolute)) {
            preview.url = url;
        }
        let text = |class| part(class).map(dom::lines).filter(|text| !text.is_empty());
        let image = class::PREVIEW_IMAGES.iter().find_map(|class| dom::background_url(part(class)?));
        let source = |name| dom::first_tag(element, name)?.attr("src").and_then(absolute);
        preview.site = preview.site.take().or_else(|| text(class::PREVIEW_SITE));
        preview.title = preview.title.take().or_else(|| text(class::PREVIEW_TITLE));
        let description = || {
            let description =
                text::parse(part(class::PREVIEW_TEXT)?, self.name, &mut self.unknown_tags, None);
            Some(description).filter(|description| !description.is_empty())
        };
        preview.description = preview.description.take().or_else(description);
        preview.image = preview.image.take().or_else(|| image.and_then(absolute));
        preview.video = preview.video.take().or_else(|| source("video"));
        preview.embed = preview.embed.take().or_else(|| source("iframe"));
        let LinkPreview { url: _, site, title, description, image, video, embed } = &*preview;
        if description.is_none() && [site, title, image, video, embed].iter().all(|part| part.is_none()) {
            self.post.preview = None;
            self.unknown(element);
        }
    }

    fn unknown(&mut self, element: ElementRef<'_>) {
        let classes = dom::classes(element).map(|class| format!(".{class}")).collect::<String>();
        let text = dom::lines(element);
        let more_than_text = element.descendent_elements().any(|element| {
            shows_more_than_text(element.value().name()) || dom::background_url(element).is_some()
        });
        if !text.is_empty() || more_than_text {
            let markup = format!("{}{classes}", element.value().name());
            self.post.unknown.push(UnknownMarkup { markup, text, more_than_text });
        }
    }
}

/// Returns the role of an element, by the first of its classes that has one, else by its tag.
fn role(element: ElementRef<'_>) -> Option<Role> {
    // Telegram's style sheet hides this class; on stickers the element also has a class with another role.
    if dom::has_class(element, "media_not_supported_cont") {
        return Some(Role::Ignored);
    }
    let plain = dom::classes(element).all(|class| class.starts_with("js-"));
    dom::classes(element).find_map(class::role).or(match element.value().name() {
        "svg" | "script" | "style" | "br" => Some(Role::Ignored),
        "div" | "span" | "section" | "p" | "a" if plain => Some(Role::Wrapper),
        _ => None,
    })
}

fn shows_more_than_text(tag: &str) -> bool {
    matches!(tag, "img" | "video" | "audio" | "source" | "iframe" | "object" | "embed" | "canvas")
}

fn document(element: ElementRef<'_>) -> Option<Document> {
    let part = |class| dom::first(element, class).and_then(dom::line);
    // A file without a name is named by its size.
    let (name, note) = match (part(class::FILE_TITLE), part(class::FILE_EXTRA)) {
        (Some(name), note) => (name, note),
        (None, note) => (note?, None),
    };
    Some(Document {
        name,
        note,
        audio: dom::first(element, class::FILE_ICON).is_some_and(|icon| dom::has_class(icon, class::AUDIO)),
        item: element.attr("href").and_then(url::item_id),
        caption: RichText::default(),
    })
}

fn poll(element: ElementRef<'_>, voters: Option<u64>) -> Poll {
    let text = |element, class| dom::first(element, class).and_then(dom::line);
    Poll {
        question: text(element, class::POLL_QUESTION).unwrap_or_default(),
        kind: text(element, class::POLL_TYPE).unwrap_or_default(),
        options: dom::all(element, class::POLL_OPTION)
            .map(|option| PollOption {
                text: text(option, class::POLL_OPTION_TEXT).unwrap_or_default(),
                percent: text(option, class::POLL_OPTION_PERCENT)
                    .and_then(|percent| percent.trim_end_matches('%').parse().ok()),
            })
            .collect(),
        voters,
    }
}

fn reaction(element: ElementRef<'_>) -> Option<Reaction> {
    let kind = if dom::has_class(element, class::REACTION_PAID) {
        ReactionKind::Stars
    } else if let Some(custom) = dom::first_tag(element, "tg-emoji") {
        ReactionKind::Custom(custom.attr("emoji-id")?.to_owned())
    } else {
        ReactionKind::Emoji(dom::first(element, "emoji").and_then(dom::line)?)
    };
    Some(Reaction { kind, n: dom::parse_count(&dom::own_text(element))? })
}
