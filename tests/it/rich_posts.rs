//! Property test: however the blocks and spoilers of a post nest, its feed entry has every word, and hides exactly those in
//! spoilers.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use telewire::feed::sanitize::sanitize;
use telewire::feed::{Entry, Format};
use telewire::telegram::page::{self, PageSource};

use crate::support::reader;

const POSTS: u32 = 2000;

/// How the reader's unfolding of a spoiler begins in a body.
const SPOILER_START: &str = "<details><summary>Spoiler:</summary>";

#[derive(Clone, Debug)]
enum Markup {
    Word,
    /// A line break, a rule, a picture or white space.
    Void(&'static str),
    /// An element, named by its start and end tags.
    Element(&'static str, &'static str, Vec<Markup>),
}

fn markup() -> impl Strategy<Value = Markup> {
    let void = prop_oneof![
        Just("<br>"),
        Just("<hr>"),
        Just("\n "),
        Just("<img src=https://cdn4.telesco.pe/file/a>")
    ];
    let leaf = prop_oneof![4 => Just(Markup::Word), 1 => void.prop_map(Markup::Void)];
    let tags = prop_oneof![
        6 => Just(("<tg-spoiler>", "</tg-spoiler>")),
        1 => Just(("<b>", "</b>")),
        1 => Just(("<code>", "</code>")),
        1 => Just(("<div>", "</div>")),
        1 => Just(("<pre>", "</pre>")),
        1 => Just(("<blockquote>", "</blockquote>")),
        1 => Just(("<ul><li>", "</li></ul>")),
        1 => Just(("<ol><li></li><li>", "</li></ol>")),
        1 => Just(("<div><h2>", "</h2></div>")),
        1 => Just(("<details><summary>", "</summary></details>")),
        1 => Just(("<details>", "</details>")),
        1 => Just(("<figure><figcaption>", "</figcaption></figure>")),
        1 => Just(("<table><tr><td></td><td>", "</td></tr></table>")),
    ];
    leaf.prop_recursive(8, 60, 6, move |inner| {
        (tags.clone(), prop::collection::vec(inner, 0..6))
            .prop_map(|((open, close), children)| Markup::Element(open, close, children))
    })
}

/// Writes the markup, with numbered words: `w0x` for one that is not hidden, `h0x` for one in a spoiler.
fn write(out: &mut String, markup: &Markup, is_hidden: bool, words: &mut Vec<String>) {
    match markup {
        Markup::Word => {
            words.push(format!("{}{}x", if is_hidden { 'h' } else { 'w' }, words.len()));
            write!(out, "{} ", words[words.len() - 1]).unwrap();
        }
        Markup::Void(html) => out.push_str(html),
        Markup::Element(open, close, children) => {
            out.push_str(open);
            let is_hidden = is_hidden || *open == "<tg-spoiler>";
            for child in children {
                write(out, child, is_hidden, words);
            }
            out.push_str(close);
        }
    }
}

fn entry(text: &str) -> Entry {
    let html = format!(
        r#"<div class="tgme_widget_message" data-post="sample/7">
        <div class="tgme_widget_message_text js-message_text">w {text}</div>
        <a class="tgme_widget_message_date" href="https://t.me/sample/7"><time datetime="2026-08-01T08:00:00+00:00"></time></a></div>"#
    );
    let snapshot = page::parse(&html, PageSource::Saved(None)).unwrap().snapshot;
    reader::feed(&snapshot, Format::Json).entries.remove(0)
}

/// Returns the body without its spoilers.
fn without_spoilers(body: &str) -> String {
    let Some((before, mut rest)) = body.split_once(SPOILER_START) else { return body.to_owned() };
    let mut depth = 1;
    while depth > 0 {
        let (open, close) = (rest.find("<details>"), rest.find("</details>").unwrap());
        let is_open = open.is_some_and(|open| open < close);
        depth = if is_open { depth + 1 } else { depth - 1 };
        rest = &rest
            [open.filter(|_| is_open).map_or(close + "</details>".len(), |open| open + "<details>".len())..];
    }
    before.to_owned() + &without_spoilers(rest)
}

#[test]
fn random_blocks_lose_no_word_and_reveal_no_spoiler() {
    let mut runner = TestRunner::new(Config { cases: POSTS, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(markup(), 1..6), |parts| {
        let (mut html, mut words) = (String::new(), Vec::new());
        for part in &parts {
            write(&mut html, part, false, &mut words);
        }
        let entry = entry(&html);
        let open = without_spoilers(&entry.body);
        for word in &words {
            prop_assert!(entry.body.contains(word), "{word} is lost: {html}\n{}", entry.body);
            let is_open =
                [&open, &entry.summary].into_iter().chain(&entry.title).any(|text| text.contains(word));
            prop_assert!(!(word.starts_with('h') && is_open), "{word} is open: {html}\n{}", entry.body);
            prop_assert!(
                word.starts_with('h') || open.contains(word),
                "{word} is hidden: {html}\n{}",
                entry.body
            );
        }
        prop_assert_eq!(&sanitize(&entry.body), &entry.body);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
