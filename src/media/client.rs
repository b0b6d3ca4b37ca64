//! Asking Telegram for a file, which is passed on as it comes and never held as a whole.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, stream};
use moka::sync::Cache;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, LOCATION, RANGE, RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{RequestBuilder, Response, StatusCode};
use thiserror::Error;
use url::Url;

use super::MediaHosts;
use super::kind;
use super::range::{ContentRange, Range};
use crate::guard::{Way, WayError, innermost};
use crate::meter;

/// Until the connection stands.
const CONNECT: Duration = Duration::from_secs(3);

/// For the head of an answer.
const HEAD: Duration = Duration::from_secs(10);

/// For the next bytes of a file.
const IDLE: Duration = Duration::from_secs(15);

/// Bytes a second that a server has to send, once it was waited for so long altogether.
const MIN_RATE: (u64, Duration) = (1024, Duration::from_secs(10));

/// For how long a host is left alone that has asked for it, at least and at most.
const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 3;

/// What is asked for to learn what a file is.
const START: Range = Range::From(0, Some(511));

/// Connections that are kept for the next file.
const MAX_IDLE: usize = 16;

/// Files whose kind is remembered.
const MAX_KNOWN: u64 = 10_000;

/// Why a file cannot be passed on.
#[derive(Debug, Error)]
pub enum MediaError {
    /// The address is not good any more.
    #[error("Telegram does not know this address any more (status {0})")]
    Expired(u16),
    /// It leads to a host that files may not come from.
    #[error("the file is at a place from where this service passes nothing on")]
    NotAdmitted,
    /// The server does not answer, or not in time.
    #[error("Telegram's file server cannot be reached")]
    Unreachable(String),
    /// The server is busy, fails, or wants to be left alone.
    #[error("Telegram's file server gives no file at the moment (status {0})")]
    Refused(u16),
    /// The server sent what was not asked for, or broke off.
    #[error("Telegram's file server did not send this file whole, or not as it was asked for")]
    Broken(String),
    /// The file has no such part, only so many bytes.
    #[error("the file has {0} bytes")]
    NoSuchPart(u64),
    /// It is larger than allowed.
    #[error("the file is larger than this service passes on")]
    TooLarge,
    /// It is something else than a picture, a video or a recording.
    #[error("the file is no picture, video or recording")]
    BadType,
}

/// What a file is.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its MIME type, by its own bytes.
    pub mime_type: &'static str,
    /// Its bytes, where the server tells.
    pub total: Option<u64>,
}

/// A file, or a part of it, as it comes.
pub struct Opened {
    /// What it is.
    pub kind: Kind,
    /// Which part, if not the whole.
    pub part: Option<ContentRange>,
    /// Its bytes as they come.
    pub body: Body,
}

/// Asks for files.
pub struct MediaClient {
    http: reqwest::Client,
    hosts: MediaHosts,
    max_size: u64,
    known: Cache<String, Kind>,
    /// Hosts that want to be left alone, and until when.
    resting: Cache<String, Instant>,
}

impl MediaClient {
    /// A client that asks these hosts only, for files of at most so many bytes.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn new(way: &Way, hosts: MediaHosts, max_size: u64) -> Result<Self, WayError> {
        let http = way
            .client(hosts.loopback_names())?
            .connect_timeout(CONNECT)
            // On a connection that several files share, one that nobody takes would hold up the others.
            .http1_only()
            .pool_max_idle_per_host(MAX_IDLE)
            .no_gzip()
            .no_brotli();
        let known = Cache::builder().max_capacity(MAX_KNOWN).build();
        let resting = Cache::builder().max_capacity(MAX_KNOWN).time_to_live(REST.1).build();
        Ok(Self { http: http.build()?, hosts, max_size, known, resting })
    }

    /// What a file is, without having it sent.
    ///
    /// # Errors
    ///
    /// See [`MediaError`].
    pub async fn kind(&self, url: String) -> Result<Kind, MediaError> {
        match self.known.get(&url) {
            Some(kind) => Ok(kind),
            None => self.open_anew(url, Some(START)).await.map(|opened| opened.kind),
        }
    }

    /// A file, or the part of it that is asked for.
    ///
    /// # Errors
    ///
    /// See [`MediaError`].
    pub async fn open(&self, url: String, range: Option<Range>) -> Result<Opened, MediaError> {
        let Some(range) = range else { return self.open_anew(url, None).await };
        // Only its beginning tells what it is.
        let kind = self.kind(url.clone()).await?;
        let response = self.ask(url.clone(), Some(range)).await?;
        match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => match kind.total {
                Some(total) => Err(MediaError::NoSuchPart(total)),
                None => Err(MediaError::Broken(
                    "it has no part of what it does not know the length of".to_owned(),
                )),
            },
            StatusCode::PARTIAL_CONTENT => {
                let part = part_of(&response, range)?;
                self.check_size(Some(part.total))?;
                let kind = Kind { total: Some(part.total), ..kind };
                let body = self.body(response, VecDeque::new(), Some(part.length()));
                Ok(Opened { kind, part: Some(part), body })
            }
            // A server may send the whole in place of a part.
            _ => self.whole(url, response).await,
        }
    }

    /// A file whose kind is not known yet: the whole of it, or its beginning.
    async fn open_anew(&self, url: String, start: Option<Range>) -> Result<Opened, MediaError> {
        let response = self.ask(url.clone(), start).await?;
        match (response.status(), start) {
            (StatusCode::OK, _) => self.whole(url, response).await,
            (StatusCode::PARTIAL_CONTENT, Some(start)) => {
                let part = part_of(&response, start)?;
                self.opened(url, response, Some(part.total), Some(part)).await
            }
            // An empty file has no beginning.
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => Err(MediaError::BadType),
            (status, _) => Err(MediaError::Broken(format!("status {status} was not asked for"))),
        }
    }

    async fn whole(&self, url: String, response: Response) -> Result<Opened, MediaError> {
        let total = response.content_length();
        self.opened(url, response, total, None).await
    }

    /// An answer that begins with the file's first byte.
    async fn opened(
        &self,
        url: String,
        mut response: Response,
        total: Option<u64>,
        part: Option<ContentRange>,
    ) -> Result<Opened, MediaError> {
        self.check_size(total)?;
        let (mut first, mut n_first) = (VecDeque::new(), 0);
        while n_first < kind::ENOUGH
            && let Some(chunk) = next_chunk(&mut response).await.map_err(MediaError::Broken)?
        {
            n_first += chunk.len();
            first.push_back(chunk);
        }
        let start: Vec<u8> = first.iter().flatten().take(kind::ENOUGH).copied().collect();
        let mime_type = kind::of(&start).ok_or(MediaError::BadType)?;
        let kind = Kind { mime_type, total };
        self.known.insert(url, kind);
        let length = part.map_or(total, |part| Some(part.length()));
        Ok(Opened { kind, part, body: self.body(response, first, length) })
    }

    fn body(&self, response: Response, first: VecDeque<Bytes>, length: Option<u64>) -> Body {
        Body { response, first, length, max_size: self.max_size, n_sent: 0, waited: Duration::ZERO }
    }

    fn check_size(&self, total: Option<u64>) -> Result<(), MediaError> {
        if total.is_some_and(|total| total > self.max_size) { Err(MediaError::TooLarge) } else { Ok(()) }
    }

    /// Asks, and follows redirects as far as they lead to hosts that may be asked.
    async fn ask(&self, mut url: String, range: Option<Range>) -> Result<Response, MediaError> {
        for _ in 0..=MAX_REDIRECTS {
            let admitted = self.hosts.admit(&url).ok_or(MediaError::NotAdmitted)?;
            let host = Url::parse(&admitted)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned))
                .unwrap_or_default();
            if self.resting.get(&host).is_some_and(|until| Instant::now() < until) {
                return Err(MediaError::Refused(StatusCode::TOO_MANY_REQUESTS.as_u16()));
            }
            let mut request = self.http.get(admitted).header(ACCEPT_ENCODING, "identity");
            if let Some(range) = range {
                request = request.header(RANGE, range.to_string());
            }
            // A connection that was kept may have ended meanwhile; then a new one is made.
            let again = request.try_clone();
            let mut sent = send(request).await;
            if let (Err(_), Some(again)) = (&sent, again) {
                sent = send(again).await;
            }
            let response = sent?;
            let status = response.status();
            if status.is_redirection() {
                let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                let target = location.and_then(|to| response.url().join(to).ok());
                url = target.ok_or_else(|| MediaError::Broken("a redirect to nowhere".to_owned()))?.into();
                continue;
            }
            return match status {
                StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                    if !is_plain(&response) {
                        Err(MediaError::Broken("it is encoded".to_owned()))
                    } else if !has_end(&response) {
                        Err(MediaError::Broken("it does not say where it ends".to_owned()))
                    } else {
                        Ok(response)
                    }
                }
                StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                    Err(MediaError::Expired(status.as_u16()))
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    let said =
                        response.headers().get(RETRY_AFTER).and_then(|said| said.to_str().ok()?.parse().ok());
                    let rest = said.map_or(REST.0, Duration::from_secs).clamp(REST.0, REST.1);
                    self.resting.insert(host, Instant::now() + rest);
                    Err(MediaError::Refused(status.as_u16()))
                }
                status if status.is_server_error() => Err(MediaError::Refused(status.as_u16())),
                _ => Err(MediaError::Broken(format!("status {status}"))),
            };
        }
        Err(MediaError::Broken("too many redirects".to_owned()))
    }
}

async fn send(request: RequestBuilder) -> Result<Response, MediaError> {
    tokio::time::timeout(HEAD, request.send())
        .await
        .map_err(|_| MediaError::Unreachable("it does not answer in time".to_owned()))?
        .map_err(|err| MediaError::Unreachable(innermost(&err)))
}

/// Bytes are passed on as they come, so they must be the file's own.
fn is_plain(response: &Response) -> bool {
    response.headers().get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity")
}

/// Whether an end that comes too early can be told from the true one: a body may also end with its connection, as those
/// do that are cut (RFC 9112, section 6.3).
fn has_end(response: &Response) -> bool {
    response.content_length().is_some() || response.headers().contains_key(TRANSFER_ENCODING)
}

fn part_of(response: &Response, asked: Range) -> Result<ContentRange, MediaError> {
    let header = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let is_as_long = |part: &ContentRange| response.content_length().is_none_or(|n| n == part.length());
    let part = header.and_then(ContentRange::parse);
    let part = part.filter(|part| part.answers(asked) && is_as_long(part));
    part.ok_or_else(|| MediaError::Broken("another part than was asked for".to_owned()))
}

/// The bytes of a file as they come, which end early only with an error.
pub struct Body {
    response: Response,
    first: VecDeque<Bytes>,
    length: Option<u64>,
    max_size: u64,
    n_sent: u64,
    /// How long the server was waited for; that a client takes its time does not count.
    waited: Duration,
}

impl Body {
    /// How many bytes it has, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The bytes. After an error nothing follows.
    pub fn stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::unfold(Some(self), |body| async {
            let mut body = body?;
            match body.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(body))),
                Ok(None) => None,
                Err(why) => {
                    tracing::warn!(bytes = body.n_sent, "a file is broken off: {why}");
                    Some((Err(io::Error::other(why)), None))
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let mut chunk = self.first.pop_front();
        if chunk.is_none() {
            let asked = Instant::now();
            chunk = next_chunk(&mut self.response).await?;
            self.waited += asked.elapsed();
        }
        let Some(chunk) = chunk else {
            return match self.length {
                Some(length) if self.n_sent < length => Err("it ends before its end".to_owned()),
                _ => Ok(None),
            };
        };
        self.n_sent += chunk.len() as u64;
        meter::media_sent(chunk.len());
        let is_slow = self.waited > MIN_RATE.1 && self.n_sent / self.waited.as_secs().max(1) < MIN_RATE.0;
        if self.n_sent > self.length.unwrap_or(self.max_size) {
            Err("it is longer than it may be".to_owned())
        } else if is_slow {
            Err("it comes too slowly".to_owned())
        } else {
            Ok(Some(chunk))
        }
    }
}

async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, String> {
    match tokio::time::timeout(IDLE, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|err| innermost(&err)),
        Err(_) => Err("nothing more comes".to_owned()),
    }
}
