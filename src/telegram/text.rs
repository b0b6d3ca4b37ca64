//! Parses the text of a post into [`RichText`].

use scraper::{ElementRef, Node};

use super::dom;
use super::markup as class;
use super::media;
use super::url;
use crate::model::post::Media;
use crate::model::rich_text::{EntityKind, OBJECT, RichText};

/// How deep blocks nest in a rich post of Telegram. The content of deeper blocks becomes lines of the block around them.
pub(super) const MAX_BLOCK_DEPTH: usize = 16;

/// The highest number of columns or rows that a cell may span. A table of 500 blocks has fewer.
const MAX_SPAN: u16 = 500;

/// Parses a text. `name` is the channel's name, to resolve the relative URLs of hashtags. Unknown tags are added to
/// `unknown`; their content is parsed like that of a wrapper. Figures are added to `media`; without it, they are unknown.
pub(super) fn parse(
    element: ElementRef<'_>,
    name: &str,
    unknown: &mut Vec<String>,
    media: Option<&mut Vec<Media>>,
) -> RichText {
    let mut text = RichText::default();
    let mut parser = TextParser { name, unknown, media, depth: 0, is_preformatted: false };
    children(element, &mut parser, &mut text);
    text.trimmed()
}

struct TextParser<'a> {
    name: &'a str,
    unknown: &'a mut Vec<String>,
    media: Option<&'a mut Vec<Media>>,
    /// How many blocks of other blocks are around the current position.
    depth: usize,
    is_preformatted: bool,
}

fn children(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    parts(element, None, parser, text);
}

/// Parses the content of an element. Its direct children with the tag of `part` are blocks of that kind.
fn parts(
    element: ElementRef<'_>,
    part: Option<(&str, &EntityKind)>,
    parser: &mut TextParser<'_>,
    text: &mut RichText,
) {
    for child in element.children() {
        match (child.value(), ElementRef::wrap(child), part) {
            (_, Some(child), Some((tag, kind))) if child.value().name() == tag => {
                block(kind.clone(), text, |text| children(child, parser, text));
            }
            (_, Some(child), _) => self::element(child, parser, text),
            (Node::Text(part), ..) if parser.is_preformatted => text.push_str(part),
            (Node::Text(part), ..) => inline(part, text),
            _ => {}
        }
    }
}

/// Appends text that is not preformatted. White space between blocks is not displayed.
pub(super) fn inline(source: &str, text: &mut RichText) {
    let part = dom::collapse_line_breaks(source);
    let starts_line = text.is_empty() || text.text().ends_with(['\n', '\t']);
    if !starts_line || !part.trim_matches([' ', '\t']).is_empty() {
        text.push_str(&part);
    }
}

fn element(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    if let Some(media) = parser.media.as_deref_mut()
        && let Some(medium) = media::figure(element, parser.name)
    {
        media.push(medium);
        return object(EntityKind::Figure(media.len() - 1), text);
    }
    let in_quote = || {
        let parent = element.parent().and_then(ElementRef::wrap);
        parent.is_some_and(|parent| matches!(parent.value().name(), "blockquote" | "aside" | "figcaption"))
    };
    let kind = match element.value().name() {
        _ if dom::is_spoiler(element) => EntityKind::Spoiler,
        "br" => return text.push_str("\n"),
        "hr" => return object(EntityKind::Rule, text),
        "script" | "style" | "svg" | "source" | "track" => return,
        "input" if element.attr("type") == Some("checkbox") => {
            return text.push_str(if element.attr("checked").is_some() { "☑ " } else { "☐ " });
        }
        // A custom emoji contains the plain one, as an <i> around a <b>; neither is formatting.
        "tg-emoji" => return text.push_str(&dom::lines(element)),
        "i" if dom::has_class(element, "emoji") => return text.push_str(&dom::lines(element)),
        "b" | "strong" => EntityKind::Bold,
        "footer" => return block(EntityKind::Italic, text, |text| children(element, parser, text)),
        "cite" if in_quote() => {
            return block(EntityKind::Italic, text, |text| children(element, parser, text));
        }
        "i" | "em" | "cite" => EntityKind::Italic,
        "u" | "ins" => EntityKind::Underline,
        "s" | "del" | "strike" => EntityKind::Strike,
        "code" => EntityKind::Code,
        "sub" => EntityKind::Subscript,
        "sup" => EntityKind::Superscript,
        tag if let Some(level) = heading_level(tag) => {
            return block(EntityKind::Heading(level), text, |text| children(element, parser, text));
        }
        "blockquote" | "aside" => return nested(EntityKind::Quote, element, parser, text, children),
        "ul" => return nested(EntityKind::List(None), element, parser, text, list),
        "ol" => {
            let start = element.attr("start").and_then(|start| start.parse().ok()).unwrap_or(1);
            return nested(EntityKind::List(Some(start)), element, parser, text, list);
        }
        "table" => return table(element, parser, text),
        "details" => return nested(EntityKind::Details, element, parser, text, details),
        "figcaption" => return block(EntityKind::Caption, text, |text| children(element, parser, text)),
        "pre" => return pre(element, parser, text),
        "p" => return lines(2, element, parser, text),
        "a" => match link(element, parser.name) {
            Some(kind) => kind,
            None => return children(element, parser, text),
        },
        // Wrappers. <mark> highlights the search term on a page of search results.
        "span" | "mark" | "picture" => return children(element, parser, text),
        tag if dom::is_block(tag) => return lines(1, element, parser, text),
        tag => {
            parser.unknown.push(tag.to_owned());
            return children(element, parser, text);
        }
    };
    text.entity(kind, |text| children(element, parser, text));
}

/// Parses an element whose content is separated from its neighbours by `n` line breaks.
fn lines(n: usize, element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    text.break_line(n);
    children(element, parser, text);
    text.break_line(n);
}

/// Appends a block on its own lines.
pub(super) fn block(kind: EntityKind, text: &mut RichText, fill: impl FnOnce(&mut RichText)) {
    text.break_line(1);
    text.entity(kind, fill);
    text.break_line(1);
}

/// Appends a block without text.
pub(super) fn object(kind: EntityKind, text: &mut RichText) {
    block(kind, text, |text| text.push_str(OBJECT.encode_utf8(&mut [0; 4])));
}

/// Parses a block that contains blocks. Its content is parsed by `content`, or as lines if it is nested too deep.
fn nested(
    kind: EntityKind,
    element: ElementRef<'_>,
    parser: &mut TextParser<'_>,
    text: &mut RichText,
    content: fn(ElementRef<'_>, &mut TextParser<'_>, &mut RichText),
) {
    if parser.depth == MAX_BLOCK_DEPTH {
        return lines(1, element, parser, text);
    }
    parser.depth += 1;
    block(kind, text, |text| content(element, parser, text));
    parser.depth -= 1;
}

fn heading_level(tag: &str) -> Option<u8> {
    tag.strip_prefix('h')?.parse().ok().filter(|level| (1..=6).contains(level))
}

fn pre(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    let is_nested = std::mem::replace(&mut parser.is_preformatted, true);
    block(EntityKind::Pre, text, |text| children(element, parser, text));
    parser.is_preformatted = is_nested;
}

fn list(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    parts(element, Some(("li", &EntityKind::Item)), parser, text);
}

fn details(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    parts(element, Some(("summary", &EntityKind::Summary)), parser, text);
}

/// Parses a table, with its caption as a line above it.
fn table(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    if parser.depth < MAX_BLOCK_DEPTH {
        for caption in element.child_elements().filter(|child| child.value().name() == "caption") {
            lines(1, caption, parser, text);
        }
    }
    nested(EntityKind::Table, element, parser, text, rows);
}

/// Parses the rows in a table or in a section of one. The HTML parser moves all other content out of it.
fn rows(section: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    for child in section.child_elements() {
        match child.value().name() {
            "tr" => {
                text.entity(EntityKind::Row, |text| {
                    for child in child.child_elements() {
                        cell(child, parser, text);
                    }
                });
                text.push_str("\n");
            }
            "thead" | "tbody" | "tfoot" => rows(child, parser, text),
            _ => {}
        }
    }
}

fn cell(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    let header = element.value().name() == "th";
    let span = |name| {
        let span = element.attr(name).and_then(|span| span.parse().ok()).unwrap_or(1);
        u16::clamp(span, 1, MAX_SPAN)
    };
    let kind = EntityKind::Cell { header, columns: span("colspan"), rows: span("rowspan") };
    text.entity(kind, |text| {
        children(element, parser, text);
        text.push_str("\t");
    });
}

fn link(element: ElementRef<'_>, name: &str) -> Option<EntityKind> {
    // Inside a link preview, the HTML parser repeats the preview's own link around each part of the text.
    if dom::has_class(element, class::PREVIEW) {
        return None;
    }
    let href = dom::href(element)?;
    let url = url::resolve(&href, name)?.into_boxed_str();
    let searches = |sign| href.split_once("?q=").is_some_and(|(_, query)| query.starts_with(sign));
    let tag = searches("%23") || searches("%24") || searches("#") || searches("$");
    Some(if tag { EntityKind::Hashtag(url) } else { EntityKind::Link(url) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telegram::parser;

    fn parsed(html: &str) -> (RichText, Vec<Media>) {
        let document = parser::parse(html).unwrap();
        let mut media = Vec::new();
        let text = parse(document.root_element(), "sample", &mut Vec::new(), Some(&mut media));
        (text, media)
    }

    #[test]
    fn plain_text_has_a_line_for_each_block() {
        for (html, expected) in [
            (
                "a<div>b</div>c<p>d</p>e<ul>\n <li>f</li> <li><p>g</p></li>\n</ul>h",
                "a\nb\nc\n\nd\n\ne\nf\n\ng\n\nh",
            ),
            ("<h1>a</h1>\n<h2>b</h2>c", "a\nb\nc"),
            ("<table><tr><th>a<td>b<tr><td><td>d</table>e", "a\tb\t\n\td\t\ne"),
            ("<details><summary>a</summary>b</details>c<hr>d", "a\nb\nc\n\u{fffc}\nd"),
            ("<pre>a\n  b</pre>c\n  d", "a\n  b\nc d"),
            ("a<blockquote>b</blockquote><br>c", "a\nb\n\nc"),
        ] {
            assert_eq!(parsed(html).0.text(), expected, "{html}");
        }
    }

    #[test]
    fn blocks_nested_too_deep_become_lines() {
        let nested = |open: &str, close: &str, n: usize| {
            let (open, close) = (open.repeat(n), close.repeat(n));
            parsed(&format!("{open}text{close}")).0
        };
        let n_blocks = |text: &RichText| {
            let is_outer = |kind: &EntityKind| {
                !matches!(kind, EntityKind::Item | EntityKind::Row | EntityKind::Cell { .. })
            };
            text.entities().iter().filter(|entity| is_outer(&entity.kind)).count()
        };
        for (open, close) in [
            ("<blockquote>", "</blockquote>"),
            ("<ol><li>", "</li></ol>"),
            ("<details>", "</details>"),
            ("<table><tr><td>", "</td></tr></table>"),
        ] {
            for (n, expected) in [(16, 16), (17, 16), (100, 16)] {
                let text = nested(open, close, n);
                assert_eq!(n_blocks(&text), expected, "{n} {open}");
                assert_eq!(text.text().trim_end(), "text", "{n} {open}");
            }
        }
    }

    #[test]
    fn figures_are_media_and_their_captions_follow() {
        let (text, media) = parsed(
            "<figure><img src=https://example.org/a width=4 height=3><figcaption>b</figcaption></figure>\
             <video poster=https://example.org/p><source src=https://example.org/v></video><img src=data:,x>",
        );
        assert_eq!(text.text(), "\u{fffc}\nb\n\u{fffc}");
        assert_eq!(text.figures().collect::<Vec<_>>(), [0, 1]);
        let size = Some(crate::model::post::Size { width: 4, height: 3 });
        assert_eq!(
            media[0],
            Media::Photo { url: Some("https://example.org/a".into()), file: None, size, item: None }
        );
        let Media::Video(video) = &media[1] else { panic!("{media:?}") };
        assert_eq!(video.url.as_deref(), Some("https://example.org/v"));
        assert_eq!(video.poster.as_deref(), Some("https://example.org/p"));
        assert_eq!(media.len(), 2);
    }

    #[test]
    fn deeply_nested_page_does_not_overflow_the_stack() {
        assert_eq!(parsed(&format!("{}text", "<blockquote>".repeat(500))).0.text(), "text");
    }
}
