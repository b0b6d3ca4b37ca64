//! Recognizes HTML that the sanitizer returns unchanged, without building a tree.
//!
//! Bodies are written in this form, so that nearly none of them is parsed a second time. Only what bodies consist of is
//! recognized: balanced elements that no parser moves, with attributes in a fixed order and absolute URLs of plain hosts.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::LINK_REL;
use crate::feed::scan::any_pair;
use crate::feed::xml;

/// What an element contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Nothing, and it has no end tag.
    Void,
    Nothing,
    /// Text and elements that are part of a line.
    Line,
    /// List items.
    Items,
    /// Text and all elements except list items.
    Blocks,
}

/// The rules for an element.
#[derive(Clone, Copy, Debug)]
struct Element {
    /// It is part of a line; otherwise it is a block, which ends a paragraph.
    is_in_line: bool,
    content: Content,
    /// The allowed attributes, in the order in which they are written.
    attributes: &'static [&'static str],
}

/// Returns the rules for an element; `None` if it is left to the sanitizer.
fn element(name: &str) -> Option<Element> {
    const DIR: &[&str] = &["dir"];
    let (is_in_line, content, attributes): (_, _, &[_]) = match name {
        "a" => (true, Content::Line, &["href", "rel"]),
        "b" | "code" | "del" | "em" | "i" | "s" | "small" | "strong" | "sub" | "sup" | "u" => {
            (true, Content::Line, &[])
        }
        "br" => (true, Content::Void, &[]),
        "img" => (true, Content::Void, &["src", "alt", "width", "height"]),
        "meter" => (true, Content::Nothing, &["value", "max", "aria-hidden"]),
        "audio" => (true, Content::Nothing, &["src", "controls", "preload"]),
        "video" => (true, Content::Nothing, &["src", "poster", "controls", "preload", "width", "height"]),
        "hr" => (false, Content::Void, &[]),
        "figcaption" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "p" | "pre" | "summary" => {
            (false, Content::Line, DIR)
        }
        "blockquote" | "details" | "li" => (false, Content::Blocks, DIR),
        "figure" => (false, Content::Blocks, &[]),
        "ol" => (false, Content::Items, &["start"]),
        "ul" => (false, Content::Items, &[]),
        _ => return None,
    };
    Some(Element { is_in_line, content, attributes })
}

/// Returns whether this HTML is recognized. `false` proves nothing: the sanitizer may return it unchanged too.
pub(super) fn is_canonical(html: &str) -> bool {
    // The parser changes carriage returns and drops a byte order mark; the serializer changes no-break spaces.
    let is_rewritten = |byte, next| byte == b'\r' || byte == 0xc2 && next == 0xa0;
    !html.starts_with('\u{feff}')
        && !any_pair(html, is_rewritten)
        && matches!(xml::legal(html), Cow::Borrowed(_))
        && is_balanced(html).is_some()
}

/// Checks the elements and texts; `None` if they are not canonical.
fn is_balanced(html: &str) -> Option<()> {
    let mut open: Vec<(&str, Content)> = Vec::new();
    let mut rest = html;
    while let Some((text, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>')?;
        rest = after;
        let parent = open.last().map_or(Content::Blocks, |(_, content)| *content);
        check(is_escaped(text, &TEXT_ESCAPES) && (text.is_empty() || parent != Content::Nothing))?;
        if let Some(name) = tag.strip_prefix('/') {
            check(open.pop()?.0 == name)?;
            continue;
        }
        let (name, attributes) = tag.split_once(' ').map_or((tag, None), |(name, rest)| (name, Some(rest)));
        let element = element(name)?;
        let may_be_here = match parent {
            Content::Void | Content::Nothing => false,
            Content::Line => element.is_in_line,
            Content::Items => name == "li",
            Content::Blocks => name != "li",
        };
        check(may_be_here && are_attributes(attributes, element.attributes).is_some())?;
        // A link ends the one that it is in, and a parser drops a line break at the start of preformatted text.
        check(name != "a" || attributes.is_some() && open.iter().all(|(outer, _)| *outer != "a"))?;
        check(name != "pre" || !rest.starts_with('\n'))?;
        if element.content != Content::Void {
            open.push((name, element.content));
        }
    }
    check(open.is_empty() && is_escaped(rest, &TEXT_ESCAPES))
}

fn check(holds: bool) -> Option<()> {
    holds.then_some(())
}

/// Checks attributes, of which each may be there once, in the order of `allowed`.
fn are_attributes(text: Option<&str>, allowed: &[&str]) -> Option<()> {
    let (mut rest, mut allowed) = (text, allowed.iter());
    while let Some(text) = rest {
        let (name, value) = text.split_once("=\"")?;
        let (value, after) = value.split_once('"')?;
        check(allowed.any(|allowed| *allowed == name) && is_escaped(value, &ATTRIBUTE_ESCAPES))?;
        check(match name {
            "href" | "poster" | "src" => is_plain_url(value),
            "rel" => value == LINK_REL,
            "dir" => value == "auto",
            _ => true,
        })?;
        rest = if after.is_empty() { None } else { Some(after.strip_prefix(' ')?) };
    }
    // The sanitizer adds this one.
    check(allowed.as_slice() != ["rel"])
}

const TEXT_ESCAPES: [&str; 4] = ["amp;", "gt;", "lt;", "nbsp;"];
const ATTRIBUTE_ESCAPES: [&str; 5] = ["amp;", "gt;", "lt;", "nbsp;", "quot;"];

/// Returns whether all characters are escaped that the serializer escapes, and no others.
fn is_escaped(text: &str, escapes: &[&str]) -> bool {
    let is_escape = |after: &str| escapes.iter().any(|escape| after.starts_with(escape));
    !text.contains(['<', '>']) && text.split('&').skip(1).all(is_escape)
}

/// Returns whether this is an absolute URL that every parser accepts: `http` or `https`, with a host in lower case, a
/// port or none, and anything after that.
fn is_plain_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return false;
    };
    let authority = rest.split_once(['/', '?', '#']).map_or(rest, |(authority, _)| authority);
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let is_label = |label: &str| {
        let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        label.bytes().all(is_inside) && !label.is_empty() && !label.starts_with("xn--")
    };
    let is_ip = host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    host.split('.').all(is_label)
        && (!is_ip || host.parse::<Ipv4Addr>().is_ok())
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::super::parse_and_sanitize;
    use super::*;
    use crate::feed::build;
    use crate::feed::context::FeedContext;
    use crate::telegram::page::{self, PageSource};

    /// Start tags, texts and void elements; `None` ends the innermost element.
    const PIECES: [Option<&str>; 61] = [
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        Some("a"),
        Some(" &amp; &lt;b&gt; "),
        Some("&nbsp;\n"),
        Some("\n"),
        Some("\""),
        Some("&quot;"),
        Some("&amp"),
        Some("&copy;"),
        Some(">"),
        Some("<br>"),
        Some("<hr>"),
        Some("<br/>"),
        Some(r#"<img src="https://example.org/a.jpg" alt="a &quot;b&quot; &lt;" width="1" height="2">"#),
        Some(r#"<img alt="a" src="https://example.org/a.jpg">"#),
        Some(r#"<img src="https://EXAMPLE.org/a.jpg">"#),
        Some(r#"<img src="/a.jpg">"#),
        Some(r#"<img src="https://1.2.3/a" onerror="x">"#),
        Some("<!-- a -->"),
        Some("<p>"),
        Some(r#"<p dir="auto">"#),
        Some(r#"<p dir="rtl">"#),
        Some("<pre>"),
        Some("<h2>"),
        Some("<ul>"),
        Some(r#"<ol start="3">"#),
        Some("<li>"),
        Some("<li>"),
        Some("<blockquote>"),
        Some("<details>"),
        Some("<summary>"),
        Some("<figure>"),
        Some("<figcaption>"),
        Some("<b>"),
        Some("<i>"),
        Some("<code>"),
        Some("<del>"),
        Some("<small>"),
        Some("<a href=\"https://example.org/?a=1&amp;b=&quot;\" rel=\"noopener noreferrer\">"),
        Some("<a href=\"https://example.org\">"),
        Some("<a href=\"tg://user?id=1\" rel=\"noopener noreferrer\">"),
        Some("<a href=\"https://example.org\" rel=\"noopener noreferrer\" rel=\"noopener noreferrer\">"),
        Some(
            r#"<video src="http://127.0.0.1:8080/a" poster="https://a.example/b" controls="" preload="none">"#,
        ),
        Some(r#"<audio src="https://example.org" controls="" preload="none">"#),
        Some(r#"<meter value="1" max="2" aria-hidden="true">"#),
        Some("<table>"),
        Some("<td>"),
        Some("<div>"),
        Some("<script>"),
        Some("<svg>"),
        Some("<P>"),
        Some("\u{feff}"),
    ];

    /// Returns the HTML of pieces, and with it the end tags that are missing.
    fn html(pieces: &[usize]) -> String {
        let (mut out, mut open) = (String::new(), Vec::new());
        for n in pieces {
            match PIECES[*n] {
                Some(piece) => {
                    out.push_str(piece);
                    let name = piece.strip_prefix('<').and_then(|tag| tag.split([' ', '>']).next());
                    let is_open = |name: &&str| !["br", "br/", "hr", "img", "!--"].contains(name);
                    open.extend(name.filter(is_open));
                }
                None => out.extend(open.pop().map(|name| format!("</{name}>"))),
            }
        }
        out.extend(open.into_iter().rev().map(|name| format!("</{name}>")));
        out
    }

    #[test]
    fn the_sanitizer_does_not_change_what_is_recognized() {
        let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
        let pieces = prop_oneof![
            proptest::collection::vec(0..PIECES.len(), 0..12),
            // Whatever is recognized, more often.
            proptest::collection::vec(
                prop_oneof![Just(0_usize), 10_usize..14, Just(19), Just(22), 28_usize..30, 31_usize..48],
                0..40
            ),
        ];
        let n_recognized = std::cell::Cell::new(0);
        TestRunner::new(config)
            .run(&pieces, |pieces| {
                let html = html(&pieces);
                if is_canonical(&html) {
                    n_recognized.set(n_recognized.get() + 1);
                    prop_assert_eq!(parse_and_sanitize(&html), html);
                }
                Ok(())
            })
            .unwrap();
        assert!(n_recognized.get() > 2_000, "{}", n_recognized.get());
    }

    #[test]
    fn bodies_are_recognized() {
        for html in [
            include_str!("../../../tests/pages/text.html"),
            include_str!("../../../tests/pages/album.html"),
            include_str!("../../../tests/pages/preview.html"),
            include_str!("../../../tests/pages/relation.html"),
        ] {
            let page = page::parse(html, PageSource::Saved(None)).unwrap();
            for entry in build(&page.snapshot.into(), &FeedContext::default()).entries {
                let has_other_links =
                    ["=\"mailto:", "=\"tel:", "=\"tg:"].iter().any(|url| entry.body.contains(url));
                assert!(is_canonical(&entry.body) || has_other_links, "{}", entry.body);
                assert_eq!(parse_and_sanitize(&entry.body), entry.body);
            }
        }
    }

    #[test]
    fn other_html_is_left_to_the_sanitizer() {
        for html in [
            "<p>a",
            "a</p>",
            "<p><p>a</p></p>",
            "<p>a & b</p>",
            "<p>a\r\n</p>",
            "<p>\u{a0}</p>",
            "\u{feff}<p>a</p>",
            "<p>\u{1}</p>",
            "<p >a</p>",
            "<p>a</p >",
            "<P>a</P>",
            "<p><!-- a --></p>",
            "<pre>\na</pre>",
            "<li>a</li>",
            "<ul><p>a</p></ul>",
            "<table></table>",
            "<script></script>",
            "<img src=https://example.org/>",
            "<img src='https://example.org/'>",
            "<img src=\"https://example.org/\" onerror=\"a\">",
            "<img src=\"https://example.org/\"alt=\"a\">",
            "<img alt=\"<b>\">",
            "<a>a</a>",
            "<a href=\"https://example.org/\">a</a>",
            "<a href=\"https://example.org/\" rel=\"author\">a</a>",
            "<a href=\"javascript:alert(1)\" rel=\"noopener noreferrer\">a</a>",
        ] {
            assert!(!is_canonical(html), "{html}");
        }
    }

    #[test]
    fn urls_of_plain_hosts_are_recognized() {
        for url in [
            "https://example.org",
            "http://localhost:8080/a b\"?<>#%",
            "https://a-b.c1.example?a",
            "http://10.0.0.1/",
        ] {
            assert!(is_plain_url(url) && url::Url::parse(url).is_ok(), "{url}");
        }
        for url in [
            "https://",
            "https:///a",
            "https://a..b",
            "https://a.b.",
            "https://A.example",
            "https://xn--a.example",
            "https://1.2.3.256",
            "https://a.1",
            "https://a:99999",
            "https://a:b",
            "https://u@a",
            "https://[::1]/",
            "https://a%41.example",
            "https://ы.example",
            "//a.example",
            "ftp://a.example",
            "javascript:a",
            " https://a",
        ] {
            assert!(!is_plain_url(url), "{url}");
        }
    }
}
