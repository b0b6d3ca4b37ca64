//! Bodies of posts with one part each.

use super::*;
use crate::feed::fixtures;
use crate::feed::sanitize::parse_and_sanitize;
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
            url: Some("https://media.example.org/photo".into()),
            file: None,
            size: None,
            item: None,
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
        let at: Vec<_> =
            parts.iter().map(|part| html.find(part).unwrap_or_else(|| panic!("{part}: {html}"))).collect();
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
            r#"<figure><video src="{source}" poster="https://media.example.org/poster" controls="" preload="none" width="4" height="3"><a href="{source}" rel="noopener noreferrer"><img src="https://media.example.org/poster" alt="Video" width="4" height="3"></a></video>
<figcaption>Video, 0:27</figcaption>
</figure>"#
        )
    );
    let big = of_media(vec![video(None, VideoKind::Plain)]);
    assert!(
        big.contains(r#"rel="noopener noreferrer"><img src="https://media.example.org/poster" alt="Video""#),
        "{big}"
    );
    assert!(big.contains("Video, 0:27 — too big for the preview, <a"), "{big}");
    let elsewhere = of_media(vec![video(Some("https://evil.example/a.mp4"), VideoKind::Round)]);
    assert!(elsewhere.contains(">Video message, 0:27</a>") && !elsewhere.contains("<video"), "{elsewhere}");
}

#[test]
fn photos_on_other_hosts_become_links_to_the_post() {
    let photo = |url: &str| {
        of_media(vec![Media::Photo { url: Some(url.into()), file: None, size: None, item: None }])
    };
    for url in ["https://elsewhere.example/a.jpg", "data:image/png,x"] {
        let link = r#"<a href="https://example.org/sample/7" rel="noopener noreferrer">Photo</a>"#;
        assert_eq!(photo(url), format!("<figure>{link}</figure>"));
    }
}

/// If the writers and the sanitizer serialized differently, every body would be parsed twice or three times.
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
        Media::Voice { url: Some("https://media.example.org/v.ogg".into()), seconds: Some(3) },
        Media::Voice { url: Some("https://elsewhere.example/v.ogg".into()), seconds: None },
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
    let post = fixtures::post();
    let links = MediaLinks::new(&post, &name, &linker);
    for medium in &media {
        media::write(&mut written, medium, "https://example.org/sample/7", links, words);
    }
    rich_text::write(&mut written, &text, &|_, _, _| (), words);
    assert_eq!(parse_and_sanitize(&written), written);
    for part in ["</a> 1.5, -2", "tel:+12", "گیف، 0:27", "استیکر متحرک", "پیام صوتی، 0:03"]
    {
        assert!(written.contains(part), "{part}: {written}");
    }
}
