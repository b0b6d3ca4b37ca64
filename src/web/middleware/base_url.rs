//! Determines the base URL of a request.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;

use super::host::parse_host;
use crate::web::base_url::BaseUrl;
use crate::web::state::WebConfig;

/// Returns the base URL for a request: as configured, else as requested, else where the service listens.
///
/// `X-Forwarded-*` headers are trusted only from trusted proxies. Anybody can send them, and a feed with a wrong self URL
/// can move subscriptions to another server.
pub(super) fn of_request(config: &WebConfig, headers: &HeaderMap, peer: IpAddr) -> BaseUrl {
    if let Some(public_url) = &config.public_url {
        return public_url.clone();
    }
    let is_trusted = config.trusted_proxies.iter().any(|network| network.contains(&peer));
    let forwarded = |name: &str| {
        let value = headers.get(name).filter(|_| is_trusted)?.to_str().ok()?;
        // In a chain of proxies the first element is what the client requested.
        value.split(',').next().map(str::trim)
    };
    // An invalid `Host` header was rejected before.
    let requested = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    let host = forwarded("x-forwarded-host").and_then(parse_host).or(requested);
    let scheme = match forwarded("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    host.map_or_else(
        || BaseUrl::of_host("http", &config.listen.to_string()),
        |host| BaseUrl::of_host(scheme, host),
    )
}
