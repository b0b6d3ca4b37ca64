//! Limits of every request's head, and of the routes that serve feeds and pages: requests in flight, also of one client, and
//! time per request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::web::context::RequestContext;
use crate::web::error::Error;
use crate::web::state::AppState;

/// Bytes of a request head.
pub(in crate::web) const MAX_HEAD_BYTES: usize = 32 << 10;

/// Time for one request: feed readers give up after 15 seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);

/// When a client with too many requests in flight may send the next one.
const CLIENT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Checks the size of a request head. hyper checks it only while the head is incomplete, so it depends on how the head
/// arrives whether a larger one gets through.
///
/// # Errors
///
/// [`Error::HeadTooLarge`]
pub(super) fn check_head<B>(request: &axum::http::Request<B>) -> Result<(), Error> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len())
        + uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let headers = request.headers().iter();
    let headers: usize =
        headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    if line + headers + "\r\n".len() > MAX_HEAD_BYTES {
        Err(Error::HeadTooLarge(MAX_HEAD_BYTES))
    } else {
        Ok(())
    }
}

/// Adds the limits to a router.
pub(in crate::web) fn with_limits(
    router: Router<Arc<AppState>>,
    state: &Arc<AppState>,
) -> Router<Arc<AppState>> {
    router.layer(middleware::from_fn_with_state(Arc::clone(state), limit))
}

async fn limit(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let context = request.extensions().get::<RequestContext>();
    let client = context.and_then(|context| state.limited_client(context.client));
    let of_client = client.map(|client| state.client_requests.of(client).try_acquire_owned());
    let Ok(_permit_of_client) = of_client.transpose() else {
        return Error::RateLimited(CLIENT_RETRY_AFTER).into_response();
    };
    let Ok(_permit) = state.requests.try_acquire() else {
        return Error::Overloaded.into_response();
    };
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| Error::TimedOut.into_response())
}
