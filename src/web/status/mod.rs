//! `/-/status`: what the operator needs to see. Above all, why a channel's feed is or is not up to date.

pub(super) mod query;
pub(super) mod report;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::context::RequestContext;
use super::error::Error;
use super::middleware::access::{STATUS_JSON_PATH, STATUS_PATH};
use super::pages::{self, PageRequest};
use super::state::AppState;

/// The routes for administrators.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route(STATUS_PATH, get(for_admin)).route(STATUS_JSON_PATH, get(for_admin))
}

/// The routes on the metrics listener, which everybody who reaches it may read.
pub(super) fn open_routes() -> Router<Arc<AppState>> {
    Router::new().route(STATUS_PATH, get(for_all)).route(STATUS_JSON_PATH, get(for_all))
}

async fn for_all(State(state): State<Arc<AppState>>, uri: Uri, headers: HeaderMap) -> Response {
    answer(&state, &uri, &headers, false).await
}

async fn for_admin(
    State(state): State<Arc<AppState>>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if !context.is_admin {
        let err = if state.access.has_admin_tokens() { Error::NotAdmin } else { Error::NotFound };
        return err.into_response();
    }
    let is_page = !wants_json(&uri, &headers);
    let target = pages::path_and_query(&uri);
    match is_page.then(|| pages::with_token_in_path(&context, &uri, target)).flatten() {
        Some(redirect) => redirect,
        None => answer(&state, &uri, &headers, true).await,
    }
}

/// Returns the report. `has_feeds` says whether this listener also has the pages of channels.
async fn answer(state: &AppState, uri: &Uri, headers: &HeaderMap, has_feeds: bool) -> Response {
    let query = match query::parse(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(err) => return err.into_response(),
    };
    let status = report::status(state, query.clone()).await;
    if !wants_json(uri, headers) {
        let mut request = PageRequest::new(state, headers, uri);
        request.is_private = true;
        return pages::status::respond(headers, &request, &status, &query, has_feeds);
    }
    match serde_json::to_vec_pretty(&status) {
        Ok(json) => ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], json).into_response(),
        Err(err) => {
            tracing::error!(error = %err, "cannot write the status as JSON");
            Error::Internal.into_response()
        }
    }
}

/// Returns whether a client gets the report as JSON: by the URL, or because it asks for that.
fn wants_json(uri: &Uri, headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    uri.path() == STATUS_JSON_PATH || accept.trim_start().starts_with("application/json")
}
