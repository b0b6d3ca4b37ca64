//! Rendered feeds in memory: each is rendered once per snapshot and encoding, however many requests ask for it.

use std::io;
use std::sync::{Arc, Weak};

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use moka::Entry;
use moka::sync::Cache;

use super::base_url::BaseUrl;
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

/// Renderings of one feed. Without `--public-url` the client chooses the host.
const MAX_VARIANTS: usize = 6;

/// What the bytes of a feed depend on, besides its path and its posts. Most feeds are only requested in one variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    pub(super) base_url: BaseUrl,
    pub(super) encoding: Encoding,
}

/// The canonical path of a feed, which ends with its format.
type FeedPath = String;

/// Renderings of different snapshots do not wait for each other; a snapshot is identified by its memory address.
type RenderKey = (FeedPath, Variant, usize);

/// Rendered feeds.
pub(super) struct FeedCache {
    /// The newest rendering of each feed is first.
    feeds: Cache<FeedPath, Arc<[Arc<RenderedFeed>]>>,
    renderings: Arc<SingleFlight<RenderKey, Option<Arc<RenderedFeed>>>>,
}

impl FeedCache {
    /// Returns an empty cache of at most `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Arc<Self> {
        let weigher = |path: &FeedPath, feeds: &Arc<[Arc<RenderedFeed>]>| {
            let bodies: usize = feeds.iter().map(|feed| ENTRY_OVERHEAD + feed.body.len()).sum();
            u32::try_from(path.len() + bodies).unwrap_or(u32::MAX)
        };
        let feeds = Cache::builder().max_capacity(max_bytes).weigher(weigher).build();
        Arc::new(Self { feeds, renderings: SingleFlight::new() })
    }

    /// Returns the feed with this canonical path, which may have been rendered from an older snapshot.
    pub(super) fn get(&self, path: &str, variant: &Variant) -> Option<Arc<RenderedFeed>> {
        self.feeds.get(path)?.iter().find(|feed| feed.variant == *variant).cloned()
    }

    /// Returns the feed of a snapshot, rendered if needed. Its self URL is the base URL with the path.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] if rendering fails; the cause is logged.
    pub(super) async fn get_or_render(
        self: &Arc<Self>,
        channel: ChannelName,
        snapshot: &Arc<CompressedSnapshot>,
        format: Format,
        path: &str,
        variant: Variant,
        options: FeedOptions,
    ) -> Result<Arc<RenderedFeed>, Error> {
        if let Some(feed) = self.current(path, &variant, snapshot) {
            return Ok(feed);
        }
        let path = path.to_owned();
        let key = (path.clone(), variant.clone(), Arc::as_ptr(snapshot).addr());
        let (cache, snapshot) = (Arc::clone(self), Arc::clone(snapshot));
        let render = || async move {
            // Another rendering may have finished since the lookup.
            if let Some(feed) = cache.current(&path, &variant, &snapshot) {
                return Some(feed);
            }
            let n_bytes = snapshot.json_len();
            let render = move || RenderedFeed::new(channel, variant, &snapshot, format, &options);
            let feed = cpu_pool::try_run(n_bytes, render).await;
            let feed = feed.inspect_err(|err| tracing::error!(error = %err, "cannot render a feed")).ok()?;
            let feed = Arc::new(feed);
            cache.insert(path, &feed);
            Some(feed)
        };
        self.renderings.run(key, render).await.flatten().ok_or(Error::Internal)
    }

    /// Returns the cached feed if it was rendered from this snapshot.
    fn current(
        &self,
        path: &str,
        variant: &Variant,
        snapshot: &Arc<CompressedSnapshot>,
    ) -> Option<Arc<RenderedFeed>> {
        self.get(path, variant).filter(|feed| feed.is_of(snapshot))
    }

    /// Adds a rendering. The oldest one is removed if there are too many.
    fn insert(&self, path: FeedPath, feed: &Arc<RenderedFeed>) {
        let with_others = |entry: Option<Entry<FeedPath, Arc<[Arc<RenderedFeed>]>>>| {
            let others = entry.iter().flat_map(|entry| entry.value().iter());
            let others = others.filter(|other| other.variant != feed.variant).take(MAX_VARIANTS - 1);
            std::iter::once(feed).chain(others).cloned().collect()
        };
        self.feeds.entry(path).and_upsert_with(with_others);
    }
}

/// A rendered feed.
pub(super) struct RenderedFeed {
    channel: ChannelName,
    variant: Variant,
    format: Format,
    body: Bytes,
    validators: Validators,
    /// The snapshot this was rendered from; if it is no longer current, the rendering is stale.
    snapshot: Weak<CompressedSnapshot>,
}

impl RenderedFeed {
    fn new(
        channel: ChannelName,
        variant: Variant,
        snapshot: &Arc<CompressedSnapshot>,
        format: Format,
        options: &FeedOptions,
    ) -> io::Result<Self> {
        let (body, validators) = render(&snapshot.decompress()?, snapshot.changed(), format, options);
        let body = variant.encoding.encode(body)?;
        Ok(Self { channel, variant, format, body, validators, snapshot: Arc::downgrade(snapshot) })
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
        respond(&self.validators, self.format, self.variant.encoding, self.body.clone(), cached, request)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::signed_url::MediaLinker;
    use crate::model::channel::Channel;
    use crate::model::rich_text::RichText;

    fn snapshot() -> Arc<CompressedSnapshot> {
        let channel = Channel {
            name: ChannelName::new("sample").unwrap(),
            id: None,
            url: "https://example.org/sample".into(),
            title: "Sample".into(),
            about: RichText::default(),
            photo: None,
            counters: Vec::new(),
            verified: false,
            warning: None,
            signature_lines: Vec::new(),
        };
        let snapshot = Snapshot { channel, posts: Vec::new(), has_older: false };
        Arc::new(CompressedSnapshot::new(&snapshot, None).unwrap())
    }

    #[tokio::test]
    async fn a_feed_has_few_renderings_that_differ_by_host() {
        let (cache, snapshot) = (FeedCache::new(1 << 20), snapshot());
        let host = |n| Variant {
            base_url: BaseUrl::of_host("http", &format!("host-{n}.example")),
            encoding: Encoding::Gzip,
        };
        for n in 0..100 {
            let variant = host(n);
            let media = MediaLinker { hosts: "media.example.org".parse().unwrap(), proxy: None };
            let self_url = variant.base_url.with_path("/sample/rss");
            let options = FeedOptions { self_url, media, ..FeedOptions::default() };
            let name = snapshot.channel().clone();
            let feed = cache
                .get_or_render(name, &snapshot, Format::Rss, "/sample/rss", variant, options)
                .await
                .unwrap_or_else(|err| panic!("{err}"));
            assert!(feed.is_of(&snapshot) && cache.get("/sample/rss", &host(n)).is_some());
        }
        let cached: Vec<_> = (0..100).filter(|n| cache.get("/sample/rss", &host(*n)).is_some()).collect();
        assert_eq!(cached, [94, 95, 96, 97, 98, 99]);
    }
}
