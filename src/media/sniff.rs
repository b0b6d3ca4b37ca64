//! MIME sniffing: detects the type of a file from its first bytes. The server's `Content-Type` is ignored.

/// The number of bytes that suffice to detect a type.
pub(super) const MIN_BYTES: usize = 64;

/// Signatures at the start of files, and their MIME types.
const SIGNATURES: [(&[u8], &str); 9] = [
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"OggS\0", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"\xff\xf1", "audio/aac"),
];

/// Returns the MIME type of a picture, video or audio file that browsers can display; `None` for everything else,
/// including HTML and SVG, which may contain scripts. Follows the WHATWG MIME Sniffing Standard, section 6.
pub(super) fn mime_type(start: &[u8]) -> Option<&'static str> {
    let at =
        |offset: usize, pattern: &[u8]| start.get(offset..).is_some_and(|rest| rest.starts_with(pattern));
    if at(0, b"RIFF") {
        return if at(8, b"WEBPVP") { Some("image/webp") } else { at(8, b"WAVE").then_some("audio/wav") };
    }
    if at(4, b"ftyp") {
        return match start.get(8..12)? {
            b"avif" | b"avis" => Some("image/avif"),
            b"heic" | b"heix" | b"mif1" | b"msf1" => None,
            b"M4A " | b"M4B " => Some("audio/mp4"),
            b"qt  " => Some("video/quicktime"),
            _ => Some("video/mp4"),
        };
    }
    // The header of an MPEG audio frame, layer 3.
    if let [0xff, second, ..] = start
        && second & 0xe6 == 0xe2
    {
        return Some("audio/mpeg");
    }
    SIGNATURES.into_iter().find(|(signature, _)| at(0, signature)).map(|(_, mime_type)| mime_type)
}

#[cfg(test)]
mod tests {

    #[test]
    fn only_pictures_videos_and_audio_are_detected() {
        for (start, mime_type) in [
            (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
            (b"GIF89a=1;alert(1)", "image/gif"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "audio/wav"),
            (b"\0\0\0\x20ftypisom\0\0\x02\0", "video/mp4"),
            (b"\0\0\0\x18ftypM4VP", "video/mp4"),
            (b"\0\0\0\x1cftypavif", "image/avif"),
            (b"\0\0\0\x1cftypM4A ", "audio/mp4"),
            (b"\x1a\x45\xdf\xa3\x9f", "video/webm"),
            (b"OggS\0\x02", "audio/ogg"),
            (b"ID3\x04", "audio/mpeg"),
            (b"\xff\xfb\x90", "audio/mpeg"),
            (b"\xff\xf1\x50", "audio/aac"),
        ] {
            assert_eq!(super::mime_type(start), Some(mime_type), "{start:?}");
        }
        for start in [
            &b""[..],
            b"\xff",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            b"<?xml version=\"1.0\"?><svg/>",
            b"<!DOCTYPE html>",
            b"%PDF-1.7",
            b"\x1f\x8b\x08",
            b"PK\x03\x04",
            b"BM\0\0",
            b"RIFF\x10\0\0\0AVI ",
            b"\0\0\0\x18ftypheic",
            b"alert(1)",
            b"{\"a\":1}",
        ] {
            assert_eq!(super::mime_type(start), None, "{start:?}");
        }
    }
}
