//! The steps that every request passes, in one function.
//!
//! They are plain calls instead of tower layers: a cached feed is answered in a few microseconds, which boxed layers
//! would double. Limits and the panic handler are layers of the router, since only uncached requests need them.

pub(super) mod access;
mod base_url;
mod forwarded;
mod host;
pub(super) mod limits;
pub(super) mod panic;
pub(super) mod rate_limit;
mod request_id;
mod route;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, USER_AGENT};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use tower::Service;
use tracing::Instrument;

use super::client_permits::network_of;
use super::context::RequestContext;
use super::error::Error;
use super::feeds;
use super::pages::{self, PageRequest};
use super::state::AppState;
use crate::channels::Visitor;
use crate::metrics;
use access::{Authorized, token_in_query};
use forwarded::Origin;
use request_id::RequestId;
use route::Route;

/// Answers one request.
///
/// The steps: request ID → size of the head → host → base URL → rate limit and token → cached feed → router (limits, panic
/// handler, handler) → private caching → metrics → `X-Request-Id`. Only what follows the cached feed can log something, so
/// the request's span begins there.
pub(super) async fn handle(
    state: Arc<AppState>,
    router: Router,
    peer: IpAddr,
    mut request: Request<Incoming>,
) -> Response {
    let started = Instant::now();
    let id = RequestId::next();
    // A listener on all addresses sees IPv4 clients as IPv4-mapped IPv6 addresses.
    let peer = peer.to_canonical();
    let has_token = |query: &&str| state.access.has_any_tokens() && token_in_query(query).is_some();
    let sent = request.uri().query().filter(has_token).map(str::to_owned);
    let admitted = admit(&state, peer, &mut request, sent.as_deref());
    // The token is no longer part of the path of a channel.
    let route = Route::of(request.uri().path());
    let mut response = match admitted {
        Ok(context) => {
            if let Some(response) = feeds::cached_response(&state, &request, &context) {
                response
            } else {
                request.extensions_mut().insert(context);
                call(&state, router, request.map(Body::new))
                    .instrument(tracing::info_span!("request", id = %id))
                    .await
            }
        }
        Err(err) => {
            let page = PageRequest::of(&state, &request, sent.as_deref());
            pages::error::show(err.into_response(), &page)
        }
    };
    if state.access.has_tokens() && route != Route::Media {
        access::make_private(response.headers_mut());
    }
    metrics::request(route.name(), response.status().as_u16(), started.elapsed());
    response.headers_mut().insert(request_id::HEADER, id.header());
    response
}

/// Checks a request and removes its token. `sent` is its query, if that has the token.
fn admit<B>(
    state: &AppState,
    peer: IpAddr,
    request: &mut Request<B>,
    sent: Option<&str>,
) -> Result<RequestContext, Error> {
    limits::check_head(request)?;
    let host = host::normalize_host(request)?;
    let origin = Origin::of(request.headers(), peer, |ip| state.config.is_trusted_proxy(ip));
    let base_url = base_url::of_request(&state.config, host, &origin);
    let client = origin.client;
    let Authorized { path_token, is_admin } = state.access.authorize(request, peer, client)?;
    let query = sent.or_else(|| request.uri().query()).map(str::to_owned);
    let user_agent = request.headers().get(USER_AGENT).map_or(&[][..], HeaderValue::as_bytes);
    let visitor = Visitor::new(network_of(client), user_agent);
    Ok(RequestContext { client, visitor, base_url, query, path_token, is_admin })
}

/// Calls the router. A browser gets an error as a page.
pub(super) async fn call(state: &AppState, mut router: Router, request: Request<Body>) -> Response {
    let context = request.extensions().get::<RequestContext>();
    let page = PageRequest::of(state, &request, context.and_then(|context| context.query.as_deref()));
    let Ok(mut response) = router.call(request).await;
    if response.status() == StatusCode::NOT_MODIFIED {
        // axum adds the length of the empty body; only that of the 200 response may be here (RFC 9110, section 8.6).
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    pages::error::show(response, &page)
}
