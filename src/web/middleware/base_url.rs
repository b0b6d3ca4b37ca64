//! Determines the base URL of a request.

use super::forwarded::Origin;
use super::host::{Host, parse_host};
use crate::web::base_url::BaseUrl;
use crate::web::state::WebConfig;

/// Returns the base URL for a request: as configured, else as requested, else where the service listens.
///
/// A feed with a wrong self URL can move subscriptions to another server, so what a client says of itself is not used
/// instead of what a trusted proxy says.
pub(super) fn of_request(config: &WebConfig, requested: Option<Host>, origin: &Origin<'_>) -> BaseUrl {
    if let Some(public_url) = &config.public_url {
        return public_url.clone();
    }
    let Some(Host { name, port }) = origin.host.and_then(parse_host).or(requested) else {
        return BaseUrl::of_host("http", &config.listen.to_string());
    };
    let is_https = origin.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let (scheme, default_port) = if is_https { ("https", 443) } else { ("http", 80) };
    match port.filter(|port| *port != default_port) {
        Some(port) => BaseUrl::of_host(scheme, &format!("{name}:{port}")),
        None => BaseUrl::of_host(scheme, &name),
    }
}
