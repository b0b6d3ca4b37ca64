//! Resolves a media file to its current URL at Telegram: URLs expire, and the page that shows the post has new ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::error::{MediaError, ResolveError};
use crate::archive::{Archive, Caller, Lease, MAX_ALBUM_ITEMS, PageScope, SeenMediaUrls};
use crate::channels::{Channels, RefreshError, fetch_page, fetch_widget, to_archive};
use crate::clock;
use crate::model::channel::{Channel, ChannelName};
use crate::model::media_file::{FileId, MediaUrls};
use crate::model::post::PostId;
use crate::resilience::single_flight::SingleFlight;
use crate::telegram::client::Client;
use crate::telegram::page::PreviewPage;
use crate::telegram::upstream::Priority;
use crate::telegram::url::PageRequest;

/// Preview pages fetched for media at a time, so that feeds are never queued behind more than these.
const MAX_FETCHES: usize = 2;

/// How long a request for a file waits for preview pages.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Entries of each cache.
const MAX_ENTRIES: u64 = 10_000;

/// How long a missing post is remembered.
const MISSING_TTL: Duration = Duration::from_mins(10);

/// How long a failed fetch is remembered.
const FAILURE_TTL: Duration = Duration::from_secs(30);

/// A URL that was resolved this recently and is refused is not resolved again.
const MIN_URL_AGE: Duration = Duration::from_mins(1);

/// How long to wait for another replica that fetches the page.
const LEASE_WAIT: Duration = Duration::from_secs(6);

/// How often to check the archive during that wait.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Where a file is.
#[derive(Clone, Debug)]
pub struct MediaLocation {
    /// Its URL at Telegram.
    pub url: String,
    /// The post still shows this file, as far as is known; otherwise it was edited to show another one.
    pub is_current: bool,
}

/// What the page of a post showed.
#[derive(Clone, Debug)]
struct PageLookup {
    at: Instant,
    outcome: Result<SeenMediaUrls, ResolveError>,
}

/// Resolves media files to URLs.
pub struct MediaResolver {
    client: Arc<Client>,
    archive: Arc<Archive>,
    channels: Arc<Channels>,
    /// How long a URL is used without being checked.
    url_ttl: Duration,
    fetches: Arc<SingleFlight<ChannelName, ()>>,
    fetch_permits: Semaphore,
    lookups: Cache<(ChannelName, Option<PostId>), PageLookup>,
    /// Channels whose pages could not be fetched.
    failed_channels: Cache<ChannelName, (Instant, RefreshError)>,
    /// Files whose new URL was refused too, with that URL.
    dead_urls: Cache<FileId, String>,
}

impl MediaResolver {
    /// Returns a resolver that trusts a URL for `url_ttl` before it looks for a newer one.
    #[must_use]
    pub fn new(
        client: Arc<Client>,
        archive: Arc<Archive>,
        channels: Arc<Channels>,
        url_ttl: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            archive,
            channels,
            url_ttl,
            fetches: SingleFlight::new(),
            fetch_permits: Semaphore::new(MAX_FETCHES),
            lookups: Cache::builder()
                .max_capacity(MAX_ENTRIES)
                .time_to_live(url_ttl.max(MISSING_TTL))
                .build(),
            failed_channels: Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(MISSING_TTL).build(),
            dead_urls: Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(MISSING_TTL).build(),
        })
    }

    /// Resolves a file and sends a request to its URL. If Telegram says that the URL has expired, resolves it once more
    /// and repeats the request. Returns the response, and whether the post still shows this file.
    ///
    /// # Errors
    ///
    /// See [`MediaError`].
    pub async fn request<T, F>(
        self: &Arc<Self>,
        file: &FileId,
        send: impl Fn(MediaLocation) -> F,
    ) -> Result<(T, bool), MediaError>
    where
        F: Future<Output = Result<T, MediaError>>,
    {
        let location = self.resolve(file, None).await?;
        let response = send(location.clone()).await;
        let Err(MediaError::Expired(status)) = response else { return Ok((response?, location.is_current)) };
        tracing::debug!(%file, status, "media URL expired");
        let location = self.resolve(file, Some(&location.url)).await?;
        let response = send(location.clone()).await;
        if matches!(response, Err(MediaError::Expired(_))) {
            // Do not resolve it again for a while.
            self.dead_urls.insert(file.clone(), location.url);
        }
        Ok((response?, location.is_current))
    }

    /// Returns the URL of a file. Fetches the page of its post if the known URL is too old or was `refused`.
    ///
    /// # Errors
    ///
    /// See [`ResolveError`].
    pub async fn resolve(
        self: &Arc<Self>,
        file: &FileId,
        refused: Option<&str>,
    ) -> Result<MediaLocation, ResolveError> {
        let (started, until) = (clock::now(), Instant::now() + RESOLVE_TIMEOUT);
        let owner = (file.channel.clone(), file.post);
        loop {
            let (lookup, dead) = (self.lookups.get(&owner), self.dead_urls.get(file));
            let known = self.known_urls(file, lookup.as_ref()).await;
            let has_url =
                |known: &SeenMediaUrls, url: Option<&str>| url.is_some() && known.urls.get(file.name) == url;
            let is_dead = known.as_ref().is_some_and(|known| has_url(known, dead.as_deref()));
            let is_new = |lookup: &PageLookup| {
                lookup.at.elapsed() < MIN_URL_AGE
                    && lookup.outcome.as_ref().is_ok_and(|urls| has_url(urls, refused))
            };
            if is_dead || lookup.as_ref().is_some_and(is_new) {
                return Err(ResolveError::Gone);
            }
            let known = known.filter(|known| known.seen >= started || !has_url(known, refused));
            let age = |known: &SeenMediaUrls| clock::now().duration_since(known.seen).unsigned_abs();
            let is_good = |known: &&SeenMediaUrls| known.seen >= started || age(known) < self.url_ttl;
            if let Some(known) = known.as_ref().filter(is_good) {
                return location_in(known, file);
            }
            let failure = match (lookup, self.failed_channels.get(&file.channel)) {
                (Some(PageLookup { at, outcome: Err(ResolveError::Gone) }), _)
                    if at.elapsed() < MISSING_TTL =>
                {
                    return Err(ResolveError::Gone);
                }
                (Some(PageLookup { at, outcome: Err(err) }), _) if at.elapsed() < FAILURE_TTL => Some(err),
                (_, Some((at, err))) if at.elapsed() < FAILURE_TTL || err.is_authoritative() => {
                    Some(ResolveError::Page(err))
                }
                _ if Instant::now() >= until => Some(ResolveError::Busy),
                _ => None,
            };
            if let Some(err) = failure {
                // An old URL may still work.
                return known.ok_or(err).and_then(|known| location_in(&known, file));
            }
            let (resolver, asked) = (Arc::clone(self), file.clone());
            // A fetch that is already running for the channel may return this post too.
            let fetch =
                self.fetches.run(file.channel.clone(), || async move { resolver.fetch(&asked).await });
            let left = until.saturating_duration_since(Instant::now());
            drop(tokio::time::timeout(left, fetch).await);
        }
    }

    /// Returns the newest URLs of a post from the archive and from pages fetched for media.
    async fn known_urls(&self, file: &FileId, lookup: Option<&PageLookup>) -> Option<SeenMediaUrls> {
        let fetched = lookup.and_then(|lookup| lookup.outcome.clone().ok());
        let archived = match self.archive.media_urls(&file.channel, file.post, Caller::Refresh).await {
            Ok(archived) => archived,
            Err(err) => {
                tracing::debug!(channel = %file.channel, error = %err, "looking up media URLs in memory only");
                self.urls_in_memory(file)
            }
        };
        archived.into_iter().chain(fetched).max_by_key(|urls| urls.seen)
    }

    fn urls_in_memory(&self, file: &FileId) -> Option<SeenMediaUrls> {
        let cached = self.channels.cached(&file.channel)?;
        let snapshot = cached.snapshot.decompress().ok()?;
        let urls = match file.post {
            Some(id) => MediaUrls::of(snapshot.posts.iter().find(|post| post.id == id)?),
            None => MediaUrls::of_channel(&snapshot.channel),
        };
        Some(SeenMediaUrls { urls, seen: clock::now().saturating_sub(cached.age).unwrap_or_default() })
    }

    /// Fetches the page that shows a post, and stores the URLs of all posts on it.
    async fn fetch(&self, file: &FileId) {
        let (name, post) = (&file.channel, file.post);
        let lease = format!("{name}/files");
        if self.wait_for_other_replica(file, &lease).await {
            return;
        }
        let Ok(_permit) = self.fetch_permits.acquire().await else { return };
        let seen = clock::now();
        // With the album that may begin with this post.
        let before = post.and_then(|post| PostId::new(post.get().saturating_add(MAX_ALBUM_ITEMS)));
        let request = before.map_or(PageRequest::Newest, PageRequest::Before);
        match fetch_page(&self.client, name, request, Priority::High, None).await {
            Ok(page) => {
                self.store(name, post, &page, seen).await;
                tracing::info!(channel = %name, posts = page.snapshot.posts.len(), "refreshed media URLs");
                // Merge in the background: the request that waits for the file does not need the archive.
                let (archive, name) = (Arc::clone(&self.archive), name.clone());
                let scope = PageScope::Revisit(before.unwrap_or(PostId::MAX));
                let merging = tokio::spawn(async move {
                    let page = Arc::new(to_archive(page));
                    if let Err(err) = archive.merge(&name, page, scope, seen, Duration::ZERO).await {
                        tracing::warn!(channel = %name, error = %err, "cannot archive new media URLs; keeping them in memory");
                    }
                    archive.release_lease(&lease).await;
                });
                drop(tokio::time::timeout(self.archive.timeout(Caller::Refresh), merging).await);
            }
            Err(err) => {
                tracing::warn!(channel = %name, error = %err, "cannot refresh media URLs");
                self.failed_channels.insert(name.clone(), (Instant::now(), err));
                self.archive.release_lease(&lease).await;
            }
        }
    }

    /// Stores the URLs of all posts on a page. `wanted` is the post that the page was fetched for.
    async fn store(&self, name: &ChannelName, wanted: Option<PostId>, page: &PreviewPage, seen: Timestamp) {
        let snapshot = &page.snapshot;
        let store = |post: Option<PostId>, outcome: Result<MediaUrls, ResolveError>| {
            let outcome = outcome.map(|urls| SeenMediaUrls { urls, seen });
            self.lookups.insert((name.clone(), post), PageLookup { at: Instant::now(), outcome });
        };
        let shown = || snapshot.posts.iter().filter(|post| post.only_in_telegram.is_none());
        // Albums at both ends of a page may be cut, except the wanted one.
        let (first, last) = (snapshot.posts.first(), snapshot.posts.last());
        let may_be_cut = |id| {
            let is_first = snapshot.has_older && first.is_some_and(|first| first.id == id);
            let is_last = wanted.is_some_and(|wanted| id > wanted) && last.is_some_and(|last| last.id == id);
            Some(id) != wanted && (is_first || is_last)
        };
        for whole in shown().filter(|shown| !may_be_cut(shown.id)) {
            store(Some(whole.id), Ok(MediaUrls::of(whole)));
        }
        store(None, Ok(MediaUrls::of_channel(&snapshot.channel)));
        if let Some(id) = wanted.filter(|id| !shown().any(|shown| shown.id == *id)) {
            store(wanted, self.urls_in_widget(&snapshot.channel, id).await);
        }
    }

    /// Returns the URLs of a post that the preview page does not show, from the post's widget.
    async fn urls_in_widget(&self, channel: &Channel, id: PostId) -> Result<MediaUrls, ResolveError> {
        match fetch_widget(&self.client, channel, id).await {
            Ok(Some(post)) => Ok(MediaUrls::of(&post)),
            Ok(None) => Err(ResolveError::Gone),
            Err(err) => Err(ResolveError::Page(err.into())),
        }
    }

    /// With a shared archive, takes the lease for this channel's media, or waits while another replica holds it. Returns
    /// whether another replica has archived newer URLs.
    async fn wait_for_other_replica(&self, file: &FileId, lease: &str) -> bool {
        // The archive does not store when a channel's own photo was seen.
        if !self.archive.is_shared() || file.post.is_none() {
            return false;
        }
        let until = Instant::now() + LEASE_WAIT;
        let archived = async || self.archive.media_urls(&file.channel, file.post, Caller::Refresh).await;
        let before = archived().await.ok().flatten().map_or(Timestamp::MIN, |urls| urls.seen);
        while let Ok(Lease::Theirs) = self.archive.lease(lease).await {
            if Instant::now() > until {
                return false;
            }
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
            if archived().await.is_ok_and(|urls| urls.is_some_and(|urls| urls.seen > before)) {
                return true;
            }
        }
        false
    }
}

fn location_in(known: &SeenMediaUrls, file: &FileId) -> Result<MediaLocation, ResolveError> {
    let url = known.urls.get(file.name).ok_or(ResolveError::Gone)?;
    Ok(MediaLocation { url: url.to_owned(), is_current: known.urls.is_current(file.name) })
}
