//! Enclosures: media files that readers list or play next to the body, as podcast players do.

use super::media_links::MediaLinks;
use super::{Enclosure, Medium};
use crate::model::media_file::{FileKind, MediaSlot};
use crate::model::post::{Media, StickerFormat};

/// Returns the enclosures for a post's media, except for files that must not be embedded. Their URLs are identical to
/// those in the body, because FreshRSS and yarr omit an enclosure whose URL they find there.
pub(super) fn enclosures(media: &[Media], links: MediaLinks<'_>) -> Vec<Enclosure> {
    media
        .iter()
        .enumerate()
        .filter_map(|(n, medium)| enclosure(medium, links.at(MediaSlot::Medium(n))))
        .collect()
}

fn enclosure(media: &Media, links: MediaLinks<'_>) -> Option<Enclosure> {
    let (telegram_url, medium, kind) = match media {
        Media::Photo { url, .. } => (url, Medium::Image, FileKind::Jpeg),
        Media::Video(video) => (video.url.as_ref()?, Medium::Video, FileKind::Mp4),
        Media::Voice { url, .. } => (url, Medium::Audio, FileKind::Ogg),
        Media::Sticker { url, format: StickerFormat::Webp, .. } => (url, Medium::Image, FileKind::Webp),
        Media::Sticker { url, format: StickerFormat::Webm, .. } => (url, Medium::Video, FileKind::Webm),
        _ => return None,
    };
    let (seconds, size, poster) = match media {
        Media::Photo { size, .. } => (None, *size, None),
        Media::Video(video) => (video.seconds, video.size, video.poster.as_deref()),
        Media::Voice { seconds, .. } => (*seconds, None, None),
        Media::Sticker { still, .. } => (None, None, still.as_deref()),
        _ => (None, None, None),
    };
    let thumbnail = poster.and_then(|poster| links.url(FileKind::Jpeg, poster));
    let url = links.url(kind, telegram_url)?;
    Some(Enclosure { url, mime_type: kind.mime_type(), medium, seconds, size, thumbnail })
}
