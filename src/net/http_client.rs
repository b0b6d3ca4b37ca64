//! The HTTP client behind every outgoing request: its proxy, DNS and user agent, without redirects.

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

/// How outgoing connections are made.
#[derive(Clone, Debug)]
pub struct HttpClientConfig {
    /// The `User-Agent` header.
    pub user_agent: UserAgent,
    /// A proxy for all connections: `http`, `https`, `socks5` or `socks5h`.
    pub proxy: Option<Url>,
    /// Name servers; the system's resolver if empty.
    pub dns: Vec<SocketAddr>,
}

/// Why no HTTP client can be built.
#[derive(Debug, Error)]
pub enum HttpClientError {
    /// The proxy cannot be set up.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The system's root certificates cannot be read.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The DNS client cannot be set up.
    #[error(transparent)]
    Dns(#[from] NetError),
}

impl HttpClientConfig {
    /// Builds an HTTP client that connects only to host names with public addresses and to `trusted` hosts, follows no
    /// redirects and ignores proxy environment variables. Callers must set timeouts.
    ///
    /// A URL with an IP address is not checked here, but where it is configured; with a proxy, the proxy may resolve names.
    ///
    /// # Errors
    ///
    /// See [`HttpClientError`].
    pub(crate) fn client(&self, mut trusted: Vec<String>) -> Result<reqwest::ClientBuilder, HttpClientError> {
        trusted.extend(self.proxy.as_ref().and_then(|proxy| proxy.host_str().map(str::to_owned)));
        let dns_client = (!self.dns.is_empty()).then(|| dns_client(&self.dns)).transpose()?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config()?)
            .user_agent(&self.user_agent.0)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(PublicOnlyResolver { trusted, dns_client }))
            .no_proxy();
        Ok(match &self.proxy {
            Some(proxy) => client.proxy(reqwest::Proxy::all(proxy.clone())?),
            None => client,
        })
    }
}

/// Returns the TLS configuration of every client. Reading the system's root certificates is a large part of the start-up
/// time, so it happens once.
fn tls_config() -> Result<ClientConfig, rustls::Error> {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(CONFIG.get_or_init(|| config).clone())
}

/// Returns the message of the innermost cause of an error; reqwest's own message repeats the URL.
pub(crate) fn root_cause(err: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = err;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
