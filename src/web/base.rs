//! Under which address the service was asked: the base of the addresses that its answers name as its own.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

use super::App;
use super::error::Error;
use super::server::Peer;
use crate::config::PublicUrl;

/// Whom proxies have passed a request on for.
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl App {
    /// As configured, else as the request says, else where the service listens.
    ///
    /// What a proxy says of the request before it is believed only from trusted ones: anybody can send such
    /// headers, and a feed with a wrong address of its own can move subscriptions.
    pub(super) fn base(&self, headers: &HeaderMap, Peer(peer): Peer) -> PublicUrl {
        if let Some(public) = &self.0.public_url {
            return public.clone();
        }
        let trusted = self.0.trusted_proxies.iter().any(|network| network.contains(&peer));
        let forwarded = |name: &str| {
            let value = headers.get(name).filter(|_| trusted)?.to_str().ok()?;
            // A chain of proxies lists what each was asked; the first was asked by the client.
            value.split(',').next().map(str::trim)
        };
        let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
        // What cannot be a host was refused as the request came.
        let asked = asked.filter(|asked| !asked.is_empty());
        let host = forwarded("x-forwarded-host").and_then(host).or(asked);
        let scheme = match forwarded("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        host.map_or_else(
            || PublicUrl::of_host("http", &self.0.listen.to_string()),
            |host| PublicUrl::of_host(scheme, host),
        )
    }
}

impl App {
    /// Who asks: behind trusted proxies, the last address that was not one of theirs. What a client says itself of
    /// where it comes from stands before that, and is not believed.
    pub(super) fn client(&self, headers: &HeaderMap, Peer(peer): Peer) -> IpAddr {
        let is_trusted = |ip: &IpAddr| self.0.trusted_proxies.iter().any(|network| network.contains(ip));
        let chain = headers.get_all(FORWARDED_FOR).iter().filter_map(|list| list.to_str().ok());
        let chain: Vec<&str> = chain.flat_map(|list| list.split(',')).collect();
        let mut client = peer;
        for hop in chain.iter().rev() {
            let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
            if !is_trusted(&client) {
                break;
            }
            client = hop.to_canonical();
        }
        client
    }
}

/// Leaves the host that was asked for in the `Host` header, wherever the request has it (RFC 9112, section 3.2).
///
/// # Errors
///
/// When it has none, several, or one that cannot be.
pub(super) fn settle_host<B>(request: &mut Request<B>) -> Result<(), Error> {
    let asked = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(asked) = asked {
        request.headers_mut().insert(HOST, asked);
    }
    match request.headers().get_all(HOST).iter().count() {
        0 if request.version() < Version::HTTP_11 => Ok(()),
        1 if is_valid(request.headers()) => Ok(()),
        _ => Err(Error::Host),
    }
}

/// A host, or none said, which a request may do.
fn is_valid(headers: &HeaderMap) -> bool {
    let said = headers.get(HOST).and_then(|said| said.to_str().ok());
    said.is_some_and(|said| said.is_empty() || host(said).is_some())
}

/// A host with or without a port, and nothing else.
fn host(text: &str) -> Option<&str> {
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
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for good in
            ["feeds.example.org", "x", "x:1", "127.0.0.1:65535", "[::1]", "[2a0a:f280::1]:8080", "a_b-c.d."]
        {
            assert_eq!(host(good), Some(good));
        }
        for bad in [
            "", "a:b", "a:99999", "a:", "..", "-", "[zz]", "[::1", "u@x", "u@x:1", "a b", "a/b", ":80",
            "\u{e9}",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
