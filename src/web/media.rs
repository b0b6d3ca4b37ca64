//! Files of posts: `/-/media/{tag}/{channel}/{post}/{n}.{ext}`.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::access::network_of;
use super::error::Error;
use super::server::Peer;
use crate::config::{MediaMode, PublicUrl, ServeArgs};
use crate::files::FileId;
use crate::guard::WayError;
use crate::media::{Links, MediaClient, MediaError, MediaHosts, MediaKeys, Opened, Range};
use crate::meter;
use crate::refresh::Address;

/// For the head of an answer, with all that may have to be read before.
const DEADLINE: Duration = Duration::from_secs(30);

/// Files that are sent at a time, altogether and to one client.
const MAX_STREAMS: usize = 256;
const MAX_STREAMS_OF_CLIENT: usize = 64;

/// How long a client waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// Clients from which on those that have ended are cleared away.
const MANY_CLIENTS: usize = 1000;

/// The file never changes under this address: one that does has another edition.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=2592000, immutable");

/// A channel's photo may change, and has the same address then.
const FOR_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// The right to send one file.
type Turn = [OwnedSemaphorePermit; 2];

/// What all answers with files are about, and what sends them.
pub(super) struct Media {
    client: MediaClient,
    hosts: MediaHosts,
    keys: Arc<MediaKeys>,
    mode: MediaMode,
    streams: Arc<Semaphore>,
    /// Each as long as it sends something.
    of_client: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Media {
    pub(super) fn new(keys: MediaKeys, args: &ServeArgs) -> Result<Self, WayError> {
        let hosts = args.media.media_hosts.clone();
        let max_size = args.own_media.media_max_size.as_u64();
        Ok(Self {
            client: MediaClient::new(&args.upstream.way(), hosts.clone(), max_size)?,
            hosts,
            keys: Arc::new(keys),
            mode: args.own_media.media,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            of_client: Mutex::default(),
        })
    }

    /// How feeds address files, when the service is reached under `base`.
    pub(super) fn links(&self, base: &PublicUrl) -> Links {
        let own = (self.mode != MediaMode::Direct).then(|| (base.to_string(), Arc::clone(&self.keys)));
        Links { hosts: self.hosts.clone(), own }
    }

    /// Tells how many files are being sent.
    pub(super) fn meter(&self) {
        meter::media_streams(MAX_STREAMS - self.streams.available_permits());
    }

    /// What one client may be sent at a time.
    fn streams_of(&self, client: IpAddr) -> Arc<Semaphore> {
        let mut of_client = self.of_client.lock().unwrap_or_else(PoisonError::into_inner);
        if of_client.len() > MANY_CLIENTS {
            of_client.retain(|_, streams| streams.strong_count() > 0);
        }
        let streams = of_client.entry(network_of(client)).or_default();
        streams.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(MAX_STREAMS_OF_CLIENT));
            *streams = Arc::downgrade(&new);
            new
        })
    }

    /// The right to send a file, for as long as it is held.
    async fn turn(&self, client: IpAddr) -> Result<Turn, Error> {
        let of_client = self.streams_of(client);
        let turn = async {
            Ok::<_, tokio::sync::AcquireError>([
                of_client.acquire_owned().await?,
                Arc::clone(&self.streams).acquire_owned().await?,
            ])
        };
        let turn = tokio::time::timeout(TURN, turn).await;
        turn.ok().and_then(Result::ok).ok_or(Error::Overloaded)
    }
}

/// Answers a request for a file.
pub(super) async fn answer(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = tokio::time::timeout(DEADLINE, file(&app, peer, &method, &uri, &headers)).await;
    answer.unwrap_or(Err(Error::TooSlow)).unwrap_or_else(|err| {
        if let Error::Media(err) = &err {
            // Without the signature, which is a secret of the address's reader.
            let file = uri.path().splitn(5, '/').nth(4);
            tracing::warn!(file, "a file cannot be passed on: {err:?}");
        }
        err.answer(&headers)
    })
}

async fn file(
    app: &App,
    peer: Peer,
    method: &Method,
    uri: &Uri,
    request: &HeaderMap,
) -> Result<Response, Error> {
    let media = &app.0.media;
    // Nothing may be added to what was signed.
    let path = Some(uri.path()).filter(|_| uri.query().is_none());
    let file = path.and_then(|path| media.keys.verify(path)).ok_or(Error::Signature)?;
    app.check_served(&file.channel)?;
    if media.mode != MediaMode::Proxy {
        return redirect(app, &file).await;
    }
    // The address is for ever, and so is what it says: it identifies the content. A channel's photo may change.
    let etag = file.post.map(|_| format!("\"{}\"", file.to_string().replace('/', ".")));
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    headers.extend([
        (CACHE_CONTROL, if file.post.is_some() { FOR_EVER } else { FOR_A_DAY }),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ]);
    headers.extend(etag.iter().filter_map(|etag| Some((ETAG, HeaderValue::try_from(etag).ok()?))));
    if etag.as_ref().is_some_and(|etag| is_known(etag, request)) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    let client = app.client(request, peer);
    if *method == Method::HEAD {
        let (kind, _, is_present) =
            fetch(app, &file, client, |Address { url, .. }| media.client.kind(url)).await?;
        without_promises_unless(is_present, headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind.mime_type));
        match kind.total {
            Some(total) => drop(headers.insert(CONTENT_LENGTH, total.into())),
            // A body of which nobody knows the length, rather than one without any bytes.
            None => *answer.body_mut() = Body::from_stream(stream::empty::<io::Result<Bytes>>()),
        }
        return Ok(answer);
    }
    let opened = fetch(app, &file, client, |Address { url, is_present }| {
        media.client.open(url, range(etag.as_deref().filter(|_| is_present), request))
    })
    .await;
    let (Opened { kind, part, body }, turn, is_present) = match opened {
        Err(Error::Media(MediaError::NoSuchPart(total))) => {
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            let headers = answer.headers_mut();
            headers.extend(
                HeaderValue::try_from(format!("bytes */{total}")).map(|range| (CONTENT_RANGE, range)),
            );
            headers.remove(CACHE_CONTROL);
            return Ok(answer);
        }
        opened => opened?,
    };
    without_promises_unless(is_present, headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind.mime_type));
    headers.extend(body.length().map(|length| (CONTENT_LENGTH, length.into())));
    if let Some(part) = part {
        headers.extend(HeaderValue::try_from(part.to_string()).map(|range| (CONTENT_RANGE, range)));
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    // It has its turn until its end.
    let stream = body.stream().map(move |chunk| {
        let _turn = &turn;
        chunk
    });
    *answer.body_mut() = Body::from_stream(stream);
    Ok(answer)
}

/// What a post shows now in place of what it showed when the file was named is no part of that, nor will it stay.
fn without_promises_unless(is_present: bool, headers: &mut HeaderMap) {
    if !is_present {
        headers.remove(ETAG);
        headers.insert(CACHE_CONTROL, FOR_A_DAY);
    }
}

/// Leads to the file's present address.
async fn redirect(app: &App, file: &FileId) -> Result<Response, Error> {
    let address = app.0.channels.address(file, None).await?;
    let url = app.0.media.hosts.admit(&address.url).ok_or(MediaError::NotAdmitted)?;
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::FOUND;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().extend(HeaderValue::try_from(url).map(|url| (LOCATION, url)));
    Ok(answer)
}

/// Does something with a file's address when its turn has come, and once more with a new one when Telegram does not know
/// the first any more.
async fn fetch<T, F>(
    app: &App,
    file: &FileId,
    client: IpAddr,
    ask: impl Fn(Address) -> F,
) -> Result<(T, Turn, bool), Error>
where
    F: Future<Output = Result<T, MediaError>>,
{
    let App(shared) = app;
    let address = shared.channels.address(file, None).await?;
    let turn = shared.media.turn(client).await?;
    match ask(address.clone()).await {
        Err(MediaError::Expired(status)) => {
            tracing::debug!(%file, status, "its address has expired");
            // Others may have their turn while a page is read.
            drop(turn);
            let address = shared.channels.address(file, Some(&address.url)).await?;
            let turn = shared.media.turn(client).await?;
            let answer = ask(address.clone()).await;
            if matches!(answer, Err(MediaError::Expired(_))) {
                shared.channels.give_up(file, address.url);
            }
            Ok((answer?, turn, address.is_present))
        }
        answer => Ok((answer?, turn, address.is_present)),
    }
}

fn is_known(etag: &str, request: &HeaderMap) -> bool {
    let own = etag.parse::<ETag>().ok();
    let asked = request.contains_key(IF_NONE_MATCH).then(|| request.typed_get::<IfNoneMatch>()).flatten();
    own.zip(asked).is_some_and(|(own, tags)| !tags.precondition_passes(&own))
}

/// The part that is asked for, unless it is of another file than this has become (RFC 9110, section 13.1.5).
fn range(etag: Option<&str>, request: &HeaderMap) -> Option<Range> {
    let range = Range::parse(request.get(RANGE)?.to_str().ok()?)?;
    let is_same = |condition: &HeaderValue| etag.is_some_and(|etag| condition == etag);
    request.get(IF_RANGE).is_none_or(is_same).then_some(range)
}
