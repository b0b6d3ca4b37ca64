//! Rich text as HTML.
//!
//! Telegram's entities mark ranges of characters; HTML wants paragraphs that hold inline elements, and blocks
//! that hold paragraphs. An inline entity that crosses the end of a paragraph is closed there and opened again
//! behind it. Every tag waits until there is text for it, so none is ever empty, but for a link without a visible
//! label: authors hide such links to choose a preview, and they stay as hidden as they are in Telegram.

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
        if let EntityKind::Link(address) = &entity.kind
            && plain_text::is_blank(&text[entity.start..entity.end])
        {
            writer.hidden_link(address);
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
    /// Quotes and spoilers that we are in, the outermost first.
    blocks: Vec<&'a EntityKind>,
    /// How many of the blocks have been opened.
    n_blocks_open: usize,
    /// What holds the text, when open: `p` or `pre`, and where its name ends.
    holder: Option<(&'static str, usize)>,
    /// We are in preformatted text.
    preformatted: bool,
    /// Inline entities that we are in, the outermost first.
    inlines: Vec<&'a EntityKind>,
    /// How many of the inline entities have been opened.
    n_inlines_open: usize,
    /// White space since the last visible character: what it becomes depends on what comes after.
    space: String,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut String) -> Self {
        Self {
            out,
            blocks: Vec::new(),
            n_blocks_open: 0,
            holder: None,
            preformatted: false,
            inlines: Vec::new(),
            n_inlines_open: 0,
            space: String::new(),
        }
    }

    /// Starts an entity, unless it would change nothing: one inside another of its kind, a link that can't be
    /// followed. So the elements nest no deeper than there are kinds, whatever the author did.
    fn enter(&mut self, kind: &'a EntityKind) -> bool {
        match kind {
            EntityKind::Quote | EntityKind::Spoiler => {
                if self.blocks.contains(&kind) {
                    return false;
                }
                self.close_holder();
                self.blocks.push(kind);
            }
            EntityKind::Pre => {
                if self.preformatted {
                    return false;
                }
                self.close_holder();
                self.preformatted = true;
            }
            EntityKind::Link(address) | EntityKind::Hashtag(address) => {
                if self.inlines.iter().any(|inline| is_link(inline)) || !html::is_linkable(address) {
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

    /// Ends the entity that was entered last.
    fn leave(&mut self, kind: &EntityKind) {
        match kind {
            EntityKind::Quote | EntityKind::Spoiler => {
                self.close_blocks(self.blocks.len() - 1);
                self.blocks.pop();
            }
            EntityKind::Pre => {
                self.close_holder();
                self.preformatted = false;
            }
            _ => {
                self.close_inlines(self.inlines.len() - 1);
                self.inlines.pop();
            }
        }
    }

    fn hidden_link(&mut self, address: &str) {
        if !html::is_linkable(address) || self.inlines.iter().any(|inline| is_link(inline)) {
            return;
        }
        if self.holder.is_none() {
            self.open();
        }
        html::open_link(self.out, address);
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

    /// Opens all that has to be open before a visible character, and puts the white space before it.
    fn open(&mut self) {
        if !self.preformatted && self.space.bytes().filter(|&byte| byte == b'\n').count() > 1 {
            self.close_holder();
        }
        for block in &self.blocks[self.n_blocks_open..] {
            html::open(self.out, tag(block));
            if **block == EntityKind::Spoiler {
                // Miniflux shows it all openly, so the word has to stand in the text.
                self.out.push_str("<summary>Spoiler:</summary>\n");
            }
        }
        self.n_blocks_open = self.blocks.len();
        if self.holder.is_none() {
            let tag = if self.preformatted { "pre" } else { "p" };
            html::open(self.out, tag);
            self.holder = Some((tag, self.out.len() - 1));
            // HTML drops a line break behind `<pre>`, and white space behind `<p>` shows nothing.
            if self.preformatted {
                html::text(self.out, self.space.trim_start_matches(['\n', '\r']));
            }
        } else if self.preformatted || !self.space.contains('\n') {
            html::text(self.out, &self.space);
        } else {
            self.out.push_str("<br>");
        }
        self.space.clear();
        for inline in &self.inlines[self.n_inlines_open..] {
            match inline {
                EntityKind::Link(address) | EntityKind::Hashtag(address) => {
                    html::open_link(self.out, address);
                }
                kind => html::open(self.out, tag(kind)),
            }
        }
        self.n_inlines_open = self.inlines.len();
    }

    /// Closes inline elements until at most `n` are open.
    fn close_inlines(&mut self, n: usize) {
        while self.n_inlines_open > n {
            self.n_inlines_open -= 1;
            html::close(self.out, tag(self.inlines[self.n_inlines_open]));
        }
    }

    /// Ends the paragraph or the preformatted text.
    fn close_holder(&mut self) {
        self.close_inlines(0);
        self.space.clear();
        if let Some((tag, tag_end)) = self.holder.take() {
            html::close(self.out, tag);
            self.out.push('\n');
            html::direct(self.out, tag_end);
        }
    }

    /// Closes blocks until at most `n` are open.
    fn close_blocks(&mut self, n: usize) {
        self.close_holder();
        while self.n_blocks_open > n {
            self.n_blocks_open -= 1;
            html::close(self.out, tag(self.blocks[self.n_blocks_open]));
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

    /// The text that `fill` builds, as HTML.
    fn html(fill: impl FnOnce(&mut RichText)) -> String {
        let mut rich = RichText::default();
        fill(&mut rich);
        let mut out = String::new();
        write(&mut out, &rich);
        assert_eq!(sanitize(&out), out, "sanitizing changes it");
        out.trim_end().to_owned()
    }

    #[test]
    fn blank_lines_part_paragraphs() {
        assert_eq!(html(|t| t.push_str("\n a \nb\n \u{200b}\n\nc  d\n")), "<p>a<br>b</p>\n<p>c  d</p>");
        assert_eq!(html(|t| t.push_str(" \n\u{3164}\n")), "");
    }

    #[test]
    fn an_inline_entity_over_paragraphs_is_opened_again() {
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
    fn blocks_end_the_paragraph_and_inline_entities_go_on_inside() {
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
    fn a_hidden_link_stays_hidden() {
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
    fn preformatted_text_keeps_its_white_space() {
        let out = html(|t| {
            t.push_str("x\n");
            t.entity(Pre, |t| t.push_str("\n  if a < b {\n\n    c\n  }\n"));
            t.push_str("y ");
            t.entity(Code, |t| t.push_str("z"));
        });
        assert_eq!(out, "<p>x</p>\n<pre>  if a &lt; b {\n\n    c\n  }</pre>\n<p>y <code>z</code></p>");
    }

    #[test]
    fn what_changes_nothing_is_not_written() {
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
    fn only_right_to_left_paragraphs_have_a_direction() {
        let out = html(|t| {
            t.push_str("a\n\nשלום");
            t.entity(Pre, |t| t.push_str("סוף"));
        });
        assert_eq!(out, "<p>a</p>\n<p dir=\"auto\">שלום</p>\n<pre dir=\"auto\">סוף</pre>");
    }
}
