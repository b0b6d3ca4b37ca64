//! The HTTP clients behind every outgoing request: their proxies, DNS and user agent, without redirects.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::net::NetError;
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;
use thiserror::Error;
use url::Url;

use super::resolver::{PublicOnlyResolver, dns_client};

/// The value of the `User-Agent` header: visible ASCII, not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgent(String);

impl UserAgent {
    /// The user agent unless configured otherwise.
    pub const DEFAULT: &str = concat!("telewire/", env!("CARGO_PKG_VERSION"), " (feed bridge)");
}

impl FromStr for UserAgent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_ascii = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if text.trim().is_empty() || !is_ascii {
            return Err("must be printable ASCII text and not blank".to_owned());
        }
        Ok(Self(text.trim().to_owned()))
    }
}

/// The URL of a proxy: `http`, `https`, `socks5` or `socks5h`. It may contain a password, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_proxy =
            |url: &Url| matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host();
        let url = Url::parse(text).ok().filter(is_proxy).map(Self);
        url.ok_or_else(|| "must look like socks5://127.0.0.1:9050 or http://proxy.example:3128".to_owned())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.address()).finish()
    }
}

impl Proxy {
    /// Returns the host and port, without the user name and password.
    fn address(&self) -> String {
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.0.host_str().unwrap_or_default())
    }
}

/// How outgoing connections are made.
#[derive(Clone, Debug)]
pub struct HttpClientConfig {
    /// The `User-Agent` header.
    pub user_agent: UserAgent,
    /// The proxies, each of which is an [`Identity`]; direct connections if empty.
    pub proxies: Vec<Proxy>,
    /// Name servers; the system's resolver if empty.
    pub dns: Vec<SocketAddr>,
}

/// An address that servers see requests come from: a proxy's, or this machine's.
pub(crate) struct Identity {
    /// The proxy's host and port, and a number if others have the same (`#2`); `None` for this machine.
    pub(crate) proxy: Option<String>,
    /// Connects from this address.
    pub(crate) http: reqwest::Client,
}

/// Why no HTTP client can be built.
#[derive(Debug, Error)]
pub enum HttpClientError {
    /// The HTTP client or its proxy cannot be set up.
    #[error("cannot set up the HTTP client or its proxy: {0}")]
    Http(#[from] reqwest::Error),
    /// The system's root certificates cannot be read.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The DNS client cannot be set up.
    #[error("cannot set up the DNS client of --dns: {0}")]
    Dns(#[from] NetError),
}

impl HttpClientConfig {
    /// Builds the identities, of which there is at least one. Their HTTP clients connect only to host names with public
    /// addresses and to `trusted` hosts, follow no redirects and ignore proxy environment variables. `limit` sets at least the
    /// timeout for connections; callers limit the rest of each request.
    ///
    /// A URL with an IP address is not checked here, but where it is configured; with a proxy, the proxy may resolve names.
    ///
    /// # Errors
    ///
    /// See [`HttpClientError`].
    pub(crate) fn identities(
        &self,
        trusted: &[String],
        limit: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Vec<Identity>, HttpClientError> {
        if self.proxies.is_empty() {
            let http = limit(self.client(trusted.to_owned())?).build()?;
            return Ok(vec![Identity { proxy: None, http }]);
        }
        let addresses: Vec<String> = self.proxies.iter().map(Proxy::address).collect();
        let identity = |(n, Proxy(url)): (usize, &Proxy)| {
            let trusted = trusted.iter().cloned().chain(url.host_str().map(str::to_owned)).collect();
            let client = self.client(trusted)?.proxy(reqwest::Proxy::all(url.clone())?);
            let proxy = match addresses[..n].iter().filter(|earlier| **earlier == addresses[n]).count() {
                0 => addresses[n].clone(),
                n_earlier => format!("{}#{}", addresses[n], n_earlier + 1),
            };
            Ok(Identity { proxy: Some(proxy), http: limit(client).build()? })
        };
        self.proxies.iter().enumerate().map(identity).collect()
    }

    fn client(&self, trusted: Vec<String>) -> Result<reqwest::ClientBuilder, HttpClientError> {
        let dns_client = (!self.dns.is_empty()).then(|| dns_client(&self.dns)).transpose()?;
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            .user_agent(&self.user_agent.0)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(PublicOnlyResolver { trusted, dns_client }))
            .no_proxy())
    }
}

/// Returns the TLS configuration of every client. Reading the system's root certificates is a large part of the start-up
/// time, so it happens once.
pub(crate) fn tls_config() -> Result<ClientConfig, rustls::Error> {
    static CONFIG: OnceLock<Result<ClientConfig, rustls::Error>> = OnceLock::new();
    let read = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(Arc::clone(&provider))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    };
    CONFIG.get_or_init(read).clone()
}

/// Returns the message of the innermost cause of an error; reqwest's own message repeats the URL.
pub(crate) fn root_cause(err: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = err;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_named_without_credentials() {
        let urls = [
            "socks5h://user:secret@gate.example:9050",
            "http://other:secret@gate.example:9050",
            "https://[::1]",
        ];
        let config = HttpClientConfig {
            user_agent: UserAgent::DEFAULT.parse().unwrap(),
            proxies: urls.map(|url| url.parse().unwrap()).into(),
            dns: Vec::new(),
        };
        let identities = config.identities(&[], |client| client).unwrap();
        let names: Vec<_> = identities.iter().filter_map(|identity| identity.proxy.as_deref()).collect();
        assert_eq!(names, ["gate.example:9050", "gate.example:9050#2", "[::1]"]);
        assert!(!format!("{config:?}").contains("secret"));
    }
}
