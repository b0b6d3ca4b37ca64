//! The flags of the service, in groups that some commands share.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use url::Url;

use super::values::{
    HeaderText, Patterns, PublicUrl, Secrets, database, duration, listen, log_filter, name_server, network,
    number, proxy, size,
};
use crate::archive::Retention;
use crate::channel::ChannelName;
use crate::guard::Way;
use crate::media::{MediaHosts, MediaKeys};
use crate::telegram::address::{MEDIA_HOSTS, UPSTREAMS};
use crate::telegram::client::{ClientOptions, Politeness, USER_AGENT};
use crate::telegram::upstream::Upstream;

/// Flags of `serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Address and port to listen on
    #[arg(long, env = "TELEWIRE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = listen)]
    pub listen: SocketAddr,
    /// Base address under which readers reach the service, such as `https://feeds.example.org`; what the request
    /// says when left out
    #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// Where posts are archived.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Keep everything in memory, within --cache-size, and forget it with a restart
    #[arg(long, env = "TELEWIRE_NO_ARCHIVE",
        value_parser = clap::builder::BoolishValueParser::new())]
    pub no_archive: bool,
    /// What of the archive is kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// How long a channel is served without asking Telegram again, at least; between this and --fresh-max, a tenth
    /// of the time since its newest post
    #[arg(long, env = "TELEWIRE_FRESH_MIN", default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub fresh_min: Duration,
    /// How long a channel is served without asking Telegram again, at most, give or take a tenth
    #[arg(long, env = "TELEWIRE_FRESH_MAX", default_value = "1h", value_name = "TIME", value_parser = duration)]
    pub fresh_max: Duration,
    /// Pages of older posts that are read, at most, to close a gap between the newest page and what is archived
    #[arg(long, env = "TELEWIRE_GAP_PAGES", default_value = "10", value_name = "N", value_parser = number::<u16>)]
    pub gap_pages: u16,
    /// Memory for channels; feeds made from them take up to a fifth of it more
    #[arg(long, env = "TELEWIRE_CACHE_SIZE", default_value = "64MiB", value_name = "BYTES", value_parser = size)]
    pub cache_size: ByteSize,
    /// Requests a second to each upstream, in the long run
    #[arg(long, env = "TELEWIRE_RATE", default_value = "1", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub rate: NonZeroU32,
    /// Requests that may go to an upstream at once after a pause
    #[arg(long, env = "TELEWIRE_BURST", default_value = "5", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub burst: NonZeroU32,
    /// Requests to an upstream that may be under way at a time
    #[arg(long, env = "TELEWIRE_IN_FLIGHT", default_value = "4", value_name = "N", value_parser = number::<NonZeroU32>)]
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
    /// Who may read.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Address and port at which metrics are given, rather than where feeds are
    #[arg(long, env = "TELEWIRE_METRICS_LISTEN", value_name = "ADDRESS", value_parser = listen)]
    pub metrics_listen: Option<SocketAddr>,
    /// Log lines.
    #[command(flatten)]
    pub log: LogArgs,
}

impl ServeArgs {
    /// What is wrong with settings that are right each for itself.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.no_archive && self.place.database.is_some() {
            return Some("--no-archive and --database cannot go together");
        }
        (self.fresh_min > self.fresh_max).then_some("--fresh-min is longer than --fresh-max")
    }
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
    #[arg(long, env = "TELEWIRE_KEEP_DAYS", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub keep_days: Option<NonZeroU32>,
    /// Keep only the newest so many posts of each channel, but at least 20
    #[arg(long, env = "TELEWIRE_KEEP_POSTS", value_name = "N", value_parser = number::<NonZeroU32>)]
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

/// Who may read, what, and how often.
#[derive(Clone, Debug, Args)]
pub struct AccessArgs {
    /// Secrets of which a reader must have one, each of at least 16 characters: as the password of HTTP's basic
    /// authentication, as ?token=SECRET, or as /-/token/SECRET/ before the channel. Everybody may read when left out
    #[arg(long, env = "TELEWIRE_TOKEN", value_name = "SECRET,…", hide_env_values = true)]
    pub token: Option<Secrets>,
    /// Channels that are served, no others; * stands for anything, as in news_*
    #[arg(long, env = "TELEWIRE_ALLOW_CHANNELS", value_name = "NAME,…")]
    pub allow_channels: Option<Patterns>,
    /// Channels that are not served
    #[arg(long, env = "TELEWIRE_DENY_CHANNELS", value_name = "NAME,…")]
    pub deny_channels: Option<Patterns>,
    /// Requests a second of one client in the long run; 0 for as many as it likes
    #[arg(long, env = "TELEWIRE_CLIENT_RATE", default_value = "20", value_name = "N", value_parser = number::<u32>)]
    pub client_rate: u32,
    /// Requests that a client may make at once after a pause
    #[arg(long, env = "TELEWIRE_CLIENT_BURST", default_value = "2000", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub client_burst: NonZeroU32,
}

impl AccessArgs {
    /// Whether a channel is served.
    #[must_use]
    pub fn serves(&self, name: &ChannelName) -> bool {
        let is_allowed = self.allow_channels.as_ref().is_none_or(|allowed| allowed.fit(name));
        is_allowed && !self.deny_channels.as_ref().is_some_and(|denied| denied.fit(name))
    }
}

/// Where channels are read.
#[derive(Clone, Debug, Args)]
pub struct UpstreamArgs {
    /// Servers that have the preview pages, tried in this order; http:// is for loopback addresses only
    #[arg(long, env = "TELEWIRE_UPSTREAM", default_value = UPSTREAMS, value_name = "URL,…", value_delimiter = ',',
        value_parser = Upstream::new)]
    pub upstream: Vec<Upstream>,
    /// Proxy through which they are reached: http, https, socks5, or socks5h to have names resolved there too
    #[arg(long, env = "TELEWIRE_PROXY", value_name = "URL", value_parser = proxy, hide_env_values = true)]
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
    #[arg(long, env = "TELEWIRE_MEDIA_MAX_SIZE", default_value = "200MB", value_name = "BYTES", value_parser = size)]
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
    #[arg(long, env = "TELEWIRE_LOG", default_value = "info", value_name = "LEVEL", value_parser = log_filter)]
    pub log: String,
    /// How log lines are written; text on a terminal and json elsewhere when left out
    #[arg(long, env = "TELEWIRE_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs, an object a line
    Json,
}
