//! Texts with entities, and the HTML written for them.

use std::fmt::Write as _;

use super::*;
use crate::feed::sanitize::parse_and_sanitize;
use crate::language::Language;
use EntityKind::{
    Bold, Caption, Cell, Code, Figure, Hashtag, Italic, Item, Link, List, Pre, Quote, Row, Spoiler, Table,
};

fn words() -> &'static FeedWords {
    &Language::English.words().feed
}

/// Returns the text that `fill` builds as HTML.
fn html(fill: impl FnOnce(&mut RichText)) -> String {
    let mut rich = RichText::default();
    fill(&mut rich);
    let mut out = String::new();
    write(&mut out, &rich, &|out, n, _| writeln!(out, "<figure>{n}</figure>").unwrap(), words());
    assert_eq!(parse_and_sanitize(&out), out, "the sanitizer changes it");
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
        t.push_str("d");
    });
    let expected = "<p><b>a</b></p>\n<blockquote><p><b>b</b></p>\n</blockquote>\n<p><b>c</b>d</p>";
    assert_eq!(out, expected);
}

#[test]
fn link_without_label_stays_invisible() {
    let hidden = |t: &mut RichText| t.entity(Link("https://x.example/".into()), |t| t.push_str("\u{200b}\n"));
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

#[test]
fn spoiler_in_a_sentence_is_masked_and_follows_readable() {
    let out = html(|t| {
        t.push_str("It was ");
        t.entity(Bold, |t| {
            t.push_str("never ");
            t.entity(Spoiler, |t| t.entity(Link("https://x.example/".into()), |t| t.push_str("the")));
            t.push_str(" ");
            t.entity(Spoiler, |t| t.push_str("butler\n"));
        });
        t.push_str("\nwho did it");
    });
    let link = r#"<a href="https://x.example/" rel="noopener noreferrer">the</a>"#;
    let readable = format!("<p>It was <b>never</b> <b>{link} butler</b></p>");
    let expected = format!(
        "<p>It was <b>never</b> ▒▒▒</p>\n\
         <details><summary>Spoiler:</summary>\n{readable}\n</details>\n<p>who did it</p>"
    );
    assert_eq!(out, expected);
}

#[test]
fn spoilers_on_their_own_lines_are_one_block() {
    let out = html(|t| {
        t.push_str("a\n");
        t.entity(Spoiler, |t| t.push_str("b"));
        t.push_str(" \n\n");
        t.entity(Quote, |t| t.entity(Spoiler, |t| t.push_str("c\n\nd")));
        t.push_str("\ne");
    });
    let spoiler = |content: &str| format!("<details><summary>Spoiler:</summary>\n{content}\n</details>\n");
    let expected = format!(
        "<p>a</p>\n{}<blockquote>{}</blockquote>\n<p>e</p>",
        spoiler("<p>b</p>"),
        spoiler("<p>c</p>\n<p>d</p>")
    );
    assert_eq!(out, expected);
}

/// No part of a spoiler, neither its text nor a link or figure in it, is before the first `<details>` after it.
#[test]
fn hidden_links_and_figures_are_inside_the_spoiler() {
    let out = html(|t| {
        t.push_str("seen ");
        t.entity(Spoiler, |t| {
            t.entity(Link("https://x.example/".into()), |t| t.push_str("\u{200b}"));
            t.push_str("hidden\n");
            t.entity(Figure(3), |t| t.push_str("\u{fffc}"));
            t.push_str("\n");
            t.entity(Caption, |t| t.push_str("hidden too"));
        });
    });
    let (before, inside) = out.split_once("<details>").unwrap();
    assert_eq!(before, "<p>seen ▒▒▒</p>\n");
    for hidden in ["https://x.example/", "hidden<", "<figure>3</figure>", "hidden too"] {
        assert!(inside.contains(hidden), "{hidden}: {out}");
    }
    assert!(inside.ends_with("</details>") && inside.matches("</details>").count() == 1, "{out}");
}

#[test]
fn text_inside_an_open_element_has_no_blocks_and_masks_spoilers() {
    let mut rich = RichText::default();
    rich.entity(Quote, |t| t.push_str("a"));
    rich.push_str("\n\n");
    rich.entity(Link("https://x.example/".into()), |t| t.push_str("b & c"));
    rich.push_str(" ");
    rich.entity(Spoiler, |t| t.push_str("d"));
    let mut out = "<p>".to_owned();
    write_inline(&mut out, &rich, words());
    assert_eq!(
        out,
        "<p>a<br><br><a href=\"https://x.example/\" rel=\"noopener noreferrer\">b &amp; c</a> ▒▒▒"
    );
    let mut only_spoiler = RichText::default();
    only_spoiler.entity(Spoiler, |t| t.push_str("d"));
    let mut out = "<p><b>a</b><br>".to_owned();
    write_inline(&mut out, &only_spoiler, words());
    assert_eq!(out, "<p><b>a</b><br>▒▒▒");
}

#[test]
fn cells_and_items_contain_blocks() {
    let cell = || Cell { header: false, columns: 1, rows: 2 };
    let out = html(|t| {
        t.entity(Table, |t| {
            t.entity(Row, |t| {
                t.entity(cell(), |t| t.push_str("\t"));
                t.entity(cell(), |t| {
                    t.push_str("a\n\nb\n");
                    t.entity(List(Some(2)), |t| t.entity(Item, |t| t.push_str("c")));
                    t.push_str("\t");
                });
            });
        });
    });
    let expected = "<table><tbody>\n<tr><td rowspan=\"2\"></td>\n<td rowspan=\"2\">a\n<p>b</p>\n\
        <ol start=\"2\"><li>c</li>\n</ol>\n</td>\n</tr>\n</tbody></table>";
    assert_eq!(out, expected);
}
