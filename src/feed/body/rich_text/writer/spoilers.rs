//! Spoilers: hidden parts of paragraphs, and `<details>`.

use std::ops::Range;

use super::{Paragraph, Writer};
use crate::feed::body::html;
use crate::feed::plain_text;
use crate::model::rich_text::SPOILER_MASK;

const SPOILER_END: &str = "</details>\n";

impl Writer<'_> {
    /// Updates `is_hidden` for this position. Returns the position at which it changes.
    pub(super) fn seek(&mut self, at: usize) -> usize {
        while let Some(spoiler) = self.spoilers.next_if(|spoiler| spoiler.end <= at) {
            self.cross_edge(&spoiler);
            self.is_hidden = false;
        }
        match self.spoilers.peek().cloned() {
            Some(spoiler) if spoiler.start <= at => {
                if !self.is_hidden {
                    self.cross_edge(&spoiler);
                    self.is_hidden = true;
                }
                spoiler.end
            }
            next => next.map_or(usize::MAX, |spoiler| spoiler.start),
        }
    }

    /// Closes what must not be both inside and outside of a spoiler: all inline elements; also the paragraph, if the spoiler
    /// is on its own lines.
    fn cross_edge(&mut self, spoiler: &Range<usize>) {
        if self.figures.is_some() && is_on_own_lines(self.text, spoiler) {
            self.close_paragraph();
        } else {
            self.end_hidden();
        }
    }

    /// Ends the hidden part of the paragraph.
    pub(super) fn end_hidden(&mut self) {
        self.close_inlines(0);
        if let Some(paragraph) = &mut self.paragraph {
            paragraph.hidden.extend(paragraph.hidden_from.take().map(|from| from..self.out.len()));
        }
    }

    /// Masks the hidden parts of the paragraph at the end of the output. Returns its readable content.
    pub(super) fn mask(&mut self, paragraph: &Paragraph) -> String {
        let readable = self.out.split_off(paragraph.content);
        let mut at = 0;
        for hidden in &paragraph.hidden {
            self.out.push_str(&readable[at..hidden.start - paragraph.content]);
            self.out.push_str(SPOILER_MASK);
            at = hidden.end - paragraph.content;
        }
        self.out.push_str(&readable[at..]);
        readable
    }

    /// Opens a spoiler, or continues the one at the end of the output.
    pub(super) fn open_spoiler(&mut self) {
        if self.spoiler_end == Some(self.out.len()) {
            self.out.truncate(self.out.len() - SPOILER_END.len());
            return;
        }
        if self.bare_end == Some(self.out.len()) {
            self.out.push('\n');
        }
        html::open(self.out, "details");
        html::block(self.out, "summary", |out| html::text(out, self.words.spoiler));
    }

    pub(super) fn close_spoiler(&mut self) {
        self.out.push_str(SPOILER_END);
        self.spoiler_end = Some(self.out.len());
    }
}

/// Returns whether the range begins and ends lines or cells.
fn is_on_own_lines(text: &str, range: &Range<usize>) -> bool {
    let is_space = |c: char| !matches!(c, '\n' | '\t') && plain_text::shows_nothing(c);
    let before = text[..range.start].trim_end_matches(is_space);
    let after = text[range.end..].trim_start_matches(is_space);
    (before.is_empty() || before.ends_with(['\n', '\t']))
        && (after.is_empty() || after.starts_with(['\n', '\t']))
}
