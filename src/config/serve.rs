//! The flags of `serve`, in groups that other commands share, and their conversion into a [`Config`].

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use governor::Quota;
use ipnet::IpNet;
use url::Url;

use super::values::{
    database, duration, home_text, language, listen, log_filter, media_mode, name_server, network, number,
    robots, size,
};
use super::{Config, ConfigError, Storage};
use crate::archive::Retention;
use crate::channels::Freshness;
use crate::language::Language;
use crate::media::MediaMode;
use crate::media::hosts::MediaHosts;
use crate::media::signed_url::MediaKeys;
use crate::net::http_client::{HttpClientConfig, Proxy, UserAgent};
use crate::telegram::client::ClientOptions;
use crate::telegram::telegraph;
use crate::telegram::upstream::{RateLimits, UpstreamUrl};
use crate::telegram::url::{MEDIA_HOSTS, UPSTREAMS};
use crate::web::{
    AccessConfig, BaseUrl, Bundles, ChannelFilter, ChannelPatterns, ClientRate, Robots, Tokens, WebConfig,
};

/// The share of `--cache-size` that rendered feeds take in addition.
const FEED_CACHE_SHARE: u64 = 5;

/// Pages of new channels, and refreshes for pages, at once after a pause.
const PAGE_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// The longest `--refresh-wait`: the request then waits for nothing else, and has to be answered within its timeout.
const MAX_REFRESH_WAIT: Duration = Duration::from_secs(10);

/// The flags of `serve`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct ServeArgs {
    /// Address and port to listen on
    #[arg(long, env = "TELEWIRE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = listen)]
    pub listen: SocketAddr,
    /// URL under which readers reach the service, such as `https://feeds.example.org`; taken from each request if not set
    #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<BaseUrl>,
    /// Reverse proxies whose Forwarded or X-Forwarded-For, -Host and -Proto headers are trusted, such as 127.0.0.1 or 10.0.0.0/8
    #[arg(long, env = "TELEWIRE_TRUSTED_PROXIES", value_name = "ADDRESS,…", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Separate address and port for metrics, health checks and the status of the service, without tokens
    #[arg(long, env = "TELEWIRE_METRICS_LISTEN", value_name = "ADDRESS", value_parser = listen)]
    pub metrics_listen: Option<SocketAddr>,
    /// How Telegram is asked.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// How often Telegram is asked.
    #[command(flatten)]
    pub refresh: RefreshArgs,
    /// Where posts are archived.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// Keep posts in memory only, in half of --cache-size; a restart loses them
    #[arg(long, env = "TELEWIRE_NO_ARCHIVE",
        value_parser = clap::builder::BoolishValueParser::new())]
    pub no_archive: bool,
    /// Memory for channels; rendered feeds use up to 20 % more
    #[arg(long, env = "TELEWIRE_CACHE_SIZE", default_value = "64MiB", value_name = "BYTES", value_parser = size)]
    pub cache_size: ByteSize,
    /// Which posts are kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// How readers get media.
    #[command(flatten)]
    pub media: MediaArgs,
    /// Language of telewire's own words in feeds, such as "Forwarded from"; posts stay as they are
    #[arg(long, env = "TELEWIRE_LANG", default_value = "en", value_parser = language(), help_heading = "Feeds")]
    pub lang: Language,
    /// Who may read.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Pages for people.
    #[command(flatten)]
    pub pages: PagesArgs,
    /// Log output.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How Telegram is asked.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Telegram")]
pub struct UpstreamArgs {
    /// Servers for preview pages, tried in this order; http:// is allowed for loopback addresses only
    #[arg(long, env = "TELEWIRE_UPSTREAM", default_value = UPSTREAMS, value_name = "URL,…", value_delimiter = ',',
        value_parser = UpstreamUrl::parse)]
    pub upstream: Vec<UpstreamUrl>,
    /// API of Telegraph, for articles that posts link to
    #[arg(long, env = "TELEWIRE_TELEGRAPH", default_value = telegraph::API, value_name = "URL", value_parser = UpstreamUrl::parse)]
    pub telegraph: UpstreamUrl,
    /// Proxies for all requests to Telegram: http, https, socks5, or socks5h to resolve names on the proxy. With several, each
    /// has its own --rate, --burst and --in-flight, and the others take over when one fails
    #[arg(long, env = "TELEWIRE_PROXY", value_name = "URL,…", value_delimiter = ',', hide_env_values = true)]
    pub proxy: Vec<Proxy>,
    /// Name servers, such as 9.9.9.9 or 127.0.0.1:5353; the system's if not set
    #[arg(long, env = "TELEWIRE_DNS", value_name = "ADDRESS,…", value_delimiter = ',', value_parser = name_server)]
    pub dns: Vec<SocketAddr>,
    /// User-Agent header of requests to Telegram
    #[arg(long, env = "TELEWIRE_USER_AGENT", default_value = UserAgent::DEFAULT, value_name = "TEXT")]
    pub user_agent: UserAgent,
}

impl UpstreamArgs {
    /// Returns how a client asks Telegram, within these limits.
    #[must_use]
    pub fn client_options(&self, limits: RateLimits) -> ClientOptions {
        let http = HttpClientConfig {
            user_agent: self.user_agent.clone(),
            proxies: self.proxy.clone(),
            dns: self.dns.clone(),
        };
        ClientOptions { upstreams: self.upstream.clone(), telegraph: self.telegraph.clone(), limits, http }
    }
}

/// How often Telegram is asked.
#[derive(Clone, Debug, Args)]
pub struct RefreshArgs {
    /// Sustained requests per second to each upstream, from each proxy
    #[arg(long, env = "TELEWIRE_RATE", default_value = "1", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub rate: NonZeroU32,
    /// Requests that may be sent to an upstream at once after a pause, from each proxy
    #[arg(long, env = "TELEWIRE_BURST", default_value = "40", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub burst: NonZeroU32,
    /// Concurrent requests to an upstream, from each proxy
    #[arg(long, env = "TELEWIRE_IN_FLIGHT", default_value = "4", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub in_flight: NonZeroU32,
    /// Age at which a channel is refreshed when a reader asks for it
    #[arg(long, env = "TELEWIRE_FRESH_MIN", default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub fresh_min: Duration,
    /// Longest time between two refreshes of a quiet channel while more refreshes are due than --rate allows; the time used
    /// is a tenth of the age of its newest post
    #[arg(long, env = "TELEWIRE_FRESH_MAX", default_value = "1h", value_name = "TIME", value_parser = duration)]
    pub fresh_max: Duration,
    /// How long a request for a stale channel waits for its refresh before it gets the cached posts; 0s answers at once
    #[arg(long, env = "TELEWIRE_REFRESH_WAIT", default_value = "4s", value_name = "TIME", value_parser = duration)]
    pub refresh_wait: Duration,
    /// Refresh channels only when a reader asks for them, and do not learn when readers come again
    #[arg(long, env = "TELEWIRE_NO_PREFETCH", value_parser = clap::builder::BoolishValueParser::new())]
    pub no_prefetch: bool,
    /// Maximum number of older pages to fetch per refresh when posts are missing between two refreshes
    #[arg(long, env = "TELEWIRE_GAP_PAGES", default_value = "10", value_name = "N", value_parser = number::<u16>)]
    pub gap_pages: u16,
}

/// Where posts are archived.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Archive")]
pub struct StorageArgs {
    /// Directory for the archive and the media key, created if needed
    #[arg(long, env = "TELEWIRE_DATA_DIR", default_value = "./data", value_name = "DIRECTORY")]
    pub data_dir: PathBuf,
    /// Archive posts in this PostgreSQL database, which replicas can share, instead of the data directory
    #[arg(long, env = "TELEWIRE_DATABASE", value_name = "URL", value_parser = database, hide_env_values = true)]
    pub database: Option<Url>,
}

/// Which archived posts are kept.
#[derive(Clone, Debug, Args)]
pub struct RetentionArgs {
    /// Delete archived posts older than N days; the newest 20 per channel are always kept
    #[arg(long, env = "TELEWIRE_KEEP_DAYS", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub keep_days: Option<NonZeroU32>,
    /// Keep at most N posts per channel; at least 20 are always kept
    #[arg(long, env = "TELEWIRE_KEEP_POSTS", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub keep_posts: Option<NonZeroU32>,
}

impl RetentionArgs {
    /// Returns which posts are kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        let Self { keep_days, keep_posts } = self;
        Retention { keep_days: keep_days.map(NonZeroU32::get), keep_posts: keep_posts.map(NonZeroU32::get) }
    }
}

/// Which media are embedded.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaHostArgs {
    /// Hosts (with their subdomains) whose pictures and videos are embedded; others become links to the post
    #[arg(long, env = "TELEWIRE_MEDIA_HOSTS", default_value = MEDIA_HOSTS, value_name = "HOST,…")]
    pub media_hosts: MediaHosts,
}

/// How readers get media.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaArgs {
    /// How readers get pictures and videos
    #[arg(long, env = "TELEWIRE_MEDIA", default_value = "proxy", value_parser = media_mode())]
    pub media: MediaMode,
    /// URL under which people's browsers and apps reach the service for media, if the servers of their readers use another
    /// one; --public-url if not set
    #[arg(long, env = "TELEWIRE_MEDIA_URL", value_name = "URL")]
    pub media_url: Option<BaseUrl>,
    /// Hosts whose media are embedded.
    #[command(flatten)]
    pub hosts: MediaHostArgs,
    /// Keys that sign media URLs, each at least 32 characters: the first signs, all are accepted. Replicas need the same
    /// keys. Generated in the data directory if not set
    #[arg(long, env = "TELEWIRE_MEDIA_KEY", value_name = "KEY,…", hide_env_values = true)]
    pub media_key: Option<MediaKeys>,
    /// Age at which telewire looks up a media file's new URL at Telegram instead of trying the old one; 24h if not set, 1h
    /// with --media redirect
    #[arg(long, env = "TELEWIRE_MEDIA_REFRESH", value_name = "TIME", value_parser = duration)]
    pub media_refresh: Option<Duration>,
    /// Largest media file that is sent to readers
    #[arg(long, env = "TELEWIRE_MEDIA_MAX_SIZE", default_value = "200MB", value_name = "BYTES", value_parser = size)]
    pub media_max_size: ByteSize,
}

impl MediaArgs {
    /// Returns how long a media URL of Telegram is used without being checked.
    fn media_url_ttl(&self) -> Duration {
        // In redirect mode telewire never learns that a URL has expired, so refresh more often.
        let hours = if self.media == MediaMode::Redirect { 1 } else { 24 };
        self.media_refresh.unwrap_or(Duration::from_hours(hours))
    }
}

/// Who may read, and how often.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// Secrets of at least 16 characters, one of which every request needs: as the password of HTTP basic authentication,
    /// as ?token=SECRET, or as /-/token/SECRET/ before the channel. If not set, no token is needed
    #[arg(long, env = "TELEWIRE_TOKEN", value_name = "SECRET,…", hide_env_values = true)]
    pub token: Option<Tokens>,
    /// Secrets of at least 16 characters for the operator, accepted like those of --token: they also give access to what
    /// concerns all channels: the status at /-/status, and the list at /-/opml
    #[arg(long, env = "TELEWIRE_ADMIN_TOKEN", value_name = "SECRET,…", hide_env_values = true)]
    pub admin_token: Option<Tokens>,
    /// Serve only these channels; * matches any characters, as in news_*
    #[arg(long, env = "TELEWIRE_ALLOW_CHANNELS", value_name = "NAME,…")]
    pub allow_channels: Option<ChannelPatterns>,
    /// Do not serve these channels
    #[arg(long, env = "TELEWIRE_DENY_CHANNELS", value_name = "NAME,…")]
    pub deny_channels: Option<ChannelPatterns>,
    /// Sustained requests per second allowed per client; 0 disables the limit
    #[arg(long, env = "TELEWIRE_CLIENT_RATE", default_value = "20", value_name = "N", value_parser = number::<u32>)]
    pub client_rate: u32,
    /// Requests that a client may send at once after a pause
    #[arg(long, env = "TELEWIRE_CLIENT_BURST", default_value = "2000", value_name = "N", value_parser = number::<NonZeroU32>)]
    pub client_burst: NonZeroU32,
}

/// Pages for people.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Pages")]
pub struct PagesArgs {
    /// Whether search engines may list the home page and the pages of channels
    #[arg(long, env = "TELEWIRE_ROBOTS", default_value = "noindex", value_parser = robots())]
    pub robots: Robots,
    /// File with a text in Markdown for the home page, at most 64 KiB
    #[arg(long, env = "TELEWIRE_HOME_TEXT", value_name = "FILE")]
    pub home_text: Option<PathBuf>,
}

/// Log output.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Log level: error, warn, info, debug, trace; or a filter such as telewire=debug
    #[arg(long, env = "TELEWIRE_LOG", default_value = "info", value_name = "LEVEL", value_parser = log_filter)]
    pub log: String,
    /// Format of log lines; text on a terminal and json elsewhere if not set
    #[arg(long, env = "TELEWIRE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable text
    Text,
    /// One JSON object per line
    Json,
}

/// Returns the rate of pages of unknown channels, and of refreshes for pages: one per ten requests that `--rate` allows. An
/// unknown name takes two requests, so these pages use at most a fifth of the rate; refreshes use a tenth.
fn page_rate(rate: NonZeroU32, n_proxies: usize) -> Quota {
    let n_identities = u32::try_from(n_proxies.max(1)).unwrap_or(u32::MAX);
    let period = Duration::from_secs(10) / rate.get().saturating_mul(n_identities);
    Quota::with_period(period).unwrap_or(Quota::per_second(rate)).allow_burst(PAGE_BURST)
}

impl TryFrom<ServeArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: ServeArgs) -> Result<Self, ConfigError> {
        let storage = match (args.no_archive, args.storage.database) {
            (true, Some(_)) => return Err(ConfigError::TwoStorages),
            (true, None) => Storage::Memory,
            (false, Some(url)) => Storage::Postgres(url),
            (false, None) => Storage::DataDir,
        };
        let RefreshArgs {
            rate,
            burst,
            in_flight,
            fresh_min,
            fresh_max,
            refresh_wait,
            no_prefetch,
            gap_pages,
        } = args.refresh;
        if fresh_min > fresh_max {
            return Err(ConfigError::FreshnessBounds);
        }
        if refresh_wait > MAX_REFRESH_WAIT {
            return Err(ConfigError::RefreshWait);
        }
        let client_rate = NonZeroU32::new(args.access.client_rate)
            .map(|rate| ClientRate { rate, burst: args.access.client_burst });
        let web = WebConfig {
            listen: args.listen,
            public_url: args.public_url,
            trusted_proxies: args.trusted_proxies,
            access: AccessConfig {
                tokens: args.access.token,
                admin_tokens: args.access.admin_token,
                client_rate,
            },
            channels: ChannelFilter { allow: args.access.allow_channels, deny: args.access.deny_channels },
            bundles: Bundles::new(),
            feed_cache_size: args.cache_size.as_u64() / FEED_CACHE_SHARE,
            media_mode: args.media.media,
            media_url: args.media.media_url.clone(),
            media_hosts: args.media.hosts.media_hosts.clone(),
            language: args.lang,
            page_rate: page_rate(rate, args.upstream.proxy.len()),
            robots: args.pages.robots,
            home_text: args.pages.home_text.as_deref().map(home_text).transpose()?,
            has_metrics_listener: args.metrics_listen.is_some(),
        };
        Ok(Self {
            web,
            metrics_listen: args.metrics_listen,
            storage,
            data_dir: args.storage.data_dir,
            retention: args.retention.retention(),
            client: args.upstream.client_options(RateLimits { rate, burst, in_flight }),
            freshness: Freshness { min: fresh_min, max: fresh_max },
            refresh_wait,
            prefetch: !no_prefetch,
            gap_pages: gap_pages.into(),
            cache_size: args.cache_size.as_u64(),
            media_url_ttl: args.media.media_url_ttl(),
            media_keys: args.media.media_key,
            media_max_size: args.media.media_max_size.as_u64(),
        })
    }
}
