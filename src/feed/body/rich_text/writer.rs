//! Writes paragraphs and blocks. The tags of both are delayed until it is known what they contain.

mod spoilers;

use std::iter::Peekable;
use std::mem;
use std::ops::Range;
use std::vec;

use super::{FigureWriter, tags};
use crate::feed::body::html;
use crate::feed::plain_text;
use crate::language::FeedWords;
use crate::model::rich_text::{EntityKind, RichText};

const FIGURE_END: &str = "</figure>\n";

/// Writes text and blocks in the order of the text.
pub(super) struct Writer<'a> {
    out: &'a mut String,
    text: &'a str,
    words: &'a FeedWords,
    /// `None` to write into an open element.
    figures: Option<FigureWriter<'a>>,
    /// The hidden ranges that are not behind the current position.
    spoilers: Peekable<vec::IntoIter<Range<usize>>>,
    /// The current position is in a spoiler.
    is_hidden: bool,
    /// The blocks around the current position, the outermost first.
    blocks: Vec<&'a EntityKind>,
    /// How many of `blocks` have been written as start tags.
    n_open_blocks: usize,
    paragraph: Option<Paragraph>,
    /// The inline entities around the current position, the outermost first.
    inlines: Vec<&'a EntityKind>,
    /// How many of `inlines` have been written as start tags.
    n_open_inlines: usize,
    /// White space since the last visible character. Whether it becomes a space, a `<br>` or a new paragraph depends on
    /// what follows.
    space: String,
    /// The length of `out` after the start tag of an item or cell, whose first paragraph needs no tag of its own.
    bare_start: Option<usize>,
    /// The length of `out` after such a paragraph.
    bare_end: Option<usize>,
    /// The length of `out` after a figure that may get a caption.
    figure_end: Option<usize>,
    /// The length of `out` after a spoiler that may be continued.
    spoiler_end: Option<usize>,
}

/// The open paragraph, with offsets in the output.
struct Paragraph {
    /// Empty for text that is directly in an element.
    tag: &'static str,
    /// Where its start tag begins.
    start: usize,
    /// Where its content begins.
    content: usize,
    /// The hidden parts of its content.
    hidden: Vec<Range<usize>>,
    /// Where the current hidden part begins.
    hidden_from: Option<usize>,
    /// It also has text that is not hidden.
    is_visible: bool,
    /// It is in a figure, whose end tag must follow.
    is_caption: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        out: &'a mut String,
        rich: &'a RichText,
        figures: Option<FigureWriter<'a>>,
        words: &'a FeedWords,
    ) -> Self {
        Self {
            out,
            text: rich.text(),
            words,
            figures,
            spoilers: rich.spoilers().into_iter().peekable(),
            is_hidden: false,
            blocks: Vec::new(),
            n_open_blocks: 0,
            paragraph: None,
            inlines: Vec::new(),
            n_open_inlines: 0,
            space: String::new(),
            bare_start: None,
            bare_end: None,
            figure_end: None,
            spoiler_end: None,
        }
    }

    /// Enters an entity and returns `true`, or ignores it if it has no effect: one inside another of its kind, unless it is a
    /// block that contains paragraphs, or a link with a disallowed scheme. So only such blocks nest deep, and the parser
    /// limits those.
    pub(super) fn enter(&mut self, kind: &'a EntityKind) -> bool {
        let is_effective = match kind {
            EntityKind::Link(url) | EntityKind::Hashtag(url) => {
                self.link().is_none() && html::is_linkable(url)
            }
            // Hidden ranges are found by position.
            EntityKind::Spoiler => false,
            _ if tags::is_inline(kind) => !self.inlines.contains(&kind),
            _ if tags::paragraph_tag(kind).is_some() && self.blocks.contains(&kind) => false,
            _ => self.figures.is_some(),
        };
        if is_effective && tags::is_inline(kind) {
            self.inlines.push(kind);
        } else if is_effective {
            self.close_paragraph();
            self.blocks.push(kind);
        }
        is_effective
    }

    /// Leaves the entity that was entered last.
    pub(super) fn leave(&mut self, kind: &EntityKind) {
        if tags::is_inline(kind) {
            self.close_inlines(self.inlines.len() - 1);
            self.inlines.pop();
            return;
        }
        // An empty cell is kept, because the next one must not take its place.
        if matches!(kind, EntityKind::Cell { .. }) && self.n_open_blocks < self.blocks.len() {
            self.open_blocks();
        }
        self.close_blocks(self.blocks.len() - 1);
        self.blocks.pop();
    }

    /// Writes a figure or rule.
    pub(super) fn object(&mut self, kind: &EntityKind, at: usize) {
        self.seek(at);
        let Some(figures) = self.figures else { return };
        self.close_paragraph();
        self.open_blocks();
        let EntityKind::Figure(n) = *kind else { return self.out.push_str("<hr>\n") };
        if self.is_hidden {
            self.open_spoiler();
        }
        figures(self.out, n, self.link());
        if self.is_hidden {
            self.close_spoiler();
        } else if self.out.ends_with(FIGURE_END) && !self.out.ends_with("</figcaption>\n</figure>\n") {
            self.figure_end = Some(self.out.len());
        }
    }

    /// Writes a link without a label, or with its URL as the label if nothing of the text is visible.
    pub(super) fn hidden_link(&mut self, url: &str, at: usize) {
        self.seek(at);
        if !html::is_linkable(url) || self.link().is_some() {
            return;
        }
        if self.is_hidden || self.paragraph.is_none() {
            self.open();
        }
        html::open_link(self.out, url);
        if plain_text::is_blank(self.text) {
            html::text(self.out, url);
        }
        html::close(self.out, "a");
    }

    /// Returns the target of the link around the current position.
    fn link(&self) -> Option<&'a str> {
        self.inlines.iter().find_map(|inline| match inline {
            EntityKind::Link(url) | EntityKind::Hashtag(url) => Some(&**url),
            _ => None,
        })
    }

    /// Writes a range of the text.
    pub(super) fn text(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let end = self.seek(at).min(range.end);
            self.piece(&self.text[at..end]);
            at = end;
        }
    }

    fn piece(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let start = line.len() - line.trim_start_matches(plain_text::shows_nothing).len();
            let visible = line[start..].trim_end_matches(plain_text::shows_nothing);
            self.space.push_str(&line[..start]);
            if !visible.is_empty() {
                self.open();
                html::text(self.out, visible);
                self.space.push_str(&line[start + visible.len()..]);
            }
        }
    }

    /// Writes the white space and the delayed start tags that precede a visible character.
    fn open(&mut self) {
        let is_preformatted = self.is_preformatted();
        let space = mem::take(&mut self.space);
        let n_breaks = space.bytes().filter(|&byte| byte == b'\n').count();
        if n_breaks > 1 && !is_preformatted && self.figures.is_some() {
            self.close_paragraph();
        }
        let is_first = self.paragraph.is_none();
        if is_first {
            self.open_paragraph();
        }
        if is_preformatted && is_first {
            // HTML ignores a line break after `<pre>`.
            html::text(self.out, space.trim_start_matches(['\n', '\r']));
        } else if is_preformatted || !is_first && n_breaks == 0 {
            html::text(self.out, &space);
        } else {
            if !is_first {
                (0..n_breaks).for_each(|_| self.out.push_str("<br>"));
            }
            let line_start = space.rfind('\n').map_or(0, |end| end + 1);
            html::text(self.out, &plain_text::indentation(&space[line_start..]).collect::<String>());
        }
        if let Some(paragraph) = &mut self.paragraph {
            paragraph.is_visible |= !self.is_hidden;
            if self.is_hidden {
                paragraph.hidden_from.get_or_insert(self.out.len());
            }
        }
        for inline in &self.inlines[self.n_open_inlines..] {
            tags::open(self.out, inline);
        }
        self.n_open_inlines = self.inlines.len();
    }

    fn is_preformatted(&self) -> bool {
        self.blocks.contains(&&EntityKind::Pre)
    }

    /// Writes the delayed start tags of blocks.
    fn open_blocks(&mut self) {
        if self.bare_end == Some(self.out.len()) {
            self.out.push('\n');
        }
        for block in &self.blocks[self.n_open_blocks..] {
            if tags::paragraph_tag(block).is_none() {
                tags::open(self.out, block);
            }
            let is_bare = matches!(block, EntityKind::Item | EntityKind::Cell { .. });
            self.bare_start = is_bare.then_some(self.out.len()).or(self.bare_start);
        }
        self.n_open_blocks = self.blocks.len();
    }

    /// Writes the start tag of a paragraph, by the block that it is in.
    fn open_paragraph(&mut self) {
        self.open_blocks();
        let is_bare = self.figures.is_none() || self.bare_start == Some(self.out.len());
        let is_caption =
            self.blocks.last() == Some(&&EntityKind::Caption) && self.figure_end == Some(self.out.len());
        let tag = match self.blocks.last().and_then(|block| tags::paragraph_tag(block)) {
            _ if is_caption => "figcaption",
            Some(tag) => tag,
            None if is_bare => "",
            None if self.is_preformatted() => "pre",
            None => "p",
        };
        if is_caption {
            self.out.truncate(self.out.len() - FIGURE_END.len());
        }
        let start = self.out.len();
        if !tag.is_empty() {
            html::open(self.out, tag);
        }
        let content = self.out.len();
        self.paragraph = Some(Paragraph {
            tag,
            start,
            content,
            hidden: Vec::new(),
            hidden_from: None,
            is_visible: false,
            is_caption,
        });
    }

    /// Closes all but the `n` outermost inline elements.
    fn close_inlines(&mut self, n: usize) {
        while self.n_open_inlines > n {
            self.n_open_inlines -= 1;
            tags::close(self.out, self.inlines[self.n_open_inlines]);
        }
    }

    /// Closes the open paragraph. If it has hidden parts, they are masked, and it follows once more in a spoiler.
    fn close_paragraph(&mut self) {
        self.end_hidden();
        self.space.clear();
        let Some(paragraph) = self.paragraph.take() else { return };
        let readable = (!paragraph.hidden.is_empty()).then(|| self.mask(&paragraph));
        // An open element has no place for the spoiler.
        let readable = readable.filter(|_| self.figures.is_some());
        if readable.is_some() && !paragraph.is_visible {
            self.out.truncate(paragraph.start);
        } else {
            self.end_paragraph(paragraph.tag, paragraph.content);
        }
        if paragraph.is_caption {
            self.out.push_str(FIGURE_END);
        }
        if let Some(readable) = readable {
            let tag = if paragraph.tag == "pre" { "pre" } else { "p" };
            self.open_spoiler();
            html::open(self.out, tag);
            let content = self.out.len();
            self.out.push_str(&readable);
            self.end_paragraph(tag, content);
            self.close_spoiler();
        }
    }

    fn end_paragraph(&mut self, tag: &str, content: usize) {
        if !tag.is_empty() {
            html::close(self.out, tag);
            self.out.push('\n');
        }
        if self.figures.is_some() {
            html::direct(self.out, content - 1);
        }
        self.bare_end = tag.is_empty().then_some(self.out.len());
    }

    /// Closes all but the `n` outermost blocks.
    pub(super) fn close_blocks(&mut self, n: usize) {
        self.close_paragraph();
        while self.n_open_blocks > n {
            self.n_open_blocks -= 1;
            let block = self.blocks[self.n_open_blocks];
            if tags::paragraph_tag(block).is_none() {
                tags::close(self.out, block);
                self.out.push('\n');
            }
        }
    }
}
