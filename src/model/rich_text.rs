//! Rich text: plain text with entities that format ranges of it, as in Telegram's API. Blocks such as lists and tables
//! are entities too, so a post has one plain text whatever its structure.

mod spoilers;
mod stored;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use stored::StoredText;
pub(super) use stored::deserialize_rich_or_plain;

/// The placeholder of a spoiler where it cannot be hidden, such as in a title.
pub const SPOILER_MASK: &str = "▒▒▒";

/// The placeholder of a figure or rule in the plain text: the object replacement character.
pub const OBJECT: char = '\u{fffc}';

/// A text with its formatting.
///
/// Two entities are nested or disjoint, never partly overlapping: [`push_str`](Self::push_str) and
/// [`entity`](Self::entity) allow nothing else. They are sorted by start, the outer one first. Line breaks are `\n`, a
/// blank line separates paragraphs, and each block is on its own lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredText")]
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

/// The format of a range of text, named as in Telegram's API. The archive contains these names.
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
    /// Text below the line.
    Subscript,
    /// Text above the line.
    Superscript,
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
    /// A heading of this level, from 1 to 6.
    Heading(u8),
    /// A list: the number of the first item, or `None` for bullets.
    List(Option<u32>),
    /// An item, directly in a list.
    Item,
    /// A table.
    Table,
    /// A row, directly in a table.
    Row,
    /// A cell, directly in a row. It ends with a tab, so that an empty cell is kept.
    Cell {
        /// It labels a column or row.
        header: bool,
        /// How many columns it spans.
        columns: u16,
        /// How many rows it spans.
        rows: u16,
    },
    /// Text below a summary, folded until the reader opens it.
    Details,
    /// The visible line of details, directly in them.
    Summary,
    /// The medium of the post with this number, counted from 0. The range is one [`OBJECT`].
    Figure(usize),
    /// A caption, right after its figure.
    Caption,
    /// A line across the page. The range is one [`OBJECT`].
    Rule,
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

    /// Returns the hidden ranges, without the white space at their ends. Spoilers with only white space between them are
    /// one.
    #[must_use]
    pub fn spoilers(&self) -> Vec<Range<usize>> {
        let mut spoilers: Vec<Range<usize>> = Vec::new();
        for entity in self.entities.iter().filter(|entity| entity.kind == EntityKind::Spoiler) {
            let hidden = self.text[entity.start..entity.end].trim_start();
            let start = entity.end - hidden.len();
            let end = start + hidden.trim_end().len();
            match spoilers.last_mut() {
                _ if start == end => {}
                Some(last) if start <= last.end => last.end = last.end.max(end),
                Some(last) if self.text[last.end..start].trim().is_empty() => last.end = end,
                _ => spoilers.push(start..end),
            }
        }
        spoilers
    }

    /// Returns the plain text with [`SPOILER_MASK`] in place of each of the [`spoilers`](Self::spoilers).
    #[must_use]
    pub fn without_spoilers(&self) -> Cow<'_, str> {
        let mut masked = String::new();
        let mut end = 0;
        for spoiler in self.spoilers() {
            masked.push_str(&self.text[end..spoiler.start]);
            masked.push_str(SPOILER_MASK);
            end = spoiler.end;
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
        let spoilers = self.spoilers();
        let is_hidden = |tag: &Entity| {
            let next = spoilers.partition_point(|spoiler| spoiler.end <= tag.start);
            spoilers.get(next).is_some_and(|spoiler| spoiler.start <= tag.start)
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

    /// Returns the text without links to this URL whose label is blank.
    #[must_use]
    pub fn without_blank_links(&self, url: &str, is_blank: impl Fn(&str) -> bool) -> Cow<'_, Self> {
        let is_dropped = |entity: &Entity| {
            let label = &self.text[entity.start..entity.end];
            matches!(&entity.kind, EntityKind::Link(target) if **target == *url) && is_blank(label)
        };
        if !self.entities.iter().any(is_dropped) {
            return Cow::Borrowed(self);
        }
        let entities = self.entities.iter().filter(|entity| !is_dropped(entity)).cloned().collect();
        Cow::Owned(Self { text: self.text.clone(), entities })
    }

    /// Returns the numbers of the media that are figures of the text, in their order.
    pub fn figures(&self) -> impl Iterator<Item = usize> {
        self.entities.iter().filter_map(|entity| match entity.kind {
            EntityKind::Figure(n) => Some(n),
            _ => None,
        })
    }

    /// Returns the text with other numbers of its figures.
    #[must_use]
    pub fn with_figures(mut self, number: impl Fn(usize) -> usize) -> Self {
        for entity in &mut self.entities {
            if let EntityKind::Figure(n) = &mut entity.kind {
                *n = number(*n);
            }
        }
        self
    }

    /// Appends plain text.
    pub fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends line breaks until the text ends with `n` of them. The start of the text or of a table's cell needs none.
    pub fn break_line(&mut self, n: usize) {
        if !self.text.is_empty() && !self.text.ends_with('\t') {
            let n_breaks = self.text.bytes().rev().take(n).take_while(|byte| *byte == b'\n').count();
            self.text.extend(std::iter::repeat_n('\n', n - n_breaks));
        }
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

    /// Returns the text without leading and trailing white space, except for the tabs of a table's last cells.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        self.text.truncate(self.text.trim_end_matches(|c: char| c.is_whitespace() && c != '\t').len());
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
    fn lines_are_broken_only_as_often_as_needed() {
        let mut text = RichText::default();
        text.break_line(2);
        text.push_str("a");
        text.break_line(1);
        text.break_line(2);
        text.break_line(1);
        text.push_str("b\t");
        text.break_line(1);
        assert_eq!(text.text(), "a\n\nb\t");
    }

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
