//! Streams media files from Telegram's file servers, chunk by chunk: a whole file is never in memory.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, LOCATION, RANGE, TRANSFER_ENCODING};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::Url;

use super::error::MediaError;
use super::hosts::MediaHosts;
use super::range::{Part, Range};
use super::sniff;
use crate::metrics;
use crate::net::http_client::{HttpClientConfig, HttpClientError, Identity, root_cause};
use crate::net::retry_after::retry_after;
use crate::resilience::breaker::OpenReason;
use crate::resilience::recent_cache::RecentCache;

/// Timeout for a connection, including TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Timeout for the response head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout for the next bytes of a file.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// The minimum average rate, to detect servers, and clients, that send or receive a few bytes now and then.
pub(crate) const MIN_BYTES_PER_SECOND: u64 = 1024;

/// How long a server may take in total before the minimum rate applies.
const MIN_RATE_AFTER: Duration = Duration::from_secs(10);

/// How long a host that refuses requests is paused for the proxy that asked, and one that a proxy cannot reach while there are
/// other proxies. Other failures do not pause it, because they may concern a single file.
const PAUSE: Duration = Duration::from_secs(5);

/// The longest pause that a host can request.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// The number of redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// The proxies that are tried for a file.
const MAX_TRIES: usize = 3;

/// The range that is requested to detect a file's type.
const SNIFF_RANGE: Range = Range::From(0, Some(511));

/// Idle connections that are kept open per host.
const MAX_IDLE_CONNECTIONS: usize = 16;

/// The maximum number of cached file types, and of pauses.
const MAX_ENTRIES: usize = 10_000;

/// The type and size of a file.
#[derive(Clone, Copy, Debug)]
pub struct MediaInfo {
    /// The MIME type, detected from the file's first bytes.
    pub mime_type: &'static str,
    /// The size in bytes, if the server announces it.
    pub total: Option<u64>,
}

/// A file, or a part of it, that is being received.
pub struct MediaResponse {
    /// The type and size of the whole file.
    pub info: MediaInfo,
    /// The part that is sent; `None` for the whole file.
    pub part: Option<Part>,
    /// The content.
    pub body: Body,
}

/// Fetches media files from allowed hosts.
pub struct MediaClient {
    identities: Vec<Identity>,
    /// Counts files, which the identities send in turn.
    turn: AtomicUsize,
    hosts: MediaHosts,
    max_size: u64,
    infos: RecentCache<String, MediaInfo>,
    /// Why each pause began, and its end, by the identity's index and the host.
    pauses: RecentCache<(usize, String), (OpenReason, Instant)>,
}

impl MediaClient {
    /// Builds a client that connects only to `hosts` and rejects files larger than `max_size` bytes.
    ///
    /// # Errors
    ///
    /// Fails if TLS or DNS cannot be set up.
    pub fn new(config: &HttpClientConfig, hosts: MediaHosts, max_size: u64) -> Result<Self, HttpClientError> {
        let identities = config.identities(&hosts.loopback_names(), |http| {
            http.connect_timeout(CONNECT_TIMEOUT).pool_max_idle_per_host(MAX_IDLE_CONNECTIONS).no_gzip()
        })?;
        let infos = RecentCache::new(MAX_ENTRIES, Duration::MAX);
        let pauses = RecentCache::new(MAX_ENTRIES, MAX_PAUSE);
        Ok(Self { identities, turn: AtomicUsize::new(0), hosts, max_size, infos, pauses })
    }

    /// Returns the type and size of a file without downloading it.
    ///
    /// # Errors
    ///
    /// Fails as [`Self::open`] does, except for ranges.
    pub async fn info(&self, url: String) -> Result<MediaInfo, MediaError> {
        match self.infos.get(&url) {
            Some(info) => Ok(info),
            None => self.open_unknown(url, Some(SNIFF_RANGE)).await.map(|response| response.info),
        }
    }

    /// Requests a file, or a part of it. The server may ignore the range and send the whole file.
    ///
    /// # Errors
    ///
    /// Any [`MediaError`] except [`MediaError::Unresolved`] and [`MediaError::Busy`]. Errors after the response head
    /// end the [body](Body::stream).
    pub async fn open(&self, url: String, range: Option<Range>) -> Result<MediaResponse, MediaError> {
        let Some(range) = range else { return self.open_unknown(url, None).await };
        // The type can be detected only from the beginning of a file.
        let info = self.info(url.clone()).await?;
        let response = self.send(url.clone(), Some(range)).await?;
        match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => Err(match info.total {
                Some(total) => MediaError::RangeNotSatisfiable(total),
                None => MediaError::Broken("range not satisfiable, but the size is unknown".to_owned()),
            }),
            StatusCode::PARTIAL_CONTENT => {
                let part = part_of(&response, range)?;
                self.check_size(Some(part.total))?;
                let info = MediaInfo { total: Some(part.total), ..info };
                let body = self.body(response, VecDeque::new(), Some(part.length()));
                Ok(MediaResponse { info, part: Some(part), body })
            }
            _ => self.whole(url, response).await,
        }
    }

    /// Requests a file of unknown type: all of it, or its beginning.
    async fn open_unknown(&self, url: String, range: Option<Range>) -> Result<MediaResponse, MediaError> {
        let response = self.send(url.clone(), range).await?;
        match (response.status(), range) {
            (StatusCode::OK, _) => self.whole(url, response).await,
            (StatusCode::PARTIAL_CONTENT, Some(range)) => {
                let part = part_of(&response, range)?;
                self.sniff(url, response, Some(part.total), Some(part)).await
            }
            // An empty file has no first byte.
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => Err(MediaError::BadType),
            (status, _) => Err(MediaError::Broken(format!("unexpected status {status}"))),
        }
    }

    async fn whole(&self, url: String, response: Response) -> Result<MediaResponse, MediaError> {
        let total = response.content_length();
        self.sniff(url, response, total, None).await
    }

    /// Detects the type of a file from a response that begins with its first byte.
    async fn sniff(
        &self,
        url: String,
        mut response: Response,
        total: Option<u64>,
        part: Option<Part>,
    ) -> Result<MediaResponse, MediaError> {
        self.check_size(total)?;
        let (mut first, mut n_first) = (VecDeque::new(), 0);
        while n_first < sniff::MIN_BYTES
            && let Some(chunk) = next_chunk(&mut response).await.map_err(MediaError::Broken)?
        {
            n_first += chunk.len();
            first.push_back(chunk);
        }
        let start: Vec<u8> = first.iter().flatten().take(sniff::MIN_BYTES).copied().collect();
        let mime_type = sniff::mime_type(&start).ok_or(MediaError::BadType)?;
        let info = MediaInfo { mime_type, total };
        self.infos.insert(url, info);
        let length = part.map_or(total, |part| Some(part.length()));
        Ok(MediaResponse { info, part, body: self.body(response, first, length) })
    }

    fn body(&self, response: Response, first: VecDeque<Bytes>, length: Option<u64>) -> Body {
        Body { response, first, length, max_size: self.max_size, n_sent: 0, waited: Duration::ZERO }
    }

    fn check_size(&self, total: Option<u64>) -> Result<(), MediaError> {
        if total.is_some_and(|total| total > self.max_size) { Err(MediaError::TooLarge) } else { Ok(()) }
    }

    /// Sends a request and follows redirects to allowed hosts.
    async fn send(&self, mut url: String, range: Option<Range>) -> Result<Response, MediaError> {
        for _ in 0..=MAX_REDIRECTS {
            let allowed = self.hosts.allow(&url).ok_or(MediaError::HostNotAllowed)?;
            let response = self.send_from_any(&allowed, range).await?;
            if !response.status().is_redirection() {
                return check_response(response);
            }
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let target = location.and_then(|to| response.url().join(to).ok());
            url = target.ok_or_else(|| MediaError::Broken("redirect without a target".to_owned()))?.into();
        }
        Err(MediaError::Broken("too many redirects".to_owned()))
    }

    /// Sends a request from one identity, and from others if that cannot reach the host or is refused.
    async fn send_from_any(&self, url: &str, range: Option<Range>) -> Result<Response, MediaError> {
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let mut failure = MediaError::Refused(StatusCode::TOO_MANY_REQUESTS.as_u16());
        for index in self.identities_for(&host).into_iter().take(MAX_TRIES) {
            let mut request = self.identities[index].http.get(url).header(ACCEPT_ENCODING, "identity");
            if let Some(range) = range {
                request = request.header(RANGE, range.to_string());
            }
            failure = match send_request(request).await {
                Ok(response) if is_refusal(response.status()) => {
                    let pause = retry_after(response.headers()).unwrap_or(PAUSE);
                    self.pause(index, &host, OpenReason::Refused, pause);
                    MediaError::Refused(response.status().as_u16())
                }
                Ok(response) => return Ok(response),
                Err(err) => {
                    let proxy = self.identities[index].proxy.as_deref();
                    tracing::debug!(host, proxy, error = ?err, "request for a media file failed");
                    if self.identities.len() > 1 {
                        self.pause(index, &host, OpenReason::Failing, PAUSE);
                    }
                    err
                }
            };
        }
        Err(failure)
    }

    /// Returns the identities that may ask a host, in turn. Those that could not reach it recently come last.
    fn identities_for(&self, host: &str) -> Vec<usize> {
        let (n, turn) = (self.identities.len(), self.turn.fetch_add(1, Ordering::Relaxed));
        let pause = |index| {
            let (reason, until) = self.pauses.get(&(index, host.to_owned()))?;
            (until > Instant::now()).then_some(reason)
        };
        let in_turn = (0..n).map(|offset| turn.wrapping_add(offset) % n).map(|index| (pause(index), index));
        let mut usable: Vec<_> = in_turn.filter(|(pause, _)| *pause != Some(OpenReason::Refused)).collect();
        usable.sort_by_key(|(pause, _)| pause.is_some());
        usable.into_iter().map(|(_, index)| index).collect()
    }

    /// Pauses a host for an identity. A pause after a refusal stays one, and is not shortened.
    fn pause(&self, index: usize, host: &str, reason: OpenReason, pause: Duration) {
        let now = Instant::now();
        self.pauses.update((index, host.to_owned()), |before| {
            let refused = before.filter(|(before, until)| *before == OpenReason::Refused && *until > now);
            let until = now + pause.clamp(PAUSE, MAX_PAUSE);
            refused.map_or((reason, until), |(reason, before)| (reason, before.max(until)))
        });
    }
}

/// Returns whether the server refuses requests of this address for now.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// Rejects responses that do not contain the file.
fn check_response(response: Response) -> Result<Response, MediaError> {
    let status = response.status();
    match status {
        StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            if !is_unencoded(&response) {
                Err(MediaError::Broken("the file is compressed".to_owned()))
            } else if !has_detectable_end(&response) {
                Err(MediaError::Broken("neither Content-Length nor chunked encoding".to_owned()))
            } else {
                Ok(response)
            }
        }
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
            Err(MediaError::Expired(status.as_u16()))
        }
        status if status.is_server_error() => Err(MediaError::Refused(status.as_u16())),
        _ => Err(MediaError::Broken(format!("unexpected status {status}"))),
    }
}

/// Sends a request. If the server closes the connection without a response, as it may do with one that was idle, sends it once
/// more on another one.
async fn send_request(request: RequestBuilder) -> Result<Response, MediaError> {
    let retry = request.try_clone();
    let send = async {
        match (request.send().await, retry) {
            (Err(err), Some(retry)) if !err.is_connect() && !err.is_timeout() => retry.send().await,
            (sent, _) => sent,
        }
    };
    tokio::time::timeout(HEAD_TIMEOUT, send)
        .await
        .map_err(|_| MediaError::Unreachable("timed out".to_owned()))?
        .map_err(|err| MediaError::Unreachable(root_cause(&err)))
}

/// Returns whether the body is the file itself, without a content encoding.
fn is_unencoded(response: &Response) -> bool {
    response.headers().get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity")
}

/// Returns whether truncation is detectable: without `Content-Length` or chunked encoding, a truncated body looks
/// complete (RFC 9112, section 6.3).
fn has_detectable_end(response: &Response) -> bool {
    response.content_length().is_some() || response.headers().contains_key(TRANSFER_ENCODING)
}

fn part_of(response: &Response, requested: Range) -> Result<Part, MediaError> {
    let is_as_long = |part: &Part| response.content_length().is_none_or(|n| n == part.length());
    let part = response.headers().get(CONTENT_RANGE).and_then(Part::parse);
    part.filter(|part| part.answers(requested) && is_as_long(part))
        .ok_or_else(|| MediaError::Broken("not the requested range".to_owned()))
}

/// The content of a file or of a part of it.
pub struct Body {
    response: Response,
    first: VecDeque<Bytes>,
    length: Option<u64>,
    max_size: u64,
    n_sent: u64,
    /// Total time spent waiting for the server, without the time that the client takes.
    waited: Duration,
}

impl Body {
    /// Returns the length in bytes, if known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the bytes as a stream. A truncated, oversized or stalled file ends with an error.
    pub fn stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::unfold(Some(self), |body| async {
            let mut body = body?;
            match body.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(body))),
                Ok(None) => None,
                Err(cause) => {
                    tracing::warn!(bytes = body.n_sent, error = cause, "media file ended early");
                    Some((Err(io::Error::other(cause)), None))
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let mut chunk = self.first.pop_front();
        if chunk.is_none() {
            let started = Instant::now();
            chunk = next_chunk(&mut self.response).await?;
            self.waited += started.elapsed();
        }
        let Some(chunk) = chunk else {
            return match self.length {
                Some(length) if self.n_sent < length => Err("the file is truncated".to_owned()),
                _ => Ok(None),
            };
        };
        self.n_sent += chunk.len() as u64;
        metrics::media_bytes_sent(chunk.len());
        let is_slow =
            self.waited > MIN_RATE_AFTER && self.n_sent / self.waited.as_secs().max(1) < MIN_BYTES_PER_SECOND;
        if self.n_sent > self.length.unwrap_or(self.max_size) {
            Err("the file is longer than announced or allowed".to_owned())
        } else if is_slow {
            Err("the server sends too slowly".to_owned())
        } else {
            Ok(Some(chunk))
        }
    }
}

async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, String> {
    match tokio::time::timeout(READ_TIMEOUT, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|err| root_cause(&err)),
        Err(_) => Err("the server stopped sending".to_owned()),
    }
}
