//! Parses HTML into a tree, within limits that hold for every page.
//!
//! html5ever takes time that is quadratic in the depth, in the attributes of a tag, and in elements that are open or
//! waiting to be reopened. Nearly all of this work calls the tree sink, so [`MeteredSink`] counts it, and [`TokenGate`]
//! counts the rest. The counters depend on the page alone, not on the machine, and stop a hostile page between two tokens.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Tag, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{Attribute, LocalName, QualName, TokenizerResult, local_name};
use scraper::{Html, HtmlTreeSink, Node};

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

/// The work and the memory that a page has taken so far.
#[derive(Default)]
struct Meter {
    work: Cell<u64>,
    /// Memory of texts and attributes.
    bytes: Cell<u64>,
    long_names: RefCell<HashSet<LocalName>>,
    /// A limit without a counter was exceeded.
    is_refused: Cell<bool>,
}

impl Meter {
    fn work(&self, work: u64) {
        self.work.set(self.work.get() + work);
    }

    fn text(&self, text: &str) {
        self.work(text.len() as u64);
        self.bytes.set(self.bytes.get() + text.len() as u64);
    }

    fn element(&self, name: &LocalName, attributes: &[Attribute]) {
        let n = attributes.len() as u64;
        self.work(NODE_WORK + ATTRIBUTE_WORK * n);
        self.bytes.set(self.bytes.get() + ATTRIBUTE_BYTES * n);
        self.name(name);
        for attribute in attributes {
            self.name(&attribute.name.local);
            self.text(&attribute.value);
        }
    }

    fn name(&self, name: &LocalName) {
        if name.len() > 7 {
            let mut long_names = self.long_names.borrow_mut();
            if !long_names.contains(name) {
                long_names.insert(name.clone());
                self.refuse_if(long_names.len() > MAX_LONG_NAMES);
            }
        }
    }

    fn refuse_if(&self, is_refused: bool) {
        if is_refused {
            self.is_refused.set(true);
        }
    }
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

/// scraper's tree sink, which counts what is done to the tree.
struct MeteredSink {
    tree: HtmlTreeSink,
    meter: Meter,
}

impl MeteredSink {
    /// Counts an insertion below `parent`. A formatting element is compared with those around it.
    fn count_insertion(&self, parent: NodeId, child: &NodeOrText<NodeId>) {
        let child = match child {
            NodeOrText::AppendText(text) => return self.meter.text(text),
            NodeOrText::AppendNode(child) => *child,
        };
        let html = self.tree.0.borrow();
        let node = |id| html.tree.get(id).map(|node| node.value());
        let formatting =
            node(child).and_then(Node::as_element).filter(|child| is_formatting(&child.name.local));
        let (mut depth, mut n_compared) = (0, 0);
        for ancestor in html.tree.get(parent).into_iter().flat_map(|parent| parent.ancestors()) {
            depth += 1;
            let element = formatting.and_then(|_| ancestor.value().as_element());
            n_compared += u64::from(element.is_some_and(|element| is_formatting(&element.name.local)));
        }
        let n_attributes = formatting.map_or(0, |child| child.attrs.len()) as u64;
        self.meter.work(COMPARISON_WORK * depth as u64 + n_compared * (1 + n_attributes) * ATTRIBUTE_WORK);
        self.meter.refuse_if(depth > MAX_DEPTH);
    }
}

/// Returns whether html5ever reopens this element after the end of the block in which it was not closed.
fn is_formatting(name: &LocalName) -> bool {
    matches!(
        *name,
        local_name!("a")
            | local_name!("b")
            | local_name!("big")
            | local_name!("code")
            | local_name!("em")
            | local_name!("font")
            | local_name!("i")
            | local_name!("nobr")
            | local_name!("s")
            | local_name!("small")
            | local_name!("strike")
            | local_name!("strong")
            | local_name!("tt")
            | local_name!("u")
    )
}

impl TreeSink for MeteredSink {
    type Handle = NodeId;
    type Output = Html;
    type ElemName<'a> = <HtmlTreeSink as TreeSink>::ElemName<'a>;

    fn finish(self) -> Html {
        self.tree.finish()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Self::Handle {
        self.tree.get_document()
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.tree.set_quirks_mode(mode);
    }

    fn same_node(&self, x: &Self::Handle, y: &Self::Handle) -> bool {
        self.meter.work(COMPARISON_WORK);
        x == y
    }

    fn elem_name<'a>(&'a self, target: &'a Self::Handle) -> Self::ElemName<'a> {
        self.meter.work(COMPARISON_WORK);
        self.tree.elem_name(target)
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, flags: ElementFlags) -> Self::Handle {
        self.meter.element(&name.local, &attrs);
        self.tree.create_element(name, attrs, flags)
    }

    fn create_comment(&self, text: StrTendril) -> Self::Handle {
        self.meter.work(NODE_WORK);
        self.meter.text(&text);
        self.tree.create_comment(text)
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> Self::Handle {
        self.tree.create_pi(target, data)
    }

    fn append(&self, parent: &Self::Handle, child: NodeOrText<Self::Handle>) {
        self.count_insertion(*parent, &child);
        self.tree.append(parent, child);
    }

    fn append_before_sibling(&self, sibling: &Self::Handle, child: NodeOrText<Self::Handle>) {
        self.count_insertion(*sibling, &child);
        self.tree.append_before_sibling(sibling, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Self::Handle,
        prev_element: &Self::Handle,
        child: NodeOrText<Self::Handle>,
    ) {
        self.count_insertion(*element, &child);
        self.tree.append_based_on_parent_node(element, prev_element, child);
    }

    fn append_doctype_to_document(&self, name: StrTendril, public_id: StrTendril, system_id: StrTendril) {
        self.tree.append_doctype_to_document(name, public_id, system_id);
    }

    fn get_template_contents(&self, target: &Self::Handle) -> Self::Handle {
        self.tree.get_template_contents(target)
    }

    /// Called for a second `<html>` or `<body>`. Each attribute is inserted into a sorted list.
    fn add_attrs_if_missing(&self, target: &Self::Handle, attrs: Vec<Attribute>) {
        let n_before = self
            .tree
            .0
            .borrow()
            .tree
            .get(*target)
            .and_then(|node| Some(node.value().as_element()?.attrs.len()));
        let is_refused = n_before.unwrap_or_default() + attrs.len() > MAX_ATTRIBUTES;
        self.meter.refuse_if(is_refused);
        if !is_refused {
            self.meter.element(&local_name!("html"), &attrs);
            self.tree.add_attrs_if_missing(target, attrs);
        }
    }

    fn remove_from_parent(&self, target: &Self::Handle) {
        self.tree.remove_from_parent(target);
    }

    fn reparent_children(&self, node: &Self::Handle, new_parent: &Self::Handle) {
        self.tree.reparent_children(node, new_parent);
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
