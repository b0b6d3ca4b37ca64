//! The common part of all pages: the head, the header with the field for a channel, and the footer.

use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLESHEET};
use super::request::PageRequest;
use crate::feed::xml;
use crate::language::Language;

/// The web page of the project.
const SOURCE_URL: &str = "https://github.com/telewire/telewire";

/// A page before it is framed.
pub(super) struct Page<'a> {
    /// The title in the browser's tab.
    pub(super) title: &'a str,
    /// Further elements of the head.
    pub(super) head: Markup,
    /// The main part.
    pub(super) main: Markup,
    /// The field for a channel is in the header.
    pub(super) has_field: bool,
}

/// Returns a whole page as HTML, without characters that are not allowed in it.
pub(super) fn frame(request: &PageRequest, page: &Page<'_>) -> String {
    let words = request.words();
    let direction = if request.language.is_right_to_left() { "rtl" } else { "ltr" };
    let asset = |path: String| format!("{}{path}", request.root);
    let markup = html! {
        (DOCTYPE)
        html lang=(request.language.tag()) dir=(direction) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) }
                link rel="stylesheet" href=(asset(STYLESHEET.path()));
                link rel="icon" type="image/svg+xml" href=(asset(ICON.path()));
                link rel="apple-touch-icon" href=(asset(ICON.path()));
                script src=(asset(SCRIPT.path())) defer {}
                (page.head)
            }
            body {
                a.skip href="#main" { (words.skip_to_content) }
                header.top {
                    a.brand href=(request.link("")) {
                        img src=(asset(ICON.path())) alt="" width="28" height="28";
                        span { "telewire" }
                    }
                    @if page.has_field { (channel_field(request, "", "top-channel")) }
                }
                main #main { (page.main) }
                footer {
                    @if request.is_repeatable {
                        nav aria-label=(words.language) {
                            @for language in Language::ALL {
                                @if language == request.language {
                                    span lang=(language.tag()) aria-current="true" { (name(language)) }
                                } @else {
                                    a href=(request.in_language(language)) lang=(language.tag()) hreflang=(language.tag()) {
                                        (name(language))
                                    }
                                }
                            }
                        }
                    }
                    p {
                        "telewire " (env!("CARGO_PKG_VERSION")) " · "
                        a href=(SOURCE_URL) rel="noopener" { (words.source_code) }
                    }
                }
            }
        }
    };
    xml::legal(&markup.into_string()).into_owned()
}

/// Returns the form with the field for a channel, which leads to its page.
pub(super) fn channel_field(request: &PageRequest, typed: &str, id: &str) -> Markup {
    let words = request.words();
    html! {
        form.find method="get" action=(request.home()) {
            label.hidden for=(id) { (words.channel_label) }
            input id=(id) name="channel" type="text" value=(typed) placeholder=(words.channel_placeholder)
                dir="auto" autocomplete="off" autocapitalize="none" spellcheck="false" required;
            (request.language_field())
            button { (words.open_channel) }
        }
    }
}

/// Returns the exact text of an error, which is in English. In other languages it is folded.
pub(super) fn technical_detail(request: &PageRequest, sentence: &str, is_open: bool) -> Markup {
    let sentence = html! { p.note lang="en" dir="ltr" { (sentence) } };
    html! {
        @if request.language == Language::English {
            (sentence)
        } @else {
            details open[is_open] { summary { (request.words().technical_detail) } (sentence) }
        }
    }
}

/// Returns the name of a language in that language.
fn name(language: Language) -> &'static str {
    match language {
        Language::English => "English",
        Language::Russian => "Русский",
        Language::Persian => "فارسی",
        Language::Chinese => "简体中文",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Uri};

    use super::*;

    #[test]
    fn characters_that_html_forbids_are_left_out() {
        let request = PageRequest::with(&HeaderMap::new(), &Uri::from_static("/"), Language::English, false);
        let page = Page { title: "a\u{1}\u{fffe}b", head: html! {}, main: html! {}, has_field: false };
        assert!(frame(&request, &page).contains("<title>ab</title>"));
    }
}
