//! `/-/status`: what the operator needs to see. Above all, why a feed does not move.

pub(super) mod query;
pub(super) mod report;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::canonical;
use super::context::RequestContext;
use super::error::Error;
use super::middleware::access::{STATUS_JSON_PATH, STATUS_PATH, TOKEN_PREFIX, token_in_query};
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
        return err.answer(&headers);
    }
    // A token that the middleware has left in the query is a second one, beside that in the path.
    let is_in_path = uri.query().and_then(token_in_query).is_some();
    let token = context.query.as_deref().and_then(token_in_query);
    match token.filter(|_| !is_in_path && !wants_json(&uri, &headers)) {
        // The links of the page keep a token in the path.
        Some(token) => {
            let target = uri.path_and_query().map_or(STATUS_PATH, PathAndQuery::as_str);
            canonical::see_other(uri.path(), &format!("{TOKEN_PREFIX}{token}{target}"))
        }
        None => answer(&state, &uri, &headers, true).await,
    }
}

/// Returns the report. `has_feeds` says whether this listener also has the pages of channels.
async fn answer(state: &AppState, uri: &Uri, headers: &HeaderMap, has_feeds: bool) -> Response {
    let query = match query::parse(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(err) => return err.answer(headers),
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
            Error::Internal.answer(headers)
        }
    }
}

/// Returns whether a client gets the report as JSON: by the URL, or because it asks for that.
fn wants_json(uri: &Uri, headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    uri.path() == STATUS_JSON_PATH || accept.trim_start().starts_with("application/json")
}
