//! Enclosures: media files that readers list or play next to the body, as podcast players do.

use super::media_links::MediaLinks;
use super::{Enclosure, Medium};
use crate::model::media_file::{self, FileKind, MediaSlot};
use crate::model::post::{Media, Post, StickerFormat};

/// Returns the enclosures for a post's media, except for files that must not be embedded. Their URLs are identical to
/// those in the body, because FreshRSS and yarr omit an enclosure whose URL they find there.
pub(super) fn enclosures(post: &Post, links: MediaLinks<'_>) -> Vec<Enclosure> {
    let enclosure = |(n, medium): (usize, &Media)| {
        let bytes = post.file_sizes.get(&n).copied();
        Some(Enclosure { bytes, ..enclosure(medium, links.at(MediaSlot::Medium(n)))? })
    };
    post.media.iter().enumerate().filter_map(enclosure).collect()
}

fn enclosure(media: &Media, links: MediaLinks<'_>) -> Option<Enclosure> {
    let (telegram_url, medium) = match media {
        Media::Video(video) => (video.url.as_ref()?, Medium::Video),
        Media::Voice { url, .. } => (url.as_ref()?, Medium::Audio),
        Media::Photo { url, .. } => (url.as_ref()?, Medium::Image),
        Media::Sticker { url, format: StickerFormat::Webm, .. } => (url, Medium::Video),
        Media::Sticker { url, .. } => (url, Medium::Image),
        _ => return None,
    };
    let (seconds, size, poster) = match media {
        Media::Photo { size, .. } => (None, *size, None),
        Media::Video(video) => (video.seconds, video.size, video.poster.as_deref()),
        Media::Voice { seconds, .. } => (*seconds, None, None),
        Media::Sticker { still, .. } => (None, None, still.as_deref()),
        _ => (None, None, None),
    };
    let kind = media_file::kind_of(media)?;
    let thumbnail = poster.and_then(|poster| links.url(FileKind::Jpeg, poster));
    let url = links.url(kind, telegram_url)?;
    Some(Enclosure { url, mime_type: kind.mime_type(), medium, seconds, bytes: None, size, thumbnail })
}
