//! The shape of entries: what the reader's options change about a post that is shown anyway.

use std::borrow::Cow;
use std::mem;

use super::options::{EntryIds, FeedOptions, LinkTarget, MediaChoice, Part, Spoilers, TitleStyle};
use super::title;
use crate::model::article::LinkedArticle;
use crate::model::channel::ChannelName;
use crate::model::post::{LinkPreview, Media, Post, PostId};
use crate::model::rich_text::RichText;
use crate::telegram::telegraph::{article_path, article_url};
use crate::telegram::url::{app_url, item_url, preview_url};

/// Returns the post with its spoilers as the options show them.
pub(super) fn with_spoilers<'a>(post: &'a Post, options: &FeedOptions) -> Cow<'a, Post> {
    let shaped = match options.spoilers {
        Spoilers::Fold => return Cow::Borrowed(post),
        Spoilers::Mask => RichText::with_masked_spoilers,
        Spoilers::Show => RichText::with_revealed_spoilers,
    };
    let mut post = post.clone();
    let captions = post.documents.iter_mut().map(|document| &mut document.caption);
    let description = post.preview.iter_mut().filter_map(|preview| preview.description.as_mut());
    for text in [&mut post.text].into_iter().chain(captions).chain(description) {
        *text = shaped(text);
    }
    Cow::Owned(post)
}

/// Returns the post without the parts that the options hide.
pub(super) fn without_hidden<'a>(mut post: Cow<'a, Post>, options: &FeedOptions) -> Cow<'a, Post> {
    for part in &options.hide {
        let post = post.to_mut();
        match part {
            Part::Preview => post.preview = None,
            Part::Forward => post.forward = None,
            Part::ForwardAuthor => {
                if let Some(forward) = &mut post.forward {
                    forward.author = None;
                }
            }
            Part::Reply => post.reply = None,
            Part::Via => post.via_bot = None,
            Part::Buttons => post.buttons.clear(),
            Part::Signature => post.signature = None,
            Part::Media => {
                hide_files(&mut post.text, &mut post.media);
                link_media(post);
                post.preview.take_if(|preview| {
                    let LinkPreview { title, site, description, embed, .. } = preview;
                    title.is_none() && site.is_none() && description.is_none() && embed.is_none()
                });
            }
        }
    }
    if options.media == MediaChoice::None {
        link_media(post.to_mut());
    }
    post
}

/// Returns the post without the preview of an article that follows whole.
pub(super) fn without_previews_of<'a>(articles: &[LinkedArticle], mut post: Cow<'a, Post>) -> Cow<'a, Post> {
    let path = post.preview.as_ref().and_then(|preview| article_path(&preview.url));
    let url = path.map(|path| article_url(&path));
    if articles.iter().any(|linked| Some(&linked.article.url) == url.as_ref()) {
        post.to_mut().preview = None;
    }
    post
}

/// Returns the article with its media as the options show them.
pub(super) fn article<'a>(
    linked: &'a LinkedArticle,
    permalink: &str,
    options: &FeedOptions,
) -> Cow<'a, LinkedArticle> {
    if !options.hide.contains(&Part::Media) && options.media != MediaChoice::None {
        return Cow::Borrowed(linked);
    }
    let mut linked = linked.clone();
    if options.hide.contains(&Part::Media) {
        hide_files(&mut linked.article.text, &mut linked.article.media);
    }
    if options.media == MediaChoice::None {
        link_all(&mut linked.article.media, permalink);
    }
    Cow::Owned(linked)
}

/// Removes pictures, videos, voice messages and stickers. A figure of the text keeps its medium, or has none.
fn hide_files(text: &mut RichText, media: &mut Vec<Media>) {
    let is_file = |medium: &Media| {
        matches!(medium, Media::Photo { .. } | Media::Video(_) | Media::Voice { .. } | Media::Sticker { .. })
    };
    let n_kept = |media: &[Media]| media.iter().filter(|medium| !is_file(medium)).count();
    let number = |n: usize| match media.get(n) {
        Some(medium) if !is_file(medium) => n_kept(&media[..n]),
        _ => usize::MAX,
    };
    *text = mem::take(text).with_figures(number);
    media.retain(|medium| !is_file(medium));
}

fn link_media(post: &mut Post) {
    link_all(&mut post.media, &post.permalink);
    if let Some(preview) = &mut post.preview {
        (preview.image, preview.video) = (None, None);
    }
}

/// Replaces the URL of each file by the permalink, which is not embedded, and drops additional pictures.
fn link_all(media: &mut [Media], permalink: &str) {
    let target =
        |item: Option<PostId>| item.map_or_else(|| permalink.to_owned(), |item| item_url(permalink, item));
    for medium in media {
        match medium {
            Media::Photo { url, item, .. } => *url = Some(target(*item)),
            Media::Voice { url, .. } => *url = Some(permalink.to_owned()),
            Media::Video(video) => {
                // Without a URL, the file is too big for the preview page, and the entry says so.
                video.url = video.url.take().map(|_| target(video.item));
                video.poster = None;
            }
            Media::Sticker { url, still, .. } => {
                permalink.clone_into(url);
                *still = None;
            }
            Media::Location { map, .. } => *map = None,
            Media::Game(offer) | Media::Invoice(offer) => offer.image = None,
            Media::Contact { .. } => {}
        }
    }
}

/// Returns the title; `None` if the reader wants none.
pub(super) fn title(post: &Post, options: &FeedOptions, signature_lines: &[String]) -> Option<String> {
    let language = options.language;
    match options.title {
        TitleStyle::Auto => Some(title::title(post, signature_lines, language)),
        TitleStyle::Line => Some(title::style::first_line(post, language)),
        TitleStyle::Kind => Some(title::style::with_kind(post, signature_lines, language)),
        TitleStyle::None => None,
    }
}

/// Returns the URL that the entry links to.
pub(super) fn url(post: &Post, channel: &ChannelName, target: LinkTarget) -> String {
    match target {
        LinkTarget::Post => post.permalink.clone(),
        LinkTarget::Preview => preview_url(channel.as_str(), post.id),
        LinkTarget::App => app_url(channel.as_str(), post.id),
    }
}

/// Returns the id of the entry.
pub(super) fn id(post: &Post, channel: &ChannelName, ids: &EntryIds) -> String {
    // The name in the permalink stays the same when the channel is renamed.
    let name = post.permalink.rsplit('/').nth(1).unwrap_or(channel.as_str());
    let preview = || preview_url(name, post.id);
    match ids {
        EntryIds::Permalink => post.permalink.clone(),
        EntryIds::Preview => preview(),
        EntryIds::Number => post.id.to_string(),
        EntryIds::Bare => {
            let url = preview();
            url.split_once("://").map_or_else(|| url.clone(), |(_, bare)| bare.to_owned())
        }
        EntryIds::Prefix(prefix) => format!("{prefix}{}", post.id),
    }
}
