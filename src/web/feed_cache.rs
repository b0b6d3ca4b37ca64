//! Rendered feeds in memory: each is rendered once per snapshot and encoding, however many requests ask for it.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use moka::Entry;
use moka::sync::Cache;

use super::base_url::BaseUrl;
use super::caching::Validators;
use super::context::RequestContext;
use super::encoding::Encoding;
use super::error::{Error, is_browser};
use crate::channels::{CachedChannel, CompressedSnapshot, STALE_MAX_AGE};
use crate::clock;
use crate::cpu_pool;
use crate::feed::options::FeedOptions;
use crate::feed::{self, Feed, Format};
use crate::metrics;
use crate::model::channel::{Channel, ChannelName};
use crate::model::post::PostId;
use crate::resilience::single_flight::SingleFlight;

/// Approximate size of an entry beside the feed itself, in bytes.
const ENTRY_OVERHEAD: usize = 1024;

/// Renderings of one feed. Without `--public-url` the client chooses the host.
const MAX_VARIANTS: usize = 6;

/// The inputs of a feed's bytes besides its path, options and posts. Most feeds are only requested in one variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    pub(super) base_url: BaseUrl,
    pub(super) encoding: Encoding,
}

impl Variant {
    /// Returns the variant that a request gets.
    pub(super) fn of(context: &RequestContext, headers: &HeaderMap) -> Self {
        Self { base_url: context.base_url.clone(), encoding: Encoding::accepted(headers) }
    }
}

/// The canonical path of a feed, which ends with its format, and its canonical query.
type FeedPath = String;

/// Renderings of different snapshots do not wait for each other; a snapshot is identified by its memory address.
type RenderKey = (FeedPath, Variant, Vec<usize>, String);

/// Posts that have pages here.
pub(super) type ArchivedPosts = HashSet<(ChannelName, PostId)>;

/// A feed before it is rendered.
pub(super) struct LoadedFeed {
    pub(super) feed: Feed,
    /// The source of the posts.
    pub(super) origin: Origin,
    /// The number of posts that were looked at for the feed.
    pub(super) n_looked_at: usize,
    /// The last visible change that no post's own timestamp shows.
    pub(super) changed: Option<Timestamp>,
    /// When the posts are to be selected again although the snapshots are the same.
    pub(super) expires: Option<Timestamp>,
    /// A later selection may have more posts at any time, so the feed is not cached, and its readers may cache it only as long as
    /// a stale one.
    pub(super) is_incomplete: bool,
    /// The posts that entries link to and that have pages here. Only pages need them.
    pub(super) archived: ArchivedPosts,
}

/// The source of a feed's posts.
pub(super) enum Origin {
    /// One channel.
    Channel(Box<Channel>),
    /// Several channels. Holds the note about those that have no posts in the feed.
    Several(String),
}

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

    /// Returns the approximate number of feeds and their bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.feeds.entry_count(), self.feeds.weighted_size())
    }

    /// Returns the feed with this canonical path, which may have been rendered from an older snapshot.
    pub(super) fn get(
        &self,
        path: &str,
        base_url: &BaseUrl,
        encoding: Encoding,
    ) -> Option<Arc<RenderedFeed>> {
        let is_variant = |variant: &Variant| variant.encoding == encoding && variant.base_url == *base_url;
        self.feeds.get(path)?.iter().find(|feed| is_variant(&feed.variant)).cloned()
    }

    /// Returns the feed of the snapshots of its channels, rendered if needed from what `load` returns.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] if rendering fails; the cause is logged.
    pub(super) async fn get_or_render<F>(
        self: &Arc<Self>,
        request: RenderRequest,
        snapshots: &[Arc<CompressedSnapshot>],
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Arc<RenderedFeed>, Error>
    where
        F: Future<Output = io::Result<LoadedFeed>> + Send,
    {
        if let Some(feed) = self.current(&request, snapshots) {
            return Ok(feed);
        }
        let addresses = snapshots.iter().map(|snapshot| Arc::as_ptr(snapshot).addr()).collect();
        let key = (request.path.clone(), request.variant.clone(), addresses, request.note.clone());
        let (cache, snapshots) = (Arc::clone(self), snapshots.to_vec());
        let render = || async move {
            // Another rendering may have finished since the lookup.
            if let Some(feed) = cache.current(&request, &snapshots) {
                return Some(feed);
            }
            let n_bytes = snapshots.iter().map(|snapshot| snapshot.json_len()).sum();
            let snapshots = snapshots.iter().map(Arc::downgrade).collect();
            let path = request.path.clone();
            let mut is_cached = true;
            let feed = match load().await {
                Ok(loaded) => {
                    is_cached = !loaded.is_incomplete;
                    let render = move || RenderedFeed::new(request, snapshots, &loaded);
                    cpu_pool::try_run(n_bytes, render).await
                }
                Err(err) => Err(err),
            };
            let log = |err: &_| tracing::error!(feed = %path, error = %err, "cannot render a feed");
            let feed = feed.inspect_err(log).ok()?;
            // A copy by this thread: see `cpu_pool`.
            let feed = Arc::new(RenderedFeed { body: Bytes::copy_from_slice(&feed.body), ..feed });
            if is_cached {
                cache.insert(path, &feed);
            }
            Some(feed)
        };
        self.renderings.run(key, render).await.flatten().ok_or(Error::Internal)
    }

    /// Returns the cached feed if it was rendered from these snapshots.
    pub(super) fn current(
        &self,
        request: &RenderRequest,
        snapshots: &[Arc<CompressedSnapshot>],
    ) -> Option<Arc<RenderedFeed>> {
        let Variant { base_url, encoding } = &request.variant;
        let feed = self.get(&request.path, base_url, *encoding)?;
        (feed.note == request.note && feed.is_of(snapshots)).then_some(feed)
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

/// Renders a loaded feed.
type Render = Box<dyn FnOnce(&LoadedFeed) -> Vec<u8> + Send>;

/// How a loaded feed becomes the body of a response.
pub(super) struct Rendering {
    /// The headers of responses with this body, which replace general ones.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Returns the body.
    pub(super) render: Render,
}

impl From<Format> for Rendering {
    fn from(format: Format) -> Self {
        Self {
            headers: vec![
                (CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
                (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            ],
            render: Box::new(move |loaded| feed::render(&loaded.feed, format)),
        }
    }
}

/// Returns the channel that is to be read again first, which decides how long a feed may be cached.
pub(super) fn soonest(cached: impl IntoIterator<Item = CachedChannel>) -> Option<CachedChannel> {
    cached.into_iter().min_by_key(|cached| cached.max_age)
}

/// A feed that is requested.
pub(super) struct RenderRequest {
    pub(super) path: FeedPath,
    /// The names that the channels were requested by.
    pub(super) channels: Vec<ChannelName>,
    pub(super) rendering: Rendering,
    pub(super) variant: Variant,
    /// The feed's notes about channels that have no posts in it, added to the posts of the others.
    pub(super) note: String,
    /// The times in the feed tell when its bytes changed.
    pub(super) has_last_modified: bool,
}

/// Returns the key of a feed in the cache.
pub(super) fn feed_path(path: &str, options: &FeedOptions) -> FeedPath {
    let query = options.query();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A rendered feed.
pub(super) struct RenderedFeed {
    channels: Vec<ChannelName>,
    headers: Vec<(HeaderName, HeaderValue)>,
    variant: Variant,
    note: String,
    body: Bytes,
    validators: Validators,
    /// See [`LoadedFeed::expires`].
    expires: Option<Timestamp>,
    /// The snapshots this was rendered from; if one is no longer current, the rendering is stale.
    snapshots: Vec<Weak<CompressedSnapshot>>,
}

impl RenderedFeed {
    fn new(
        request: RenderRequest,
        snapshots: Vec<Weak<CompressedSnapshot>>,
        loaded: &LoadedFeed,
    ) -> io::Result<Self> {
        let RenderRequest { channels, rendering, variant, note, has_last_modified, .. } = request;
        let LoadedFeed { feed, changed, is_incomplete, .. } = loaded;
        let at_most = is_incomplete.then(|| clock::now() + STALE_MAX_AGE);
        let expires = loaded.expires.into_iter().chain(at_most).min();
        let body = (rendering.render)(loaded);
        let modified = changed.map_or(feed.updated, |changed| changed.max(feed.updated));
        let validators = Validators::new(&body, has_last_modified.then_some(modified), clock::now());
        let body = variant.encoding.encode(body)?;
        let headers = rendering.headers;
        Ok(Self { channels, headers, variant, note, body, validators, expires, snapshots })
    }

    /// Returns the names that the channels were requested by.
    pub(super) fn channels(&self) -> &[ChannelName] {
        &self.channels
    }

    /// Returns whether this was rendered from these snapshots, and has not expired.
    pub(super) fn is_of<'a>(&self, snapshots: impl IntoIterator<Item = &'a Arc<CompressedSnapshot>>) -> bool {
        self.snapshots.iter().map(Weak::as_ptr).eq(snapshots.into_iter().map(Arc::as_ptr))
            && self.expires.is_none_or(|expires| clock::now() < expires)
    }

    /// Returns the response to a request: the feed, or 304 if the client has it.
    pub(super) fn respond(&self, mut cached: CachedChannel, request: &HeaderMap) -> Response {
        metrics::cache_lookup(cached.status.code());
        if let Some(expires) = self.expires {
            let left = Duration::try_from(expires.duration_since(clock::now())).unwrap_or_default();
            // Rounded up: `max-age` has whole seconds.
            cached.max_age = cached.max_age.min(Duration::from_secs(left.as_secs() + 1));
        }
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        self.validators.write(headers, &cached);
        // A 304 response has these headers too (RFC 9110, section 15.4.5).
        for (name, value) in self.headers.iter().filter(|(name, _)| [CACHE_CONTROL, VARY].contains(name)) {
            headers.insert(name, value.clone());
        }
        if self.validators.match_request(request) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if is_browser(request) && self.headers.iter().any(|(_, value)| is_xml_feed(value)) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
        }
        if let Some(name) = self.variant.encoding.name() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        *response.body_mut() = self.body.clone().into();
        response
    }
}

/// Returns whether this is the `Content-Type` of RSS or Atom. Browsers apply the stylesheet of XML to `text/xml` only, which
/// every feed reader accepts too, so that caches need not tell them apart.
fn is_xml_feed(content_type: &HeaderValue) -> bool {
    [Format::Rss, Format::Atom].iter().any(|format| content_type == format.content_type())
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::feed::context::FeedContext;
    use crate::media::signed_url::MediaLinker;
    use crate::model::channel::Channel;
    use crate::model::post::Snapshot;

    fn snapshot() -> Arc<CompressedSnapshot> {
        let name = ChannelName::new("sample").unwrap();
        let channel = Channel::new(name, "https://example.org/sample".into(), "Sample".into());
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
        let is_cached =
            |cache: &FeedCache, n| cache.get("/sample/rss", &host(n).base_url, Encoding::Gzip).is_some();
        for n in 0..100 {
            let variant = host(n);
            let media =
                MediaLinker { hosts: "media.example.org".parse().unwrap(), proxy: None, redirects: false };
            let url = variant.base_url.with_path("/sample/rss");
            let context = FeedContext { url, media, ..FeedContext::default() };
            let request = RenderRequest {
                path: "/sample/rss".into(),
                channels: vec![snapshot.channel().clone()],
                rendering: Format::Rss.into(),
                variant,
                note: String::new(),
                has_last_modified: false,
            };
            let feed = feed::build(&snapshot.decompress().unwrap().into(), &context);
            let load = || async {
                Ok(LoadedFeed {
                    feed,
                    origin: Origin::Several(String::new()),
                    n_looked_at: 0,
                    changed: None,
                    expires: None,
                    is_incomplete: false,
                    archived: ArchivedPosts::new(),
                })
            };
            let feed = cache.get_or_render(request, slice::from_ref(&snapshot), load).await;
            let feed = feed.unwrap_or_else(|err| panic!("{err}"));
            assert!(feed.is_of([&snapshot]) && is_cached(&cache, n));
        }
        let cached: Vec<_> = (0..100).filter(|n| is_cached(&cache, *n)).collect();
        assert_eq!(cached, [94, 95, 96, 97, 98, 99]);
    }
}
