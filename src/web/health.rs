//! Health checks and metrics: `/-/healthz`, `/-/readyz`, `/-/metrics`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::middleware::access::{LIVENESS_PATH, READINESS_PATH};
use super::state::AppState;

/// The routes of the health checks.
pub(super) fn health_routes() -> Router<Arc<AppState>> {
    Router::new().route(LIVENESS_PATH, get(async || "ok\n")).route(READINESS_PATH, get(ready))
}

/// The route of the metrics.
pub(super) fn metrics_routes() -> Router<Arc<AppState>> {
    Router::new().route("/-/metrics", get(metrics))
}

/// Fails once the service is shutting down. Without its archive the service stays ready, because it serves from memory.
/// A line follows for each thing that happened to the data directory.
async fn ready(State(state): State<Arc<AppState>>) -> (StatusCode, String) {
    if !state.is_ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n".to_owned());
    }
    let archive = state.channels.archive();
    let state = match archive.problem() {
        Some(problem) => format!("ready; the archive is unavailable: {}\n", problem.summary()),
        None => "ready\n".to_owned(),
    };
    let incidents = archive.incidents().into_iter().map(|(what, when)| format!("{when:.0} {what}\n"));
    (StatusCode::OK, [state].into_iter().chain(incidents).collect())
}

async fn metrics(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    state.channels.report_metrics();
    state.streams.report_metrics();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], state.metrics.render())
}
