//! The tree sink that counts the work on a page and the memory of its tree.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, QualName, local_name};
use scraper::{Html, HtmlTreeSink, Node};

use super::{
    ATTRIBUTE_BYTES, ATTRIBUTE_WORK, COMPARISON_WORK, MAX_ATTRIBUTES, MAX_DEPTH, MAX_LONG_NAMES, NODE_WORK,
    NodeId,
};

/// The work and the memory that a page has taken so far.
#[derive(Default)]
pub(super) struct Meter {
    pub(super) work: Cell<u64>,
    /// Memory of texts and attributes.
    pub(super) bytes: Cell<u64>,
    long_names: RefCell<HashSet<LocalName>>,
    /// A limit without a counter was exceeded.
    pub(super) is_refused: Cell<bool>,
}

impl Meter {
    pub(super) fn work(&self, work: u64) {
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

    pub(super) fn refuse_if(&self, is_refused: bool) {
        if is_refused {
            self.is_refused.set(true);
        }
    }
}

/// scraper's tree sink, which counts the changes to the tree.
pub(super) struct MeteredSink {
    pub(super) tree: HtmlTreeSink,
    pub(super) meter: Meter,
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
