//! Under which address the service was asked: the base of the addresses that its answers name as its own.

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;

use super::App;
use super::server::Peer;
use crate::config::PublicUrl;

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
        let host = forwarded("x-forwarded-host").and_then(host).or_else(|| asked.and_then(host));
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

/// A host with or without a port, and nothing else.
fn host(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let is_host = !text.is_empty() && text.chars().all(plain) && text.parse::<Authority>().is_ok();
    is_host.then_some(text)
}
