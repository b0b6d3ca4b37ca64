//! SSRF protection: which IP addresses the service may connect to.
//!
//! Host names are checked by [`PublicOnlyResolver`](super::resolver::PublicOnlyResolver) when they are resolved, so a
//! name cannot change between the check and the connection (DNS rebinding). A URL with an IP address in place of a name
//! never reaches a resolver; such URLs are checked with [`is_public`] where they are configured.
//!
//! Every HTTP client is built by [`http_client`](super::http_client), which has that resolver and follows no redirects. Code that
//! follows one checks its target like a first URL: it must be on the same upstream, or on an allowed media host. A reader
//! chooses no URL, only the name of a channel or a signed file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};

/// IPv4 ranges that are not public: IANA's special-purpose registry, multicast and the reserved ranges.
static NOT_PUBLIC_V4: LazyLock<Vec<Ipv4Net>> = LazyLock::new(|| {
    parse(&[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ])
});
/// IPv6 ranges that are not public: IANA's special-purpose registry, multicast and the reserved ranges.
static NOT_PUBLIC_V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| {
    parse(&[
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ])
});

fn parse<N: std::str::FromStr>(ranges: &[&str]) -> Vec<N> {
    ranges.iter().filter_map(|range| range.parse().ok()).collect()
}

/// Returns whether an IP address belongs to the public internet.
///
/// An IPv6 address that embeds an IPv4 address (mapped, NAT64, 6to4) is as public as the embedded one.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !NOT_PUBLIC_V4.iter().any(|range| range.contains(&ip)),
        IpAddr::V6(ip) => match embedded_ipv4(ip) {
            Some(ip) => is_public(IpAddr::V4(ip)),
            None => !NOT_PUBLIC_V6.iter().any(|range| range.contains(&ip)),
        },
    }
}

/// Extracts the IPv4 address from an IPv4-mapped, NAT64 or 6to4 address.
fn embedded_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_parses() {
        assert_eq!((NOT_PUBLIC_V4.len(), NOT_PUBLIC_V6.len()), (15, 11));
    }

    #[test]
    fn private_addresses_are_not_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2001::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in
            ["149.154.167.99", "1.1.1.1", "2001:67c:4e8:f004::9", "2a0a:f280::1", "64:ff9b::1.1.1.1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
