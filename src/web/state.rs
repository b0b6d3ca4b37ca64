//! The state that every request handler shares, and what it is built from.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::base_url::BaseUrl;
use super::bundles::Bundles;
use super::canonical::{self, MAX_CHANNELS};
use super::channel_filter::ChannelFilter;
use super::client_permits::ClientPermits;
use super::error::Error;
use super::feed_cache::FeedCache;
use super::home_text::HomeText;
use super::middleware::access::{Access, AccessConfig};
use super::robots::Robots;
use super::stream_permits::StreamPermits;
use crate::channels::Channels;
use crate::clock;
use crate::feed::options::{FeedOptions, MediaChoice, OptionsError};
use crate::language::Language;
use crate::media::MediaMode;
use crate::media::client::MediaClient;
use crate::media::hosts::MediaHosts;
use crate::media::resolver::MediaResolver;
use crate::media::signed_url::{MediaKeys, MediaLinker};
use crate::metrics::Metrics;
use crate::model::channel::ChannelName;
use crate::telegram::typed::{ChannelParseError, parse_channel, split_channels};

/// Requests in flight; more are rejected at once instead of making all of them slow.
pub(super) const MAX_REQUESTS: u32 = 2048;

/// Requests in flight of one client behind a trusted proxy.
pub(super) const MAX_REQUESTS_PER_CLIENT: usize = 64;

/// Lists of subscriptions that are received and converted at a time, each of some megabytes.
const MAX_CONVERSIONS: usize = 8;

/// The configuration of the web service.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// The socket address that the service listens on: the base URL of last resort.
    pub listen: SocketAddr,
    /// The base URL under which readers reach the service; taken from each request if absent.
    pub public_url: Option<BaseUrl>,
    /// Proxies whose `X-Forwarded-*` and `Forwarded` headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Tokens and rate limits.
    pub access: AccessConfig,
    /// Which channels are served.
    pub channels: ChannelFilter,
    /// Named feeds of several channels.
    pub bundles: Bundles,
    /// Bytes of the cache of rendered feeds.
    pub feed_cache_size: u64,
    /// How readers get pictures and videos.
    pub media_mode: MediaMode,
    /// The base URL of media; that of the feed if absent.
    pub media_url: Option<BaseUrl>,
    /// Hosts whose pictures and videos are embedded.
    pub media_hosts: MediaHosts,
    /// The language of feeds whose readers choose none.
    pub language: Language,
    /// Pages of new channels per second, and refreshes for pages: crawlers must not use up the requests to Telegram.
    pub page_rate: Quota,
    /// Whether search engines may list pages.
    pub robots: Robots,
    /// The operator's text on the home page.
    pub home_text: Option<HomeText>,
    /// Metrics have their own listener and are not served beside the feeds.
    pub has_metrics_listener: bool,
}

impl WebConfig {
    /// Returns whether an address is that of a trusted proxy.
    pub(super) fn is_trusted_proxy(&self, ip: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&ip))
    }
}

/// The shared state of all request handlers.
pub struct AppState {
    pub(super) config: WebConfig,
    pub(crate) channels: Arc<Channels>,
    pub(super) feeds: Arc<FeedCache>,
    /// Those of the configuration, until they are replaced.
    bundles: RwLock<Arc<Bundles>>,
    pub(super) media_client: MediaClient,
    pub(super) media_resolver: Arc<MediaResolver>,
    pub(super) media_keys: Arc<MediaKeys>,
    pub(super) streams: StreamPermits,
    pub(super) access: Access,
    pub(super) metrics: Arc<Metrics>,
    /// Limits pages of channels that were never read.
    pub(super) new_pages: DefaultDirectRateLimiter,
    /// Limits refreshes for pages.
    pub(super) page_refreshes: DefaultDirectRateLimiter,
    /// Permits of lists of subscriptions that are being converted.
    pub(super) conversions: Semaphore,
    /// Permits of requests in flight.
    pub(super) requests: Semaphore,
    /// Permits of requests in flight, by client.
    pub(super) client_requests: ClientPermits,
    /// Held while a status report is made: one at a time, so that the archive has a connection left for readers.
    pub(super) status_lock: tokio::sync::Mutex<()>,
    /// When the service was started.
    pub(super) started: Timestamp,
    pub(super) is_ready: AtomicBool,
}

impl AppState {
    /// Builds the state of a web service.
    #[must_use]
    pub fn new(
        config: WebConfig,
        channels: Arc<Channels>,
        media_resolver: Arc<MediaResolver>,
        media_client: MediaClient,
        media_keys: MediaKeys,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            channels,
            feeds: FeedCache::new(config.feed_cache_size),
            bundles: RwLock::new(Arc::new(config.bundles.clone())),
            media_client,
            media_resolver,
            media_keys: Arc::new(media_keys),
            streams: StreamPermits::new(),
            access: Access::new(config.access.clone()),
            metrics,
            new_pages: RateLimiter::direct(config.page_rate),
            page_refreshes: RateLimiter::direct(config.page_rate),
            conversions: Semaphore::new(MAX_CONVERSIONS),
            requests: Semaphore::new(MAX_REQUESTS as usize),
            client_requests: ClientPermits::new(MAX_REQUESTS_PER_CLIENT),
            status_lock: tokio::sync::Mutex::default(),
            started: clock::now(),
            is_ready: AtomicBool::new(true),
            config,
        })
    }

    /// Returns the client that limits per client apply to; `None` for this machine and trusted proxies, which have many clients
    /// behind them.
    pub(super) fn limited_client(&self, client: IpAddr) -> Option<IpAddr> {
        let ip = client.to_canonical();
        (!ip.is_loopback() && !self.config.is_trusted_proxy(ip)).then_some(ip)
    }

    /// Parses the options of a feed.
    pub(super) fn feed_options(&self, query: &str) -> Result<FeedOptions, OptionsError> {
        FeedOptions::parse_over("", query, self.config.language)
    }

    /// Parses what a person typed for a channel, and checks that the channel is served.
    pub(super) fn parse_channel(&self, typed: &str) -> Result<ChannelName, Error> {
        let name = parse_channel(typed)?;
        self.check_served(&name)?;
        Ok(name)
    }

    /// Parses the channels of a feed as [`channel_names`] does, and checks that one of them is served.
    pub(super) fn parse_channels(&self, typed: &str) -> Result<Vec<ChannelName>, Error> {
        let names = channel_names(typed)?;
        self.check_any_served(&names)?;
        Ok(names)
    }

    pub(super) fn bundles(&self) -> Arc<Bundles> {
        Arc::clone(&self.bundles.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the bundles while the service runs. Feeds that were rendered for earlier ones are not used again.
    pub fn replace_bundles(&self, bundles: Bundles) {
        *self.bundles.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(bundles);
    }

    /// Checks that a channel is served under this name.
    pub(super) fn check_served(&self, name: &ChannelName) -> Result<(), Error> {
        if self.config.channels.serves(name) { Ok(()) } else { Err(Error::ChannelNotServed(name.clone())) }
    }

    /// Checks that one of these channels is served.
    pub(super) fn check_any_served(&self, names: &[ChannelName]) -> Result<(), Error> {
        match names {
            [name] => self.check_served(name),
            names if names.iter().any(|name| self.check_served(name).is_ok()) => Ok(()),
            names => Err(Error::NoneOfSeveral(
                names.iter().map(|name| (name.clone(), Error::ChannelNotServed(name.clone()))).collect(),
            )),
        }
    }

    /// Returns the base URL of media in feeds and pages under a base URL.
    pub(super) fn media_base_url<'a>(&'a self, base_url: &'a BaseUrl) -> &'a BaseUrl {
        self.config.media_url.as_ref().unwrap_or(base_url)
    }

    /// Returns how feeds under a base URL link media files.
    pub(super) fn media_linker(&self, base_url: &BaseUrl) -> MediaLinker {
        self.media_linker_with(self.config.media_mode, base_url)
    }

    /// Returns how a feed links media files whose reader has chosen a mode.
    ///
    /// # Errors
    ///
    /// [`Error::MediaNotAllowed`] if the mode costs the operator more than the default one.
    pub(super) fn chosen_media_linker(
        &self,
        choice: MediaChoice,
        base_url: &BaseUrl,
    ) -> Result<MediaLinker, Error> {
        let default = self.config.media_mode;
        let mode = match choice {
            MediaChoice::Auto | MediaChoice::None => default,
            MediaChoice::Proxy => MediaMode::Proxy,
            MediaChoice::Redirect => MediaMode::Redirect,
            MediaChoice::Direct => MediaMode::Direct,
        };
        let is_allowed = match mode {
            MediaMode::Proxy => default == MediaMode::Proxy,
            MediaMode::Redirect => default != MediaMode::Direct,
            MediaMode::Direct => true,
        };
        if is_allowed { Ok(self.media_linker_with(mode, base_url)) } else { Err(Error::MediaNotAllowed) }
    }

    fn media_linker_with(&self, mode: MediaMode, base_url: &BaseUrl) -> MediaLinker {
        let is_proxied = mode != MediaMode::Direct;
        let base_url = self.media_base_url(base_url);
        let proxy = is_proxied.then(|| (base_url.to_string(), Arc::clone(&self.media_keys)));
        let redirects = mode == MediaMode::Redirect && self.config.media_mode == MediaMode::Proxy;
        MediaLinker { hosts: self.config.media_hosts.clone(), proxy, redirects }
    }

    /// Removes what grows with the number of clients and requests, and logs what is only counted.
    pub(super) fn run_upkeep(&self) {
        self.channels.run_upkeep();
        self.access.run_upkeep();
        self.metrics.run_upkeep();
    }

    /// Makes the readiness check fail.
    pub(super) fn stop_being_ready(&self) {
        self.is_ready.store(false, Ordering::Relaxed);
    }
}

/// Parses the channels of a feed as [`split_channels`] splits them. They are sorted as in the canonical path; there is at least
/// one.
pub(super) fn channel_names(typed: &str) -> Result<Vec<ChannelName>, Error> {
    let pieces = split_channels(typed);
    if pieces.len() < 2 {
        return Ok(vec![parse_channel(pieces.first().map_or(typed, |piece| piece))?]);
    }
    let parsed: Result<_, _> = pieces.iter().map(|piece| parse_channel(piece)).collect();
    let names = canonical::sorted(parsed.map_err(|err| match err {
        ChannelParseError::Search { .. } => Error::SearchAmongSeveral(err, without_searches(pieces)),
        err => Error::ChannelName(err),
    })?);
    if names.len() > MAX_CHANNELS { Err(Error::TooManyChannels(names.len())) } else { Ok(names) }
}

/// Returns typed channels as a list, with the channel of each search instead of the search.
fn without_searches(typed: Vec<String>) -> String {
    let channel = |typed: String| match parse_channel(&typed) {
        Err(ChannelParseError::Search { name, .. }) => name.to_string(),
        _ => typed,
    };
    typed.into_iter().map(channel).collect::<Vec<_>>().join(", ")
}
