//! The allow-list of hosts that pictures and videos may come from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

use crate::net::ssrf;

/// The hosts whose pictures and videos feeds may embed.
///
/// Parsed from a comma-separated list of host names with optional ports: `example.org, 127.0.0.1:8081`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaHosts(Vec<MediaHost>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct MediaHost {
    host: Host<String>,
    port: Option<u16>,
}

/// Why a list of media hosts is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaHostsError {
    /// Two commas in a row, or a comma at an end.
    #[error("the list of media hosts has an empty entry")]
    Empty,
    /// An entry with a scheme, path, user or wildcard.
    #[error("media host `{0}`: must be a host name with an optional port, without scheme, path or user")]
    NotOnlyHost(String),
    /// A private IP address.
    #[error("media host `{0}` is not on the public internet")]
    NotPublic(IpAddr),
    /// An entry that is not a host name.
    #[error("media host `{entry}`: {reason}")]
    Malformed {
        /// The entry as written.
        entry: String,
        /// The error of the URL parser.
        reason: url::ParseError,
    },
}

impl FromStr for MediaHosts {
    type Err = MediaHostsError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        if list.trim().is_empty() {
            return Ok(Self::default());
        }
        list.split(',').map(|entry| media_host(entry.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn media_host(entry: &str) -> Result<MediaHost, MediaHostsError> {
    if entry.is_empty() {
        return Err(MediaHostsError::Empty);
    }
    if entry.contains(['/', '\\', '@', '?', '#', '*']) {
        return Err(MediaHostsError::NotOnlyHost(entry.to_owned()));
    }
    let malformed = |reason| MediaHostsError::Malformed { entry: entry.to_owned(), reason };
    let url = Url::parse(&format!("https://{entry}/")).map_err(malformed)?;
    let host = url.host().ok_or_else(|| malformed(url::ParseError::EmptyHost))?.to_owned();
    // The SSRF check is part of the resolver, which never sees IP addresses, so they are checked here.
    let is_private = |ip: IpAddr| !ip.is_loopback() && !ssrf::is_public(ip);
    match host {
        Host::Ipv4(ip) if is_private(ip.into()) => Err(MediaHostsError::NotPublic(ip.into())),
        Host::Ipv6(ip) if is_private(ip.into()) => Err(MediaHostsError::NotPublic(ip.into())),
        host => Ok(MediaHost { host, port: url.port() }),
    }
}

impl MediaHosts {
    /// Returns the normalized URL if media may be loaded from it: `https` on a listed host or a subdomain of one, on
    /// the listed port or 443. Plain `http` is allowed only for loopback hosts that are listed with their port, for
    /// tests.
    #[must_use]
    pub fn allow(&self, url: &str) -> Option<String> {
        let url = Url::parse(url).ok()?;
        let host = url.host()?;
        let secure = match url.scheme() {
            "https" => true,
            "http" if is_loopback(&host) => false,
            _ => return None,
        };
        let is_listed = |listed: &MediaHost| {
            let port = if secure { listed.port.or(Some(443)) } else { listed.port };
            port.is_some() && port == url.port_or_known_default() && is_within(&host, &listed.host)
        };
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        (is_anonymous && self.0.iter().any(is_listed)).then(|| url.into())
    }

    /// Returns the listed names of this machine (`localhost`), which the resolver must accept.
    pub(super) fn loopback_names(&self) -> Vec<String> {
        let name = |listed: &MediaHost| match &listed.host {
            Host::Domain(name) if is_loopback(&Host::Domain(name)) => Some(name.clone()),
            _ => None,
        };
        self.0.iter().filter_map(name).collect()
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
        Host::Ipv6(address) => Ipv6Addr::is_loopback(address),
    }
}

/// Returns whether a host is the listed one or a subdomain of it.
fn is_within(host: &Host<&str>, listed: &Host<String>) -> bool {
    match (host, listed) {
        (Host::Domain(host), Host::Domain(listed)) => {
            host.strip_suffix(listed.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
        (Host::Ipv4(host), Host::Ipv4(listed)) => host == listed,
        (Host::Ipv6(host), Host::Ipv6(listed)) => host == listed,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_hosts_are_allowed() {
        let hosts: MediaHosts = "Example.org, 127.0.0.1:8081, [::1]:9, cdn.example.net:8443".parse().unwrap();
        for url in [
            "https://example.org/a.jpg",
            "https://cdn4.example.org/a.mp4?token=x&y",
            "https://EXAMPLE.org:443/",
            "http://127.0.0.1:8081/a",
            "https://127.0.0.1:8081/a",
            "http://[::1]:9/a",
            "https://cdn.example.net:8443/",
        ] {
            assert!(hosts.allow(url).is_some(), "{url}");
        }
        for url in [
            "http://example.org/a.jpg",
            "https://notexample.org/",
            "https://example.org.evil.com/",
            "https://example.org@evil.com/",
            "https://user@example.org/",
            "https://example.org:8443/",
            "https://cdn.example.net/",
            "http://127.0.0.1/",
            "http://127.0.0.2:8081/",
            "ftp://example.org/",
            "data:image/png,x",
            "javascript:alert(1)",
            "/relative",
        ] {
            assert_eq!(hosts.allow(url), None, "{url}");
        }
    }

    #[test]
    fn allowed_urls_are_escaped_for_xml_and_html() {
        let hosts: MediaHosts = "example.org".parse().unwrap();
        assert_eq!(
            hosts.allow("https://example.org/a b\"<").as_deref(),
            Some("https://example.org/a%20b%22%3C")
        );
    }

    #[test]
    fn an_invalid_list_is_explained() {
        assert_eq!(" ".parse(), Ok(MediaHosts::default()));
        assert_eq!("a.org,,b.org".parse::<MediaHosts>(), Err(MediaHostsError::Empty));
        for entry in ["https://a.org", "a.org/x", "me@a.org", "*.a.org"] {
            assert_eq!(entry.parse::<MediaHosts>(), Err(MediaHostsError::NotOnlyHost(entry.to_owned())));
        }
        let error = "a.org:port".parse::<MediaHosts>().unwrap_err();
        assert_eq!(error.to_string(), "media host `a.org:port`: invalid port number");
    }
}
