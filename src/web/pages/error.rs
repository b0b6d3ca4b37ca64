//! The page of an error: what happened, why, what to do, and the field to try again.

use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use maud::html;

use super::frame::{Page, channel_field, frame};
use super::request::PageRequest;
use crate::language::PageWords;
use crate::web::error::{Advice, ErrorPage};
use crate::web::robots::Robots;

/// Returns the response with a page if it is an error that a browser gets.
pub(in crate::web) fn show(mut response: Response, request: &PageRequest) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ErrorPage>() {
        let html = render(&error, response.status().as_u16(), request);
        response.headers_mut().extend(super::headers(Robots::NoIndex, None));
        // The router has written the length of the empty body.
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = html.into();
    }
    response
}

/// Returns the page of an error.
fn render(error: &ErrorPage, status: u16, request: &PageRequest) -> String {
    let (title, advice) = texts(error.advice, request.words());
    let main = html! {
        div.message {
            p.code { (status) }
            h1 { (title) }
            p lang="en" dir="auto" { (error.sentence) }
            @if let Some(url) = &error.link { p { a href=(url) rel="noopener" { (request.words().open_in_telegram) } } }
            ul { @for line in advice { li { (line) } } }
            (channel_field(request, "", "channel"))
        }
    };
    frame(request, &Page { title, head: html! {}, main, has_field: false })
}

/// Returns the title of the page and what to do.
fn texts(advice: Advice, words: &'static PageWords) -> (&'static str, &'static [&'static str]) {
    match advice {
        Advice::CheckSpelling => (words.not_a_channel, words.not_a_channel_advice),
        Advice::NoChannel => (words.no_channel, words.no_channel_advice),
        Advice::TryLater => (words.no_answer, words.no_answer_advice),
        Advice::Token => (words.token_needed, words.token_needed_advice),
        Advice::NotAllowed => (words.not_allowed, words.not_allowed_advice),
        Advice::NotStored => (words.not_stored, words.not_stored_advice),
        Advice::NoPage => (words.no_page, words.no_page_advice),
        Advice::CheckUrl => (words.wrong_url, words.wrong_url_advice),
        Advice::Report => (words.internal_error, words.internal_error_advice),
    }
}
