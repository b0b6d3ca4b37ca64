//! Feeds: `/{channel}/rss`, `/{channel}/atom`, `/{channel}/json`.

use std::io;
use std::sync::{Arc, Weak};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use bytesize::ByteSize;
use jiff::Timestamp;
use moka::sync::Cache;

use super::App;
use super::caching::Validators;
use super::encoding::{Encoded, Encoding};
use super::error::Error;
use super::pages;
use super::server::Peer;
use crate::archive::{Depth, MAX_PAGE, Newer};
use crate::cache::{Flights, Packed};
use crate::channel::ChannelName;
use crate::feed::options::FeedOptions;
use crate::feed::{self, Format};
use crate::meter::{self, Found};
use crate::post::{PostId, Snapshot};
use crate::refresh::{self, Origin, STALE, Served};
use crate::telegram::address::AddressError;
use crate::work;

/// Answers every address that is not the service's own: a feed of a channel, or the channel's page.
pub(super) async fn answer(
    State(app): State<App>,
    Path(path): Path<String>,
    Extension(peer): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = path.trim_end_matches('/');
    let answer = match path.rsplit_once('/').map(|(typed, name)| (typed, Format::from_name(name))) {
        Some((typed, Some(format))) => {
            let url = self_url(&app, &headers, peer, &uri);
            match uri.query() {
                None => feed(&app, typed, format, url, peer, &headers).await,
                Some(query) => page(&app, typed, format, (url, query), peer, &headers).await,
            }
        }
        _ => channel_page(&app, path, peer, &headers),
    };
    answer.unwrap_or_else(|err| err.answer(&headers))
}

/// The page of a channel, by whatever a person may type for it.
fn channel_page(app: &App, typed: &str, peer: Peer, headers: &HeaderMap) -> Result<Response, Error> {
    pages::channel(app, &app.base(headers, peer), typed).map_err(|err| {
        let is_none = matches!(err, Error::Address(AddressError::NotAChannel(_)));
        match typed.rsplit_once('/').filter(|_| is_none).map(|(typed, feed)| (app.channel(typed), feed)) {
            // It is quoted, but not at any length.
            Some((Ok(name), feed)) => Error::NoSuchFeed(feed.chars().take(32).collect(), name),
            _ => err,
        }
    })
}

/// The answer to a request for a feed that is kept as it is asked for, which nearly all requests are.
///
/// It takes two look-ups and cannot fail, so it needs none of the layers around the routes.
pub(super) fn kept<B>(app: &App, request: &Request<B>, peer: Peer) -> Option<Response> {
    let asks = matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().query().is_none();
    let rendered =
        app.0.rendered.kept.get(&asks.then(|| self_url(app, request.headers(), peer, request.uri()))?)?;
    let served = app.0.channels.known(&rendered.channel)?;
    rendered.is_of(&served.snapshot).then(|| rendered.answer(&served, request.headers()))
}

async fn feed(
    app: &App,
    typed: &str,
    format: Format,
    self_url: String,
    peer: Peer,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let name = app.channel(typed)?;
    let served = app.0.channels.get(&name).await?;
    // It may have another name, by which it is not.
    app.check_served(served.snapshot.channel())?;
    let media = app.0.media.links(&app.base(headers, peer));
    let options = FeedOptions { self_url, media, ..FeedOptions::default() };
    let rendered = app.0.rendered.get(name, &served.snapshot, format, options).await?;
    Ok(rendered.answer(&served, headers))
}

/// A page of a feed, as large as asked, and as old: `?limit=N`, `?before=ID`, or both.
async fn page(
    app: &App,
    typed: &str,
    format: Format,
    (url, query): (String, &str),
    peer: Peer,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let name = app.channel(typed)?;
    let depth = depth(query)?;
    let (view, mut served) = app.0.channels.view(&name, depth).await?;
    app.check_served(served.snapshot.channel())?;
    if view.gap.is_some() {
        // There is more to come.
        served.max_age = served.max_age.min(STALE);
    }
    let snapshot = view.snapshot.ok_or(Error::NothingOlder)?;
    let limit = depth.limit.map(|limit| format!("limit={limit}"));
    let newer = view.newer.map(|newer| {
        let before = match newer {
            Newer::Newest => None,
            Newer::Before(id) => Some(format!("before={id}")),
        };
        let parameters: Vec<String> = before.into_iter().chain(limit).collect();
        if parameters.is_empty() { url.clone() } else { format!("{url}?{}", parameters.join("&")) }
    });
    let options = FeedOptions {
        self_url: format!("{url}?{query}"),
        limit: depth.limit,
        prev_url: newer,
        media: app.0.media.links(&app.base(headers, peer)),
    };
    let encoding = Encoding::accepted(headers);
    let render = move || {
        let (body, validators) = rendered(&snapshot, view.changed, format, &options);
        Ok::<_, io::Error>((encoding.encode(body)?, validators))
    };
    let done = work::off_thread(render).await.map_err(io::Error::other).flatten();
    let (body, validators) = done.map_err(|err| {
        tracing::error!("making a feed failed: {err}");
        Error::Broken
    })?;
    Ok(respond(&validators, format, |_| body, &served, headers))
}

/// What is asked for behind the question mark.
fn depth(query: &str) -> Result<Depth, Error> {
    let mut depth = Depth { before: None, limit: None };
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "limit" if depth.limit.is_none() => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                depth.limit = Some(limit.ok_or(Error::Limit)?);
            }
            "before" if depth.before.is_none() => {
                depth.before = Some(value.parse().ok().and_then(PostId::new).ok_or(Error::Before)?);
            }
            _ => return Err(Error::Query),
        }
    }
    Ok(depth)
}

/// Exactly what was asked, as the feed names itself, without parameters.
fn self_url(app: &App, headers: &HeaderMap, peer: Peer, uri: &Uri) -> String {
    app.base(headers, peer).with_path(uri.path())
}

/// A feed as bytes.
struct Rendered {
    channel: ChannelName,
    format: Format,
    body: Encoded,
    validators: Validators,
    /// What it was rendered from, to know when it is of yesterday.
    of: Weak<Packed>,
}

impl Rendered {
    fn new(
        channel: ChannelName,
        snapshot: &Arc<Packed>,
        format: Format,
        options: &FeedOptions,
    ) -> io::Result<Self> {
        let (body, validators) = rendered(&snapshot.unpack()?, snapshot.changed(), format, options);
        Ok(Self { channel, format, body: Encoded::new(body)?, validators, of: Arc::downgrade(snapshot) })
    }

    fn is_of(&self, snapshot: &Arc<Packed>) -> bool {
        self.of.as_ptr() == Arc::as_ptr(snapshot)
    }

    fn answer(&self, served: &Served, request: &HeaderMap) -> Response {
        respond(&self.validators, self.format, |encoding| self.body.get(encoding), served, request)
    }
}

/// A feed as bytes, with what identifies them. Something that no post tells has changed at `changed`.
fn rendered(
    snapshot: &Snapshot,
    changed: Option<Timestamp>,
    format: Format,
    options: &FeedOptions,
) -> (Vec<u8>, Validators) {
    let feed = feed::build(snapshot, options);
    let body = feed::render(&feed, format);
    // With Telegram's own addresses in it, a feed changes when they do, of which there is no record.
    let is_direct = options.media.own.is_none();
    let modified = changed.map_or(feed.updated, |changed| changed.max(feed.updated));
    let modified = (!is_direct).then_some(modified);
    let validators = Validators::new(&body, modified, refresh::now());
    (body, validators)
}

/// The answer to a request: the feed, or that the reader has it.
fn respond(
    validators: &Validators,
    format: Format,
    body: impl FnOnce(Encoding) -> Bytes,
    served: &Served,
    request: &HeaderMap,
) -> Response {
    meter::looked_up(match served.origin {
        Origin::Cache => Found::Fresh,
        Origin::Stale(..) => Found::Stale,
        Origin::Upstream => Found::Nothing,
    });
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    validators.write(headers, served);
    if validators.known_to(request) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    let encoding = Encoding::accepted(request);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    *answer.body_mut() = body(encoding).into();
    answer
}

/// A feed is rendered for its own address, in the format at the end of it.
type Key = String;

/// What is rendered counts too, by its place in memory: a newer snapshot does not wait for an older one.
type FlightKey = (Key, usize);

/// What the cache itself and the validators take for an entry, roughly.
const ENTRY: usize = 1024;

/// Feeds that were rendered, each once for as long as its snapshot lasts.
pub(super) struct RenderedFeeds {
    kept: Cache<Key, Arc<Rendered>>,
    flights: Arc<Flights<FlightKey, Option<Arc<Rendered>>>>,
}

impl RenderedFeeds {
    pub(super) fn new(max_size: ByteSize) -> Self {
        let weigher = |key: &Key, feed: &Arc<Rendered>| {
            u32::try_from(ENTRY + key.len() + feed.body.len()).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(max_size.as_u64() / 5).weigher(weigher).build();
        Self { kept, flights: Flights::new() }
    }

    async fn get(
        &self,
        channel: ChannelName,
        snapshot: &Arc<Packed>,
        format: Format,
        options: FeedOptions,
    ) -> Result<Arc<Rendered>, Error> {
        let key = options.self_url.clone();
        if let Some(feed) = current(&self.kept, &key, snapshot) {
            return Ok(feed);
        }
        let of = Arc::as_ptr(snapshot).addr();
        let (kept, snapshot) = (self.kept.clone(), Arc::clone(snapshot));
        let rendering = || async move {
            // Another rendering may have ended between the look into the cache and this one.
            let key = options.self_url.clone();
            if let Some(feed) = current(&kept, &key, &snapshot) {
                return Some(feed);
            }
            let render = move || Rendered::new(channel, &snapshot, format, &options);
            let feed = work::off_thread(render).await;
            let feed = feed.inspect_err(|err| tracing::error!("making a feed failed: {err}")).ok()?;
            let feed = feed.inspect_err(|err| tracing::error!("a feed cannot be made: {err}")).ok()?;
            let feed = Arc::new(feed);
            kept.insert(key, Arc::clone(&feed));
            Some(feed)
        };
        self.flights.start((key, of), rendering).await.flatten().ok_or(Error::Broken)
    }
}

fn current(kept: &Cache<Key, Arc<Rendered>>, key: &Key, snapshot: &Arc<Packed>) -> Option<Arc<Rendered>> {
    kept.get(key).filter(|feed| feed.is_of(snapshot))
}
