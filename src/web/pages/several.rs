//! `/{channel},{channel}` and `/-/bundle/{name}`: several channels with their posts.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::posts::{PostsPage, View, canonical_redirect};
use super::{PageRequest, path_prefix};
use crate::feed::Format;
use crate::feed::options::{FeedOptions, OptionsError};
use crate::web::context::RequestContext;
use crate::web::error::Error;
use crate::web::several_channels::{self, Group, Output};
use crate::web::state::AppState;

/// Answers with the page of several channels. `parse` parses the options of their feed.
///
/// # Errors
///
/// Why none of the channels can be read.
pub(in crate::web) async fn answer(
    state: &Arc<AppState>,
    context: &RequestContext,
    group: &Group,
    parse: impl FnOnce(&str) -> Result<FeedOptions, OptionsError>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let request = PageRequest::new(state, headers, uri);
    let view = View::parse(uri.query().unwrap_or_default(), parse)?;
    let path = group.path.trim_start_matches('/').to_owned();
    let link = request.link(&view.path(&path));
    if let Some(redirect) = canonical_redirect(uri, &link) {
        return Ok(redirect);
    }
    let (options, prefix) = (view.options_of_posts(state, &request), path_prefix(context));
    let key = format!("#{prefix}{}{link}", request.language.subtag());
    let base_url = context.base_url.with_path(&prefix);
    let page = PostsPage { request, path, names: group.names.clone(), view, base_url };
    let output = Output { format: Format::Rss, rendering: page.rendering(state, context), key };
    several_channels::feed(state, group, output, options, context, headers).await
}
