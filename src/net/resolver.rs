//! DNS resolution that returns public addresses only.

use std::net::SocketAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::ssrf::is_public;

/// Resolves host names to public addresses; `trusted` hosts may resolve to any address.
#[derive(Clone, Debug)]
pub(super) struct PublicOnlyResolver {
    /// Host names that the operator configured, such as an upstream on `localhost`.
    pub(super) trusted: Vec<String>,
    /// Asks the configured name servers; `None` uses the system's resolver.
    pub(super) dns_client: Option<TokioResolver>,
}

/// Builds a DNS client that asks these name servers.
pub(super) fn dns_client(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        server.connections.iter_mut().for_each(|connection| connection.port = address.port());
        server
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
}

impl Resolve for PublicOnlyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_trusted = self.trusted.iter().any(|trusted| trusted == name.as_str());
        let dns_client = self.dns_client.clone();
        Box::pin(async move {
            let resolved: Vec<SocketAddr> = match dns_client {
                Some(client) => {
                    let answer = client.lookup_ip(name.as_str()).await?;
                    answer.iter().map(|ip| SocketAddr::new(ip, 0)).collect()
                }
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            let is_allowed = |address: &SocketAddr| is_trusted || is_public(address.ip());
            let allowed: Vec<SocketAddr> = resolved.into_iter().filter(is_allowed).collect();
            if allowed.is_empty() {
                return Err(format!("{} has no public address", name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host whose DNS answers change from a public address to a private one, or contain both.
    #[tokio::test]
    async fn dns_rebinding_to_a_private_address_is_refused() {
        let (public, private) = ([149_u8, 154, 167, 99], [127, 0, 0, 1]);
        let answers = [vec![public], vec![private], vec![private, public], vec![public, private]];
        let names = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = names.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut packet, mut turns) = ([0; 512], answers.into_iter());
            loop {
                let (n, from) = names.recv_from(&mut packet).await.unwrap();
                let question = &packet[12..n];
                let end = question.iter().position(|byte| *byte == 0).unwrap() + 5;
                // The host has no IPv6 address; the resolver asks for both kinds.
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
        let resolver =
            PublicOnlyResolver { trusted: Vec::new(), dns_client: Some(dns_client(&[server]).unwrap()) };
        let resolve = async || resolver.resolve("files.example.org".parse().unwrap()).await;
        for turn in ["public", "private", "both", "both"] {
            let found: Option<Vec<_>> = resolve().await.ok().map(Iterator::collect);
            let allowed = (turn != "private").then(|| vec![SocketAddr::from((public, 0))]);
            // The connection uses exactly these addresses: a name is not resolved a second time.
            assert_eq!(found, allowed, "{turn}");
        }
    }
}
