//! The page of an error: what happened, why, what to do, and the form to try again.

use std::time::Duration;

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Page, channel_field, frame, technical_detail};
use super::home::moving_in;
use super::request::{MAX_QUERY_BYTES, PageRequest};
use crate::language::Problem;
use crate::web::canonical;
use crate::web::error::ErrorPage;
use crate::web::robots::Robots;

/// The longest wait that is given in seconds.
const MAX_SECONDS: u64 = 120;

/// Returns the response, which has a page instead of its text if it is an error and the client is a browser. The links of the
/// page are relative, so a token in the query moves to the path first.
pub(in crate::web) fn show(mut response: Response, request: &PageRequest) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ErrorPage>().filter(|_| request.is_browser) {
        if let Some(path) = &request.path_with_token {
            return canonical::see_other(request.uri.path(), path);
        }
        let html = render(&error, response.status().as_u16(), request);
        // Those of the text.
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().extend(super::headers(Robots::NoIndex, None));
        *response.body_mut() = html.into();
    }
    response
}

/// Returns the page of an error.
fn render(error: &ErrorPage, status: u16, request: &PageRequest) -> String {
    let words = request.words();
    let problem = words.problems.get(error.problem);
    let typed = error.suggestion.clone().or_else(|| request.typed()).unwrap_or_default();
    let main = html! {
        div.message {
            p.code { (status) }
            h1 { (problem.title) }
            @if error.of_several.is_empty() {
                p { (quoting(problem.why, &error.quoted)) }
            } @else {
                p { (words.none_of_several) }
                ul {
                    @for (name, problem, quoted) in &error.of_several {
                        li { bdi { "@" (name) } ": " (quoting(words.problems.get(*problem).why, quoted)) }
                    }
                }
            }
            @if let Some(url) = &error.link { p { a href=(url) rel="noopener" { (words.open_in_telegram) } } }
            ul {
                @if let Some(wait) = error.retry_after { li { (waiting(wait, request)) } }
                @for line in problem.advice { li { (line) } }
            }
            // The list has the reasons already.
            @if error.of_several.is_empty() {
                (technical_detail(request, &error.sentence, needs_detail(error.problem)))
            }
            @if is_of_opml(error.problem) {
                (moving_in(request, Some(&*error.moved_from).filter(|text| text.len() <= MAX_QUERY_BYTES).unwrap_or_default()))
            } @else {
                (channel_field(request, &typed, "channel"))
            }
        }
    };
    frame(request, &Page { title: problem.title, head: html! {}, main, has_field: false })
}

fn waiting(wait: Duration, request: &PageRequest) -> String {
    let (words, seconds) = (request.words(), wait.as_secs() + 1);
    if seconds > MAX_SECONDS {
        request.language.counted(seconds.div_ceil(60), &words.wait_minutes)
    } else {
        request.language.counted(seconds, &words.wait_seconds)
    }
}

/// Returns a text with its `{}` replaced by what it quotes, which may have another direction.
fn quoting(text: &str, quoted: &[String]) -> Markup {
    let mut parts = text.split("{}");
    html! {
        (parts.next().unwrap_or_default())
        @for (part, value) in parts.zip(quoted) { bdi { (value) } (part) }
    }
}

/// Returns whether the advice refers to the exact error.
fn needs_detail(problem: Problem) -> bool {
    matches!(
        problem,
        Problem::OptionValue | Problem::UnknownBridge | Problem::NotForSeveral | Problem::Blocked
    )
}

/// Returns whether a problem is that of an uploaded list of subscriptions.
fn is_of_opml(problem: Problem) -> bool {
    matches!(
        problem,
        Problem::NotOpml
            | Problem::OpmlDamaged
            | Problem::OpmlTooLarge
            | Problem::NoFile
            | Problem::UnknownBridge
            | Problem::NoChannels
    )
}
