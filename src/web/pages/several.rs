//! `/{channel},{channel}` and `/-/bundle/{name}`: several channels with their posts.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::PageRequest;
use super::posts::PostsPage;
use super::view::{View, canonical_redirect};
use crate::feed::Format;
use crate::feed::options::{FeedOptions, OptionsError};
use crate::feed::several_channels::unsupported;
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
    parse: impl Fn(&str) -> Result<FeedOptions, OptionsError>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let request = PageRequest::new(state, headers, uri);
    let view = View::parse(uri.query().unwrap_or_default(), parse)?;
    let path = group.path.trim_start_matches('/').to_owned();
    if let Some(redirect) = canonical_redirect(uri, &request, &view.path(&path)) {
        return Ok(redirect);
    }
    // The page has the errors of its feed.
    if let Some(what) = unsupported(&view.options) {
        return Err(Error::NotForSeveral(what));
    }
    state.chosen_media_linker(view.options.media, &context.base_url)?;
    let options = view.options_of_posts(state, &request);
    let page = PostsPage::new(request, path, group.names.clone(), view, context);
    let (key, rendering) = (page.key(), page.rendering(state, context));
    let output = Output { format: Format::Rss, rendering, key, is_page: true };
    several_channels::feed(state, group, output, options, context, headers).await
}
