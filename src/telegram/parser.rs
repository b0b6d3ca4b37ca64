//! Parses HTML into a tree, within limits that hold for every page.
//!
//! html5ever takes time that is quadratic in the depth, in the attributes of a tag, and in elements that are open or
//! waiting to be reopened. Nearly all of this work calls the tree sink, so [`MeteredSink`] counts it, and [`TokenGate`]
//! counts the rest. The counters depend on the page alone, not on the machine, and stop a hostile page between two tokens.

mod metered_sink;

use std::cell::Cell;

use html5ever::TokenizerResult;
use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::TreeSink;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Tag, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use scraper::{Html, HtmlTreeSink};

use metered_sink::{Meter, MeteredSink};

type NodeId = <HtmlTreeSink as TreeSink>::Handle;

/// Maximum work for one page, roughly in nanoseconds: more than ten times that of the largest page seen.
const MAX_WORK: u64 = 30_000_000;

/// Maximum memory of the tree, in bytes: five times that of the largest page seen.
const MAX_TREE_BYTES: u64 = 12 << 20;

/// Maximum nesting depth. No Telegram page comes close, and the parsers of texts are recursive.
const MAX_DEPTH: usize = 512;

/// Maximum number of attributes of a tag.
const MAX_ATTRIBUTES: usize = 64;

/// Maximum number of different names of tags and attributes that are longer than 7 bytes. They are interned in a hash
/// table with a known hash function, whose buckets a page could fill.
const MAX_LONG_NAMES: usize = 1_000;

/// Maximum length of a tag or comment, in bytes. html5ever compares each attribute of a tag with all previous ones.
const MAX_TOKEN_BYTES: usize = 32 << 10;

/// Bytes that are parsed between two checks.
const CHUNK_BYTES: usize = 16 << 10;

// Work, roughly in nanoseconds.
const BYTE_WORK: u64 = 2;
const TOKEN_WORK: u64 = 150;
const COMPARISON_WORK: u64 = 3;
const NODE_WORK: u64 = 200;
const ATTRIBUTE_WORK: u64 = 60;

// Memory in bytes.
const NODE_BYTES: u64 = 160;
const ATTRIBUTE_BYTES: u64 = 80;

/// The page exceeds one of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LimitExceeded;

/// Parses a page.
pub(super) fn parse(html: &str) -> Result<Html, LimitExceeded> {
    parse_metered(html).0
}

/// Parses a page; also returns the work that this took.
fn parse_metered(html: &str) -> (Result<Html, LimitExceeded>, u64) {
    let tree = MeteredSink { tree: HtmlTreeSink::new(Html::new_document()), meter: Meter::default() };
    let gate =
        TokenGate { builder: TreeBuilder::new(tree, TreeBuilderOpts::default()), token_bytes: Cell::new(0) };
    let tokenizer = Tokenizer::new(gate, TokenizerOpts::default());
    let gate = &tokenizer.sink;
    let input = BufferQueue::default();
    let mut rest = html;
    while !rest.is_empty() && !gate.is_exceeded() {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES).max(1));
        rest = after;
        gate.count_bytes(chunk.len());
        input.push_back(StrTendril::from(chunk));
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
    }
    tokenizer.end();
    let (is_exceeded, sink) = (tokenizer.sink.is_exceeded(), tokenizer.sink.builder.sink);
    let work = sink.meter.work.get();
    (if is_exceeded { Err(LimitExceeded) } else { Ok(sink.finish()) }, work)
}

/// Stands between the tokenizer and the tree builder.
struct TokenGate {
    builder: TreeBuilder<NodeId, MeteredSink>,
    /// Bytes since the last token.
    token_bytes: Cell<usize>,
}

impl TokenGate {
    fn meter(&self) -> &Meter {
        &self.builder.sink.meter
    }

    fn is_exceeded(&self) -> bool {
        let meter = self.meter();
        let n_nodes = self.builder.sink.tree.0.borrow().tree.nodes().len() as u64;
        meter.is_refused.get()
            || meter.work.get() > MAX_WORK
            || meter.bytes.get() + NODE_BYTES * n_nodes > MAX_TREE_BYTES
    }

    fn count_bytes(&self, n: usize) {
        self.meter().work(BYTE_WORK * n as u64);
        self.token_bytes.set(self.token_bytes.get() + n);
        self.meter().refuse_if(self.token_bytes.get() > MAX_TOKEN_BYTES);
    }

    fn check_tag(&self, tag: &Tag) {
        let n = tag.attrs.len();
        self.meter().work(ATTRIBUTE_WORK * n as u64 + (n * n) as u64);
        self.meter().refuse_if(n > MAX_ATTRIBUTES);
    }
}

impl TokenSink for TokenGate {
    type Handle = NodeId;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Self::Handle> {
        // The rest of the chunk is dropped with the page.
        if self.is_exceeded() {
            return TokenSinkResult::Continue;
        }
        self.token_bytes.set(0);
        self.meter().work(TOKEN_WORK);
        if let Token::TagToken(tag) = &token {
            self.check_tag(tag);
        }
        self.builder.process_token(token, line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of the largest page that is fetched.
    const CAP: usize = 2 << 20;

    #[test]
    fn invented_page_takes_a_tenth_of_the_work() {
        let pages =
            [include_str!("../../tests/pages/text.html"), include_str!("../../tests/pages/album.html")];
        for html in pages {
            let (tree, work) = parse_metered(html);
            assert!(tree.is_ok() && work < MAX_WORK / 10, "{work}");
        }
    }

    #[test]
    fn work_on_a_hostile_page_ends_at_the_limit() {
        for unit in [
            "<div>",
            "<b id=x>",
            "<ul><li>",
            "<a><div>",
            "<table><td>",
            "<svg><g>",
            "<br>",
            "<html a=b>",
            "</p>",
            "</x>",
            "<",
            "&amp;",
            "<i></i>",
            "<p><b></p>",
            "<p a a a a a a>",
            "<!-- -->",
            "\0",
            "<template>",
        ] {
            // Elements that stay open make each further one expensive.
            let open: String = (0..400).map(|n| format!("<b id={n}>")).collect();
            for start in ["", &open, "<table>", "<svg>", "<template>", "<body><select>"] {
                let (tree, work) = parse_metered(&format!("{start}{}", unit.repeat(CAP / unit.len())));
                assert_eq!(tree.err(), Some(LimitExceeded), "{start:.9} {unit}");
                assert!(work < MAX_WORK + MAX_WORK / 20, "{start:.9} {unit}: {work}");
            }
        }
    }

    #[test]
    fn pages_beyond_a_limit_are_rejected() {
        let attributes = |n: usize| (0..n).map(|n| format!(" a{n}")).collect::<String>();
        for (html, is_accepted) in [
            ("<div>".repeat(500), true),
            ("<div>".repeat(MAX_DEPTH + 1), false),
            (format!("<p{}>", attributes(MAX_ATTRIBUTES)), true),
            (format!("<p{}>", attributes(MAX_ATTRIBUTES + 1)), false),
            (format!("</p{}>", attributes(MAX_ATTRIBUTES + 1)), false),
            (format!("<p>{}", "word ".repeat(CAP / 8)), true),
            (format!("<p class='{}'>", "word ".repeat(2000)), true),
            (format!("<p class='{}'>", "word ".repeat(20_000)), false),
            ((0..900).map(|n| format!("<long-name-{n}></long-name-{n}>")).collect(), true),
            ((0..1100).map(|n| format!("<long-name-{n}></long-name-{n}>")).collect(), false),
            ("<html lang=en><body class=a>".to_owned(), true),
            ("<html lang=en><body class=a><html class=b><body class=b>".to_owned(), true),
            ((0..100).map(|n| format!("<html a{n}>")).collect(), false),
            ((0..100).map(|n| format!("<body a{n}>")).collect(), false),
        ] {
            assert_eq!(parse(&html).is_ok(), is_accepted, "{html:.40}");
        }
    }
}
