//! Parses photos, videos, voice messages, stickers, locations, contacts, games and invoices.

use std::collections::HashSet;

use scraper::ElementRef;

use super::dom::{
    all, background_url, classes, first, first_tag, has_class, line, lines, parse_seconds, style_number,
};
use super::markup as class;
use super::markup::{GameOrInvoiceParts, Role};
use super::url;
use crate::model::post::{GameOrInvoice, Media, Size, StickerFormat, Video, VideoKind};

/// Parses an element with a media role. `None` if a required part is missing.
pub(super) fn parse(element: ElementRef<'_>, role: Role, name: &str) -> Option<Media> {
    let absolute = |url: &str| url::resolve(url, name);
    match role {
        Role::Photo => Some(Media::Photo {
            url: background_url(element)
                .or_else(|| first_tag(element, "img")?.attr("src"))
                .and_then(absolute),
            file: file_number(element),
            size: first(element, class::PHOTO).and_then(|shape| size(element, shape)),
            item: element.attr("href").and_then(url::item_id),
        }),
        Role::ServicePhoto => {
            let url = absolute(first_tag(element, "img")?.attr("src")?)?;
            Some(Media::Photo { url: Some(url), file: None, size: None, item: None })
        }
        Role::Video | Role::RoundVideo => Some(Media::Video(video(element, role, name))),
        Role::Voice => Some(Media::Voice {
            url: first_tag(element, "audio").and_then(|audio| audio.attr("src")).and_then(absolute),
            seconds: duration(element, class::VOICE_DURATION),
        }),
        Role::Sticker => sticker(element, name),
        Role::Location => Some(Media::Location {
            url: absolute(element.attr("href")?)?,
            map: first(element, class::MAP).and_then(background_url).and_then(absolute),
            title: first(element, class::VENUE_TITLE).and_then(line),
            address: first(element, class::VENUE_ADDRESS).and_then(line),
        }),
        Role::Contact => Some(Media::Contact {
            name: first(element, class::CONTACT_NAME).and_then(line)?,
            phone: first(element, class::CONTACT_PHONE).and_then(line),
        }),
        Role::Game => game_or_invoice(element, &class::GAME, name).map(Media::Game),
        Role::Invoice => game_or_invoice(element, &class::INVOICE, name).map(Media::Invoice),
        _ => None,
    }
}

/// Parses a picture, a video or another medium in the text of a post. `None` for other elements.
pub(super) fn figure(element: ElementRef<'_>, name: &str) -> Option<Media> {
    let absolute = |url: &str| url::resolve(url, name);
    let size = || {
        let pixels = |side| element.attr(side)?.parse().ok().filter(|pixels| *pixels > 0);
        Some(Size { width: pixels("width")?, height: pixels("height")? })
    };
    match element.value().name() {
        "img" => {
            let url = element.attr("src").filter(|url| !url.starts_with("data:")).and_then(absolute)?;
            Some(Media::Photo { url: Some(url), file: None, size: size(), item: None })
        }
        "video" => {
            let source = element.attr("src").or_else(|| first_tag(element, "source")?.attr("src"));
            let is_animation = element.attr("autoplay").is_some() || element.attr("loop").is_some();
            Some(Media::Video(Video {
                url: Some(source.and_then(absolute)?),
                poster: element.attr("poster").and_then(absolute),
                seconds: None,
                size: size(),
                item: None,
                kind: if is_animation { VideoKind::Animation } else { VideoKind::Plain },
            }))
        }
        _ => parse(element, classes(element).find_map(class::role)?, name),
    }
}

/// Returns the number of a photo's file, which is one of the element's classes.
fn file_number(photo: ElementRef<'_>) -> Option<u64> {
    classes(photo).find_map(|class| class.parse().ok())
}

fn video(player: ElementRef<'_>, role: Role, name: &str) -> Video {
    let absolute = |url: &str| url::resolve(url, name);
    // A player may show the same video again as a blurred background.
    let file = player
        .descendent_elements()
        .filter(|element| element.value().name() == "video")
        .min_by_key(|video| has_class(*video, class::VIDEO_BLURRED))
        .filter(|_| !has_class(player, class::TOO_BIG));
    let (thumb, length) = match role {
        Role::RoundVideo => (class::ROUND_THUMB, class::ROUND_DURATION),
        _ => (class::VIDEO_THUMB, class::VIDEO_DURATION),
    };
    let seconds = duration(player, length);
    let kind = match role {
        Role::RoundVideo => VideoKind::Round,
        _ if file.is_some() && seconds.is_none() && first(player, class::VIDEO_PLAY).is_none() => {
            VideoKind::Animation
        }
        _ => VideoKind::Plain,
    };
    Video {
        url: file.and_then(|video| video.attr("src")).and_then(absolute),
        poster: first(player, thumb).and_then(background_url).and_then(absolute),
        seconds,
        size: first(player, class::VIDEO_WRAP).and_then(|wrap| size(wrap, wrap)),
        kind,
        item: player.attr("href").and_then(url::item_id),
    }
}

fn sticker(element: ElementRef<'_>, name: &str) -> Option<Media> {
    let absolute = |url: &str| url::resolve(url, name);
    let picture = || {
        let url =
            first_tag(element, "img").and_then(|img| img.attr("src")).filter(|url| !url.starts_with("data:"));
        url.or_else(|| background_url(element)).and_then(absolute)
    };
    let (url, format, still) = if let Some(video) = first_tag(element, "video") {
        (absolute(video.attr("src")?)?, StickerFormat::Webm, picture())
    } else if let Some(source) = first_tag(element, "source") {
        (absolute(source.attr("srcset")?)?, StickerFormat::Tgs, picture())
    } else {
        let url = element.attr("data-webp").and_then(absolute).or_else(picture)?;
        (url, StickerFormat::Webp, None)
    };
    Some(Media::Sticker { url, format, still })
}

fn game_or_invoice(element: ElementRef<'_>, parts: &GameOrInvoiceParts, name: &str) -> Option<GameOrInvoice> {
    let image = parts.images.iter().find_map(|class| {
        let picture = first(element, class)?;
        background_url(picture)
            .or_else(|| picture.attr("src"))
            .or_else(|| first_tag(picture, "img")?.attr("src"))
    });
    let mut seen = HashSet::new();
    let notes = parts.notes.iter().flat_map(|class| all(element, class)).filter_map(line);
    let notes: Vec<String> = notes.filter(|note| seen.insert(note.clone())).collect();
    Some(GameOrInvoice {
        title: first(element, parts.title).and_then(line)?,
        description: first(element, parts.description).map(lines).filter(|text| !text.is_empty()),
        image: image.and_then(|url| url::resolve(url, name)),
        note: (!notes.is_empty()).then(|| notes.join(", ")),
    })
}

fn duration(element: ElementRef<'_>, class: &str) -> Option<u32> {
    first(element, class).and_then(line).and_then(|text| parse_seconds(&text))
}

/// Returns the size at which the page shows a picture: the width of `frame` in pixels, and the padding of `shape` as the
/// height in percent of the width. `None` for items of albums, whose style is the layout of the album.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just before")]
fn size(frame: ElementRef<'_>, shape: ElementRef<'_>) -> Option<Size> {
    if has_class(frame, class::ALBUM_ITEM) {
        return None;
    }
    let width = style_number(frame, "width", "px")?;
    let height = width * style_number(shape, "padding-top", "%")? / 100.0;
    let plausible = 1.0..10_000.0;
    (plausible.contains(&width) && plausible.contains(&height))
        .then(|| Size { width: width.round() as u32, height: height.round() as u32 })
}
