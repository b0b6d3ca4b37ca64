//! Reads classes, texts, URLs and numbers from the elements of a page.

use std::borrow::Cow;

use scraper::{ElementRef, Node};

use crate::model::rich_text::SPOILER_MASK;

/// Returns whether one of the element's class tokens is `class`.
pub(super) fn has_class(element: ElementRef<'_>, class: &str) -> bool {
    classes(element).any(|token| token == class)
}

/// Returns the element's class tokens.
pub(super) fn classes(element: ElementRef<'_>) -> impl Iterator<Item = &str> + use<'_> {
    element.attr("class").unwrap_or_default().split_ascii_whitespace()
}

/// Returns the descendants of an element that have the class, in document order. Those inside another one are left out: no
/// part of a page contains a part of its own kind, and the text of a part is read only once.
pub(super) fn all<'a>(element: ElementRef<'a>, class: &str) -> impl Iterator<Item = ElementRef<'a>> {
    let mut open = vec![element.children()];
    std::iter::from_fn(move || {
        while let Some(children) = open.last_mut() {
            match children.next().map(|child| (child, ElementRef::wrap(child))) {
                Some((_, Some(child))) if has_class(child, class) => return Some(child),
                Some((child, _)) => open.push(child.children()),
                None => drop(open.pop()),
            }
        }
        None
    })
}

/// Returns the first descendant that has the class.
pub(super) fn first<'a>(element: ElementRef<'a>, class: &str) -> Option<ElementRef<'a>> {
    descendant_elements(element).find(|element| has_class(*element, class))
}

/// Returns the first descendant with a tag name: `img`, `video`.
pub(super) fn first_tag<'a>(element: ElementRef<'a>, name: &str) -> Option<ElementRef<'a>> {
    descendant_elements(element).find(|element| element.value().name() == name)
}

fn descendant_elements(element: ElementRef<'_>) -> impl Iterator<Item = ElementRef<'_>> {
    element.descendants().skip(1).filter_map(ElementRef::wrap)
}

/// Returns the element's text on one line: white space collapsed, `<br>` as a space. `None` if the text is empty.
pub(super) fn line(element: ElementRef<'_>) -> Option<String> {
    let text = lines(element);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

/// Returns the element's text, trimmed, with `\n` for `<br>` and around inner blocks, and with a mask for spoilers. Emoji
/// need no conversion: their elements contain the character.
pub(super) fn lines(element: ElementRef<'_>) -> String {
    let mut text = String::new();
    push_lines(element, &mut text);
    text.trim().to_owned()
}

fn push_lines(element: ElementRef<'_>, text: &mut String) {
    for child in element.children() {
        match (child.value(), ElementRef::wrap(child)) {
            (Node::Text(part), _) => {
                let part = collapse_line_breaks(part);
                text.push_str(if text.ends_with('\n') { part.trim_start_matches(' ') } else { &part });
            }
            (Node::Element(tag), Some(child)) => match tag.name() {
                "br" => text.push('\n'),
                _ if is_spoiler(child) && text.trim_end().ends_with(SPOILER_MASK) => {}
                _ if is_spoiler(child) => text.push_str(SPOILER_MASK),
                tag if is_block(tag) => {
                    break_line(text);
                    push_lines(child, text);
                    break_line(text);
                }
                _ => push_lines(child, text),
            },
            _ => {}
        }
    }
}

/// Returns whether the element's content is hidden until the reader reveals it.
pub(super) fn is_spoiler(element: ElementRef<'_>) -> bool {
    element.value().name() == "tg-spoiler" || has_class(element, "tg-spoiler")
}

fn break_line(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// Returns whether browsers display elements with this tag on their own lines.
pub(super) fn is_block(tag: &str) -> bool {
    matches!(
        tag,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "caption"
            | "center"
            | "col"
            | "colgroup"
            | "dd"
            | "details"
            | "dialog"
            | "dir"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hgroup"
            | "hr"
            | "legend"
            | "li"
            | "main"
            | "menu"
            | "nav"
            | "ol"
            | "p"
            | "pre"
            | "search"
            | "section"
            | "summary"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "tr"
            | "ul"
    )
}

/// Replaces each line break of the source, with the indentation around it, by one space, as a browser does. Visible line
/// breaks are `<br>` elements.
pub(super) fn collapse_line_breaks(source: &str) -> Cow<'_, str> {
    if !source.contains('\n') {
        return source.into();
    }
    let indent = [' ', '\t', '\r'];
    let mut pieces = source.split('\n');
    let mut text = pieces.next().unwrap_or_default().trim_end_matches(indent).to_owned();
    for piece in pieces {
        if !text.ends_with(' ') {
            text.push(' ');
        }
        text.push_str(piece.trim_start_matches(indent));
    }
    text.into()
}

/// Returns the element's `href`. Telegram escapes it twice on links with an `onclick` confirmation (seen in 2023 and
/// 2026-09).
pub(super) fn href(element: ElementRef<'_>) -> Option<Cow<'_, str>> {
    let href = element.attr("href")?;
    if element.attr("onclick").is_none() {
        return Some(href.into());
    }
    let escapes =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#33;", "!"), ("&amp;", "&")];
    let unescape = |href: String, (escaped, plain): (&str, &str)| href.replace(escaped, plain);
    Some(escapes.into_iter().fold(href.to_owned(), unescape).into())
}

/// Returns the element's direct text, without the text of its children.
pub(super) fn own_text(element: ElementRef<'_>) -> String {
    element.children().filter_map(|child| child.value().as_text().map(|text| &**text)).collect()
}

/// Returns the URL in `background-image:url('…')` of the element's style. `None` for `data:` placeholders.
pub(super) fn background_url(element: ElementRef<'_>) -> Option<&str> {
    let (_, image) = element.attr("style")?.split_once("background-image:")?;
    let (_, url) = image.split_once("url(")?;
    let url = url.split_once(')').map_or(url, |(url, _)| url).trim_matches(['\'', '"', ' ']);
    (!url.is_empty() && !url.starts_with("data:")).then_some(url)
}

/// Returns the number before `unit` in a property of the element's style: 800 for `width` and `px` in `width:800px`.
pub(super) fn style_number(element: ElementRef<'_>, property: &str, unit: &str) -> Option<f64> {
    element
        .attr("style")?
        .split(';')
        .filter_map(|declaration| declaration.split_once(':'))
        .find(|(name, _)| name.trim() == property)
        .and_then(|(_, value)| value.trim().strip_suffix(unit)?.parse().ok())
}

/// Parses a number as Telegram abbreviates it: `201`, `17.9K`, `6.51M`, `11 286 994`.
pub(super) fn parse_count(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    let (digits, exponent) = match digits.chars().last()? {
        'K' => (&digits[..digits.len() - 1], 3),
        'M' => (&digits[..digits.len() - 1], 6),
        'B' => (&digits[..digits.len() - 1], 9),
        _ => (&digits[..], 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.get(..exponent).unwrap_or(fraction);
    let scale = 10_u64.pow(u32::try_from(exponent - fraction.len()).ok()?);
    format!("{whole}{fraction}").parse::<u64>().ok()?.checked_mul(scale)
}

/// Parses a duration as Telegram writes it, `0:27` or `1:02:03`, into seconds.
pub(super) fn parse_seconds(text: &str) -> Option<u32> {
    text.trim()
        .split(':')
        .try_fold(0_u32, |seconds, part| seconds.checked_mul(60)?.checked_add(part.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telegram::parser;

    #[test]
    fn parse_count_reads_abbreviated_numbers() {
        for (text, n) in [
            ("1", 1),
            ("201", 201),
            ("17.9K", 17_900),
            ("6.51M", 6_510_000),
            ("11 286 994", 11_286_994),
            ("2B", 2_000_000_000),
            ("1.2345K", 1_234),
        ] {
            assert_eq!(parse_count(text), Some(n), "{text}");
        }
        for text in ["", "K", "many", "-5", "1.2.3", "99999999999999999999"] {
            assert_eq!(parse_count(text), None, "{text}");
        }
    }

    #[test]
    fn parse_seconds_reads_minutes_and_hours() {
        assert_eq!(parse_seconds("0:27"), Some(27));
        assert_eq!(parse_seconds(" 1:02:03 "), Some(3723));
        assert_eq!(parse_seconds("soon"), None);
        assert_eq!(parse_seconds("99999999:99:99"), None);
    }

    #[test]
    fn lines_end_at_blocks_and_mask_spoilers() {
        for (html, expected) in [
            ("a<div>b</div> c<ul> <li>d</li><li>e</li></ul>f<h2>g</h2>h", "a\nb\nc\nd\ne\nf\ng\nh"),
            ("a <tg-spoiler>b</tg-spoiler> <span class=tg-spoiler><b>c</b></span>, d", "a ▒▒▒ , d"),
        ] {
            assert_eq!(lines(parser::parse(html).unwrap().root_element()), expected, "{html}");
        }
    }
}
