//! What a person sets: flags and `TELEWIRE_*` variables, checked once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use url::Url;

use crate::archive::Retention;
use crate::feed::Format;
use crate::guard::Way;
use crate::media::{MediaHosts, MediaKeys};
use crate::telegram::address::{MEDIA_HOSTS, UPSTREAMS};
use crate::telegram::client::{ClientOptions, Politeness, USER_AGENT};
use crate::telegram::upstream::Upstream;

/// Public Telegram channels as RSS, Atom and JSON Feed, every post whole.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command, telewire serves.",
    after_long_help = EXIT_CODES
)]
pub struct Cli {
    /// What to do; `serve` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
}

const EXIT_CODES: &str = "\
Without a command, telewire serves. Every flag can also be set by a variable: --public-url by TELEWIRE_PUBLIC_URL.

Exit codes:
  0  done
  1  check: something that a person would see is not carried; healthcheck: not healthy; serve: cannot start
  2  the command line is wrong
  3  what was typed is not a channel
  4  there is no such channel, it has no public posts, or nothing of it is archived
  5  Telegram cannot be reached, or its answer cannot be trusted: try again later
  6  the file cannot be read, or the output not be written
  7  the archive cannot be used";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve feeds over HTTP
    Serve(Box<ServeArgs>),
    /// Write a channel's feed to standard output
    #[command(after_long_help = EXIT_CODES)]
    Get(GetArgs),
    /// Tell what a channel's page holds, and what of it is not understood
    #[command(after_long_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Look at what is archived, take it elsewhere, trim it, or read older posts
    #[command(subcommand, after_long_help = EXIT_CODES)]
    Archive(ArchiveCommand),
    /// Ask the service on this machine whether it is well: exit code 0 if so
    Healthcheck(HealthcheckArgs),
}

/// Flags of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Address and port to listen on
    #[arg(long, env = "TELEWIRE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Base address under which readers reach the service, such as `https://feeds.example.org`; what the request
    /// says when left out
    #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// Where posts are archived.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Keep everything in memory, within --cache-size, and forget it with a restart
    #[arg(long, env = "TELEWIRE_NO_ARCHIVE", conflicts_with = "database",
        value_parser = clap::builder::BoolishValueParser::new())]
    pub no_archive: bool,
    /// What of the archive is kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// How long a channel is served without asking Telegram again, at least; between this and --fresh-max, a tenth
    /// of the time since its newest post
    #[arg(long, env = "TELEWIRE_FRESH_MIN", default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub fresh_min: Duration,
    /// How long a channel is served without asking Telegram again, at most
    #[arg(long, env = "TELEWIRE_FRESH_MAX", default_value = "1h", value_name = "TIME", value_parser = duration)]
    pub fresh_max: Duration,
    /// Pages of older posts that are read, at most, to close a gap between the newest page and what is archived
    #[arg(long, env = "TELEWIRE_GAP_PAGES", default_value = "10", value_name = "N")]
    pub gap_pages: u16,
    /// Memory for channels; feeds made from them take up to a fifth of it more
    #[arg(long, env = "TELEWIRE_CACHE_SIZE", default_value = "64MiB", value_name = "BYTES")]
    pub cache_size: ByteSize,
    /// Requests a second to each upstream, in the long run
    #[arg(long, env = "TELEWIRE_RATE", default_value = "1", value_name = "N")]
    pub rate: NonZeroU32,
    /// Requests that may go to an upstream at once after a pause
    #[arg(long, env = "TELEWIRE_BURST", default_value = "5", value_name = "N")]
    pub burst: NonZeroU32,
    /// Requests to an upstream that may be under way at a time
    #[arg(long, env = "TELEWIRE_IN_FLIGHT", default_value = "4", value_name = "N")]
    pub in_flight: NonZeroU32,
    /// Addresses of proxies in front of telewire, such as 127.0.0.1 or 10.0.0.0/8, whose X-Forwarded-For, -Host and
    /// -Proto are believed
    #[arg(long, env = "TELEWIRE_TRUSTED_PROXIES", value_name = "ADDRESS,…", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Where channels are read.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Where media may come from.
    #[command(flatten)]
    pub media: MediaArgs,
    /// How they are given to readers.
    #[command(flatten)]
    pub own_media: OwnMediaArgs,
    /// Log lines.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where posts are archived.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// Folder for what is kept on disk, made when needed
    #[arg(long, env = "TELEWIRE_DATA_DIR", default_value = "./data", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// Archive posts in this PostgreSQL database, which several copies of telewire may share, instead of in a file in
    /// the data folder
    #[arg(long, env = "TELEWIRE_DATABASE", value_name = "URL", value_parser = database, hide_env_values = true)]
    pub database: Option<Url>,
}

/// What of the archive is kept.
#[derive(Clone, Debug, Args)]
pub struct RetentionArgs {
    /// Delete archived posts that were published more than so many days ago; the newest 20 of a channel stay
    #[arg(long, env = "TELEWIRE_KEEP_DAYS", value_name = "N")]
    pub keep_days: Option<NonZeroU32>,
    /// Keep only the newest so many posts of each channel, but at least 20
    #[arg(long, env = "TELEWIRE_KEEP_POSTS", value_name = "N")]
    pub keep_posts: Option<NonZeroU32>,
}

impl RetentionArgs {
    /// The same as the archive has it.
    #[must_use]
    pub fn retention(&self) -> Retention {
        let Self { keep_days, keep_posts } = self;
        Retention { keep_days: keep_days.map(NonZeroU32::get), keep_posts: keep_posts.map(NonZeroU32::get) }
    }
}

/// The commands of `archive`.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// List the channels, how many posts of each are there, and how much room they take
    Stats {
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Write everything that is archived of a channel to standard output, as lines of JSON
    Export {
        /// The channel: durov, @durov, t.me/durov, or any address of it
        channel: String,
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Copy the whole archive to a new file; telewire may be running
    Backup {
        /// The copy, which must not be there yet
        file: PathBuf,
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Put a backup in the archive's place; telewire must not be running
    Restore {
        /// The backup
        file: PathBuf,
        /// Where the archive is; not for PostgreSQL.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Delete old posts; telewire may be running
    Prune(PruneArgs),
    /// Read a channel's older posts, slowly, back to its first one; what was read stays when it is stopped
    Backfill(BackfillArgs),
}

/// Flags of `archive prune`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["keep_days", "keep_posts"]))]
pub struct PruneArgs {
    /// What is kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// Where it is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `archive backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The channel: durov, @durov, t.me/durov, or any address of it
    pub channel: String,
    /// Stop when so many of its posts are archived
    #[arg(long, value_name = "N")]
    pub posts: Option<u64>,
    /// Where the archive is.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Where channels are read.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// Where channels are read.
#[derive(Clone, Debug, Args)]
pub struct UpstreamArgs {
    /// Servers that have the preview pages, tried in this order; http:// is for loopback addresses only
    #[arg(long, env = "TELEWIRE_UPSTREAM", default_value = UPSTREAMS, value_name = "URL,…", value_delimiter = ',',
        value_parser = Upstream::new)]
    pub upstream: Vec<Upstream>,
    /// Proxy through which they are reached: http, https, socks5, or socks5h to have names resolved there too
    #[arg(long, env = "TELEWIRE_PROXY", value_name = "URL", value_parser = proxy)]
    pub proxy: Option<Url>,
    /// Name servers that are asked where they are, such as 9.9.9.9 or 127.0.0.1:5353; the system's when left out
    #[arg(long, env = "TELEWIRE_DNS", value_name = "ADDRESS,…", value_delimiter = ',', value_parser = name_server)]
    pub dns: Vec<SocketAddr>,
    /// What telewire calls itself when it asks
    #[arg(long, env = "TELEWIRE_USER_AGENT", default_value = USER_AGENT, value_name = "TEXT")]
    pub user_agent: HeaderText,
}

impl UpstreamArgs {
    /// How a client shall ask, with this politeness.
    #[must_use]
    pub fn client_options(&self, politeness: Politeness) -> ClientOptions {
        ClientOptions { upstreams: self.upstream.clone(), politeness, way: self.way() }
    }

    /// How connections are made, to whoever it is.
    #[must_use]
    pub fn way(&self) -> Way {
        Way { user_agent: self.user_agent.0.clone(), proxy: self.proxy.clone(), dns: self.dns.clone() }
    }
}

/// Where media may come from.
#[derive(Clone, Debug, Args)]
pub struct MediaArgs {
    /// Hosts, with their subdomains, whose pictures and videos are shown inside posts; others are linked
    #[arg(long, env = "TELEWIRE_MEDIA_HOSTS", default_value = MEDIA_HOSTS, value_name = "HOST,…")]
    pub media_hosts: MediaHosts,
}

/// How a service gives pictures and videos to readers.
#[derive(Clone, Debug, Args)]
pub struct OwnMediaArgs {
    /// How readers get pictures and videos
    #[arg(long, env = "TELEWIRE_MEDIA", default_value = "proxy", value_name = "WAY")]
    pub media: MediaMode,
    /// Secret keys that sign the addresses of pictures and videos, each of at least 32 characters: the first one signs,
    /// all are good. Every copy of telewire must have the same. Made in the data folder when left out
    #[arg(long, env = "TELEWIRE_MEDIA_KEY", value_name = "KEY,…", hide_env_values = true)]
    pub media_key: Option<MediaKeys>,
    /// After how long Telegram is asked for a file's new address without trying the old one; 24h when left out, or 1h
    /// with --media redirect
    #[arg(long, env = "TELEWIRE_MEDIA_REFRESH", value_name = "TIME", value_parser = duration)]
    pub media_refresh: Option<Duration>,
    /// The largest file that is passed on
    #[arg(long, env = "TELEWIRE_MEDIA_MAX_SIZE", default_value = "200MB", value_name = "BYTES")]
    pub media_max_size: ByteSize,
}

impl OwnMediaArgs {
    /// For how long an address at Telegram is taken for good without being tried.
    #[must_use]
    pub fn good_for(&self) -> Duration {
        // Whoever is sent there with a video's address finds it dead after some hours, and cannot say so.
        let hours = if self.media == MediaMode::Redirect { 1 } else { 24 };
        self.media_refresh.unwrap_or(Duration::from_hours(hours))
    }
}

/// How readers get pictures and videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MediaMode {
    /// From telewire, under addresses that stay good
    Proxy,
    /// From Telegram, to which addresses of telewire's lead that stay good
    Redirect,
    /// From Telegram, under its own addresses, which are dead after hours or days
    Direct,
}

/// How log lines look.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// What is logged: error, warn, info, debug, trace, or a filter such as telewire=debug
    #[arg(long, env = "TELEWIRE_LOG", default_value = "info", value_name = "LEVEL")]
    pub log: String,
    /// How log lines are written
    #[arg(long, env = "TELEWIRE_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs, an object a line
    Json,
}

/// Flags of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The channel: durov, @durov, t.me/durov, or any address of it
    #[arg(required_unless_present = "page")]
    pub channel: Option<String>,
    /// Format of the feed
    #[arg(long, default_value = "rss", value_name = "FORMAT", value_parser = format)]
    pub format: Format,
    /// Read this saved page instead of asking Telegram; the page says which channel it is
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Base address that the feed names as its own
    #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// Where channels are read.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Where media may come from.
    #[command(flatten)]
    pub media: MediaArgs,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The channel: durov, @durov, t.me/durov, or any address of it
    #[arg(required_unless_present = "page")]
    pub channel: Option<String>,
    /// Read this saved page instead of asking Telegram
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Where channels are read.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// Flags of `healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Address and port on which the service listens
    #[arg(long, env = "TELEWIRE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

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
pub struct HeaderText(String);

impl FromStr for HeaderText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = !text.trim().is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        fits.then(|| Self(text.trim().to_owned()))
            .ok_or_else(|| "it must be plain ASCII, and not blank".to_owned())
    }
}

fn proxy(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|err| format!("it is no address: {err}"))?;
    if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") || !url.has_host() {
        return Err("it must look like socks5://127.0.0.1:9050 or http://proxy.example:3128".to_owned());
    }
    Ok(url)
}

fn name_server(text: &str) -> Result<SocketAddr, String> {
    let with_port = |_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or_else(with_port).map_err(|_| "it must look like 9.9.9.9 or 127.0.0.1:5353".to_owned())
}

fn database(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|err| format!("it is no address: {err}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("it must look like postgres://user:password@db.example/telewire".to_owned());
    }
    Ok(url)
}

/// A range of addresses, or a single one.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let single = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(single).map_err(|_| "it must look like 127.0.0.1 or 10.0.0.0/8".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it as 90s, 10m or 1h".to_owned())?;
    Duration::try_from(span).map_err(|_| "it must not be negative".to_owned())
}

fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| "it is one of rss, atom, json".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn base_addresses_lose_their_last_slash() {
        for address in ["https://feeds.example.org", "https://feeds.example.org/"] {
            assert_eq!(address.parse::<PublicUrl>().unwrap().to_string(), "https://feeds.example.org");
        }
        for address in ["feeds.example.org", "ftp://x", "https://x/?a=1", "https://u@x/", "mailto:x"] {
            assert!(address.parse::<PublicUrl>().is_err(), "{address}");
        }
    }
}
