//! `/{channel},{channel}`: several channels, and the builder of their feed.

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use maud::html;

use super::builder::Built;
use super::frame::{Page, frame};
use super::post::path_of;
use super::{PageRequest, path_prefix, respond};
use crate::feed::Format;
use crate::feed::options::FeedOptions;
use crate::model::channel::ChannelName;
use crate::web::canonical;
use crate::web::context::RequestContext;
use crate::web::state::AppState;

/// Answers with the page of several channels.
pub(in crate::web) fn answer(
    state: &AppState,
    context: &RequestContext,
    names: &[ChannelName],
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    let request = PageRequest::new(state, headers, uri);
    let title = request.language.counted(names.len() as u64, &request.words().channels);
    let path = canonical::path_of_all(names, None);
    let built = Built {
        request: &request,
        path: path.trim_start_matches('/'),
        base_url: &context.base_url.with_path(&path_prefix(context)),
        options: &FeedOptions::default(),
        format: Format::Rss,
    };
    let main = html! {
        div.columns {
            section.channel {
                h1 { (title) }
                ul { @for name in names { li { a href=(request.link(&path_of(name))) { "@" (name) } } } }
            }
            (built.builder())
        }
    };
    respond(
        headers,
        &request,
        super::headers(state.config.robots, None),
        frame(&request, &Page { title: &title, head: built.alternates(&title), main, has_field: true }),
    )
}
