//! The smallest pieces of a body's HTML, spelled as [`sanitize`](crate::feed::sanitize::sanitize) would spell them,
//! so that it need not clean a second time.

use url::Url;

use crate::feed::sanitize::{LINK_REL, SCHEMES};

const DIRECTION: &str = " dir=\"auto\"";

/// Writes characters as text.
pub(super) fn text(out: &mut String, text: &str) {
    escape(out, text, &['&', '<', '>', '\u{a0}']);
}

/// Writes characters as text, with a break for each `\n`.
pub(super) fn lines(out: &mut String, lines: &str) {
    for (n, line) in lines.trim().lines().enumerate() {
        if n > 0 {
            out.push_str("<br>");
        }
        text(out, line);
    }
}

/// Writes an attribute into a tag that is open at the end of `out`.
pub(super) fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value, &['&', '<', '>', '\u{a0}', '"']);
    out.push('"');
}

fn escape(out: &mut String, text: &str, special: &[char]) {
    let mut written = 0;
    for (at, found) in text.match_indices(special) {
        out.push_str(&text[written..at]);
        written = at + found.len();
        out.push_str(match found {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&quot;",
            _ => "&nbsp;",
        });
    }
    out.push_str(&text[written..]);
}

/// Whether a link to the address survives sanitizing.
pub(super) fn is_linkable(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| SCHEMES.contains(&url.scheme()))
}

/// Opens a link.
pub(super) fn open_link(out: &mut String, address: &str) {
    out.push_str("<a");
    attribute(out, "href", address);
    attribute(out, "rel", LINK_REL);
    out.push('>');
}

/// Writes a label, linked if there is an address that can be.
pub(super) fn link(out: &mut String, label: &str, address: Option<&str>) {
    if let Some(address) = address.filter(|address| is_linkable(address)) {
        open_link(out, address);
        text(out, label);
        out.push_str("</a>");
    } else {
        text(out, label);
    }
}

/// Opens an element without attributes.
pub(super) fn open(out: &mut String, tag: &str) {
    out.push('<');
    out.push_str(tag);
    out.push('>');
}

/// Closes an element.
pub(super) fn close(out: &mut String, tag: &str) {
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

/// Writes what `fill` does, inside an element. Nothing written, no element.
pub(super) fn element(out: &mut String, tag: &str, fill: impl FnOnce(&mut String)) {
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

/// The same as [`element`], for one that holds other blocks. It ends its line: many a reader makes plain text by
/// leaving out tags, and would glue the last word of one block to the first of the next.
pub(super) fn group(out: &mut String, tag: &str, fill: impl FnOnce(&mut String)) {
    let start = out.len();
    element(out, tag, fill);
    if out.len() > start {
        out.push('\n');
    }
}

/// The same as [`group`], for a block that holds text itself, and so has a direction.
pub(super) fn block(out: &mut String, tag: &str, fill: impl FnOnce(&mut String)) {
    let start = out.len();
    group(out, tag, fill);
    if out.len() > start {
        direct(out, start + 1 + tag.len());
    }
}

/// Gives the tag that ends at `tag_end` a direction, if there is right-to-left writing behind it. Each reader
/// turns the paragraph to its side by its own first letter; without right-to-left writing there is nothing to turn.
pub(super) fn direct(out: &mut String, tag_end: usize) {
    if out[tag_end..].contains(is_right_to_left) {
        out.insert_str(tag_end, DIRECTION);
    }
}

/// Hebrew, Arabic, Syriac, Thaana, `NKo` and their presentation forms, and the scripts around them.
fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// A length of time as a player shows it: `0:27`, `1:02:03`.
pub(super) fn clock(seconds: u32) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_elements_are_not_written_and_direction_is_given_where_needed() {
        let mut out = String::new();
        block(&mut out, "p", |_| ());
        block(&mut out, "p", |out| lines(out, "a\nb "));
        block(&mut out, "p", |out| text(out, "سلام <"));
        assert_eq!(out, "<p>a<br>b</p>\n<p dir=\"auto\">سلام &lt;</p>\n");
    }

    #[test]
    fn only_what_can_be_followed_is_a_link() {
        let mut out = String::new();
        link(&mut out, "a&b", Some("javascript:alert(1)"));
        link(&mut out, "c", Some("https://example.org/?a=\"&b"));
        assert_eq!(
            out,
            "a&amp;b<a href=\"https://example.org/?a=&quot;&amp;b\" rel=\"noopener noreferrer\">c</a>"
        );
    }

    #[test]
    fn clocks_have_hours_only_when_needed() {
        assert_eq!([clock(7), clock(723), clock(3723)], ["0:07", "12:03", "1:02:03"]);
    }
}
