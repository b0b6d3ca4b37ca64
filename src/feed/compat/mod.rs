//! The URLs of other bridges, and the feeds of telewire that they mean.
//!
//! [`parse`] reads a URL that was sent to this service, [`parse_url`] one of a list of subscriptions. `table` has the
//! parameters; this module knows the shapes of the URLs. Nothing but the name of the channel and the format is required, so
//! parameters without a counterpart are dropped and named in [`Moved::lost`].

mod moved;
mod parameters;
mod table;

use std::str::FromStr;

use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::Url;

use super::Format;
use crate::model::channel::ChannelName;
use crate::telegram::typed::{ChannelParseError, parse_channel};
use parameters::Parameters;
use table::{BRIDGES, Bridge, UrlPart};

pub use moved::Moved;

/// The path of a channel's feed at RSSHub and those that followed it, after any prefix.
pub const RSSHUB_PATH: &str = "/telegram/channel/";

/// Where the browser extension RSSHub Radar asks for its rules.
pub const RADAR_RULES_PATH: &str = "/api/radar/rules";

/// The actions of RSS-Bridge that are about feeds.
const ACTIONS: [&str; 3] = ["detect", "display", "findfeed"];

/// The public instance of TelegramRSS. Others have URLs like those of many other sites.
const ICA_SU_HOST: &str = "tg.i-c-a.su";

/// Parameters of `/rss/NAME` that tell a bridge from other sites with such paths.
const TELLING: [&str; 4] = ["titleMaxLength", "exclude_flags", "exclude_text", "merge_seconds"];

/// Parameters of `/rss/NAME` that tell a bridge from telewire's own spelling.
const FOREIGN: [&str; 4] = ["page", "id", "count", "output_type"];

/// How deep a URL of RSS-Bridge may be nested in others.
const MAX_NESTING: u8 = 3;

/// Feeds of one FeedMerge.
const MAX_MERGED: usize = 10;

/// The longest page number of tg.i-c-a.su; longer numbers are tokens of pyrogram-bridge.
const MAX_PAGE_DIGITS: usize = 4;

/// Characters of a name that an error quotes.
const MAX_QUOTED_CHARS: usize = 32;

/// Why a URL of another bridge means no feed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompatError {
    /// The format has no counterpart. Holds its name.
    #[error("unknown format {0:?}: the feeds of a channel are rss, atom and json")]
    Format(String),
    /// The URL belongs to another bridge of RSS-Bridge. Holds its name, or its address.
    #[error("telewire reads Telegram channels only, not {0:?} of RSS-Bridge")]
    OtherBridge(String),
    /// The URL does not name a public channel.
    #[error(transparent)]
    Channel(#[from] ChannelParseError),
    /// A part of the path has no counterpart. Holds it.
    #[error("{0:?} has no counterpart here: the feed of a channel is /NAME/rss")]
    Path(String),
}

/// Where feeds come from, if their URLs do not tell: `tgfeed`, `feeds.example.org=tgfeed`, or for a site that
/// BroadcastChannel has made `blog.example.org=@durov`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedFrom {
    host: Option<String>,
    origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Bridge(&'static Bridge),
    Site(ChannelName),
}

impl FromStr for MovedFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, origin) = text.split_once('=').map_or((None, text), |(host, rest)| (Some(host), rest));
        let host = host.map(|host| host.trim().to_ascii_lowercase());
        if host.as_ref().is_some_and(|host| host.is_empty() || host.contains(['/', ':'])) {
            return Err(
                "must have a host name before the equals sign, as in tg.example.org=tgfeed".to_owned()
            );
        }
        let bridge = || {
            let bridge = BRIDGES.iter().find(|bridge| bridge.name == origin.trim());
            bridge.map(Origin::Bridge).ok_or_else(|| {
                let names = BRIDGES.iter().map(|bridge| bridge.name).collect::<Vec<_>>().join(", ");
                format!(
                    "must be one of {names}, or such as HOST={}, or HOST=@CHANNEL for BroadcastChannel",
                    BRIDGES[0].name
                )
            })
        };
        let site = |name| parse_channel(name).map(Origin::Site).map_err(|err| err.to_string());
        let name = origin.trim().strip_prefix('@').filter(|_| host.is_some());
        let origin = name.map_or_else(bridge, site)?;
        Ok(Self { host, origin })
    }
}

/// Parses a URL that was sent to this service, given as its path, still encoded, and its query. `None` if it is not a URL
/// of another bridge.
///
/// # Errors
///
/// See [`CompatError`].
pub fn parse(path: &str, query: &str) -> Result<Option<Moved>, CompatError> {
    let moved = OldUrl { site: None, path, query, named: &[], depth: 0 }.parse()?;
    Ok(moved.map(Moved::validated))
}

/// Parses the URL of a subscription; see [`parse`]. On other hosts, `/rss/NAME` may be anything, so it needs more evidence.
///
/// # Errors
///
/// See [`CompatError`].
pub fn parse_url(url: &str, named: &[MovedFrom]) -> Result<Option<Moved>, CompatError> {
    Ok(parse_nested(url, named, 0)?.map(Moved::validated))
}

/// Returns the access token in a URL of another bridge.
#[must_use]
pub fn token(path: &str, query: &str) -> Option<String> {
    if path == RADAR_RULES_PATH {
        return Parameters::parse(query).get("key").map(str::to_owned);
    }
    parse(path, query).ok().flatten()?.token
}

/// Returns the access code in a URL of RSSHub: a hash of its path and a token.
#[must_use]
pub fn access_code(path: &str, query: &str) -> Option<String> {
    let is_rsshub = path == RADAR_RULES_PATH || path.contains(RSSHUB_PATH);
    Parameters::parse(query).get("code").filter(|_| is_rsshub).map(str::to_owned)
}

fn parse_nested(url: &str, named: &[MovedFrom], depth: u8) -> Result<Option<Moved>, CompatError> {
    let url = url.trim();
    // Folo's URLs have no host.
    if let Some(rest) = url.strip_prefix("rsshub://") {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = format!("/{path}");
        if !path.starts_with(RSSHUB_PATH) {
            return Ok(None);
        }
        return OldUrl { site: None, path: &path, query, named, depth }.parse();
    }
    let Ok(url) = Url::parse(url) else { return Ok(None) };
    if !matches!(url.scheme(), "http" | "https") {
        return Ok(None);
    }
    let (path, query) = (url.path(), url.query().unwrap_or_default());
    OldUrl { site: Some(&url), path, query, named, depth }.parse()
}

/// A URL to parse.
struct OldUrl<'a> {
    /// The whole URL; `None` if it was sent to this service.
    site: Option<&'a Url>,
    path: &'a str,
    query: &'a str,
    named: &'a [MovedFrom],
    /// How many URLs it is nested in.
    depth: u8,
}

impl OldUrl<'_> {
    fn parse(&self) -> Result<Option<Moved>, CompatError> {
        let parameters = Parameters::parse(self.query);
        let is_rss_bridge = self.path.ends_with('/') || self.path.ends_with("/index.php");
        if let Some((_, rest)) = self.path.split_once(RSSHUB_PATH) {
            return self.rsshub(rest, &parameters).map(Some);
        }
        let action = parameters.get("action").filter(|action| is_rss_bridge && ACTIONS.contains(action));
        if let Some(action) = action {
            return self.rss_bridge(action, &parameters).map(Some);
        }
        if let Some(moved) = self.name_path(&parameters)? {
            return Ok(Some(moved));
        }
        Ok(self.bare_name(&parameters).or_else(|| self.site(&parameters)))
    }

    fn host(&self) -> Option<&str> {
        self.site.and_then(Url::host_str)
    }

    /// Returns the bridge with URLs of this kind that the user has named for a host, or for all hosts.
    fn bridge(&self, host: Option<&str>, part: UrlPart) -> Option<&'static Bridge> {
        self.named.iter().filter(|from| from.host.as_deref() == host).find_map(|from| match from.origin {
            Origin::Bridge(bridge) if bridge.part == part => Some(bridge),
            _ => None,
        })
    }

    /// Sets the option `ids`, if the user has named a bridge with URLs of this kind.
    fn set_ids(&self, moved: &mut Moved, part: UrlPart, written: &str) {
        let of_host = self.host().and_then(|host| self.bridge(Some(host), part));
        if let Some(bridge) = of_host.or_else(|| self.bridge(None, part)) {
            moved.set_ids(bridge.ids, written);
        }
    }

    /// `/telegram/channel/NAME`, with an optional format and route parameters: RSSHub, tgfeed, tg2rss.
    fn rsshub(&self, rest: &str, parameters: &Parameters) -> Result<Moved, CompatError> {
        let (name, route) =
            rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), ""));
        let name = decoded(name);
        let with_suffix =
            name.rsplit_once('.').and_then(|(name, suffix)| Some((name, Format::from_name(suffix)?)));
        let (name, suffix) = with_suffix.map_or((&*name, None), |(name, format)| (name, Some(format)));
        let format = match (parameters.get("format"), suffix) {
            (None, suffix) => suffix.unwrap_or(Format::Rss),
            (Some(name), _) => format(name)?,
        };
        let mut moved = Moved::new(vec![parse_channel(name)?], Some(format));
        if route.contains('/') || (!route.is_empty() && route.bytes().all(|byte| byte.is_ascii_digit())) {
            // The routes for media have a post's number here.
            return Err(CompatError::Path(quoted(route)));
        }
        parameters.apply(&mut moved, &[UrlPart::Rsshub]);
        if route.is_empty() {
            self.set_ids(&mut moved, UrlPart::Rsshub, name);
        } else {
            Parameters::of_route(&decoded(route)).apply(&mut moved, &[UrlPart::RouteParams]);
        }
        Ok(moved)
    }

    /// `/?action=display&bridge=…` and `/?action=detect&url=…`, under any path: RSS-Bridge.
    fn rss_bridge(&self, action: &str, parameters: &Parameters) -> Result<Moved, CompatError> {
        let name = parameters.get("bridge").unwrap_or_default();
        let bridge = name.to_ascii_lowercase();
        let bridge = bridge.strip_suffix(".php").unwrap_or(&bridge);
        let required = |parameter| parameters.get(parameter).unwrap_or_default();
        match (action, bridge.strip_suffix("bridge").unwrap_or(bridge)) {
            ("display", "telegram") => {
                let channel = parse_channel(required("username"))?;
                let mut moved = Moved::new(vec![channel], bridge_format(required("format"))?);
                parameters.apply(&mut moved, &[UrlPart::RssBridge]);
                Ok(moved)
            }
            ("detect", _) => {
                let url = required("url");
                let channel = parse_channel(url).map_err(|_| CompatError::OtherBridge(quoted(url)))?;
                let mut moved = Moved::new(vec![channel], bridge_format(required("format"))?);
                parameters.apply(&mut moved, &[UrlPart::RssBridge]);
                Ok(moved)
            }
            ("display", "filter") => {
                let mut moved = self.nested(required("url"), parameters)?;
                parameters.apply(&mut moved, &[UrlPart::Filter, UrlPart::RssBridge]);
                parameters.apply_filter_bridge(&mut moved);
                Ok(moved)
            }
            ("display", "feedmerge") => {
                let urls = (1..=MAX_MERGED).filter_map(|n| parameters.get(&format!("feed_{n}")));
                let urls: Vec<&str> = urls.filter(|url| !url.is_empty()).collect();
                let feeds = urls.iter().map(|url| self.nested(url, parameters));
                let feeds = feeds.collect::<Result<Vec<_>, _>>()?;
                let mut moved = Moved::merged(feeds).ok_or_else(|| CompatError::OtherBridge(quoted(name)))?;
                parameters.apply(&mut moved, &[UrlPart::Merge, UrlPart::RssBridge]);
                Ok(moved)
            }
            _ => Err(CompatError::OtherBridge(quoted(if name.is_empty() { action } else { name }))),
        }
    }

    /// Parses the URL of a feed that RSS-Bridge reads and writes in its own format.
    fn nested(&self, url: &str, parameters: &Parameters) -> Result<Moved, CompatError> {
        let other = || CompatError::OtherBridge(quoted(url));
        if self.depth >= MAX_NESTING {
            return Err(other());
        }
        let moved = parse_nested(url, self.named, self.depth + 1)?.ok_or_else(other)?;
        let format = bridge_format(parameters.get("format").unwrap_or_default())?;
        Ok(moved.nested(format))
    }

    /// `/rss/NAME`, `/json/NAME`, `/rss/NAME/PAGE` and `/rss/NAME/TOKEN`: tg.i-c-a.su, telegram2rss, pyrogram-bridge.
    fn name_path(&self, parameters: &Parameters) -> Result<Option<Moved>, CompatError> {
        let mut segments = self.path.trim_matches('/').split('/');
        let (Some(kind), Some(name), extra, None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Ok(None);
        };
        let kind = match kind {
            "rss" => Format::Rss,
            "json" => Format::Json,
            _ => return Ok(None),
        };
        let is_known = match self.host() {
            _ if parameters.have_any(&TELLING) => true,
            Some(host) => host == ICA_SU_HOST || self.bridge(Some(host), UrlPart::NamePath).is_some(),
            // Without parameters of a bridge, it is another spelling of /NAME/FORMAT.
            None => extra.is_some() || parameters.have_any(&FOREIGN),
        };
        let is_feed = |segment: &str| Format::from_name(segment).is_some();
        // `/json/rss` and `/rss/durov/json` have the format at the end.
        if !is_known || is_feed(extra.unwrap_or(name)) {
            return Ok(None);
        }
        let name = decoded(name);
        let is_html = parameters.get("output_type").is_some_and(|output| output == "html");
        let mut moved = Moved::new(vec![parse_channel(&name)?], (!is_html).then_some(kind));
        parameters.apply(&mut moved, &[UrlPart::NamePath]);
        let is_page = |extra: &str| is_page_number(extra) && !parameters.have_any(&TELLING);
        match extra {
            None | Some("1") => {}
            Some(page) if is_page(page) => moved.lose("page"),
            Some(token) => moved.token = Some(decoded(token)),
        }
        self.set_ids(&mut moved, UrlPart::NamePath, &name);
        Ok(Some(moved))
    }

    /// `/NAME?token=JWT` on another host: zojl/tg2rss.
    fn bare_name(&self, parameters: &Parameters) -> Option<Moved> {
        self.site?;
        let token = parameters.get("token")?;
        let is_jwt = token.starts_with("eyJ") && token.matches('.').count() == 2;
        let channel =
            ChannelName::new(self.path.trim_matches('/').trim_start_matches('@')).filter(|_| is_jwt)?;
        let mut moved = Moved::new(vec![channel], Some(Format::Rss));
        parameters.apply(&mut moved, &[UrlPart::BareName]);
        Some(moved)
    }

    /// `/rss.xml` and `/rss.json` of a site that the user named: BroadcastChannel.
    fn site(&self, parameters: &Parameters) -> Option<Moved> {
        let site = self.site?;
        let mut named = self.named.iter().filter(|from| from.host.as_deref() == self.host());
        let channel = named.find_map(|from| match &from.origin {
            Origin::Site(channel) => Some(channel),
            Origin::Bridge(_) => None,
        })?;
        let (folder, file) = self.path.rsplit_once('/')?;
        let format = match file {
            "rss.xml" => Format::Rss,
            "rss.json" => Format::Json,
            _ => return None,
        };
        let mut moved = Moved::new(vec![channel.clone()], Some(format));
        parameters.apply(&mut moved, &[UrlPart::Site]);
        moved.set("ids", format!("{}{folder}/posts/", site.origin().ascii_serialization()));
        Some(moved)
    }
}

fn format(name: &str) -> Result<Format, CompatError> {
    Format::from_name(name).ok_or_else(|| CompatError::Format(quoted(name)))
}

/// Returns the format with this name at RSS-Bridge, which mends case, `.php` and `Format` at the end; `None` for HTML.
fn bridge_format(name: &str) -> Result<Option<Format>, CompatError> {
    let lowercase = name.to_ascii_lowercase();
    let bare = lowercase.strip_suffix(".php").unwrap_or(&lowercase);
    match bare.strip_suffix("format").unwrap_or(bare) {
        "atom" => Ok(Some(Format::Atom)),
        "mrss" => Ok(Some(Format::Rss)),
        "json" => Ok(Some(Format::Json)),
        "html" => Ok(None),
        _ => Err(CompatError::Format(quoted(name))),
    }
}

fn is_page_number(segment: &str) -> bool {
    segment.len() <= MAX_PAGE_DIGITS && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// Returns the beginning of a text, for an error.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

#[cfg(test)]
mod tests;
