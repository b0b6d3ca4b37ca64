//! The kinds of a post, for `only=` and `without=`.

use super::options::Kind;
use crate::model::post::{Media, Post, VideoKind};
use crate::model::rich_text::EntityKind;

/// Hashtags that mark an advertisement where a law or the authority that applies it demands a mark, in lower case:
/// Russia and Ukraine (Federal Law 38-FZ; Law 270/96), the USA (16 CFR part 255), Germany (UWG, section 5a), France (Law
/// 2023-451), Spain, Italy, Poland, Brazil, Turkey, China.
const AD_HASHTAGS: [&str; 22] = [
    "реклама",
    "рекламный_пост",
    "ad",
    "ads",
    "advertisement",
    "sponsored",
    "paidpartnership",
    "werbung",
    "anzeige",
    "publicité",
    "publicite",
    "publicidad",
    "publi",
    "pubblicità",
    "pubblicita",
    "adv",
    "reklama",
    "publicidade",
    "reklam",
    "işbirliği",
    "广告",
    "تبلیغات",
];

/// The name of the token that Russian law demands in every advertisement, in its text or in its links.
const AD_TOKEN: &str = "erid";

/// Returns whether a post is of this kind.
pub(super) fn is_of(post: &Post, kind: Kind) -> bool {
    let has = |is: fn(&Media) -> bool| post.media.iter().any(is);
    let has_video =
        |kind| post.media.iter().any(|medium| matches!(medium, Media::Video(video) if video.kind == kind));
    match kind {
        Kind::Text => is_only_text(post),
        Kind::Photo => has(|medium| matches!(medium, Media::Photo { .. })),
        Kind::Video => has_video(VideoKind::Plain),
        Kind::Gif => has_video(VideoKind::Animation),
        Kind::Round => has_video(VideoKind::Round),
        Kind::Voice => has(|medium| matches!(medium, Media::Voice { .. })),
        Kind::Audio => post.documents.iter().any(|document| document.audio),
        Kind::Document => post.documents.iter().any(|document| !document.audio),
        Kind::Sticker => has(|medium| matches!(medium, Media::Sticker { .. })),
        Kind::Poll => post.poll.is_some(),
        Kind::Location => has(|medium| matches!(medium, Media::Location { .. })),
        Kind::Service => post.service,
        Kind::Forward => post.forward.is_some(),
        Kind::Reply => post.reply.is_some(),
        Kind::Unsupported => post.only_in_telegram.is_some(),
        Kind::Ad => is_ad(post),
    }
}

fn is_only_text(post: &Post) -> bool {
    !post.text.is_empty()
        && !post.service
        && post.media.is_empty()
        && post.documents.is_empty()
        && post.poll.is_none()
        && post.only_in_telegram.is_none()
}

/// Returns whether a post has one of the marks that a law demands.
fn is_ad(post: &Post) -> bool {
    let is_mark = |tag: &str| AD_HASHTAGS.contains(&tag.to_lowercase().as_str());
    let has_token = |url: &str| {
        let (_, query) = url.split_once('?').unwrap_or_default();
        query.split(['&', '#']).any(|pair| pair.split('=').next().is_some_and(is_token))
    };
    let text = post.full_text();
    let links = text.entities().iter().filter_map(|entity| match &entity.kind {
        EntityKind::Link(url) => Some(&**url),
        _ => None,
    });
    let buttons = post.buttons.iter().filter_map(|button| button.url.as_deref());
    text.hashtags().into_iter().any(is_mark)
        || text.text().split(|c: char| !c.is_alphanumeric()).any(is_token)
        || links.chain(buttons).any(has_token)
}

fn is_token(word: &str) -> bool {
    word.eq_ignore_ascii_case(AD_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;
    use crate::model::post::Document;
    use crate::model::rich_text::RichText;

    #[test]
    fn advertisements_are_known_by_the_marks_of_the_law() {
        let hashtag = |tag: &str| {
            let mut text = RichText::from("Buy it. ");
            text.entity(EntityKind::Hashtag("".into()), |text| text.push_str(tag));
            text
        };
        let link = |url: &str| {
            let mut text = RichText::default();
            text.entity(EntityKind::Link(url.into()), |text| text.push_str("Buy it"));
            text
        };
        for (text, expected) in [
            (hashtag("#Реклама"), true),
            (hashtag("#ad"), true),
            (hashtag("#adventure"), false),
            ("Реклама. ООО «Маяк», ИНН 1. Erid: 2VtzqxAbC".into(), true),
            (link("https://example.org/?a=1&erid=2Vtz"), true),
            (link("https://example.org/?q=periderm"), false),
            ("The meridian and Erida".into(), false),
        ] {
            let file = Document { caption: text.clone(), ..fixtures::document("tides.pdf", "1 MB") };
            let captioned = Post { documents: vec![file], ..fixtures::post() };
            let post = Post { text, ..fixtures::post() };
            for post in [post, captioned] {
                assert_eq!(is_of(&post, Kind::Ad), expected, "{:?}", post.full_text());
            }
        }
    }
}
