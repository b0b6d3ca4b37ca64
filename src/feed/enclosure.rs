//! Media that readers list or play beside the body, as podcast players do.

use super::source::Source;
use super::{Enclosure, Medium};
use crate::files::{FileKind, Slot};
use crate::post::{Media, StickerFormat};

/// The post's own media, as far as they may be embedded. Their addresses are spelled as in the body, since
/// readers leave out an enclosure whose address they find there.
pub(super) fn enclosures(media: &[Media], from: Source<'_>) -> Vec<Enclosure> {
    media.iter().enumerate().filter_map(|(n, shown)| enclosure(shown, from.at(Slot::Medium(n)))).collect()
}

fn enclosure(shown: &Media, from: Source<'_>) -> Option<Enclosure> {
    let (address, medium, kind) = match shown {
        Media::Photo { url, .. } => (url, Medium::Image, FileKind::Jpeg),
        Media::Video(video) => (video.url.as_ref()?, Medium::Video, FileKind::Mp4),
        Media::Voice { url, .. } => (url, Medium::Audio, FileKind::Ogg),
        Media::Sticker { url, format: StickerFormat::Webp, .. } => (url, Medium::Image, FileKind::Webp),
        Media::Sticker { url, format: StickerFormat::Webm, .. } => (url, Medium::Video, FileKind::Webm),
        _ => return None,
    };
    let (seconds, size, poster) = match shown {
        Media::Photo { size, .. } => (None, *size, None),
        Media::Video(video) => (video.seconds, video.size, video.poster.as_deref()),
        Media::Voice { seconds, .. } => (*seconds, None, None),
        Media::Sticker { still, .. } => (None, None, still.as_deref()),
        _ => (None, None, None),
    };
    let thumbnail = poster.and_then(|poster| from.admit(FileKind::Jpeg, poster));
    let url = from.admit(kind, address)?;
    Some(Enclosure { url, mime_type: kind.mime_type(), medium, seconds, size, thumbnail })
}
