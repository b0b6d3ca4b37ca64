//! The panic handler: a panic becomes a 500 response and is counted.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use crate::metrics;
use crate::web::error::Error;
use crate::web::state::AppState;

/// Adds the panic handler to a router.
pub(in crate::web) fn with_panic_handler(router: Router<Arc<AppState>>) -> Router<Arc<AppState>> {
    router.layer(CatchPanicLayer::custom(answer))
}

fn answer(_: Box<dyn Any + Send>) -> Response {
    metrics::panic();
    tracing::error!("a request handler panicked");
    Error::Internal.into_response()
}
