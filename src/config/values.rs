//! Parsers of flag values, with error messages that say what to write.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::num::{IntErrorKind, ParseIntError};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use ipnet::IpNet;
use tracing_subscriber::filter::{LevelFilter, Targets};
use url::Url;

use super::ConfigError;
use crate::feed::Format;
use crate::language::Language;
use crate::media::MediaMode;
use crate::web::{HomeText, Robots};

/// Validates a log filter. `Targets` takes a misspelled level for a target name, which silences everything else.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let is_level =
        |part: &str| part.parse::<LevelFilter>().is_ok() && !part.bytes().all(|byte| byte.is_ascii_digit());
    for part in text.split(',').map(str::trim) {
        if !part.contains('=') && !is_level(part) {
            return Err(format!(
                "{part:?} is not a level: must be error, warn, info, debug, trace or off, or a filter with a target, \
                 such as telewire=debug"
            ));
        }
    }
    let filter = text.parse::<Targets>();
    filter.map(|_| text.to_owned()).map_err(|err| err.to_string())
}

pub(super) fn name_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = |_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or_else(with_port).map_err(|_| "must look like 9.9.9.9 or 127.0.0.1:5353".to_owned())
}

/// The largest `--home-text`, in bytes.
const MAX_HOME_TEXT_BYTES: u64 = 64 << 10;

/// Reads the file with the operator's text.
pub(super) fn home_text(file: &Path) -> Result<HomeText, ConfigError> {
    let error = |reason: String| ConfigError::HomeText { file: file.to_owned(), reason };
    let mut text = String::new();
    let opened = File::open(file).map_err(|err| error(err.to_string()))?;
    opened.take(MAX_HOME_TEXT_BYTES + 1).read_to_string(&mut text).map_err(|err| error(err.to_string()))?;
    if text.len() as u64 > MAX_HOME_TEXT_BYTES {
        return Err(error("it is larger than 64 KiB".to_owned()));
    }
    Ok(HomeText::from_markdown(&text))
}

pub(super) fn database(text: &str) -> Result<Url, String> {
    let is_postgres = |url: &Url| matches!(url.scheme(), "postgres" | "postgresql");
    let url = Url::parse(text).ok().filter(is_postgres);
    url.ok_or_else(|| "must look like postgres://user:password@db.example/telewire".to_owned())
}

/// Parses a network or a single IP address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let single = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(single).map_err(|_| "must look like 127.0.0.1 or 10.0.0.0/8".to_owned())
}

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| "must look like 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080".to_owned())
}

pub(super) fn number<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|err: ParseIntError| {
        let reason = match err.kind() {
            IntErrorKind::PosOverflow => "is too large a number",
            IntErrorKind::Zero => "must be at least 1",
            _ => "must be a whole number, such as 1 or 200",
        };
        reason.to_owned()
    })
}

pub(super) fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "must look like 500kB, 200MB, 64MiB or 1GB".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "must look like 90s, 10m or 1h".to_owned())?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}

pub(super) fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name))
        .try_map(|name| Format::from_name(&name).ok_or("unknown format"))
}

pub(super) fn robots() -> impl TypedValueParser<Value = Robots> {
    let values = [
        PossibleValue::new("noindex").help("List no page"),
        PossibleValue::new("index").help("List the home page and the pages of channels, but no feeds"),
    ];
    PossibleValuesParser::new(values).map(|name| match name.as_str() {
        "index" => Robots::Index,
        _ => Robots::NoIndex,
    })
}

pub(super) fn language() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(Language::ALL.map(Language::subtag))
        .try_map(|subtag| Language::from_subtag(&subtag).ok_or("unknown language"))
}

pub(super) fn media_mode() -> impl TypedValueParser<Value = MediaMode> {
    let modes = [
        PossibleValue::new("proxy").help("Stream them through telewire, under permanent URLs"),
        PossibleValue::new("redirect").help("Redirect permanent URLs of telewire to Telegram"),
        PossibleValue::new("direct").help("Use Telegram's own URLs, which expire after hours or days"),
    ];
    PossibleValuesParser::new(modes).map(|name| match name.as_str() {
        "redirect" => MediaMode::Redirect,
        "direct" => MediaMode::Direct,
        _ => MediaMode::Proxy,
    })
}
