//! Rich text as HTML.
//!
//! Telegram's entities format ranges of text, while HTML needs inline elements inside paragraphs inside blocks. An
//! inline entity that crosses the end of a paragraph is closed there and opened again in the next one. Start tags are
//! delayed until visible text follows, so no element is empty, except for cells of tables. Another exception is a link
//! without a visible label: authors use such links to choose a link preview, and they stay invisible, as in Telegram. It is
//! dropped if another link has the same target.
//!
//! HTML can hide a block, `<details>`, but not a part of a sentence, and Miniflux drops even the tags of `<details>` and
//! shows the text. So a spoiler inside a sentence is masked there, and the whole paragraph follows once more, readable, in
//! `<details>`. A spoiler on its own lines is given in `<details>` only.

mod tags;
#[cfg(test)]
mod tests;
mod writer;

use std::cell::LazyCell;
use std::collections::HashSet;

use writer::Writer;

use crate::feed::plain_text;
use crate::language::FeedWords;
use crate::model::rich_text::{Entity, EntityKind, OBJECT, RichText};

/// Writes the post's medium with this number as a `<figure>`, linked to this URL.
pub(super) type FigureWriter<'a> = &'a dyn Fn(&mut String, usize, Option<&str>);

/// Writes the text as paragraphs and blocks.
pub(super) fn write(out: &mut String, rich: &RichText, figures: FigureWriter<'_>, words: &FeedWords) {
    write_into(&mut Writer::new(out, rich, Some(figures), words), rich);
}

/// Writes the text into an open element: without blocks, with `<br>` for line breaks, and with spoilers only masked.
pub(super) fn write_inline(out: &mut String, rich: &RichText, words: &FeedWords) {
    write_into(&mut Writer::new(out, rich, None, words), rich);
}

fn write_into<'a>(writer: &mut Writer<'a>, rich: &'a RichText) {
    let labelled = LazyCell::new(|| labelled_targets(rich));
    let mut entered = Vec::new();
    let mut at = 0;
    for entity in rich.entities() {
        while let Some((end, kind)) = entered.pop_if(|(end, _)| *end <= entity.start) {
            writer.text(at..end);
            writer.leave(kind);
            at = end;
        }
        writer.text(at..entity.start);
        at = entity.start;
        match &entity.kind {
            EntityKind::Figure(_) | EntityKind::Rule => {
                writer.object(&entity.kind, at);
                at = entity.end;
            }
            EntityKind::Link(url) if shows_no_label(rich, entity) => {
                let is_repeated = labelled.contains(&**url);
                if !is_repeated {
                    writer.hidden_link(url, at);
                }
            }
            kind if writer.enter(kind) => entered.push((entity.end, kind)),
            _ => {}
        }
    }
    while let Some((end, kind)) = entered.pop() {
        writer.text(at..end);
        writer.leave(kind);
        at = end;
    }
    writer.text(at..rich.text().len());
    writer.close_blocks(0);
}

/// Returns the targets of the links that have a label.
fn labelled_targets<'a>(rich: &'a RichText) -> HashSet<&'a str> {
    let target = |entity: &'a Entity| match &entity.kind {
        EntityKind::Link(url) if !shows_no_label(rich, entity) => Some(&**url),
        _ => None,
    };
    rich.entities().iter().filter_map(target).collect()
}

fn shows_no_label(rich: &RichText, link: &Entity) -> bool {
    let label = &rich.text()[link.start..link.end];
    plain_text::is_blank(label) && !label.contains(OBJECT)
}
