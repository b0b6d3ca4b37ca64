//! Validation of the requested host (RFC 9112, section 3.2).

use std::net::Ipv6Addr;

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Request, Version};

use crate::web::error::Error;

/// Moves the requested host into the `Host` header, wherever the request has it.
///
/// # Errors
///
/// [`Error::Host`] if the request has no host, several, or an invalid one.
pub(super) fn normalize_host<B>(request: &mut Request<B>) -> Result<(), Error> {
    let in_target = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = in_target {
        request.headers_mut().insert(HOST, host);
    }
    match request.headers().get_all(HOST).iter().count() {
        0 if request.version() < Version::HTTP_11 => Ok(()),
        1 if is_valid(request.headers()) => Ok(()),
        _ => Err(Error::Host),
    }
}

/// Returns whether the `Host` header is empty, which is allowed, or valid.
fn is_valid(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| host.is_empty() || parse_host(host).is_some())
}

/// Returns the text if it is a host with an optional port and nothing else.
pub(super) fn parse_host(text: &str) -> Option<&str> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let (is_host, port) = match text.strip_prefix('[').map(|ip| ip.split_once(']')) {
        Some(Some((ip, rest))) => {
            (ip.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || rest.starts_with(':')), rest.get(1..))
        }
        Some(None) => (false, None),
        None => match text.split_once(':') {
            Some((name, port)) => (is_name(name), Some(port)),
            None => (is_name(text), None),
        },
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (is_host && port.is_none_or(is_port)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_ip_address_with_an_optional_port() {
        for valid in
            ["feeds.example.org", "x", "x:1", "127.0.0.1:65535", "[::1]", "[2a0a:f280::1]:8080", "a_b-c.d."]
        {
            assert_eq!(parse_host(valid), Some(valid));
        }
        for invalid in [
            "", "a:b", "a:99999", "a:", "..", "-", "[zz]", "[::1", "u@x", "u@x:1", "a b", "a/b", ":80",
            "\u{e9}",
        ] {
            assert_eq!(parse_host(invalid), None, "{invalid}");
        }
    }
}
