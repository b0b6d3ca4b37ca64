//! Media that readers list or play beside the body, as podcast players do.

use super::options::MediaHosts;
use super::{Enclosure, Medium};
use crate::post::{Media, StickerFormat};

/// The post's own media, as far as they may be embedded. Their addresses are spelled as in the body, since
/// readers leave out an enclosure whose address they find there.
pub(super) fn enclosures(media: &[Media], hosts: &MediaHosts) -> Vec<Enclosure> {
    media.iter().filter_map(|shown| enclosure(shown, hosts)).collect()
}

fn enclosure(shown: &Media, hosts: &MediaHosts) -> Option<Enclosure> {
    let (address, medium, mime_type) = match shown {
        Media::Photo { url, .. } => (url, Medium::Image, "image/jpeg"),
        Media::Video(video) => (video.url.as_ref()?, Medium::Video, "video/mp4"),
        Media::Voice { url, .. } => (url, Medium::Audio, "audio/ogg"),
        Media::Sticker { url, format: StickerFormat::Webp, .. } => (url, Medium::Image, "image/webp"),
        Media::Sticker { url, format: StickerFormat::Webm, .. } => (url, Medium::Video, "video/webm"),
        _ => return None,
    };
    let (seconds, size, poster) = match shown {
        Media::Photo { size, .. } => (None, *size, None),
        Media::Video(video) => (video.seconds, video.size, video.poster.as_deref()),
        Media::Voice { seconds, .. } => (*seconds, None, None),
        Media::Sticker { still, .. } => (None, None, still.as_deref()),
        _ => (None, None, None),
    };
    let thumbnail = poster.and_then(|poster| hosts.admit(poster));
    Some(Enclosure { url: hosts.admit(address)?, mime_type, medium, seconds, size, thumbnail })
}
