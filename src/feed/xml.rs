//! The filter for characters that must not appear in XML.

use std::borrow::Cow;

use super::scan::any_pair;

/// Returns whether the character is kept. XML 1.0 (section 2.2) forbids most control characters and discourages DEL,
/// the C1 controls and noncharacters. A single forbidden character makes readers reject the whole feed.
fn is_legal(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | ' '..='~' => true,
        '\0'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}' => false,
        _ => !matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff),
    }
}

/// Returns whether a character whose encoding contains this byte and the next one may be removed: an ASCII control character,
/// a C1 control (0xC2 0x80…0x9F), U+FDD0 and others (0xEF 0xB7), or a noncharacter at the end of a plane (… 0xBF 0xBE or 0xBF).
fn may_be_illegal(byte: u8, next: u8) -> bool {
    byte < b' ' && byte != b'\t' && byte != b'\n' && byte != b'\r'
        || byte == 0x7f
        || byte == 0xc2 && next < 0xa0
        || byte == 0xef && next == 0xb7
        || byte == 0xbf && (0xbe..=0xbf).contains(&next)
}

/// Removes the characters that XML forbids or discourages.
pub(crate) fn legal(text: &str) -> Cow<'_, str> {
    if !any_pair(text, may_be_illegal) || text.chars().all(is_legal) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|&c| is_legal(c)).collect())
    }
}

/// Escapes plain text for an element that readers parse as HTML.
pub(super) fn as_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The stylesheet with which browsers show a feed, relative to the feed's URL: `/{channel}/rss`. Its name never changes, so
/// that feeds do not.
const STYLESHEET: &str = "<?xml-stylesheet type=\"text/css\" href=\"../-/feed.css\"?>";

/// Adds the stylesheet to a finished document, filters it and returns its bytes.
pub(super) fn document(mut xml: String) -> Vec<u8> {
    let declaration = "?>";
    if let Some(at) = xml.find(declaration) {
        xml.insert_str(at + declaration.len(), STYLESHEET);
    }
    match legal(&xml) {
        Cow::Borrowed(_) => xml.into_bytes(),
        Cow::Owned(legal) => legal.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::fixtures;
    use crate::feed::{Format, render};

    #[test]
    fn illegal_characters_are_removed_and_legal_text_is_borrowed() {
        assert!(matches!(legal("tab\tline\n é 🤖"), Cow::Borrowed(_)));
        assert_eq!(legal("a\u{0}\u{b}\u{7f}\u{85}\u{9f}\u{fffe}\u{1ffff}b"), "ab");
    }

    #[test]
    fn every_illegal_character_is_found_by_its_bytes() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| !is_legal(*c)) {
            assert!(any_pair(c.encode_utf8(&mut [0; 4]), may_be_illegal), "{c:?}");
        }
    }

    /// Both XML crates write illegal characters unchanged, so only this filter keeps feeds well-formed.
    #[test]
    fn every_code_point_is_kept_or_removed() {
        let all: Vec<char> = (0..=0x0010_ffff).filter_map(char::from_u32).collect();
        // These entries skip `plain_text` and the sanitizer, so that only the filter is tested.
        let texts: Vec<String> = all.chunks(0x2000).map(|chars| chars.iter().collect()).collect();
        let entries = texts.iter().map(|text| fixtures::entry(&format!("x{text}x"))).collect();
        let feed = fixtures::feed(entries);
        for format in [Format::Rss, Format::Atom] {
            let bytes = render(&feed, format);
            let read = feed_rs::parser::parse(bytes.as_slice()).unwrap();
            assert_eq!(read.entries.len(), texts.len(), "{format:?}");
            for (entry, text) in read.entries.iter().zip(&texts) {
                let body = entry.content.as_ref().and_then(|content| content.body.as_deref()).unwrap();
                let expected = legal(text).replace("\r\n", "\n").replace('\r', "\n");
                let body = body.replace("\r\n", "\n").replace('\r', "\n");
                assert!(body == format!("x{expected}x"), "{format:?} from {:?}", text.chars().next());
            }
        }
    }

    #[test]
    fn removing_a_character_does_not_end_a_cdata_section() {
        let feed = fixtures::feed(vec![fixtures::entry("]]\u{1}><b>]]\u{b}></b>")]);
        let read = feed_rs::parser::parse(render(&feed, Format::Rss).as_slice()).unwrap();
        let body = read.entries[0].content.as_ref().and_then(|content| content.body.as_deref());
        assert_eq!(body, Some("]]><b>]]></b>"));
    }
}
