//! Writers for elements, attributes and text, with the same serialization as
//! [`sanitize`](crate::feed::sanitize::sanitize), so that the sanitizer needs only one round.

use std::borrow::Cow;

use url::Url;

use crate::feed::sanitize::{LINK_REL, SCHEMES};
use crate::feed::scan::any_pair;
use crate::model::post::PostId;
use crate::telegram::url as telegram_url;

const DIRECTION: &str = " dir=\"auto\"";

/// Writes escaped text.
pub(in crate::feed) fn text(out: &mut String, text: &str) {
    escape(out, text, false);
}

/// Writes escaped text with a `<br>` for each `\n`.
pub(super) fn lines(out: &mut String, lines: &str) {
    for (n, line) in lines.trim().lines().enumerate() {
        if n > 0 {
            out.push_str("<br>");
        }
        text(out, line);
    }
}

/// Writes an attribute into the start tag at the end of `out`, which has no `>` yet.
pub(super) fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value, true);
    out.push('"');
}

fn escape(out: &mut String, text: &str, is_attribute: bool) {
    let (bytes, mut written) = (text.as_bytes(), 0);
    for (at, byte) in bytes.iter().enumerate() {
        let (len, escaped) = match byte {
            b'&' => (1, "&amp;"),
            b'<' => (1, "&lt;"),
            b'>' => (1, "&gt;"),
            b'"' if is_attribute => (1, "&quot;"),
            0xc2 if bytes.get(at + 1) == Some(&0xa0) => (2, "&nbsp;"),
            _ => continue,
        };
        out.push_str(&text[written..at]);
        out.push_str(escaped);
        written = at + len;
    }
    out.push_str(&text[written..]);
}

/// Returns whether the sanitizer keeps links to this URL.
pub(super) fn is_linkable(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| SCHEMES.contains(&url.scheme()))
}

/// Writes the start tag of a link. A URL with characters beyond ASCII is encoded, because Tiny Tiny RSS drops it otherwise.
pub(super) fn open_link(out: &mut String, url: &str) {
    out.push_str("<a");
    let encoded = if url.is_ascii() { None } else { Url::parse(url).ok() };
    attribute(out, "href", encoded.as_ref().map_or(url, Url::as_str));
    attribute(out, "rel", LINK_REL);
    out.push('>');
}

/// Returns the URL of an item of an album, or of the whole post.
pub(super) fn item_url(permalink: &str, item: Option<PostId>) -> Cow<'_, str> {
    item.map_or(Cow::Borrowed(permalink), |item| Cow::Owned(telegram_url::item_url(permalink, item)))
}

/// Writes a label, as a link if the URL is [linkable](is_linkable).
pub(in crate::feed) fn link(out: &mut String, label: &str, url: Option<&str>) {
    if let Some(url) = url.filter(|url| is_linkable(url)) {
        open_link(out, url);
        text(out, label);
        out.push_str("</a>");
    } else {
        text(out, label);
    }
}

/// Writes a start tag without attributes.
pub(super) fn open(out: &mut String, tag: &str) {
    out.push('<');
    out.push_str(tag);
    out.push('>');
}

/// Writes an end tag.
pub(super) fn close(out: &mut String, tag: &str) {
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

/// Writes an element with the content that `fill` writes; no element if it writes nothing.
pub(in crate::feed) fn element(out: &mut String, tag: &str, fill: impl FnOnce(&mut String)) {
    let start = out.len();
    open(out, tag);
    let inside = out.len();
    fill(out);
    if out.len() == inside {
        out.truncate(start);
    } else {
        close(out, tag);
    }
}

/// Writes an [`element`] that contains blocks, followed by a line break. Many readers make plain text by removing tags,
/// and would join the last word of one block to the first word of the next.
pub(super) fn group(out: &mut String, tag: &str, fill: impl FnOnce(&mut String)) {
    let start = out.len();
    element(out, tag, fill);
    if out.len() > start {
        out.push('\n');
    }
}

/// Writes a [`group`] that contains text and therefore has a direction.
pub(in crate::feed) fn block(out: &mut String, tag: &str, fill: impl FnOnce(&mut String)) {
    let start = out.len();
    group(out, tag, fill);
    if out.len() > start {
        direct(out, start + 1 + tag.len());
    }
}

/// Adds `dir="auto"` to the start tag that ends at `tag_end`, if right-to-left text follows. Browsers then align the
/// block by its first letter; purely left-to-right text needs no attribute.
pub(super) fn direct(out: &mut String, tag_end: usize) {
    let text = &out[tag_end..];
    if any_pair(text, may_be_right_to_left) && text.contains(is_right_to_left) {
        out.insert_str(tag_end, DIRECTION);
    }
}

/// Returns whether the character is in a block of right-to-left scripts: Hebrew, Arabic, Syriac, Thaana, `NKo` and
/// others.
fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Returns whether a character [may be right-to-left](is_right_to_left) whose encoding contains this byte and the next one.
fn may_be_right_to_left(byte: u8, next: u8) -> bool {
    (0xd6..=0xe0).contains(&byte)
        || byte == 0xef && (0xac..=0xbb).contains(&next)
        || byte == 0xf0 && (next == 0x90 || next == 0x9e)
}

/// Formats a duration as players display it: `0:27`, `1:02:03`.
pub(super) fn clock(seconds: u32) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_elements_are_omitted_and_rtl_text_has_a_direction() {
        let mut out = String::new();
        block(&mut out, "p", |_| ());
        block(&mut out, "p", |out| lines(out, "a\nb "));
        block(&mut out, "p", |out| text(out, "سلام <"));
        assert_eq!(out, "<p>a<br>b</p>\n<p dir=\"auto\">سلام &lt;</p>\n");
    }

    #[test]
    fn every_right_to_left_character_is_found_by_its_bytes() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| is_right_to_left(*c)) {
            assert!(any_pair(c.encode_utf8(&mut [0; 4]), may_be_right_to_left), "{c:?}");
        }
    }

    #[test]
    fn only_allowed_schemes_are_linked() {
        let mut out = String::new();
        link(&mut out, "a&b", Some("javascript:alert(1)"));
        link(&mut out, "c", Some("https://example.org/?a=\"&b"));
        assert_eq!(
            out,
            "a&amp;b<a href=\"https://example.org/?a=&quot;&amp;b\" rel=\"noopener noreferrer\">c</a>"
        );
    }

    #[test]
    fn characters_beyond_ascii_are_encoded_in_links() {
        let mut out = String::new();
        open_link(&mut out, "https://пример.example/?q=ы#я");
        let encoded = "https://xn--e1afmkfd.example/?q=%D1%8B#%D1%8F";
        assert_eq!(out, format!("<a href=\"{encoded}\" rel=\"noopener noreferrer\">"));
    }

    #[test]
    fn durations_have_hours_only_if_needed() {
        assert_eq!([clock(7), clock(723), clock(3723)], ["0:07", "12:03", "1:02:03"]);
    }
}
