//! Parses the text of a post into [`RichText`].

use scraper::{ElementRef, Node};

use super::dom;
use super::url;
use crate::model::rich_text::{EntityKind, RichText};

/// Parses a text. `name` is the channel's name, to resolve the relative URLs of hashtags. Unknown tags are added to
/// `unknown`; their content is parsed like that of a wrapper.
pub(super) fn parse(element: ElementRef<'_>, name: &str, unknown: &mut Vec<String>) -> RichText {
    let mut text = RichText::default();
    children(element, &mut TextParser { name, unknown }, &mut text);
    text.trimmed()
}

struct TextParser<'a> {
    name: &'a str,
    unknown: &'a mut Vec<String>,
}

fn children(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    for child in element.children() {
        match child.value() {
            Node::Text(part) => text.push_str(&dom::collapse_line_breaks(part)),
            Node::Element(_) => {
                if let Some(child) = ElementRef::wrap(child) {
                    inline(child, parser, text);
                }
            }
            _ => {}
        }
    }
}

fn inline(element: ElementRef<'_>, parser: &mut TextParser<'_>, text: &mut RichText) {
    let kind = match element.value().name() {
        "br" => return text.push_str("\n"),
        "script" | "style" | "svg" => return,
        // A custom emoji contains the plain one, as an <i> around a <b>; neither is formatting.
        "tg-emoji" => return text.push_str(&dom::lines(element)),
        "i" if dom::has_class(element, "emoji") => return text.push_str(&dom::lines(element)),
        "b" | "strong" => EntityKind::Bold,
        "i" | "em" => EntityKind::Italic,
        "u" | "ins" => EntityKind::Underline,
        "s" | "del" | "strike" => EntityKind::Strike,
        "code" => EntityKind::Code,
        "tg-spoiler" => EntityKind::Spoiler,
        "span" if dom::has_class(element, "tg-spoiler") => EntityKind::Spoiler,
        "blockquote" => return block(element, EntityKind::Quote, parser, text),
        "pre" => return block(element, EntityKind::Pre, parser, text),
        "a" => match link(element, parser.name) {
            Some(kind) => kind,
            None => return children(element, parser, text),
        },
        // Wrappers. <mark> highlights the search term on a page of search results.
        "span" | "div" | "p" | "mark" => return children(element, parser, text),
        tag => {
            parser.unknown.push(tag.to_owned());
            return children(element, parser, text);
        }
    };
    text.entity(kind, |text| children(element, parser, text));
}

/// Parses a block, with line breaks before and after it.
fn block(element: ElementRef<'_>, kind: EntityKind, parser: &mut TextParser<'_>, text: &mut RichText) {
    if !text.is_empty() && !text.text().ends_with('\n') {
        text.push_str("\n");
    }
    let start = text.text().len();
    text.entity(kind, |text| children(element, parser, text));
    if text.text().len() > start {
        text.push_str("\n");
    }
}

fn link(element: ElementRef<'_>, name: &str) -> Option<EntityKind> {
    let href = dom::href(element)?;
    let url = url::resolve(&href, name)?.into_boxed_str();
    let searches = |sign| href.split_once("?q=").is_some_and(|(_, query)| query.starts_with(sign));
    let tag = searches("%23") || searches("%24") || searches("#") || searches("$");
    Some(if tag { EntityKind::Hashtag(url) } else { EntityKind::Link(url) })
}
