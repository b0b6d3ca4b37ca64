//! Rendered feeds in memory: each is rendered once per snapshot and encoding, however many requests ask for it.

use std::io;
use std::sync::{Arc, Weak};

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use moka::sync::Cache;

use super::caching::Validators;
use super::encoding::Encoding;
use super::error::Error;
use crate::channels::{CachedChannel, CompressedSnapshot};
use crate::clock;
use crate::cpu_pool;
use crate::feed::options::FeedOptions;
use crate::feed::{self, Format};
use crate::metrics;
use crate::model::channel::ChannelName;
use crate::model::post::Snapshot;
use crate::resilience::single_flight::SingleFlight;

/// Approximate size of an entry beside the feed itself, in bytes.
const ENTRY_OVERHEAD: usize = 1024;

/// A feed is cached under its self URL, which ends with its format. Most feeds are only requested in one encoding.
type Key = (String, Encoding);

/// Renderings of different snapshots do not wait for each other; a snapshot is identified by its memory address.
type RenderKey = (Key, usize);

/// Rendered feeds.
pub(super) struct FeedCache {
    feeds: Cache<Key, Arc<RenderedFeed>>,
    renderings: Arc<SingleFlight<RenderKey, Option<Arc<RenderedFeed>>>>,
}

impl FeedCache {
    /// Returns an empty cache of at most `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        let weigher = |key: &Key, feed: &Arc<RenderedFeed>| {
            u32::try_from(ENTRY_OVERHEAD + key.0.len() + feed.body.len()).unwrap_or(u32::MAX)
        };
        let feeds = Cache::builder().max_capacity(max_bytes).weigher(weigher).build();
        Self { feeds, renderings: SingleFlight::new() }
    }

    /// Returns the feed with this self URL, which may have been rendered from an older snapshot.
    pub(super) fn get(&self, self_url: String, encoding: Encoding) -> Option<Arc<RenderedFeed>> {
        self.feeds.get(&(self_url, encoding))
    }

    /// Returns the feed of a snapshot, rendered if needed.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] if rendering fails; the cause is logged.
    pub(super) async fn get_or_render(
        &self,
        channel: ChannelName,
        snapshot: &Arc<CompressedSnapshot>,
        format: Format,
        encoding: Encoding,
        options: FeedOptions,
    ) -> Result<Arc<RenderedFeed>, Error> {
        let key = (options.self_url.clone(), encoding);
        if let Some(feed) = current(&self.feeds, &key, snapshot) {
            return Ok(feed);
        }
        let address = Arc::as_ptr(snapshot).addr();
        let (feeds, snapshot) = (self.feeds.clone(), Arc::clone(snapshot));
        let render = || async move {
            // Another rendering may have finished since the lookup.
            let key = (options.self_url.clone(), encoding);
            if let Some(feed) = current(&feeds, &key, &snapshot) {
                return Some(feed);
            }
            let render = move || RenderedFeed::new(channel, &snapshot, format, encoding, &options);
            let feed = cpu_pool::try_run(render).await;
            let feed = feed.inspect_err(|err| tracing::error!(error = %err, "cannot render a feed")).ok()?;
            let feed = Arc::new(feed);
            feeds.insert(key, Arc::clone(&feed));
            Some(feed)
        };
        self.renderings.run((key, address), render).await.flatten().ok_or(Error::Internal)
    }
}

/// Returns the cached feed if it was rendered from this snapshot.
fn current(
    feeds: &Cache<Key, Arc<RenderedFeed>>,
    key: &Key,
    snapshot: &Arc<CompressedSnapshot>,
) -> Option<Arc<RenderedFeed>> {
    feeds.get(key).filter(|feed| feed.is_of(snapshot))
}

/// A rendered feed in one encoding.
pub(super) struct RenderedFeed {
    channel: ChannelName,
    format: Format,
    encoding: Encoding,
    body: Bytes,
    validators: Validators,
    /// The snapshot this was rendered from; if it is no longer current, the rendering is stale.
    snapshot: Weak<CompressedSnapshot>,
}

impl RenderedFeed {
    fn new(
        channel: ChannelName,
        snapshot: &Arc<CompressedSnapshot>,
        format: Format,
        encoding: Encoding,
        options: &FeedOptions,
    ) -> io::Result<Self> {
        let (body, validators) = render(&snapshot.decompress()?, snapshot.changed(), format, options);
        let body = encoding.encode(body)?;
        Ok(Self { channel, format, encoding, body, validators, snapshot: Arc::downgrade(snapshot) })
    }

    /// Returns the name that the channel was requested by.
    pub(super) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Returns whether this was rendered from a snapshot.
    pub(super) fn is_of(&self, snapshot: &Arc<CompressedSnapshot>) -> bool {
        self.snapshot.as_ptr() == Arc::as_ptr(snapshot)
    }

    /// Returns the response to a request.
    pub(super) fn respond(&self, cached: &CachedChannel, request: &HeaderMap) -> Response {
        respond(&self.validators, self.format, self.encoding, self.body.clone(), cached, request)
    }
}

/// Renders a feed. `changed` is the last visible change that no post's own timestamp shows.
pub(super) fn render(
    snapshot: &Snapshot,
    changed: Option<Timestamp>,
    format: Format,
    options: &FeedOptions,
) -> (Vec<u8>, Validators) {
    let feed = feed::build(snapshot, options);
    let body = feed::render(&feed, format);
    // With Telegram's own media URLs, a feed changes whenever they do, and nobody records when.
    let has_stable_urls = options.media.proxy.is_some();
    let modified = changed.map_or(feed.updated, |changed| changed.max(feed.updated));
    let validators = Validators::new(&body, has_stable_urls.then_some(modified), clock::now());
    (body, validators)
}

/// Returns the feed, or 304 if the client has it.
pub(super) fn respond(
    validators: &Validators,
    format: Format,
    encoding: Encoding,
    body: Bytes,
    cached: &CachedChannel,
    request: &HeaderMap,
) -> Response {
    metrics::cache_lookup(cached.status.code());
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    validators.write(headers, cached);
    if validators.match_request(request) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    *response.body_mut() = body.into();
    response
}
