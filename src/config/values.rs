//! Values that need more than their type to be right.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use crate::channel::ChannelName;
use crate::feed::Format;

/// The base address under which readers reach the service, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(address: &str) -> Result<Self, String> {
        let url = Url::parse(address).map_err(|err| format!("it is no address: {err}"))?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
            return Err("it must look like https://feeds.example.org or https://example.org/feeds".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PublicUrl {
    /// The base address of a service at a host.
    #[must_use]
    pub fn of_host(scheme: &str, host: &str) -> Self {
        Self([scheme, "://", host].concat())
    }

    /// The address of something below it, whose path starts with a slash.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> String {
        self.0.push_str(path);
        self.0
    }
}

/// Text that may stand in a header.
#[derive(Clone, Debug)]
pub struct HeaderText(pub(super) String);

impl FromStr for HeaderText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = !text.trim().is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        fits.then(|| Self(text.trim().to_owned()))
            .ok_or_else(|| "it must be plain ASCII, and not blank".to_owned())
    }
}

pub(super) fn proxy(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|err| format!("it is no address: {err}"))?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") || !url.has_host() {
        return Err("it must look like socks5://127.0.0.1:9050 or http://proxy.example:3128".to_owned());
    }
    Ok(url)
}

/// What is logged, as `tracing` reads it; but that takes a word that is no level for a part of the program, of which
/// alone everything is logged then, so that a slip of the hand silences all the rest.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let is_level =
        |part: &str| part.parse::<LevelFilter>().is_ok() && !part.bytes().all(|byte| byte.is_ascii_digit());
    for part in text.split(',').map(str::trim) {
        if !part.contains(['=', '[']) && !is_level(part) {
            return Err(format!(
                "{part:?} is none of error, warn, info, debug, trace and off; a part of the program is given \
                 with its level, as in telewire=debug"
            ));
        }
    }
    let read = EnvFilter::try_new(text);
    read.map(|_| text.to_owned()).map_err(|err| err.to_string())
}

pub(super) fn name_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = |_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or_else(with_port).map_err(|_| "it must look like 9.9.9.9 or 127.0.0.1:5353".to_owned())
}

pub(super) fn database(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|err| format!("it is no address: {err}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("it must look like postgres://user:password@db.example/telewire".to_owned());
    }
    Ok(url)
}

/// A range of addresses, or a single one.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let single = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(single).map_err(|_| "it must look like 127.0.0.1 or 10.0.0.0/8".to_owned())
}

/// Where to listen.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "it must look like 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080".to_owned())
}

/// A whole number, of those that fit.
pub(super) fn number<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|err: ParseIntError| {
        let why = match err.kind() {
            IntErrorKind::PosOverflow => "it is too large",
            IntErrorKind::Zero => "it must be 1 or more",
            _ => "write a whole number, such as 1 or 200",
        };
        why.to_owned()
    })
}

pub(super) fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "write it as 500kB, 200MB, 64MiB or 1GB".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it as 90s, 10m or 1h".to_owned())?;
    Duration::try_from(span).map_err(|_| "it must not be negative".to_owned())
}

pub(super) fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| "it is one of rss, atom, json".to_owned())
}

/// Secrets that people may give instead of being known.
#[derive(Clone)]
pub struct Secrets(Vec<[u8; 32]>);

/// Characters of the shortest secret.
const MIN_SECRET: usize = 16;

impl FromStr for Secrets {
    type Err = String;

    /// Reads secrets that are separated by commas.
    fn from_str(list: &str) -> Result<Self, String> {
        let secret = |secret: &str| {
            let secret = secret.trim();
            (secret.len() >= MIN_SECRET).then(|| Sha256::digest(secret).into()).ok_or_else(|| {
                format!("each must have at least {MIN_SECRET} characters, as `openssl rand -hex 16` makes it")
            })
        };
        list.split(',').map(secret).collect::<Result<_, _>>().map(Self)
    }
}

impl Secrets {
    /// Whether this is one of them. How long it takes tells nothing of how much of it is right.
    #[must_use]
    pub fn contain(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        let is_any = |found: Choice, secret: &[u8; 32]| found | secret.ct_eq(&given);
        self.0.iter().fold(Choice::from(0), is_any).into()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Names of channels, in which `*` stands for anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl FromStr for Patterns {
    type Err = String;

    /// Reads patterns that are separated by commas.
    fn from_str(list: &str) -> Result<Self, String> {
        let pattern = |pattern: &str| {
            let pattern = pattern.trim().trim_start_matches('@').to_ascii_lowercase();
            let is_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'*');
            (!pattern.is_empty() && pattern.bytes().all(is_one))
                .then_some(pattern)
                .ok_or_else(|| "write names of channels, such as durov or news_*".to_owned())
        };
        list.split(',').map(pattern).collect::<Result<_, _>>().map(Self)
    }
}

impl Patterns {
    /// Whether a name is like one of them.
    #[must_use]
    pub fn fit(&self, name: &ChannelName) -> bool {
        let name = name.as_str().to_ascii_lowercase();
        self.0.iter().any(|pattern| fits(pattern, &name))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_addresses_lose_their_last_slash() {
        for address in ["https://feeds.example.org", "https://feeds.example.org/"] {
            assert_eq!(address.parse::<PublicUrl>().unwrap().to_string(), "https://feeds.example.org");
        }
        for address in ["feeds.example.org", "ftp://x", "https://x/?a=1", "https://u@x/", "mailto:x"] {
            assert!(address.parse::<PublicUrl>().is_err(), "{address}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("durov", "Durov", true),
            ("@durov", "durov", true),
            ("durov", "durov2", false),
            ("news_*", "news_", true),
            ("news_*", "news_of_today", true),
            ("news_*", "my_news_", false),
            ("*news*", "my_news_today", true),
            ("*_bot", "some_bot", true),
            ("*_bot", "some_bots", false),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxcxxb", false),
            ("ab*bc", "abcd", false),
            ("abc*bcd", "abcd", false),
            ("*", "anything", true),
        ] {
            let patterns: Patterns = pattern.parse().unwrap();
            assert_eq!(patterns.fit(&ChannelName::new(name).unwrap()), fits, "{pattern} {name}");
        }
        for wrong in ["", "a,,b", "a b", "t.me/durov"] {
            assert!(wrong.parse::<Patterns>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_told_from_others_and_are_not_shown() {
        let secrets: Secrets = "0123456789abcdef, fedcba9876543210".parse().unwrap();
        assert!(secrets.contain("0123456789abcdef") && secrets.contain("fedcba9876543210"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdef, fedcba9876543210"] {
            assert!(!secrets.contain(wrong), "{wrong}");
        }
        assert_eq!(format!("{secrets:?}"), "Secrets(…)");
        assert!("short".parse::<Secrets>().is_err());
    }
}
