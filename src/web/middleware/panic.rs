//! The panic handler: a panic becomes a 500 response and is counted.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::http::HeaderMap;
use tower_http::catch_panic::CatchPanicLayer;

use crate::metrics;
use crate::web::error::Error;
use crate::web::state::AppState;

/// Adds the panic handler to a router.
pub(in crate::web) fn with_panic_handler(
    router: Router<Arc<AppState>>,
    state: &Arc<AppState>,
) -> Router<Arc<AppState>> {
    let state = Arc::clone(state);
    let handle = move |_: Box<dyn Any + Send>| {
        let panics = state.n_panics.fetch_add(1, Ordering::Relaxed) + 1;
        metrics::panic();
        tracing::error!(panics, "a request handler panicked");
        Error::Internal.answer(&HeaderMap::new())
    };
    router.layer(CatchPanicLayer::custom(handle))
}
