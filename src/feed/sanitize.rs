//! The sanitizer: the last step of every post body. Only the elements, attributes and URL schemes listed here reach
//! feed readers.

mod canonical;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

use super::xml;

/// Elements that Miniflux, FreshRSS, NetNewsWire, yarr and feedparser keep, or remove without losing their text.
const ELEMENTS: [&str; 39] = [
    "a",
    "audio",
    "b",
    "blockquote",
    "br",
    "code",
    "del",
    "details",
    "em",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "meter",
    "ol",
    "p",
    "pre",
    "s",
    "small",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "u",
    "ul",
    "video",
];

const ATTRIBUTES: [(&str, &[&str]); 8] = [
    ("a", &["href"]),
    ("audio", &["src", "controls", "preload"]),
    ("img", &["src", "alt", "width", "height"]),
    ("meter", &["value", "max", "aria-hidden"]),
    ("ol", &["start"]),
    ("td", &["colspan", "rowspan"]),
    ("th", &["colspan", "rowspan"]),
    ("video", &["src", "poster", "controls", "preload", "width", "height"]),
];

/// Elements that may have `dir="auto"`.
const DIRECTED: [&str; 15] = [
    "blockquote",
    "details",
    "figcaption",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "li",
    "p",
    "pre",
    "summary",
    "td",
    "th",
];

/// URL schemes of links.
pub(super) const SCHEMES: [&str; 6] = ["http", "https", "mailto", "tel", "tg", "ton"];

/// The `rel` attribute of every link.
pub(super) const LINK_REL: &str = "noopener noreferrer";

/// How many times a document is cleaned before all its markup is removed. Cleaning can change how the remaining
/// elements nest when they are parsed again; two or three rounds suffice for all known inputs.
const MAX_ROUNDS: usize = 8;

static SANITIZER: LazyLock<Builder<'static>> = LazyLock::new(builder);

/// The sanitizer of the operator's text on the home page. The text loads nothing from other hosts, has no `h1`, and may have
/// relative links.
static OPERATORS_SANITIZER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = builder();
    builder.rm_tags(["audio", "h1", "img", "video"]).url_relative(UrlRelative::Custom(Box::new(from_root)));
    builder
});

fn builder() -> Builder<'static> {
    let dir_auto = HashMap::from([("dir", HashSet::from(["auto"]))]);
    let mut builder = Builder::default();
    builder
        .tags(HashSet::from(ELEMENTS))
        .generic_attributes(HashSet::new())
        .tag_attributes(ATTRIBUTES.map(|(tag, names)| (tag, names.iter().copied().collect())).into())
        .tag_attribute_values(DIRECTED.map(|tag| (tag, dir_auto.clone())).into())
        .url_schemes(HashSet::from(SCHEMES))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some(LINK_REL));
    builder
}

/// Makes a URL relative to the page at the root of the service, because that root may have a path: `/durov` becomes
/// `./durov`.
#[expect(clippy::unnecessary_wraps, reason = "the type of the sanitizer's callback")]
fn from_root(url: &str) -> Option<Cow<'_, str>> {
    match url.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => Some(format!("./{rest}").into()),
        _ => Some(url.into()),
    }
}

/// Returns the allowed part of `html`, serialized so that sanitizing it again does not change it.
///
/// The output of `body` is recognized as such, and returned without being parsed.
#[must_use]
pub fn sanitize(html: &str) -> String {
    if canonical::is_canonical(html) { html.to_owned() } else { clean(html, &SANITIZER) }
}

/// Returns the allowed part of the operator's text on the home page. Unlike in posts, relative links are kept, and pictures,
/// videos and audio files are removed.
#[must_use]
pub fn sanitize_operators(html: &str) -> String {
    clean(html, &OPERATORS_SANITIZER)
}

fn clean(html: &str, sanitizer: &Builder<'_>) -> String {
    let mut html = Cow::Borrowed(html);
    for _ in 0..MAX_ROUNDS {
        let cleaned = sanitizer.clean(&xml::legal(&html)).to_string();
        if cleaned == *html {
            return cleaned;
        }
        html = Cow::Owned(cleaned);
    }
    Builder::empty().clean(&html).to_string()
}

/// Returns what [`sanitize`] returns for HTML that it does not recognize.
#[cfg(test)]
pub(super) fn parse_and_sanitize(html: &str) -> String {
    clean(html, &SANITIZER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_html_is_unchanged() {
        for html in [
            r#"<p dir="auto">a &amp; b&nbsp;&lt;c&gt;<br><b><i><u><s><code>x</code></s></u></i></b></p>"#,
            r#"<p><a href="https://example.org/?a=1&amp;b=2" rel="noopener noreferrer">x</a></p>"#,
            r#"<p><a href="tg://user?id=1" rel="noopener noreferrer">x</a></p>"#,
            r#"<figure><img src="https://example.org/a.jpg" alt="Photo" width="4" height="3"></figure>"#,
            r#"<video src="https://example.org/a" poster="https://example.org/b" controls="" preload="none" width="1" height="2"></video>"#,
            r#"<ul><li>a — 75%<meter value="75" max="100" aria-hidden="true"></meter></li></ul><p><small>b</small></p>"#,
            "<details><summary>Spoiler:</summary><pre>a\n\n b</pre></details><ul><li>x</li></ul>",
            r#"<h1 dir="auto">a</h1><h6>b</h6><hr><ol start="3"><li>x<ul><li>y</li></ul></li></ol>"#,
            r#"<table><tbody><tr><th colspan="2">a</th><td rowspan="3" dir="auto">b</td></tr></tbody></table>"#,
        ] {
            assert_eq!([sanitize(html), parse_and_sanitize(html)], [html, html]);
        }
    }

    #[test]
    fn other_elements_attributes_and_schemes_are_removed() {
        for (html, expected) in [
            ("<script>alert(1)</script>x", "x"),
            ("<p style=a class=b id=c onclick=d dir=rtl>x</p>", "<p>x</p>"),
            ("<img src=/a.jpg><img src=data:image/png,x>", "<img><img>"),
            ("<video src=javascript:x poster=vbscript:y autoplay></video>", "<video></video>"),
            ("<!-- x --><tg-spoiler>y</tg-spoiler>", "y"),
            ("a&#11;b\u{1}c\u{9f}d\u{fffe}", "abcd"),
        ] {
            assert_eq!(sanitize(html), expected);
        }
        let link = sanitize("<a href='java\u{b}script:alert(1)' target=_blank>x</a>");
        assert_eq!(link, r#"<a rel="noopener noreferrer">x</a>"#);
    }

    #[test]
    fn sanitizing_is_idempotent() {
        for html in [
            "<p>a<div><p>b",
            "<pre>\n\n\nx</pre>",
            "<a href=https://example.org>a<table><a href=https://example.org>b</a></table>",
            "<b><p>x</b>y<i></p>z",
            "<ul><li>a<li><p>b<section><p>c</ul>",
            "<svg><p><style><b>x</style></svg>",
            "<math><mtext><table><mglyph><style><img src=x>",
            "<form><a>x<form><a>y",
            "&#x80;&#11;\r\n\u{a0}&amp;lt;",
        ] {
            let once = sanitize(html);
            assert_eq!(sanitize(&once), once, "{html}");
        }
    }
}
