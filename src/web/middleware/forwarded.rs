//! The headers of proxies about a request: `X-Forwarded-*`, or `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// The headers whose elements are the client, the host and the scheme.
const X_FORWARDED: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// The parameters of `Forwarded` with the same meaning.
const PARAMETERS: [&str; 3] = ["for", "host", "proto"];

/// A request as the outermost trusted proxy received it, or as it arrived if no proxy is trusted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) client: IpAddr,
    /// The requested host, if a proxy passes it on.
    pub(super) host: Option<&'a str>,
    pub(super) scheme: Option<&'a str>,
}

impl<'a> Origin<'a> {
    /// Reads the headers from their ends, because each proxy adds an element to the end. What stands before the element of
    /// the outermost trusted proxy was sent by the client itself and is ignored.
    ///
    /// `Forwarded` is read only without `X-Forwarded-*` headers. A proxy that sets one kind passes the other one on, as the
    /// client has sent it.
    pub(super) fn of(headers: &'a HeaderMap, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> Self {
        let mut origin = Self { client: peer, host: None, scheme: None };
        if !is_trusted(peer) {
            return origin;
        }
        let mut x_forwarded = X_FORWARDED.map(|name| elements(headers, name));
        let mut forwarded = elements(headers, FORWARDED);
        let has_x_forwarded = X_FORWARDED.iter().any(|name| headers.contains_key(name));
        let mut next_hop = || {
            if has_x_forwarded {
                return x_forwarded.each_mut().map(Iterator::next);
            }
            let element = forwarded.next().unwrap_or_default();
            PARAMETERS.map(|name| parameter(element, name))
        };
        while is_trusted(origin.client) {
            let [client, host, scheme] = next_hop();
            // A proxy that adds nothing has passed on what the one before it added.
            origin.host = host.or(origin.host);
            origin.scheme = scheme.or(origin.scheme);
            let Some(client) = client.and_then(parse_client) else { break };
            origin.client = client;
        }
        origin
    }
}

/// Returns whether a proxy has forwarded a request, trusted or not.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(&X_FORWARDED[0]) || headers.contains_key(FORWARDED)
}

/// Returns the elements of a list header, the last one first.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(name).into_iter().rev().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.rsplit(',')).map(str::trim)
}

/// Returns the value of a parameter in an element of `Forwarded`, without its quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// Parses an address with an optional port. An IPv6 address may be in brackets.
fn parse_client(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| with_port()).ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Returns the client, the host and the scheme of a request over 10.0.0.1. All of 10.0.0.0/8 is trusted.
    fn origin(headers: &[(&'static str, &'static str)]) -> (String, String, String) {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        let is_trusted = |ip: IpAddr| ip.to_string().starts_with("10.");
        let Origin { client, host, scheme } = Origin::of(&headers, [10, 0, 0, 1].into(), is_trusted);
        let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
        (client.to_string(), text(host), text(scheme))
    }

    #[test]
    fn what_the_outermost_trusted_proxy_added_wins() {
        const FOR: &str = "x-forwarded-for";
        const HOST: &str = "x-forwarded-host";
        const PROTO: &str = "x-forwarded-proto";
        for (headers, expected) in [
            (&[][..], ("10.0.0.1", "-", "-")),
            (&[(FOR, "192.0.2.7"), (HOST, "own.example")], ("192.0.2.7", "own.example", "-")),
            (&[(FOR, "192.0.2.7"), (HOST, "evil.example, own.example")], ("192.0.2.7", "own.example", "-")),
            (
                &[(FOR, "192.0.2.7"), (HOST, "evil.example"), (HOST, "own.example")],
                ("192.0.2.7", "own.example", "-"),
            ),
            (
                &[(HOST, "evil.example, own.example"), (PROTO, "http, https")],
                ("10.0.0.1", "own.example", "https"),
            ),
            // Two proxies that both add to the headers, or only the outer one.
            (
                &[
                    (FOR, "8.8.8.8, 192.0.2.7, 10.9.9.9"),
                    (HOST, "evil.example, own.example, inner"),
                    (PROTO, "https, http"),
                ],
                ("192.0.2.7", "own.example", "https"),
            ),
            (&[(FOR, "192.0.2.7, 10.9.9.9"), (HOST, "own.example")], ("192.0.2.7", "own.example", "-")),
            (&[(FOR, "192.0.2.7:4711")], ("192.0.2.7", "-", "-")),
            (&[(FOR, "nonsense")], ("10.0.0.1", "-", "-")),
            (
                &[(
                    "forwarded",
                    "for=8.8.8.8;host=evil.example, For=\"[2001:db8::7]:4711\"; Host=\"own.example:8443\";proto=https",
                )],
                ("2001:db8::7", "own.example:8443", "https"),
            ),
            (
                &[("forwarded", "for=\"evil"), ("forwarded", "for=192.0.2.7;host=own.example, for=10.9.9.9")],
                ("192.0.2.7", "own.example", "-"),
            ),
            (&[("forwarded", "for=unknown;host=own.example")], ("10.0.0.1", "own.example", "-")),
            // This proxy passes the client's `Forwarded` on.
            (&[("forwarded", "for=8.8.8.8;host=evil.example"), (FOR, "192.0.2.7")], ("192.0.2.7", "-", "-")),
        ] {
            let (client, host, scheme) = origin(headers);
            assert_eq!((client.as_str(), host.as_str(), scheme.as_str()), expected, "{headers:?}");
        }
    }

    #[test]
    fn headers_of_other_clients_are_ignored() {
        let headers = HeaderMap::from_iter([
            (X_FORWARDED[0].clone(), HeaderValue::from_static("192.0.2.7")),
            (X_FORWARDED[1].clone(), HeaderValue::from_static("evil.example")),
        ]);
        let peer = [198, 51, 100, 1].into();
        let origin = Origin::of(&headers, peer, |_| false);
        assert_eq!(origin, Origin { client: peer, host: None, scheme: None });
    }
}
