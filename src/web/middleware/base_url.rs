//! Determines the base URL of a request.

use axum::http::HeaderMap;
use axum::http::header::HOST;

use super::forwarded::Origin;
use super::host::parse_host;
use crate::web::base_url::BaseUrl;
use crate::web::state::WebConfig;

/// Returns the base URL for a request: as configured, else as requested, else where the service listens.
///
/// A feed with a wrong self URL can move subscriptions to another server, so what a client says of itself is not used
/// instead of what a trusted proxy says.
pub(super) fn of_request(config: &WebConfig, headers: &HeaderMap, origin: &Origin<'_>) -> BaseUrl {
    if let Some(public_url) = &config.public_url {
        return public_url.clone();
    }
    // An invalid `Host` header was rejected before.
    let requested = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    let host = origin.host.and_then(parse_host).or(requested);
    let is_https = origin.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    host.map_or_else(
        || BaseUrl::of_host("http", &config.listen.to_string()),
        |host| BaseUrl::of_host(if is_https { "https" } else { "http" }, host),
    )
}
