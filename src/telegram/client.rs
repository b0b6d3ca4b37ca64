//! Asking an upstream for a channel's preview page.
//!
//! Nothing that comes back is taken without a limit: time, bytes after decompression, redirects.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT_LANGUAGE, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use thiserror::Error;

use super::address::{self, Which};
use super::host::Host;
pub use super::host::{Line, Politeness};
use super::landing::NoPosts;
use super::upstream::Upstream;
use crate::channel::ChannelName;
use crate::guard::{self, Way, WayError};

/// Until the connection stands, names resolved and TLS agreed.
const CONNECT: Duration = Duration::from_secs(3);

/// For one page with all of its body.
const WHOLE_PAGE: Duration = Duration::from_secs(10);

/// For everything that one channel takes, over all upstreams: feed readers give up after 15 seconds.
const ALTOGETHER: Duration = Duration::from_secs(11);

/// Bytes of a page after decompression. The largest seen have 150 KB.
const MAX_PAGE: usize = 4 << 20;

/// `/s/NAME` → another spelling of it → `/NAME`.
const MAX_REDIRECTS: usize = 2;

/// Who is asking, unless configured otherwise.
pub const USER_AGENT: &str = concat!("telewire/", env!("CARGO_PKG_VERSION"), " (feed bridge)");

/// Why no page was had.
#[derive(Clone, Debug, Error)]
pub enum FetchError {
    /// No connection: the name does not resolve, nobody answers, or the certificate is not theirs.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// The upstream.
        host: String,
        /// The innermost cause.
        why: String,
    },
    /// The answer, or its end, did not come in time.
    #[error("{0} did not answer in time")]
    TimedOut(String),
    /// It asked to be left alone.
    #[error("{host} asks to be left alone for a while (status {status})")]
    Refused {
        /// The upstream.
        host: String,
        /// 429 or 503.
        status: u16,
        /// For how long: as it said, or as it is left alone.
        retry_after: Option<Duration>,
    },
    /// It is being left alone, and was not asked.
    #[error("{host} {} for another {} seconds", if *asked { "has asked to be left alone" } else { "does not answer and is left alone" }, left.as_secs() + 1)]
    Resting {
        /// The upstream.
        host: String,
        /// It has asked for it; else it did not answer.
        asked: bool,
        /// For how long still.
        left: Duration,
    },
    /// Too many requests wait for their turn already.
    #[error("too many channels wait for {0} at the moment")]
    Busy(String),
    /// A status that a preview page does not have.
    #[error("{host} answered with status {status}")]
    Status {
        /// The upstream.
        host: String,
        /// The status.
        status: u16,
    },
    /// More than a page can be.
    #[error("{host} sent more than {} MiB", MAX_PAGE >> 20)]
    TooLarge {
        /// The upstream.
        host: String,
    },
    /// The connection broke.
    #[error("the answer of {host} broke off: {why}")]
    Broken {
        /// The upstream.
        host: String,
        /// The innermost cause.
        why: String,
    },
    /// The upstream pointed somewhere else than to a page.
    #[error(transparent)]
    NoPosts(NoPosts),
}

/// How upstreams are reached.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// In the order of trying.
    pub upstreams: Vec<Upstream>,
    /// How often, and how many at a time; for each upstream.
    pub politeness: Politeness,
    /// Who asks, and by which way.
    pub way: Way,
}

/// A page, and the upstream that gave it.
pub struct Fetched<'a> {
    /// The page.
    pub html: String,
    host: &'a Host,
}

impl Fetched<'_> {
    /// Tells the client whether the page is one of Telegram's: an upstream that gives others is left alone after a
    /// while, as one that fails.
    pub fn judge(self, is_telegrams: bool) {
        let broken = FetchError::Broken { host: self.host.upstream.host(), why: "not a page".to_owned() };
        self.host.learn(if is_telegrams { Ok(()) } else { Err(&broken) });
    }
}

/// Asks upstreams for pages.
pub struct Client {
    http: reqwest::Client,
    hosts: Vec<Host>,
}

impl Client {
    /// A client that asks the upstreams in their order.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up, such as on a machine without any root certificate.
    pub fn new(options: ClientOptions) -> Result<Self, WayError> {
        let english = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static("en"))]);
        let trusted = options.upstreams.iter().filter_map(Upstream::loopback_name).collect();
        let http = options.way.client(trusted)?;
        let http = http.default_headers(english).connect_timeout(CONNECT).timeout(WHOLE_PAGE);
        let hosts = options.upstreams.into_iter().map(|upstream| Host::new(upstream, options.politeness));
        Ok(Self { http: http.build()?, hosts: hosts.collect() })
    }

    /// Tells how the upstreams are.
    pub fn meter(&self) {
        self.hosts.iter().for_each(Host::meter);
    }

    /// Fetches a page of a channel, or the page that Telegram shows in its place.
    ///
    /// An upstream that cannot be reached, or fails, is followed by the next; one that refuses is not, since the
    /// others belong to the same people.
    ///
    /// # Errors
    ///
    /// The error of the last upstream that was tried, when none gave a page.
    pub async fn page(
        &self,
        name: &ChannelName,
        which: Which,
        line: Line,
    ) -> Result<Fetched<'_>, FetchError> {
        let deadline = Instant::now() + ALTOGETHER;
        let mut last = FetchError::Busy("nobody".to_owned());
        for (n_before, host) in self.hosts.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // Half of the time for the beginning of an answer, while there is another upstream to ask.
            let patience = if n_before + 1 < self.hosts.len() { left / 2 } else { left };
            let busy = || FetchError::Busy(host.upstream.host());
            let turn = tokio::time::timeout(left, host.turn(line)).await.unwrap_or_else(|_| Err(busy()));
            let answer = match turn {
                // Time that passed in the queue is not the upstream's.
                Ok(_under_way) => tokio::time::timeout(left, self.page_from(host, name, which, patience))
                    .await
                    .unwrap_or_else(|_| Err(FetchError::TimedOut(host.upstream.host()))),
                Err(err) => Err(err),
            };
            if let Err(err) = &answer {
                host.learn(Err(err));
            }
            match answer {
                Ok(html) => return Ok(Fetched { html, host }),
                Err(FetchError::Refused { host: name_of_host, status, .. }) => {
                    let retry_after = host.rest();
                    return Err(FetchError::Refused { host: name_of_host, status, retry_after });
                }
                Err(err) if err.is_of_this_upstream_alone() => {
                    tracing::debug!(channel = %name, "{err}");
                    last = err;
                }
                Err(err) => return Err(err),
            }
        }
        Err(last)
    }

    /// The page that one upstream gives, if it begins to within `patience`.
    async fn page_from(
        &self,
        host: &Host,
        name: &ChannelName,
        which: Which,
        patience: Duration,
    ) -> Result<String, FetchError> {
        let (mut path, query) = address::path_of(name, which);
        let name_of_host = || host.upstream.host();
        for n_redirects in 0..=MAX_REDIRECTS {
            if n_redirects > 0 {
                host.next_request().await;
            }
            let asking = self.http.get(host.upstream.address(&path, query.as_deref())).send();
            let response = tokio::time::timeout(patience, asking)
                .await
                .map_err(|_| FetchError::TimedOut(name_of_host()))?
                .map_err(|err| failed(name_of_host(), &err))?;
            let status = response.status();
            if status.is_redirection() {
                path = own_path(&response, &host.upstream, name).map_err(FetchError::NoPosts)?;
                continue;
            }
            return match status {
                StatusCode::OK => body(response, name_of_host()).await,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(FetchError::Refused {
                    host: name_of_host(),
                    status: status.as_u16(),
                    retry_after: retry_after(response.headers()),
                }),
                _ => Err(FetchError::Status { host: name_of_host(), status: status.as_u16() }),
            };
        }
        Err(FetchError::NoPosts(NoPosts::Elsewhere(path)))
    }
}

impl FetchError {
    /// For how long the upstream wants to be left alone, or is.
    #[must_use]
    pub fn rest(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Resting { left, .. } => Some(*left),
            _ => None,
        }
    }

    /// What went wrong in a word, as metrics have it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut(_) => "timeout",
            Self::Refused { .. } => "refused",
            Self::Resting { .. } => "resting",
            Self::Busy(_) => "busy",
            Self::Status { .. } => "status",
            Self::TooLarge { .. } => "too-large",
            Self::Broken { .. } => "broken",
            Self::NoPosts(_) => "elsewhere",
        }
    }

    /// Whether another upstream may do better.
    fn is_of_this_upstream_alone(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut(_) | Self::Broken { .. } => true,
            Self::Resting { asked, .. } => !asked,
            Self::Status { status, .. } => *status >= 500,
            Self::Refused { .. } | Self::Busy(_) | Self::TooLarge { .. } | Self::NoPosts(_) => false,
        }
    }
}

/// How long an upstream asks to be left alone: in seconds, or until a date by its own clock (RFC 9110, section
/// 10.2.3). Nonsense counts as not said.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let said = text(RETRY_AFTER)?;
    if !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(said.parse().unwrap_or(u64::MAX)));
    }
    let date = |text| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    let left = date(said)?.duration_since(date(text(DATE)?)?);
    Duration::try_from(left).ok()
}

/// Where a redirect leads, if that is a page of the same channel: t.me sends to `/NAME` when there is no preview.
fn own_path(response: &Response, upstream: &Upstream, name: &ChannelName) -> Result<String, NoPosts> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let url = response.url().join(location).map_err(|_| NoPosts::Elsewhere(location.to_owned()))?;
    let same_host = upstream.serves(&url) || address::is_telegram(&url);
    let own = url.path().trim_start_matches("/s/").trim_matches('/').eq_ignore_ascii_case(name.as_str());
    if same_host && own {
        return Ok(url.path().to_owned());
    }
    // What cannot be a name at all is sent to Telegram's home page.
    let home = url.path() == "/" && url.host_str().is_some_and(|host| host.ends_with("telegram.org"));
    Err(if home {
        NoPosts::NotAName
    } else {
        NoPosts::Elsewhere(url.host_str().unwrap_or(location).to_owned())
    })
}

async fn body(mut response: Response, host: String) -> Result<String, FetchError> {
    if response.content_length().is_some_and(|length| length > MAX_PAGE as u64) {
        return Err(FetchError::TooLarge { host });
    }
    let mut page = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|err| failed(host.clone(), &err))? {
        if page.len() + chunk.len() > MAX_PAGE {
            return Err(FetchError::TooLarge { host });
        }
        page.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn failed(host: String, err: &reqwest::Error) -> FetchError {
    let why = guard::innermost(err);
    if err.is_connect() {
        FetchError::Unreachable { host, why }
    } else if err.is_timeout() {
        FetchError::TimedOut(host)
    } else {
        FetchError::Broken { host, why }
    }
}
