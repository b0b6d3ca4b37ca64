//! The client's IP address behind proxies.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The header to which each proxy appends the address that connected to it.
pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the client's address: behind trusted proxies, the last address in `X-Forwarded-For` that is not one of theirs.
/// Addresses before it were sent by the client itself and are ignored.
pub(in crate::web) fn client_ip(headers: &HeaderMap, peer: IpAddr, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted_proxies.iter().any(|network| network.contains(ip));
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

/// Returns the address that limits apply to: an IPv6 client usually controls a whole /64 network.
pub(in crate::web) fn network_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}
