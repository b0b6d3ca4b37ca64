//! Rich text: plain characters and the entities that mark ranges of them, as Telegram itself models a text.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// A text with its formatting.
///
/// Entities lie wholly inside one another or wholly apart, and are sorted by where they start, the outer one
/// first: text can only be built through [`push_str`](Self::push_str) and [`entity`](Self::entity), which
/// nest by construction. Line breaks are `\n`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RichText {
    text: String,
    entities: Vec<Entity>,
}

/// A marked range of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Where the range starts, in bytes.
    pub start: usize,
    /// Where the range ends, in bytes; always past `start`.
    pub end: usize,
    /// What the range is.
    pub kind: EntityKind,
}

/// What a range of a text is, in the words of Telegram's own entities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntityKind {
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Underlined.
    Underline,
    /// Struck through.
    Strike,
    /// Hidden until the reader asks for it.
    Spoiler,
    /// A block quotation.
    Quote,
    /// Code inside a line.
    Code,
    /// A block of code; white space matters.
    Pre,
    /// A link or a mention, with its absolute address.
    Link(Box<str>),
    /// A hashtag or cashtag; the address searches the channel for it. The range starts with `#` or `$`.
    Hashtag(Box<str>),
}

impl RichText {
    /// The characters, without formatting.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The marked ranges: sorted by start, the outer before the inner.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The hashtags in order, without `#`, each spelling once; cashtags are not among them.
    #[must_use]
    pub fn hashtags(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let hashtags = self.entities.iter().filter(|entity| matches!(entity.kind, EntityKind::Hashtag(_)));
        hashtags
            .filter_map(|entity| self.text[entity.start..entity.end].strip_prefix('#'))
            .filter(|tag| seen.insert(*tag))
            .collect()
    }

    /// Appends characters.
    pub fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends what `fill` writes, as one entity. Nothing written, no entity.
    pub fn entity(&mut self, kind: EntityKind, fill: impl FnOnce(&mut Self)) {
        let (start, index) = (self.text.len(), self.entities.len());
        self.entities.push(Entity { start, end: start, kind });
        fill(self);
        if self.text.len() == start {
            self.entities.truncate(index);
        } else {
            self.entities[index].end = self.text.len();
        }
    }

    /// Appends another text, after a blank line when there is something before it.
    pub fn push_paragraph(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if !self.is_empty() {
            self.text.push_str("\n\n");
        }
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.entities.extend(other.entities.iter().map(|entity| Entity {
            start: entity.start + shift,
            end: entity.end + shift,
            kind: entity.kind.clone(),
        }));
    }

    /// The text without white space at its ends.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        self.text.truncate(self.text.trim_end().len());
        let lead = self.text.len() - self.text.trim_start().len();
        self.text.drain(..lead);
        let len = self.text.len();
        self.entities.retain_mut(|entity| {
            entity.start = entity.start.saturating_sub(lead).min(len);
            entity.end = entity.end.saturating_sub(lead).min(len);
            entity.start < entity.end
        });
        self
    }
}

impl From<&str> for RichText {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), entities: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_moves_entities_along() {
        let mut text = RichText::from("\n ");
        text.entity(EntityKind::Bold, |text| text.push_str("bold \n"));
        text.entity(EntityKind::Italic, |text| text.push_str("\n"));
        let text = text.trimmed();
        assert_eq!(text.text(), "bold");
        assert_eq!(text.entities(), [Entity { start: 0, end: 4, kind: EntityKind::Bold }]);
    }

    #[test]
    fn hashtags_are_named_once_and_without_their_sign() {
        let mut text = RichText::default();
        for tag in ["#one", "#two", "#one", "$TON"] {
            text.entity(EntityKind::Hashtag("".into()), |text| text.push_str(tag));
        }
        assert_eq!(text.hashtags(), ["one", "two"]);
    }
}
