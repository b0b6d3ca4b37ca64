//! Rich text: plain text with entities that format ranges of it, as in Telegram's API.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// What stands for a spoiler where it cannot be hidden, such as in a title.
pub const SPOILER_MASK: &str = "▒▒▒";

/// A text with its formatting.
///
/// Two entities are nested or disjoint, never partly overlapping: [`push_str`](Self::push_str) and
/// [`entity`](Self::entity) allow nothing else. They are sorted by start, the outer one first. Line breaks are `\n`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RichText {
    text: String,
    entities: Vec<Entity>,
}

/// A formatted range of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// The start, in bytes.
    pub start: usize,
    /// The end, in bytes; always greater than `start`.
    pub end: usize,
    /// The format.
    pub kind: EntityKind,
}

/// The format of a range of text, named as in Telegram's API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntityKind {
    /// Bold text.
    Bold,
    /// Italic text.
    Italic,
    /// Underlined text.
    Underline,
    /// Struck-through text.
    Strike,
    /// Hidden until the reader reveals it.
    Spoiler,
    /// A block quotation.
    Quote,
    /// Inline code.
    Code,
    /// A code block; white space is significant.
    Pre,
    /// A link or mention, with its absolute URL.
    Link(Box<str>),
    /// A hashtag or cashtag, with the URL of a search for it. The range starts with `#` or `$`.
    Hashtag(Box<str>),
}

impl RichText {
    /// Returns the plain text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the entities, sorted by start, the outer one first.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// Returns whether the text has no characters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the plain text with [`SPOILER_MASK`] in place of each spoiler. Spoilers with only white space between them
    /// are one.
    #[must_use]
    pub fn without_spoilers(&self) -> Cow<'_, str> {
        let mut masked = String::new();
        let mut end = 0;
        for spoiler in self.entities.iter().filter(|entity| entity.kind == EntityKind::Spoiler) {
            let between = self.text.get(end..spoiler.start).unwrap_or_default();
            if end == 0 || !between.trim().is_empty() {
                masked.push_str(between);
                masked.push_str(SPOILER_MASK);
            }
            end = end.max(spoiler.end);
        }
        if end == 0 {
            return Cow::Borrowed(&self.text);
        }
        masked.push_str(&self.text[end..]);
        Cow::Owned(masked)
    }

    /// Returns the hashtags and cashtags in their order, without their sign, without the channel that `#tag@channel` names,
    /// and without duplicates. Those in spoilers are not included.
    #[must_use]
    pub fn hashtags(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let is_hidden = |tag: &Entity| {
            let hides = |entity: &Entity| {
                entity.kind == EntityKind::Spoiler && entity.start <= tag.start && tag.end <= entity.end
            };
            self.entities.iter().any(hides)
        };
        let is_hashtag =
            |entity: &&Entity| matches!(entity.kind, EntityKind::Hashtag(_)) && !is_hidden(entity);
        let hashtags = self.entities.iter().filter(is_hashtag);
        hashtags
            .filter_map(|entity| {
                self.text[entity.start..entity.end].strip_prefix(['#', '$'])?.split('@').next()
            })
            .filter(|tag| seen.insert(*tag))
            .collect()
    }

    /// Appends plain text.
    pub fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends what `fill` writes as one entity; no entity if it writes nothing.
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

    /// Appends another text, separated by a blank line if this one is not empty.
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

    /// Returns the text without leading and trailing white space.
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
    fn trimming_shifts_entities() {
        let mut text = RichText::from("\n ");
        text.entity(EntityKind::Bold, |text| text.push_str("bold \n"));
        text.entity(EntityKind::Italic, |text| text.push_str("\n"));
        let text = text.trimmed();
        assert_eq!(text.text(), "bold");
        assert_eq!(text.entities(), [Entity { start: 0, end: 4, kind: EntityKind::Bold }]);
    }

    #[test]
    fn spoilers_are_masked_and_adjacent_ones_are_one() {
        let mut text = RichText::from("It was ");
        for hidden in ["the", " ", "butler"] {
            text.entity(EntityKind::Spoiler, |text| text.push_str(hidden));
        }
        text.push_str(", not ");
        text.entity(EntityKind::Spoiler, |text| {
            text.entity(EntityKind::Hashtag("".into()), |text| text.push_str("#gardener"));
        });
        text.push_str("!");
        assert_eq!(text.without_spoilers(), "It was ▒▒▒, not ▒▒▒!");
        assert!(text.hashtags().is_empty(), "a category tells the spoiler");
        assert_eq!(RichText::from("plain").without_spoilers(), "plain");
    }

    #[test]
    fn hashtags_have_no_sign_and_no_duplicates() {
        let mut text = RichText::default();
        for tag in ["#one", "#two", "#one@sample", "$TON"] {
            text.entity(EntityKind::Hashtag("".into()), |text| text.push_str(tag));
        }
        assert_eq!(text.hashtags(), ["one", "two", "TON"]);
    }
}
