//! The body of an entry: the whole post as HTML.
//!
//! Views, reactions and poll results are left out unless the reader wants them: they change without the author editing
//! the post, and the same post must always give the same bytes.

mod article;
mod counts;
mod html;
mod media;
mod poll;
mod rich_text;

use std::borrow::Cow;

use super::media_links::MediaLinks;
use super::options::FeedOptions;
use super::plain_text;
use super::sanitize::sanitize;
use crate::language::FeedWords;
use crate::model::article::LinkedArticle;
use crate::model::media_file::MediaSlot;
use crate::model::post::{
    Document, Forward, LinkPreview, Media, NamedLink, Post, Reply, UnknownMarkup, Video, VideoKind,
};
use crate::model::rich_text::RichText;

/// Returns the whole post as sanitized HTML; never empty.
pub(super) fn body(
    post: &Post,
    articles: &[LinkedArticle],
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
        only_in_telegram(&mut out, explanation, &post.permalink, words);
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
        (Some(Media::Photo { url, size, .. }), Some(_)) => {
            media::picture(out, words.photo, url, *size, target, links);
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
    html::block(out, "p", |out| with_link(out, words.in_reply_to, &reply.to));
    html::group(out, "blockquote", |out| html::block(out, "p", |out| html::lines(out, &reply.text)));
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
            media::picture(out, words.picture, image, None, target, links);
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

fn only_in_telegram(out: &mut String, explanation: &str, permalink: &str, words: &FeedWords) {
    let is_explained = !plain_text::is_blank(explanation);
    let label = if is_explained { explanation } else { words.only_in_telegram };
    html::block(out, "p", |out| html::link(out, label, Some(permalink)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;
    use crate::language::Language;
    use crate::model::post::{GameOrInvoice, Poll, PollOption, Size, StickerFormat};
    use crate::model::rich_text::EntityKind;

    /// Returns the body of a post.
    fn shown(post: &Post) -> String {
        let linker = fixtures::linker();
        let name = fixtures::channel().name;
        let links = MediaLinks::new(post, &name, &linker);
        body(post, &[], links, &FeedOptions::default())
    }

    fn of_media(media: Vec<Media>) -> String {
        shown(&Post { media, ..fixtures::post() })
    }

    fn video(url: Option<&str>, kind: VideoKind) -> Media {
        Media::Video(Video {
            url: url.map(str::to_owned),
            poster: Some("https://media.example.org/poster".into()),
            seconds: Some(27),
            size: Some(Size { width: 4, height: 3 }),
            kind,
            item: None,
        })
    }

    fn named(name: &str, url: Option<&str>) -> NamedLink {
        NamedLink { name: name.into(), url: url.map(str::to_owned) }
    }

    #[test]
    fn empty_and_hidden_posts_link_to_telegram() {
        let link = r#"<a href="https://example.org/sample/7" rel="noopener noreferrer">"#;
        assert_eq!(shown(&fixtures::post()), format!("<p>{link}See the post in Telegram</a></p>"));
        for (explanation, label) in
            [("Please open", "Please open"), ("\u{200b}", "This post can only be seen in Telegram")]
        {
            let hidden = Post { only_in_telegram: Some(explanation.into()), ..fixtures::post() };
            assert_eq!(shown(&hidden), format!("<p>{link}{label}</a></p>"));
        }
    }

    #[test]
    fn parts_are_in_the_order_of_the_preview_page() {
        let mut post = Post {
            forward: Some(Forward { from: named("fwd", None), author: Some("by".into()) }),
            via_bot: Some(named("@bot", Some("https://example.org/bot"))),
            reply: Some(Reply {
                to: named("replied", Some("https://example.org/1")),
                text: "quoted\nمرحبا".into(),
            }),
            media: vec![Media::Photo {
                url: "https://media.example.org/photo".into(),
                file: None,
                size: None,
            }],
            text: "said".into(),
            poll: Some(Poll {
                question: "asked".into(),
                kind: "Anonymous Poll".into(),
                options: vec![PollOption { text: "answer".into(), percent: Some(99) }],
                voters: Some(77),
            }),
            documents: vec![Document { caption: "about it".into(), ..fixtures::document("a.zip", "6.5 MB") }],
            preview: Some(LinkPreview {
                url: "https://example.org/".into(),
                title: Some("linked".into()),
                ..LinkPreview::default()
            }),
            buttons: vec![named("button", Some("https://example.org/b")), named("callback", None)],
            unknown: vec![UnknownMarkup {
                markup: "div.x".into(),
                text: "strange".into(),
                more_than_text: false,
            }],
            views: Some(88),
            ..fixtures::post()
        };
        let order = |html: &str, parts: &[&str]| {
            let at: Vec<_> = parts
                .iter()
                .map(|part| html.find(part).unwrap_or_else(|| panic!("{part}: {html}")))
                .collect();
            assert!(at.is_sorted(), "{at:?}: {html}");
        };
        let html = shown(&post);
        order(
            &html,
            &[
                "fwd (by)",
                "@bot",
                "replied",
                "quoted",
                "/photo",
                "a.zip (6.5 MB)",
                "about it",
                "said",
                "asked",
                "answer",
                "linked",
                "button",
                "<b>callback</b>",
                "strange",
            ],
        );
        assert!(html.contains(r#"<p>In reply to <a href="https://example.org/1""#), "{html}");
        assert!(html.contains(r#"<blockquote><p dir="auto">quoted<br>"#), "{html}");
        for count in ["99", "88", "77"] {
            assert!(!html.contains(count), "{count}: {html}");
        }
        post.text_above_media = true;
        order(&shown(&post), &["quoted", "said", "/photo", "asked"]);
    }

    #[test]
    fn videos_have_a_player_or_a_link() {
        let source = "https://media.example.org/a.mp4?t=1";
        assert_eq!(
            of_media(vec![video(Some(source), VideoKind::Plain)]),
            format!(
                r#"<figure><video src="{source}" poster="https://media.example.org/poster" controls="" preload="none" width="4" height="3"><a href="{source}" rel="noopener noreferrer">Video</a></video>
<figcaption>Video, 0:27</figcaption>
</figure>"#
            )
        );
        let big = of_media(vec![video(None, VideoKind::Plain)]);
        assert!(
            big.contains(
                r#"rel="noopener noreferrer"><img src="https://media.example.org/poster" alt="Video""#
            ),
            "{big}"
        );
        assert!(big.contains("Video, 0:27 — too big for the preview, <a"), "{big}");
        let elsewhere = of_media(vec![video(Some("https://evil.example/a.mp4"), VideoKind::Round)]);
        assert!(
            elsewhere.contains(">Video message, 0:27</a>") && !elsewhere.contains("<video"),
            "{elsewhere}"
        );
    }

    #[test]
    fn photos_on_other_hosts_are_linked_but_not_embedded() {
        let photo = |url: &str| of_media(vec![Media::Photo { url: url.into(), file: None, size: None }]);
        assert_eq!(
            photo("https://elsewhere.example/a.jpg"),
            r#"<figure><a href="https://elsewhere.example/a.jpg" rel="noopener noreferrer">Photo</a></figure>"#
        );
        assert_eq!(photo("data:image/png,x"), "<figure>Photo</figure>");
    }

    /// If the writers and the sanitizer serialized differently, every body would be parsed twice.
    #[test]
    fn sanitizing_does_not_change_any_written_part() {
        let offer = GameOrInvoice {
            title: "a".into(),
            description: Some("b\nc".into()),
            image: Some("https://media.example.org/i".into()),
            note: Some("d".into()),
        };
        let sticker = |format, still: Option<&str>| Media::Sticker {
            url: "https://media.example.org/s?a&b".into(),
            format,
            still: still.map(str::to_owned),
        };
        let still = Some("https://media.example.org/still");
        let media = [
            video(Some("https://media.example.org/v\"<"), VideoKind::Animation),
            video(None, VideoKind::Plain),
            Media::Voice { url: "https://media.example.org/v.ogg".into(), seconds: Some(3) },
            Media::Voice { url: "https://elsewhere.example/v.ogg".into(), seconds: None },
            sticker(StickerFormat::Webp, None),
            sticker(StickerFormat::Tgs, still),
            sticker(StickerFormat::Webm, still),
            Media::Location {
                url: "https://maps.example/?q=1.5,-2&z=1".into(),
                map: Some("https://media.example.org/m".into()),
                title: None,
                address: Some("Street\u{a0}1 \"x\"".into()),
            },
            Media::Contact { name: "Ada".into(), phone: Some("+1 (2)".into()) },
            Media::Game(offer.clone()),
            Media::Invoice(offer),
        ];
        let mut text = RichText::from("a \"b\" & <c>\u{a0}'d'\n\n");
        text.entity(EntityKind::Spoiler, |text| text.push_str("e"));
        let mut written = String::new();
        let (linker, name) = (fixtures::linker(), fixtures::channel().name);
        let words = &Language::Persian.words().feed;
        let links = MediaLinks::new(&fixtures::post(), &name, &linker);
        for medium in &media {
            media::write(&mut written, medium, "https://example.org/sample/7", links, words);
        }
        rich_text::write(&mut written, &text, &|_, _, _| (), words);
        assert_eq!(sanitize(&written), written);
        for part in ["</a> 1.5, -2", "tel:+12", "گیف، 0:27", "استیکر متحرک", "پیام صوتی، 0:03"]
        {
            assert!(written.contains(part), "{part}: {written}");
        }
    }
}
