//! The URLs of the service and their handlers.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::get;

use super::error::Error;
use super::health::{health_routes, metrics_routes};
use super::middleware::access::{OPML_PATH, TOKEN_PREFIX};
use super::middleware::limits::with_limits;
use super::middleware::panic::with_panic_handler;
use super::state::AppState;
use super::{compat, feeds, media, opml, pages, probes, status};
use crate::feed::compat::RADAR_RULES_PATH;

/// Returns the routes of the service.
pub(super) fn router(state: &Arc<AppState>) -> Router {
    let service = if state.config.has_metrics_listener {
        health_routes()
    } else {
        health_routes().merge(metrics_routes())
    };
    let feeds = Router::new()
        .route("/", get(pages::home::answer))
        .route(&format!("{TOKEN_PREFIX}{{token}}"), get(pages::home::after_token))
        .route(OPML_PATH, opml::route())
        .route(RADAR_RULES_PATH, get(compat::radar_rules))
        .route("/{*path}", get(feeds::answer));
    // Media files have their own limits, so that they never take a feed's place.
    let media = Router::new().route("/-/media/{*file}", get(media::answer));
    with_panic_handler(with_limits(feeds, state))
        .merge(with_panic_handler(media))
        .merge(with_panic_handler(status::routes()))
        .merge(probes::routes())
        .merge(pages::assets::routes())
        .merge(service)
        .method_not_allowed_fallback(unrouted)
        .fallback(unrouted)
        .with_state(Arc::clone(state))
}

/// Returns the routes of the metrics listener.
pub(super) fn metrics_router(state: Arc<AppState>) -> Router {
    health_routes()
        .merge(metrics_routes())
        .merge(status::open_routes())
        .merge(pages::assets::routes())
        .method_not_allowed_fallback(unrouted)
        .fallback(unrouted)
        .with_state(state)
}

/// Answers what no route accepts: another method, as in `CONNECT host:443` and `OPTIONS *`, or an unknown URL.
async fn unrouted(method: Method) -> Error {
    let is_read = matches!(method, Method::GET | Method::HEAD);
    if is_read { Error::NotFound } else { Error::Method("GET, HEAD") }
}

#[cfg(test)]
mod tests;
