//! The servers that are asked for pages.

use url::{Host, Url};

use crate::guard;

/// A server that is asked for pages: `https://t.me`, or on loopback also `http://127.0.0.1:8081`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream(Url);

impl Upstream {
    /// Reads the base address of an upstream.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it: only `https`, or `http` to a loopback address, without path.
    pub fn new(address: &str) -> Result<Self, String> {
        let url = Url::parse(address).map_err(|err| format!("{address:?} is no address: {err}"))?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(format!(
                "{address:?} must begin with https:// (http:// is for loopback addresses only)"
            ));
        }
        let inner = match url.host() {
            Some(Host::Ipv4(ip)) => !guard::is_public(ip.into()),
            Some(Host::Ipv6(ip)) => !guard::is_public(ip.into()),
            _ => false,
        };
        if inner && !loopback {
            return Err(format!("{address:?} is not on the public internet"));
        }
        if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
            return Err(format!("{address:?} must end after the host and port"));
        }
        Ok(Self(url))
    }

    /// Its host and port.
    pub(super) fn host(&self) -> String {
        self.0.authority().to_owned()
    }

    /// Its host as the resolver sees it, if a person has chosen one on this machine.
    pub(super) fn loopback_name(&self) -> Option<String> {
        (self.0.scheme() == "http").then(|| self.0.host_str().map(str::to_owned))?
    }

    /// The address of a path on it.
    pub(super) fn address(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// Whether an address is on it.
    pub(super) fn serves(&self, url: &Url) -> bool {
        url.origin() == self.0.origin()
    }
}
