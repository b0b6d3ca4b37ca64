//! The base URL: how the URLs begin that responses give for the service itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::Url;

/// A base URL without a trailing slash, such as `https://feeds.example.org` or `https://example.org/feeds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl(Arc<str>);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text)
            .map_err(|err| format!("not a URL ({err}): must look like https://feeds.example.org"))?;
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
            return Err("must look like https://feeds.example.org or https://example.org/feeds".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').into()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BaseUrl {
    /// Returns the base URL of a host with an optional port.
    #[must_use]
    pub fn of_host(scheme: &str, host: &str) -> Self {
        Self([scheme, "://", host].concat().into())
    }

    /// Returns the URL without its path: the origin (RFC 6454).
    #[must_use]
    pub fn origin(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at + 3);
        self.0[host..].find('/').map_or(&self.0, |end| &self.0[..host + end])
    }

    /// Returns the URL of a path, which must start with a slash.
    #[must_use]
    pub fn with_path(&self, path: &str) -> String {
        [&self.0, path].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_has_no_path() {
        for (text, origin) in [
            ("https://example.org:8080/feeds/a", "https://example.org:8080"),
            ("http://example.org", "http://example.org"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().origin(), origin);
        }
    }

    #[test]
    fn a_trailing_slash_is_removed() {
        for text in ["https://feeds.example.org", "https://feeds.example.org/"] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().to_string(), "https://feeds.example.org");
        }
        for invalid in ["feeds.example.org", "ftp://x", "https://x/?a=1", "https://u@x/", "mailto:x"] {
            assert!(invalid.parse::<BaseUrl>().is_err(), "{invalid}");
        }
    }
}
