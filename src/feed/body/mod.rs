//! The body of an entry: the whole post as HTML.
//!
//! Views, reactions and poll results are left out unless the reader wants them: they change without the author editing
//! the post, and the same post must always give the same bytes.

mod article;
mod counts;
pub(super) mod html;
mod media;
mod poll;
mod rich_text;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::media_links::MediaLinks;
use super::options::FeedOptions;
use super::plain_text;
use super::sanitize::sanitize;
use crate::language::{FeedWords, Language};
use crate::model::article::LinkedArticle;
use crate::model::media_file::MediaSlot;
use crate::model::post::{
    Document, Forward, LinkPreview, Media, NamedLink, Post, Reply, UnknownMarkup, Video, VideoKind,
};
use crate::model::rich_text::RichText;

/// Telegram's explanation for a post that the preview page does not show. It is English in every channel.
const EXPLANATION: &str = "Please open Telegram to view this post";

/// Returns the whole post as sanitized HTML; never empty.
pub(super) fn body(
    post: &Post,
    articles: &[Cow<'_, LinkedArticle>],
    links: MediaLinks<'_>,
    options: &FeedOptions,
) -> String {
    let words = &options.language.words().feed;
    let mut out = String::with_capacity(512 + 2 * post.text.text().len());
    if let Some(source) = &post.forward {
        forward(&mut out, source, words);
    }
    if let Some(bot) = &post.via_bot {
        via_bot(&mut out, bot, words);
    }
    if let Some(replied) = &post.reply {
        reply(&mut out, replied, words);
    }
    // Authors link an invisible character so that Telegram shows a preview of the page, which has the link then.
    let text = post.preview.as_ref().map_or(Cow::Borrowed(&post.text), |preview| {
        post.text.without_blank_links(&preview.url, plain_text::is_blank)
    });
    let figures = |out: &mut String, n, target: Option<&str>| figure(out, post, n, target, links, words);
    if post.text_above_media {
        rich_text::write(&mut out, &text, &figures, words);
    }
    for (n, medium) in post.attached_media() {
        media::write(&mut out, medium, &post.permalink, links.at(MediaSlot::Medium(n)), words);
    }
    for attached in &post.documents {
        document(&mut out, attached, &post.permalink, words);
        rich_text::write(&mut out, &attached.caption, &figures, words);
    }
    if !post.text_above_media {
        rich_text::write(&mut out, &text, &figures, words);
    }
    if let Some(question) = &post.poll {
        poll::write(&mut out, question, options);
    }
    if let Some(linked) = &post.preview {
        link_preview(&mut out, linked, links.at(MediaSlot::Preview), words);
    }
    buttons(&mut out, &post.buttons);
    for part in &post.unknown {
        unknown(&mut out, part, &post.permalink, words);
    }
    if let Some(explanation) = &post.only_in_telegram {
        only_in_telegram(&mut out, explanation, &post.permalink, options.language);
    }
    if out.is_empty() {
        html::block(&mut out, "p", |out| html::link(out, words.see_post, Some(&post.permalink)));
    }
    counts::write(&mut out, post, options);
    for linked in articles {
        article::write(&mut out, linked, links, words);
    }
    sanitize(out.trim_end())
}

/// Returns a channel's description as sanitized HTML.
pub(super) fn description(about: &RichText, words: &FeedWords) -> String {
    let mut out = String::new();
    rich_text::write(&mut out, about, &|_, _, _| (), words);
    sanitize(out.trim_end())
}

/// Writes a figure of the text, which may be linked.
fn figure(
    out: &mut String,
    post: &Post,
    n: usize,
    target: Option<&str>,
    links: MediaLinks<'_>,
    words: &FeedWords,
) {
    let links = links.at(MediaSlot::Medium(n));
    match (post.media.get(n), target) {
        (Some(Media::Photo { url, size, .. }), Some(target)) => {
            media::picture(
                out,
                words.photo,
                url.as_deref(),
                *size,
                media::PicturePage::Linked(target),
                links,
            );
        }
        (Some(medium), _) => media::write(out, medium, &post.permalink, links, words),
        (None, _) => {}
    }
}

/// Writes a text with a link in place of its `{}`.
fn with_link(out: &mut String, text: &str, link: &NamedLink) {
    let (before, after) = text.split_once("{}").unwrap_or((text, ""));
    html::text(out, before);
    html::link(out, &link.name, link.url.as_deref());
    html::text(out, after);
}

fn forward(out: &mut String, forward: &Forward, words: &FeedWords) {
    html::block(out, "p", |out| {
        with_link(out, words.forwarded_from, &forward.from);
        if let Some(author) = &forward.author {
            out.push_str(" (");
            html::text(out, author);
            out.push(')');
        }
    });
}

fn via_bot(out: &mut String, bot: &NamedLink, words: &FeedWords) {
    html::block(out, "p", |out| html::element(out, "i", |out| with_link(out, words.via, bot)));
}

fn reply(out: &mut String, reply: &Reply, words: &FeedWords) {
    html::block(out, "p", |out| match &reply.to {
        NamedLink { name, url } if plain_text::is_blank(name) => {
            html::link(out, words.in_reply_to_post, url.as_deref());
        }
        author => with_link(out, words.in_reply_to, author),
    });
    let text = media_kind(&reply.text, words);
    html::group(out, "blockquote", |out| html::block(out, "p", |out| html::lines(out, text)));
}

/// Returns the kind of a medium, which is English on the preview page, or another text as it is.
fn media_kind<'a>(text: &'a str, words: &'a FeedWords) -> &'a str {
    let kinds = |words: &'a FeedWords| {
        let FeedWords { photo, video, gif, video_message, voice_message, sticker, .. } = words;
        let FeedWords { location, contact, game, invoice, music, file, poll, quiz, .. } = words;
        [
            photo,
            video,
            gif,
            video_message,
            voice_message,
            sticker,
            location,
            contact,
            game,
            invoice,
            music,
            file,
            poll,
            quiz,
        ]
    };
    let english = kinds(&Language::English.words().feed);
    english.iter().position(|kind| **kind == text).map_or(text, |n| kinds(words)[n])
}

fn document(out: &mut String, document: &Document, permalink: &str, words: &FeedWords) {
    html::block(out, "p", |out| {
        out.push_str(if document.audio { "🎵 " } else { "📎 " });
        html::text(out, &document.name);
        if let Some(note) = &document.note {
            let (before, after) = if document.audio { (" — ", "") } else { (" (", ")") };
            out.push_str(before);
            html::text(out, note);
            out.push_str(after);
        }
        out.push_str(" — ");
        html::link(out, words.open_in_telegram, Some(&html::item_url(permalink, document.item)));
    });
}

/// Writes a link preview in the order of the preview page: site, picture, title, description. The title is the link, else
/// the site, else the picture or the player.
fn link_preview(out: &mut String, preview: &LinkPreview, links: MediaLinks<'_>, words: &FeedWords) {
    let target = Some(preview.url.as_str());
    let link = |out: &mut String, label: &String| {
        html::element(out, "b", |out| html::link(out, label, target));
    };
    html::group(out, "blockquote", |out| {
        html::block(out, "p", |out| match (&preview.site, &preview.title) {
            (Some(site), Some(_)) => html::text(out, site),
            (Some(site), None) => link(out, site),
            (None, _) => {}
        });
        if let Some(url) = &preview.video {
            let video = Video {
                url: Some(url.clone()),
                poster: preview.image.clone(),
                seconds: None,
                size: None,
                kind: VideoKind::Plain,
                item: None,
            };
            media::video(out, &video, &preview.url, links, words);
        } else if let Some(image) = &preview.image {
            media::picture(
                out,
                words.picture,
                Some(image),
                None,
                media::PicturePage::Linked(&preview.url),
                links,
            );
        } else if preview.site.is_none() && preview.title.is_none() {
            html::group(out, "p", |out| html::link(out, &preview.url, target));
        }
        html::block(out, "p", |out| {
            if let Some(title) = &preview.title {
                link(out, title);
            }
            if let Some(description) = &preview.description {
                out.push_str(if preview.title.is_some() { "<br>" } else { "" });
                rich_text::write_inline(out, description, words);
            }
        });
        if let Some(embed) = &preview.embed {
            html::block(out, "p", |out| html::link(out, words.player, Some(embed)));
        }
    });
}

fn buttons(out: &mut String, buttons: &[NamedLink]) {
    html::block(out, "p", |out| {
        for (n, button) in buttons.iter().enumerate() {
            if n > 0 {
                out.push_str("<br>");
            }
            match &button.url {
                Some(url) => html::link(out, &button.name, Some(url)),
                None => html::element(out, "b", |out| html::text(out, &button.name)),
            }
        }
    });
}

fn unknown(out: &mut String, unknown: &UnknownMarkup, permalink: &str, words: &FeedWords) {
    html::block(out, "p", |out| {
        if !plain_text::is_blank(&unknown.text) {
            html::lines(out, &unknown.text);
            out.push_str("<br>");
        }
        html::link(out, words.see_part, Some(permalink));
    });
}

fn only_in_telegram(out: &mut String, explanation: &str, permalink: &str, language: Language) {
    let is_english = explanation == EXPLANATION && language != Language::English;
    let is_explained = !plain_text::is_blank(explanation) && !is_english;
    let label = if is_explained { explanation } else { language.words().feed.only_in_telegram };
    html::block(out, "p", |out| html::link(out, label, Some(permalink)));
}
