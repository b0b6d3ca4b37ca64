//! The way out, and which addresses of the internet may be asked: public ones only, whatever a name resolves to.
//!
//! Names are checked where they are resolved, so that there is no moment between check and connection. Addresses
//! written as numbers never pass a resolver and are checked where they are configured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use thiserror::Error;
use url::Url;

/// Ranges that are nobody's server: IANA's special-purpose registries, multicast, and the reserved rest.
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

/// Whether an address is one of the public internet.
///
/// IPv6 addresses that carry an IPv4 one (mapped, NAT64, 6to4) are as public as that is.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !NOT_PUBLIC_V4.iter().any(|range| range.contains(&ip)),
        IpAddr::V6(ip) => match carried(ip) {
            Some(ip) => is_public(IpAddr::V4(ip)),
            None => !NOT_PUBLIC_V6.iter().any(|range| range.contains(&ip)),
        },
    }
}

fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// A resolver that keeps to public addresses, but for names that a person has configured to be elsewhere.
#[derive(Clone, Debug)]
struct Guard {
    trusted: Vec<String>,
    /// In place of the system's.
    resolver: Option<TokioResolver>,
}

/// What asks these name servers.
fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let trusted = self.trusted.iter().any(|trusted| trusted == name.as_str());
        let resolver = self.resolver.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = match resolver {
                Some(resolver) => {
                    let found = resolver.lookup_ip(name.as_str()).await?;
                    found.iter().map(|ip| SocketAddr::new(ip, 0)).collect()
                }
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            let is_allowed = |address: &SocketAddr| trusted || is_public(address.ip());
            let allowed: Vec<SocketAddr> = found.into_iter().filter(is_allowed).collect();
            if allowed.is_empty() {
                return Err(format!("{} has no public address", name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Who asks, and how the connections are made.
#[derive(Clone, Debug)]
pub struct Way {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// A proxy that makes the connections: `http`, `https`, `socks5` or `socks5h`.
    pub proxy: Option<Url>,
    /// Name servers; the system's when there are none.
    pub dns: Vec<SocketAddr>,
}

/// Why connections cannot be made at all.
#[derive(Debug, Error)]
pub enum WayError {
    /// TLS or the proxy cannot be set up.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The name servers cannot be asked.
    #[error(transparent)]
    Dns(#[from] NetError),
}

impl Way {
    /// A client that reaches public addresses and these names, follows no redirects, and heeds no environment.
    /// Whoever uses it sets deadlines.
    ///
    /// # Errors
    ///
    /// See [`WayError`].
    pub fn client(&self, mut trusted: Vec<String>) -> Result<reqwest::ClientBuilder, WayError> {
        // An error says that a provider is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        trusted.extend(self.proxy.as_ref().and_then(|proxy| proxy.host_str().map(str::to_owned)));
        let resolver = (!self.dns.is_empty()).then(|| resolver(&self.dns)).transpose()?;
        let client = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(Guard { trusted, resolver }))
            .no_proxy();
        Ok(match &self.proxy {
            Some(proxy) => client.proxy(reqwest::Proxy::all(proxy.clone())?),
            None => client,
        })
    }
}

/// What in the end was the cause of a failure.
#[must_use]
pub fn innermost(err: &reqwest::Error) -> String {
    let mut why: &dyn std::error::Error = err;
    while let Some(cause) = why.source() {
        why = cause;
    }
    why.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_one() {
        assert_eq!((NOT_PUBLIC_V4.len(), NOT_PUBLIC_V6.len()), (15, 11));
    }

    #[test]
    fn inner_addresses_are_told_from_public_ones() {
        for inner in [
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
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
        for public in
            ["149.154.167.99", "1.1.1.1", "2001:67c:4e8:f004::9", "2a0a:f280::1", "64:ff9b::1.1.1.1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    /// A name that has a public address when it is looked at, and an inner one when it is connected to, or both at once.
    #[tokio::test]
    async fn a_name_that_changes_its_mind_leads_nowhere_inside() {
        let (public, inner) = ([149_u8, 154, 167, 99], [127, 0, 0, 1]);
        let answers = [vec![public], vec![inner], vec![inner, public], vec![public, inner]];
        let names = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = names.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut packet, mut turns) = ([0; 512], answers.into_iter());
            loop {
                let (n, from) = names.recv_from(&mut packet).await.unwrap();
                let question = &packet[12..n];
                let end = question.iter().position(|byte| *byte == 0).unwrap() + 5;
                // It has no IPv6, which is asked for at the same time.
                let is_v4 = question[end - 3] == 1;
                let given = if is_v4 { turns.next().unwrap_or_default() } else { Vec::new() };
                let n_given = u8::try_from(given.len()).unwrap();
                let mut answer =
                    [&packet[..2], &[0x81, 0x80, 0, 1, 0, n_given, 0, 0, 0, 0], &question[..end]].concat();
                for ip in given {
                    answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    answer.extend(ip);
                }
                names.send_to(&answer, from).await.unwrap();
            }
        });
        let guard = Guard { trusted: Vec::new(), resolver: Some(resolver(&[server]).unwrap()) };
        let look = async || guard.resolve("files.example.org".parse().unwrap()).await;
        for turn in ["public", "inner", "both", "both"] {
            let found: Option<Vec<_>> = look().await.ok().map(Iterator::collect);
            let allowed = (turn != "inner").then(|| vec![SocketAddr::from((public, 0))]);
            // What is connected to are these addresses: a name is not looked up twice.
            assert_eq!(found, allowed, "{turn}");
        }
    }
}
