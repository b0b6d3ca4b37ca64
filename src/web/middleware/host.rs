//! Validation of the requested host (RFC 9112, section 3.2).

use std::net::Ipv6Addr;

use axum::http::header::HOST;
use axum::http::{HeaderValue, Request, Version};

use crate::web::error::Error;

/// Bytes of a host with its port. The longest domain name has 253 characters (RFC 1035, section 3.1).
const MAX_HOST_BYTES: usize = 255;

/// Moves the requested host into the `Host` header, wherever the request has it. Returns the host, if it is not empty.
///
/// # Errors
///
/// [`Error::Host`] if the request has no host, several, or an invalid one.
pub(super) fn normalize_host<B>(request: &mut Request<B>) -> Result<Option<Host>, Error> {
    let in_target = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = in_target {
        request.headers_mut().insert(HOST, host);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(None),
        (Some(host), None) if host.is_empty() => Ok(None),
        (Some(host), None) => host.to_str().ok().and_then(parse_host).map(Some).ok_or(Error::Host),
        _ => Err(Error::Host),
    }
}

/// A host in its canonical spelling: in lower case, without a dot at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: Option<u16>,
}

/// Parses a host with an optional port.
pub(super) fn parse_host(text: &str) -> Option<Host> {
    if text.len() > MAX_HOST_BYTES {
        return None;
    }
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        (format!("[{}]", ip.parse::<Ipv6Addr>().ok()?), port)
    } else {
        let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        (is_name.then(|| name.trim_end_matches('.').to_ascii_lowercase())?, port)
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some(Host { name, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_ip_address_with_an_optional_port() {
        for (valid, name, port) in [
            ("feeds.example.org", "feeds.example.org", None),
            ("x", "x", None),
            ("x:1", "x", Some(1)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[2a0a:f280::1]:8080", "[2a0a:f280::1]", Some(8080)),
            ("Feeds.EXAMPLE.org.:08080", "feeds.example.org", Some(8080)),
            ("[0:0:0::0001]", "[::1]", None),
            ("a_b-c.d..", "a_b-c.d", None),
        ] {
            assert_eq!(parse_host(valid), Some(Host { name: name.to_owned(), port }), "{valid}");
        }
        assert!(parse_host(&"x".repeat(255)).is_some());
        let too_long = "x".repeat(256);
        for invalid in [
            "", "a:b", "a:99999", "a:", "a:+1", "..", "-", "[zz]", "[::1", "[::1]1", "u@x", "u@x:1", "a b",
            "a/b", ":80", "\u{e9}", &too_long,
        ] {
            assert_eq!(parse_host(invalid), None, "{invalid}");
        }
    }
}
