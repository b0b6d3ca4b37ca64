//! The one filter that every XML document passes.

use std::borrow::Cow;

/// Whether readers take the character. XML 1.0 forbids most control characters and discourages DEL, the C1
/// controls and the noncharacters; one forbidden character makes a reader refuse the whole feed.
fn is_legal(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | ' '..='~' => true,
        '\0'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}' => false,
        _ => !matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff),
    }
}

/// The text without the characters that XML forbids or discourages.
pub(super) fn legal(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_legal) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|&c| is_legal(c)).collect())
    }
}

/// The bytes of a finished document.
pub(super) fn document(xml: String) -> Vec<u8> {
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
    fn text_of_legal_characters_is_not_copied() {
        assert!(matches!(legal("tab\tline\n é 🤖"), Cow::Borrowed(_)));
        assert_eq!(legal("a\u{0}\u{b}\u{7f}\u{85}\u{9f}\u{fffe}\u{1ffff}b"), "ab");
    }

    /// Both XML crates write what they are given, so this is what keeps a feed readable.
    #[test]
    fn every_code_point_survives_or_disappears() {
        let all: Vec<char> = (0..=0x0010_ffff).filter_map(char::from_u32).collect();
        // The cleaning of feed texts is passed by on purpose: only the filter stands between these and the reader.
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
    fn a_character_taken_out_does_not_end_a_cdata_section() {
        let feed = fixtures::feed(vec![fixtures::entry("]]\u{1}><b>]]\u{b}></b>")]);
        let read = feed_rs::parser::parse(render(&feed, Format::Rss).as_slice()).unwrap();
        let body = read.entries[0].content.as_ref().and_then(|content| content.body.as_deref());
        assert_eq!(body, Some("]]><b>]]></b>"));
    }
}
