//! Rich text as HTML.
//!
//! Telegram's entities format ranges of text, while HTML needs inline elements inside paragraphs inside blocks. An
//! inline entity that crosses the end of a paragraph is closed there and opened again in the next one. Start tags are
//! delayed until visible text follows, so no element is empty. The exception is a link without a visible label:
//! authors use such links to choose a link preview, and they stay invisible, as in Telegram.

use super::html;
use crate::feed::plain_text;
use crate::model::rich_text::{EntityKind, RichText};

/// Writes the text as paragraphs and blocks.
pub(super) fn write(out: &mut String, rich: &RichText) {
    let text = rich.text();
    let mut writer = Writer::new(out);
    let mut entered = Vec::new();
    let mut at = 0;
    for entity in rich.entities() {
        while let Some((end, kind)) = entered.pop_if(|(end, _)| *end <= entity.start) {
            writer.text(&text[at..end]);
            writer.leave(kind);
            at = end;
        }
        writer.text(&text[at..entity.start]);
        at = entity.start;
        if let EntityKind::Link(url) = &entity.kind
            && plain_text::is_blank(&text[entity.start..entity.end])
        {
            writer.hidden_link(url);
        } else if writer.enter(&entity.kind) {
            entered.push((entity.end, &entity.kind));
        }
    }
    while let Some((end, kind)) = entered.pop() {
        writer.text(&text[at..end]);
        writer.leave(kind);
        at = end;
    }
    writer.text(&text[at..]);
    writer.close_blocks(0);
}

struct Writer<'a> {
    out: &'a mut String,
    /// The quotes and spoilers around the current position, the outermost first.
    blocks: Vec<&'a EntityKind>,
    /// How many of `blocks` have been written as start tags.
    n_open_blocks: usize,
    /// The open `p` or `pre` element, and the offset of the `>` of its start tag.
    paragraph: Option<(&'static str, usize)>,
    /// The current position is in preformatted text.
    preformatted: bool,
    /// The inline entities around the current position, the outermost first.
    inlines: Vec<&'a EntityKind>,
    /// How many of `inlines` have been written as start tags.
    n_open_inlines: usize,
    /// White space since the last visible character. Whether it becomes a space, a `<br>` or a new paragraph depends on
    /// what follows.
    space: String,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut String) -> Self {
        Self {
            out,
            blocks: Vec::new(),
            n_open_blocks: 0,
            paragraph: None,
            preformatted: false,
            inlines: Vec::new(),
            n_open_inlines: 0,
            space: String::new(),
        }
    }

    /// Enters an entity and returns `true`, or ignores it if it has no effect: an entity inside another of its kind,
    /// or a link with a disallowed scheme. So elements never nest deeper than the number of kinds.
    fn enter(&mut self, kind: &'a EntityKind) -> bool {
        match kind {
            EntityKind::Quote | EntityKind::Spoiler => {
                if self.blocks.contains(&kind) {
                    return false;
                }
                self.close_paragraph();
                self.blocks.push(kind);
            }
            EntityKind::Pre => {
                if self.preformatted {
                    return false;
                }
                self.close_paragraph();
                self.preformatted = true;
            }
            EntityKind::Link(url) | EntityKind::Hashtag(url) => {
                if self.inlines.iter().any(|inline| is_link(inline)) || !html::is_linkable(url) {
                    return false;
                }
                self.inlines.push(kind);
            }
            EntityKind::Bold
            | EntityKind::Italic
            | EntityKind::Underline
            | EntityKind::Strike
            | EntityKind::Code => {
                if self.inlines.contains(&kind) {
                    return false;
                }
                self.inlines.push(kind);
            }
        }
        true
    }

    /// Leaves the entity that was entered last.
    fn leave(&mut self, kind: &EntityKind) {
        match kind {
            EntityKind::Quote | EntityKind::Spoiler => {
                self.close_blocks(self.blocks.len() - 1);
                self.blocks.pop();
            }
            EntityKind::Pre => {
                self.close_paragraph();
                self.preformatted = false;
            }
            _ => {
                self.close_inlines(self.inlines.len() - 1);
                self.inlines.pop();
            }
        }
    }

    /// Writes a link without a label.
    fn hidden_link(&mut self, url: &str) {
        if !html::is_linkable(url) || self.inlines.iter().any(|inline| is_link(inline)) {
            return;
        }
        if self.paragraph.is_none() {
            self.open();
        }
        html::open_link(self.out, url);
        html::close(self.out, "a");
    }

    fn text(&mut self, text: &str) {
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
        if !self.preformatted && self.space.bytes().filter(|&byte| byte == b'\n').count() > 1 {
            self.close_paragraph();
        }
        for block in &self.blocks[self.n_open_blocks..] {
            html::open(self.out, tag(block));
            if **block == EntityKind::Spoiler {
                // Miniflux displays the content openly, so the text itself must announce the spoiler.
                self.out.push_str("<summary>Spoiler:</summary>\n");
            }
        }
        self.n_open_blocks = self.blocks.len();
        if self.paragraph.is_none() {
            let tag = if self.preformatted { "pre" } else { "p" };
            html::open(self.out, tag);
            self.paragraph = Some((tag, self.out.len() - 1));
            // HTML ignores a line break after `<pre>`, and white space after `<p>`.
            if self.preformatted {
                html::text(self.out, self.space.trim_start_matches(['\n', '\r']));
            }
        } else if self.preformatted || !self.space.contains('\n') {
            html::text(self.out, &self.space);
        } else {
            self.out.push_str("<br>");
        }
        self.space.clear();
        for inline in &self.inlines[self.n_open_inlines..] {
            match inline {
                EntityKind::Link(url) | EntityKind::Hashtag(url) => {
                    html::open_link(self.out, url);
                }
                kind => html::open(self.out, tag(kind)),
            }
        }
        self.n_open_inlines = self.inlines.len();
    }

    /// Closes all but the `n` outermost inline elements.
    fn close_inlines(&mut self, n: usize) {
        while self.n_open_inlines > n {
            self.n_open_inlines -= 1;
            html::close(self.out, tag(self.inlines[self.n_open_inlines]));
        }
    }

    /// Closes the open `p` or `pre` element.
    fn close_paragraph(&mut self) {
        self.close_inlines(0);
        self.space.clear();
        if let Some((tag, tag_end)) = self.paragraph.take() {
            html::close(self.out, tag);
            self.out.push('\n');
            html::direct(self.out, tag_end);
        }
    }

    /// Closes all but the `n` outermost blocks.
    fn close_blocks(&mut self, n: usize) {
        self.close_paragraph();
        while self.n_open_blocks > n {
            self.n_open_blocks -= 1;
            html::close(self.out, tag(self.blocks[self.n_open_blocks]));
            self.out.push('\n');
        }
    }
}

fn is_link(kind: &EntityKind) -> bool {
    matches!(kind, EntityKind::Link(_) | EntityKind::Hashtag(_))
}

fn tag(kind: &EntityKind) -> &'static str {
    match kind {
        EntityKind::Bold => "b",
        EntityKind::Italic => "i",
        EntityKind::Underline => "u",
        EntityKind::Strike => "s",
        EntityKind::Spoiler => "details",
        EntityKind::Quote => "blockquote",
        EntityKind::Code => "code",
        EntityKind::Pre => "pre",
        EntityKind::Link(_) | EntityKind::Hashtag(_) => "a",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::sanitize::sanitize;
    use EntityKind::{Bold, Code, Hashtag, Italic, Link, Pre, Quote, Spoiler};

    /// Returns the text that `fill` builds as HTML.
    fn html(fill: impl FnOnce(&mut RichText)) -> String {
        let mut rich = RichText::default();
        fill(&mut rich);
        let mut out = String::new();
        write(&mut out, &rich);
        assert_eq!(sanitize(&out), out, "the sanitizer changes it");
        out.trim_end().to_owned()
    }

    #[test]
    fn blank_lines_separate_paragraphs() {
        assert_eq!(html(|t| t.push_str("\n a \nb\n \u{200b}\n\nc  d\n")), "<p>a<br>b</p>\n<p>c  d</p>");
        assert_eq!(html(|t| t.push_str(" \n\u{3164}\n")), "");
    }

    #[test]
    fn inline_entity_is_reopened_in_the_next_paragraph() {
        let out = html(|t| {
            t.push_str("x ");
            t.entity(Bold, |t| {
                t.push_str("a\n\nb ");
                t.entity(Italic, |t| t.push_str("c\nd"));
            });
            t.push_str("\ne");
        });
        assert_eq!(out, "<p>x <b>a</b></p>\n<p><b>b <i>c<br>d</i></b><br>e</p>");
    }

    #[test]
    fn inline_entity_continues_inside_blocks() {
        let out = html(|t| {
            t.entity(Bold, |t| {
                t.push_str("a");
                t.entity(Quote, |t| t.push_str("b\n"));
                t.push_str("\nc");
            });
            t.entity(Spoiler, |t| t.push_str("d"));
            t.push_str(" e");
        });
        let expected = "<p><b>a</b></p>\n<blockquote><p><b>b</b></p>\n</blockquote>\n<p><b>c</b></p>\n\
            <details><summary>Spoiler:</summary>\n<p>d</p>\n</details>\n<p>e</p>";
        assert_eq!(out, expected);
    }

    #[test]
    fn link_without_label_stays_invisible() {
        let hidden =
            |t: &mut RichText| t.entity(Link("https://x.example/".into()), |t| t.push_str("\u{200b}\n"));
        let link = "<a href=\"https://x.example/\" rel=\"noopener noreferrer\"></a>";
        let out = html(|t| {
            hidden(t);
            t.push_str("a\n");
            t.entity(Bold, |t| {
                hidden(t);
                t.push_str("b");
            });
        });
        assert_eq!(out, format!("<p>{link}<br>a{link}</p>\n<p><b>b</b></p>"));
    }

    #[test]
    fn preformatted_text_keeps_white_space() {
        let out = html(|t| {
            t.push_str("x\n");
            t.entity(Pre, |t| t.push_str("\n  if a < b {\n\n    c\n  }\n"));
            t.push_str("y ");
            t.entity(Code, |t| t.push_str("z"));
        });
        assert_eq!(out, "<p>x</p>\n<pre>  if a &lt; b {\n\n    c\n  }</pre>\n<p>y <code>z</code></p>");
    }

    #[test]
    fn entities_without_effect_are_omitted() {
        let out = html(|t| {
            t.entity(Quote, |t| t.push_str(" \n"));
            t.entity(Bold, |t| t.entity(Bold, |t| t.push_str("a")));
            t.entity(Bold, |t| t.push_str("\u{a0}"));
            t.entity(Link("javascript:x".into()), |t| t.push_str("b"));
            t.entity(Link("https://example.org/".into()), |t| {
                t.push_str("c");
                t.entity(Hashtag("https://example.org/?q=d".into()), |t| t.push_str("#d"));
            });
        });
        let link = r#"<a href="https://example.org/" rel="noopener noreferrer">c#d</a>"#;
        assert_eq!(out, format!("<p><b>a</b>&nbsp;b{link}</p>"));
    }

    #[test]
    fn only_rtl_paragraphs_have_a_direction() {
        let out = html(|t| {
            t.push_str("a\n\nשלום");
            t.entity(Pre, |t| t.push_str("סוף"));
        });
        assert_eq!(out, "<p>a</p>\n<p dir=\"auto\">שלום</p>\n<pre dir=\"auto\">סוף</pre>");
    }
}
