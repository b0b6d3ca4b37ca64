//! The HTML elements of entities.

use crate::feed::body::html;
use crate::model::rich_text::EntityKind;

const HEADINGS: [&str; 6] = ["h1", "h2", "h3", "h4", "h5", "h6"];

/// Returns whether the entity formats text inside a paragraph.
pub(super) fn is_inline(kind: &EntityKind) -> bool {
    matches!(
        kind,
        EntityKind::Bold
            | EntityKind::Italic
            | EntityKind::Underline
            | EntityKind::Strike
            | EntityKind::Subscript
            | EntityKind::Superscript
            | EntityKind::Code
            | EntityKind::Link(_)
            | EntityKind::Hashtag(_)
    )
}

/// Returns the tag of the paragraph that is the whole content of this block, if the block has no element of its own.
pub(super) fn paragraph_tag(block: &EntityKind) -> Option<&'static str> {
    match block {
        EntityKind::Heading(level) => Some(HEADINGS[usize::from(*level).clamp(1, 6) - 1]),
        EntityKind::Summary => Some("summary"),
        EntityKind::Pre => Some("pre"),
        EntityKind::Caption => Some("p"),
        _ => None,
    }
}

/// Writes the start tag of an entity.
pub(super) fn open(out: &mut String, kind: &EntityKind) {
    match kind {
        EntityKind::List(Some(start)) if *start != 1 => {
            out.push_str("<ol");
            html::attribute(out, "start", &start.to_string());
            out.push('>');
        }
        EntityKind::Cell { columns, rows, .. } => {
            out.push('<');
            out.push_str(tag(kind));
            for (name, span) in [("colspan", columns), ("rowspan", rows)] {
                if *span > 1 {
                    html::attribute(out, name, &span.to_string());
                }
            }
            out.push('>');
        }
        EntityKind::Table => out.push_str("<table><tbody>\n"),
        EntityKind::Link(url) | EntityKind::Hashtag(url) => html::open_link(out, url),
        kind => html::open(out, tag(kind)),
    }
}

/// Writes the end tag of an entity.
pub(super) fn close(out: &mut String, kind: &EntityKind) {
    if *kind == EntityKind::Table {
        html::close(out, "tbody");
    }
    html::close(out, tag(kind));
}

fn tag(kind: &EntityKind) -> &'static str {
    match kind {
        EntityKind::Bold => "b",
        EntityKind::Italic => "i",
        EntityKind::Underline => "u",
        EntityKind::Strike => "s",
        EntityKind::Subscript => "sub",
        EntityKind::Superscript => "sup",
        EntityKind::Code => "code",
        EntityKind::Link(_) | EntityKind::Hashtag(_) => "a",
        EntityKind::Quote => "blockquote",
        EntityKind::List(None) => "ul",
        EntityKind::List(Some(_)) => "ol",
        EntityKind::Item => "li",
        EntityKind::Table => "table",
        EntityKind::Row => "tr",
        EntityKind::Cell { header: true, .. } => "th",
        EntityKind::Cell { header: false, .. } => "td",
        EntityKind::Spoiler | EntityKind::Details => "details",
        EntityKind::Figure(_) => "figure",
        EntityKind::Rule => "hr",
        EntityKind::Heading(_) | EntityKind::Summary | EntityKind::Pre | EntityKind::Caption => {
            paragraph_tag(kind).unwrap_or("p")
        }
    }
}
