//! Resolves media files to Telegram's current URLs. These URLs expire; a newly fetched preview page has valid ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::error::{MediaError, ResolveError};
use crate::archive::{Archive, Caller, Lease, PageScope, SeenMediaUrls};
use crate::channels::{RefreshError, fetch_page, fetch_widget, to_archive};
use crate::clock;
use crate::model::album::MAX_ALBUM_ITEMS;
use crate::model::channel::{Channel, ChannelName};
use crate::model::media_file::{self, FileId, MediaSlot, MediaUrls};
use crate::model::post::PostId;
use crate::resilience::recent_cache::RecentCache;
use crate::resilience::single_flight::SingleFlight;
use crate::telegram::client::Client;
use crate::telegram::page::PreviewPage;
use crate::telegram::upstream::Priority;
use crate::telegram::url::PageRequest;

/// The maximum number of preview pages that are fetched for media concurrently, so that feeds do not wait long.
const MAX_FETCHES: usize = 2;

/// Timeout for resolving a file.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The maximum number of entries in each cache.
const MAX_ENTRIES: usize = 10_000;

/// How long it is cached that a post or channel does not exist.
const MISSING_TTL: Duration = Duration::from_mins(10);

/// How long a failed fetch is cached.
const FAILURE_TTL: Duration = Duration::from_secs(30);

/// A refused URL is not resolved again if it was resolved more recently than this.
const MIN_URL_AGE: Duration = Duration::from_mins(1);

/// Timeout for another replica that fetches the preview page.
const LEASE_WAIT: Duration = Duration::from_secs(6);

/// How often the archive is checked while another replica fetches the preview page.
const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The current URL of a file.
#[derive(Clone, Debug)]
pub struct MediaLocation {
    /// Telegram's URL.
    pub url: String,
    /// Whether the post still shows this file. If not, it was edited, and the URL leads to another file.
    pub is_current: bool,
}

/// The cached result of looking for a post on its preview page or widget.
type PageLookup = Result<SeenMediaUrls, ResolveError>;

/// Resolves media files to Telegram's current URLs, for many requests at once.
pub struct MediaResolver {
    client: Arc<Client>,
    archive: Arc<Archive>,
    /// The age up to which a URL is used without looking for a newer one.
    url_ttl: Duration,
    fetches: Arc<SingleFlight<ChannelName, ()>>,
    fetch_permits: Semaphore,
    lookups: RecentCache<(ChannelName, Option<PostId>), PageLookup>,
    /// Channels whose preview page could not be fetched.
    failed_channels: RecentCache<ChannelName, RefreshError>,
    /// The newest URL of each file that was refused again after it was resolved anew.
    dead_urls: RecentCache<FileId, String>,
    /// The sizes that have been stored with their posts.
    stored_sizes: RecentCache<FileId, u64>,
}

impl MediaResolver {
    /// Returns a resolver that trusts a URL for `url_ttl` before it looks for a newer one.
    #[must_use]
    pub fn new(client: Arc<Client>, archive: Arc<Archive>, url_ttl: Duration) -> Arc<Self> {
        Arc::new(Self {
            client,
            archive,
            url_ttl,
            fetches: SingleFlight::new(),
            fetch_permits: Semaphore::new(MAX_FETCHES),
            lookups: RecentCache::new(MAX_ENTRIES, url_ttl.max(MISSING_TTL)),
            failed_channels: RecentCache::new(MAX_ENTRIES, MISSING_TTL),
            dead_urls: RecentCache::new(MAX_ENTRIES, MISSING_TTL),
            stored_sizes: RecentCache::new(MAX_ENTRIES, Duration::MAX),
        })
    }

    /// Resolves a file and sends a request to its URL. If the URL has expired, resolves the file again and repeats the
    /// request once. Returns the response and [`MediaLocation::is_current`].
    ///
    /// # Errors
    ///
    /// Fails with [`MediaError::Unresolved`], or with the error of `send`.
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
            // The newest URL is refused too: do not fetch the preview page again until the entry expires.
            self.dead_urls.insert(file.clone(), location.url);
        }
        Ok((response?, location.is_current))
    }

    /// Stores the size of a served file with its post, in the background. Needs a Tokio runtime.
    pub fn store_size(self: &Arc<Self>, file: &FileId, bytes: u64) {
        if self.stored_sizes.get(file) == Some(bytes) {
            return;
        }
        // Inserted at once: players request a file in many parts.
        self.stored_sizes.insert(file.clone(), bytes);
        let (resolver, file) = (Arc::clone(self), file.clone());
        tokio::spawn(async move {
            if let Err(err) = resolver.archive.store_file_size(&file, bytes, clock::now()).await {
                tracing::debug!(%file, error = %err, "cannot store the size of a media file");
                resolver.stored_sizes.remove(&file);
            }
        });
    }

    /// Returns the URL of a file. Fetches the preview page of its post if the known URL is too old or was `refused`.
    /// If that fails, an old URL that was not refused is returned.
    ///
    /// # Errors
    ///
    /// Fails if the post no longer shows the file, or if no URL is known and the preview page cannot be fetched.
    pub async fn resolve(
        self: &Arc<Self>,
        file: &FileId,
        refused: Option<&str>,
    ) -> Result<MediaLocation, ResolveError> {
        if let (Some(post), MediaSlot::Article { article, medium }) = (file.post, file.name.slot) {
            return self.resolve_in_article(file, post, (article, medium), refused).await;
        }
        let (started, until) = (clock::now(), Instant::now() + RESOLVE_TIMEOUT);
        let owner = (file.channel.clone(), file.post);
        loop {
            let (lookup, dead) = (self.lookups.get_with_age(&owner), self.dead_urls.get(file));
            let known = self.known_urls(file, lookup.as_ref().map(|(lookup, _)| lookup)).await;
            let has_url =
                |known: &SeenMediaUrls, url: Option<&str>| url.is_some() && known.urls.get(file.name) == url;
            let is_dead = known.as_ref().is_some_and(|known| has_url(known, dead.as_deref()));
            let is_new = |(lookup, age): &(PageLookup, Duration)| {
                *age < MIN_URL_AGE && lookup.as_ref().is_ok_and(|urls| has_url(urls, refused))
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
            let failure = match (lookup, self.failed_channels.get_with_age(&file.channel)) {
                (Some((Err(ResolveError::Gone), age)), _) if age < MISSING_TTL => {
                    return Err(ResolveError::Gone);
                }
                (Some((Err(err), age)), _) if age < FAILURE_TTL => Some(err),
                (_, Some((err, age))) if age < FAILURE_TTL || err.is_authoritative() => {
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
            // Join a running fetch for the channel: its preview page may show this post too.
            let fetch =
                self.fetches.run(file.channel.clone(), || async move { resolver.fetch(&asked).await });
            let left = until.saturating_duration_since(Instant::now());
            drop(tokio::time::timeout(left, fetch).await);
        }
    }

    /// Returns the URL of a figure of an archived article. These URLs do not expire, and those of earlier versions stay with the
    /// article.
    async fn resolve_in_article(
        &self,
        file: &FileId,
        post: PostId,
        (number, medium): (usize, usize),
        refused: Option<&str>,
    ) -> Result<MediaLocation, ResolveError> {
        let articles = self.archive.articles(&file.channel, &[post], Caller::Refresh).await;
        let articles = articles.map_err(|_| ResolveError::Busy)?.remove(&post).unwrap_or_default();
        let linked = articles.iter().filter_map(|article| article.linked.as_ref());
        let url = linked
            .filter(|linked| linked.number == number)
            .find_map(|linked| media_file::url_in_article(&linked.article, medium, file.name.kind))
            .filter(|url| Some(*url) != refused);
        let url = url.ok_or(ResolveError::Gone)?.to_owned();
        Ok(MediaLocation { url, is_current: true })
    }

    /// Returns the newest known URLs of a post, from the archive or from preview pages that were fetched for media.
    async fn known_urls(&self, file: &FileId, lookup: Option<&PageLookup>) -> Option<SeenMediaUrls> {
        let fetched = lookup.and_then(|lookup| lookup.clone().ok());
        let archived = self.archive.media_urls(&file.channel, file.post).await;
        let archived = archived.unwrap_or_else(|err| {
            tracing::debug!(channel = %file.channel, error = %err, "cannot look up media URLs in the archive");
            None
        });
        archived.into_iter().chain(fetched).max_by_key(|urls| urls.seen)
    }

    /// Fetches the preview page that shows a post, and stores the URLs of all posts on it.
    async fn fetch(&self, file: &FileId) {
        let (name, post) = (&file.channel, file.post);
        let lease = format!("{name}/files");
        if self.wait_for_other_replica(file, &lease).await {
            return;
        }
        let Ok(_permit) = self.fetch_permits.acquire().await else { return };
        let seen = clock::now();
        // An album has the id of its first item, so request a preview page that extends past its last possible item.
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
                self.failed_channels.insert(name.clone(), err);
                self.archive.release_lease(&lease).await;
            }
        }
    }

    /// Caches the URLs of all posts on a preview page. `wanted` is the post that the page was fetched for.
    async fn store(&self, name: &ChannelName, wanted: Option<PostId>, page: &PreviewPage, seen: Timestamp) {
        let snapshot = &page.snapshot;
        let store = |post: Option<PostId>, outcome: Result<MediaUrls, ResolveError>| {
            let outcome = outcome.map(|urls| SeenMediaUrls { urls, seen });
            self.lookups.insert((name.clone(), post), outcome);
        };
        let visible = || snapshot.posts.iter().filter(|post| post.only_in_telegram.is_none());
        // The preview page may cut off items of the albums at both of its ends, but not of the wanted one.
        let (first, last) = (snapshot.posts.first(), snapshot.posts.last());
        let may_be_incomplete = |id| {
            let is_first = snapshot.has_older && first.is_some_and(|first| first.id == id);
            let is_last = wanted.is_some_and(|wanted| id > wanted) && last.is_some_and(|last| last.id == id);
            Some(id) != wanted && (is_first || is_last)
        };
        for complete in visible().filter(|post| !may_be_incomplete(post.id)) {
            store(Some(complete.id), Ok(MediaUrls::of(complete)));
        }
        store(None, Ok(MediaUrls::of_channel(&snapshot.channel)));
        if let Some(id) = wanted.filter(|id| !visible().any(|post| post.id == *id)) {
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

    /// With a shared archive, takes the lease for this channel's media, or waits while another replica holds it.
    /// Returns whether another replica has archived newer URLs in the meantime.
    async fn wait_for_other_replica(&self, file: &FileId, lease: &str) -> bool {
        // For the channel's own photo the archive does not tell how old its URL is.
        if !self.archive.is_shared() || file.post.is_none() {
            return false;
        }
        let until = Instant::now() + LEASE_WAIT;
        let archived = async || self.archive.media_urls(&file.channel, file.post).await;
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
