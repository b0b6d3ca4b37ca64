//! Fetches the pages of a channel, from the first upstream that answers.
//!
//! Nothing is read without a limit: time, bytes after decompression, redirects.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use tokio::time::Instant;

use super::error::{FetchError, PageError, UpstreamError, UpstreamErrorKind, excerpt};
use super::response::{error_kind, read_body, redirect_path};
use super::routes::Routes;
use super::upstream::{Priority, RateLimits, Upstream, UpstreamStatus, UpstreamUrl};
use super::url::{self, PageRequest};
use crate::model::channel::ChannelName;
use crate::net::http_client::{HttpClientConfig, HttpClientError};
use crate::net::retry_after::retry_after;
use crate::resilience::breaker::Admitted;

/// Time to connect, with DNS and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for one channel over all upstreams, without the time in their queues: feed readers give up after 15 seconds.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(9);

/// The shortest timeout for the beginning of an answer while another upstream is left: a shorter one would count slow
/// upstreams as failed.
const MIN_HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the circuit breakers are checked until one is closed.
const BREAKER_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long work that nobody waits for gives way to requests.
const MAX_YIELD: Duration = Duration::from_secs(10);

/// `/s/NAME` → another spelling of it → `/NAME`.
const MAX_REDIRECTS: usize = 2;

/// The configuration of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The upstreams, in order of preference.
    pub upstreams: Vec<UpstreamUrl>,
    /// The API of Telegraph.
    pub telegraph: UpstreamUrl,
    /// The limits of each of these, from each proxy.
    pub limits: RateLimits,
    /// How connections are made.
    pub http: HttpClientConfig,
}

/// A fetched page, and the upstream it came from.
pub struct FetchedHtml<'a> {
    /// The page.
    pub html: String,
    upstream: &'a Upstream,
    /// The upstreams that were asked, this one last.
    tried: Vec<&'a Upstream>,
    /// The rest of [`TOTAL_TIMEOUT`].
    time_left: Duration,
    /// Until the page is judged, a breaker that was open admits no other request.
    _admitted: Option<Admitted<'a>>,
}

impl FetchedHtml<'_> {
    /// Records in the upstream's breaker whether this is a Telegram page. An upstream that keeps returning other pages is
    /// paused like one that fails.
    pub fn report_validity(self, is_telegram_page: bool) {
        let cause = "not a Telegram page".to_owned();
        let broken = FetchError::Upstream(self.upstream.error(UpstreamErrorKind::Broken(cause)));
        self.upstream.record_outcome(if is_telegram_page { Ok(()) } else { Err(&broken) });
    }
}

/// Fetches pages from Telegram.
pub struct Client {
    routes: Routes,
    pub(super) telegraph: Routes,
    /// Answers requests in place of the upstreams.
    #[cfg(test)]
    fake: Option<FakePages>,
}

/// Answers requests for a channel's pages in tests with paused time, which real sockets do not know.
#[cfg(test)]
pub(crate) type FakePages = Box<
    dyn Fn(&ChannelName) -> futures_util::future::BoxFuture<'static, Result<String, UpstreamErrorKind>>
        + Send
        + Sync,
>;

#[cfg(test)]
impl Client {
    /// Returns a client with this number of identities within these limits, whose requests are answered by `pages`.
    pub(crate) fn with_pages(limits: RateLimits, n_identities: usize, pages: FakePages) -> Self {
        let proxy = |n: usize| format!("socks5://127.0.0.1:{}", 10_000 + n).parse().unwrap();
        let http = HttpClientConfig {
            user_agent: crate::net::http_client::UserAgent::DEFAULT.parse().unwrap(),
            proxies: (0..n_identities).map(proxy).collect(),
            dns: Vec::new(),
        };
        let upstreams = vec![UpstreamUrl::parse(url::UPSTREAMS.split(',').next().unwrap()).unwrap()];
        let telegraph = UpstreamUrl::parse(super::telegraph::API).unwrap();
        let client = Self::new(&ClientOptions { upstreams, telegraph, limits, http }).unwrap();
        Self { fake: Some(pages), ..client }
    }
}

impl Client {
    /// Builds a client that asks the upstreams in their order.
    ///
    /// # Errors
    ///
    /// If TLS or DNS cannot be set up, for example on a machine without root certificates.
    pub fn new(options: &ClientOptions) -> Result<Self, HttpClientError> {
        let urls = options.upstreams.iter().chain([&options.telegraph]);
        let trusted: Vec<_> = urls.filter_map(UpstreamUrl::loopback_name).collect();
        let identities = options.http.identities(&trusted, |http| {
            let english = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static("en"))]);
            http.default_headers(english).connect_timeout(CONNECT_TIMEOUT)
        })?;
        let identities: Vec<_> = identities.into_iter().map(Arc::new).collect();
        Ok(Self {
            routes: Routes::new(&identities, &options.upstreams, options.limits),
            telegraph: Routes::new(&identities, slice::from_ref(&options.telegraph), options.limits),
            #[cfg(test)]
            fake: None,
        })
    }

    /// Returns how long a request would wait in the queue; `None` if the circuit breakers would stop it.
    #[must_use]
    pub fn queue_time(&self, priority: Priority) -> Option<Duration> {
        Some(self.routes.choose(&[], priority)?.queue_time(priority))
    }

    /// Waits until no circuit breaker stops a request, and then up to [`MAX_YIELD`] until no other request waits and one
    /// could be sent at once. For work that nobody waits for.
    pub async fn until_idle(&self) {
        loop {
            if let Some(upstream) = self.routes.choose(&[], Priority::Low) {
                drop(tokio::time::timeout(MAX_YIELD, upstream.until_idle()).await);
            }
            // The breaker may have opened in the meantime.
            if self.routes.choose(&[], Priority::Low).is_some() {
                return;
            }
            tokio::time::sleep(BREAKER_POLL_INTERVAL).await;
        }
    }

    /// Returns the limits of all proxies together that can be used now.
    #[must_use]
    pub fn capacity(&self) -> RateLimits {
        self.routes.capacity()
    }

    /// Returns the error of a request that waits too long in the queue.
    #[must_use]
    pub fn busy(&self) -> UpstreamError {
        self.routes.busy()
    }

    /// Returns the current status of each upstream: those of each identity, in order of preference.
    #[must_use]
    pub fn upstream_statuses(&self) -> Vec<UpstreamStatus> {
        self.routes.statuses()
    }

    /// Returns the current status of Telegraph for each identity.
    #[must_use]
    pub fn telegraph_statuses(&self) -> Vec<UpstreamStatus> {
        self.telegraph.statuses()
    }

    /// Updates the gauges of the upstreams.
    pub fn report_metrics(&self) {
        self.routes.report_metrics();
        self.telegraph.report_metrics();
    }

    /// Fetches a page of a channel, or whatever page Telegram shows in its place.
    ///
    /// If an upstream cannot be reached, fails, or answers with something that Telegram does not (a block page's status or
    /// a redirect to another site), the next one is asked; if it refuses, only other proxies may ask, since all upstreams
    /// belong to Telegram.
    ///
    /// # Errors
    ///
    /// The error of the last upstream that was asked.
    pub async fn page(
        &self,
        name: &ChannelName,
        request: PageRequest<'_>,
        priority: Priority,
    ) -> Result<FetchedHtml<'_>, FetchError> {
        self.page_from_any(Vec::new(), name, request, priority, TOTAL_TIMEOUT).await
    }

    /// Fetches a page from another upstream or through another proxy than the one whose answer is not a Telegram page,
    /// because something on the way may have answered in its place. `None` if there are no others.
    ///
    /// # Errors
    ///
    /// See [`page`](Self::page).
    pub async fn page_from_another<'a>(
        &'a self,
        wrong: &FetchedHtml<'a>,
        name: &ChannelName,
        request: PageRequest<'_>,
        priority: Priority,
    ) -> Option<Result<FetchedHtml<'a>, FetchError>> {
        self.routes.choose(&wrong.tried, priority)?;
        Some(self.page_from_any(wrong.tried.clone(), name, request, priority, wrong.time_left).await)
    }

    async fn page_from_any<'a>(
        &'a self,
        mut tried: Vec<&'a Upstream>,
        name: &ChannelName,
        request: PageRequest<'_>,
        priority: Priority,
        mut time_left: Duration,
    ) -> Result<FetchedHtml<'a>, FetchError> {
        let mut last: Option<FetchError> = None;
        let mut failed_before: Vec<String> = Vec::new();
        while !time_left.is_zero()
            && let Some(upstream) = self.routes.choose(&tried, priority)
        {
            tried.push(upstream);
            // While there is another upstream to ask, the answer has to begin within half of the remaining time.
            let is_last = self.routes.choose(&tried, priority).is_none();
            let head_timeout = if is_last { time_left } else { MIN_HEAD_TIMEOUT.max(time_left / 2) };
            // It lasts until the outcome is recorded.
            let mut admitted = None;
            let answer = match upstream.acquire(priority).await {
                Ok((_permit, admission)) => {
                    admitted = Some(admission);
                    let started = Instant::now();
                    let fetch = self.page_from(upstream, name, request, head_timeout);
                    let timed_out = |_| Err(upstream.error(UpstreamErrorKind::TimedOut).into());
                    let answer = tokio::time::timeout(time_left, fetch).await.unwrap_or_else(timed_out);
                    time_left = time_left.saturating_sub(started.elapsed());
                    answer
                }
                Err(err) => Err(err.into()),
            };
            let err = match answer {
                Ok(html) => return Ok(FetchedHtml { html, upstream, tried, time_left, _admitted: admitted }),
                Err(err) => err,
            };
            upstream.record_outcome(Err(&err));
            let (host, proxy) = (upstream.url.host(), upstream.identity.proxy.as_deref());
            tracing::debug!(host, proxy, channel = %name, error = %err, "request to an upstream failed");
            last = Some(match err {
                FetchError::Upstream(mut err) => {
                    if let UpstreamErrorKind::Refused { retry_after, .. } = &mut err.kind {
                        let pause = self.routes.first_pause().map(|(.., left)| left);
                        *retry_after = pause.or_else(|| upstream.open_for().map(|(_, left)| left));
                    }
                    err.failed_before =
                        failed_before.iter().filter(|before| **before != host).cloned().collect();
                    if !err.kind.is_worth_failover() {
                        return Err(err.into());
                    }
                    err.into()
                }
                FetchError::Page(PageError::Redirected(_)) => err,
                FetchError::Page(_) => return Err(err),
            });
            if !failed_before.contains(&host) {
                failed_before.push(host);
            }
        }
        Err(last.unwrap_or_else(|| self.routes.refuse().into()))
    }

    /// Fetches a page from one upstream, whose answer must begin within `head_timeout`.
    async fn page_from(
        &self,
        upstream: &Upstream,
        name: &ChannelName,
        request: PageRequest<'_>,
        head_timeout: Duration,
    ) -> Result<String, FetchError> {
        let (mut path, query) = url::page_path(name, request);
        let error = |kind| FetchError::Upstream(upstream.error(kind));
        #[cfg(test)]
        if let Some(fake) = &self.fake {
            return fake(name).await.map_err(error);
        }
        for n_redirects in 0..=MAX_REDIRECTS {
            if n_redirects > 0 {
                upstream.acquire_redirect().await;
            }
            let sent = upstream.identity.http.get(upstream.url.with_path(&path, query.as_deref())).send();
            let response = tokio::time::timeout(head_timeout, sent)
                .await
                .map_err(|_| error(UpstreamErrorKind::TimedOut))?
                .map_err(|err| error(error_kind(&err)))?;
            let status = response.status();
            if status.is_redirection() {
                path = redirect_path(&response, &upstream.url, name)?;
                continue;
            }
            return match status {
                StatusCode::OK => read_body(response).await.map_err(error),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    let retry_after = retry_after(response.headers());
                    Err(error(UpstreamErrorKind::Refused { status: status.as_u16(), retry_after }))
                }
                _ => Err(error(UpstreamErrorKind::Status(status.as_u16()))),
            };
        }
        Err(PageError::Redirected(excerpt(&path)).into())
    }
}
