//! Rich text whose spoilers are masked or revealed.

use std::borrow::Cow;
use std::ops::Range;

use super::{Entity, EntityKind, RichText, SPOILER_MASK};

impl RichText {
    /// Returns the text with [`SPOILER_MASK`] in place of each spoiler. Spoilers with only white space between them are
    /// one. Formats inside of spoilers are lost; those around them are kept.
    #[must_use]
    pub fn with_masked_spoilers(&self) -> Self {
        let Cow::Owned(text) = self.without_spoilers() else { return self.clone() };
        let spoilers = self.spoilers();
        let moved = |entity: &Entity| {
            let is_inside =
                |spoiler: &Range<usize>| spoiler.start <= entity.start && entity.end <= spoiler.end;
            let start = moved(&spoilers, entity.start, false);
            let end = moved(&spoilers, entity.end, true);
            (!spoilers.iter().any(is_inside) && start < end).then(|| Entity {
                start,
                end,
                kind: entity.kind.clone(),
            })
        };
        let entities = self.entities.iter().filter_map(moved).collect();
        Self { text, entities }
    }

    /// Returns the text without the entities that hide parts of it.
    #[must_use]
    pub fn with_revealed_spoilers(&self) -> Self {
        let mut revealed = self.clone();
        revealed.entities.retain(|entity| entity.kind != EntityKind::Spoiler);
        revealed
    }
}

/// Returns where an offset of the old text is in the masked text. An offset inside of a spoiler becomes its start or end.
fn moved(spoilers: &[Range<usize>], offset: usize, to_end: bool) -> usize {
    let mut removed = 0;
    let mut added = 0;
    for spoiler in spoilers {
        if spoiler.end <= offset {
            removed += spoiler.len();
            added += SPOILER_MASK.len();
        } else if spoiler.start < offset {
            removed += offset - spoiler.start;
            added += if to_end { SPOILER_MASK.len() } else { 0 };
        }
    }
    offset - removed + added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_around_spoilers_are_kept() {
        let mut text = RichText::from("It was ");
        text.entity(EntityKind::Bold, |text| {
            text.push_str("not ");
            text.entity(EntityKind::Spoiler, |text| {
                text.entity(EntityKind::Italic, |text| text.push_str("the gardener"));
            });
            text.push_str(" ");
            text.entity(EntityKind::Spoiler, |text| text.push_str("or the cook"));
            text.push_str(" but");
        });
        text.push_str(" him: ");
        text.entity(EntityKind::Strike, |text| {
            text.entity(EntityKind::Spoiler, |text| text.push_str("the butler"));
        });
        let masked = text.with_masked_spoilers();
        assert_eq!(masked.text(), "It was not ▒▒▒ but him: ▒▒▒");
        let kept: Vec<_> =
            masked.entities().iter().map(|entity| &masked.text()[entity.start..entity.end]).collect();
        assert_eq!(kept, ["not ▒▒▒ but"]);
        assert_eq!(masked.with_masked_spoilers(), masked);
        let revealed = text.with_revealed_spoilers();
        assert_eq!((revealed.text(), revealed.entities().len()), (text.text(), 3));
    }
}
