//! Rich text whose spoilers are masked or revealed.

use super::{Entity, EntityKind, RichText, SPOILER_MASK};

impl RichText {
    /// Returns the text with [`SPOILER_MASK`] in place of each spoiler. Spoilers with only white space between them are
    /// one. Formats inside of spoilers are lost; those around them are kept.
    #[must_use]
    pub fn with_masked_spoilers(&self) -> Self {
        // Where spoilers begin and end, in the old and in the new text.
        let spans: Vec<(usize, usize)> = self.spoilers().iter().map(|span| (span.start, span.end)).collect();
        let mut text = String::with_capacity(self.text.len());
        let mut copied = 0;
        for (start, end) in &spans {
            text.push_str(&self.text[copied..*start]);
            text.push_str(SPOILER_MASK);
            copied = *end;
        }
        text.push_str(&self.text[copied..]);
        let moved = |entity: &Entity| {
            let is_inside = |(start, end): &(usize, usize)| *start <= entity.start && entity.end <= *end;
            let start = moved(&spans, entity.start, false);
            let end = moved(&spans, entity.end, true);
            (!spans.iter().any(is_inside) && start < end).then(|| Entity {
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
fn moved(spans: &[(usize, usize)], offset: usize, to_end: bool) -> usize {
    let mut removed = 0;
    let mut added = 0;
    for (start, end) in spans {
        if *end <= offset {
            removed += end - start;
            added += SPOILER_MASK.len();
        } else if *start < offset {
            removed += offset - start;
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
        assert_eq!(masked.text(), text.without_spoilers());
        let kept: Vec<_> =
            masked.entities().iter().map(|entity| &masked.text()[entity.start..entity.end]).collect();
        assert_eq!(kept, ["not ▒▒▒ but"]);
        assert_eq!(masked.with_masked_spoilers(), masked);
        let revealed = text.with_revealed_spoilers();
        assert_eq!((revealed.text(), revealed.entities().len()), (text.text(), 3));
    }
}
