//! Telegram's own search in a channel: it also finds posts that are not archived, and other forms of a word.
//!
//! Every search is a request to Telegram, so its result is cached, and the searches of each client are bounded. The found
//! posts are not archived: they are single posts out of ranges that may not be archived, and a page of search results does
//! not tell which other posts there are between them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::{Instant, timeout_at};

use super::{Channels, CompressedSnapshot, FetchBudget, Freshness, RefreshError, fetch_page};
use crate::cpu_pool;
use crate::model::channel::ChannelName;
use crate::model::post::Post;
use crate::resilience::single_flight::SingleFlight;
use crate::telegram::error::PageError;
use crate::telegram::upstream::{MAX_NEW_CHANNEL_WAIT, Priority};
use crate::telegram::url::PageRequest;

/// Searches of one client at once after a pause: a reader that polls many feeds with a search.
const CLIENT_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);

/// Searches of one client per minute.
const CLIENT_RATE: NonZeroU32 = NonZeroU32::MIN;

/// The delay after a failed search.
const RETRY_DELAY: Duration = Duration::from_mins(1);

/// How long found posts are kept while the search cannot be repeated.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Bytes of the cache of results.
const MAX_CACHE_BYTES: u64 = 8 << 20;

/// Approximate size of an entry beside its compressed posts, in bytes.
const ENTRY_OVERHEAD: usize = 512;

/// The known part of a search's result.
#[derive(Debug, Default)]
pub struct FoundPosts {
    /// The posts, by ascending id.
    pub posts: Vec<Post>,
    /// Telegram was asked recently. Otherwise it may find more.
    pub is_current: bool,
}

/// A channel and a text.
type SearchKey = (ChannelName, String);

/// The cached result of a search.
#[derive(Clone, Debug)]
struct SearchEntry {
    /// `None` if nothing was found.
    found: Option<Arc<CompressedSnapshot>>,
    /// When Telegram answered.
    at: Instant,
    /// When the channel's newest post was published at that time.
    newest: Timestamp,
    /// When the last attempt failed after that.
    failed: Option<Instant>,
}

impl SearchEntry {
    /// Returns whether the search would give the same again. Without a new post it does, unless one was edited.
    fn is_current(&self, newest: Timestamp, freshness: Freshness) -> bool {
        let max_age = if newest <= self.newest { freshness.max.max(freshness.min) } else { freshness.min };
        self.failed.is_none() && self.at.elapsed() < max_age
    }

    fn is_retry_due(&self) -> bool {
        self.failed.is_none_or(|failed| failed.elapsed() >= RETRY_DELAY)
    }
}

/// The searches of a service.
pub(super) struct Searches {
    results: Cache<SearchKey, SearchEntry>,
    running: Arc<SingleFlight<SearchKey, ()>>,
    /// Counts the searches of each client.
    quota: DefaultKeyedRateLimiter<u64>,
}

impl Searches {
    pub(super) fn new() -> Self {
        let weigher = |(_, text): &SearchKey, entry: &SearchEntry| {
            let n_bytes = entry.found.as_ref().map_or(0, |found| found.compressed_len());
            u32::try_from(ENTRY_OVERHEAD + text.len() + n_bytes).unwrap_or(u32::MAX)
        };
        let results = Cache::builder().max_capacity(MAX_CACHE_BYTES).weigher(weigher).time_to_idle(MAX_AGE);
        let quota = Quota::per_minute(CLIENT_RATE).allow_burst(CLIENT_BURST);
        Self { results: results.build(), running: SingleFlight::new(), quota: RateLimiter::keyed(quota) }
    }

    /// Forgets clients that have their full burst again.
    pub(super) fn run_upkeep(&self) {
        self.quota.retain_recent();
    }
}

impl Channels {
    /// Returns the newest posts that Telegram's search finds for a text in a channel. Telegram is asked if the cached result
    /// is too old, unless the budget or the client's quota is used up. If it does not answer in time or fails, an older
    /// result is returned, if there is one.
    pub async fn search(
        self: &Arc<Self>,
        name: &ChannelName,
        text: &str,
        budget: &mut FetchBudget,
    ) -> FoundPosts {
        let key = (name.clone(), text.to_owned());
        let newest = self.snapshots.get(name).map_or(Timestamp::MAX, |entry| entry.snapshot.newest());
        let known = || self.searches.results.get(&key);
        let is_current = |entry: &SearchEntry| entry.is_current(newest, self.config.freshness);
        if known().is_none_or(|entry| !is_current(&entry) && entry.is_retry_due()) && self.may_search(budget)
        {
            let (channels, asked) = (Arc::clone(self), key.clone());
            let search =
                self.searches.running.run(key.clone(), || async move { channels.ask(asked, newest).await });
            // The search goes on, so that a later request finds its result.
            drop(timeout_at(budget.deadline, search).await);
        }
        let Some(entry) = known() else { return FoundPosts::default() };
        let is_current = is_current(&entry);
        let posts = match entry.found {
            Some(found) => cpu_pool::try_run(found.json_len(), move || found.decompress()).await,
            None => return FoundPosts { posts: Vec::new(), is_current },
        };
        FoundPosts { posts: posts.map(|found| found.posts).unwrap_or_default(), is_current }
    }

    /// Takes one search from the budget and from the client's quota, if it could be sent soon.
    fn may_search(&self, budget: &mut FetchBudget) -> bool {
        let queue_time = self.client.queue_time(Priority::New);
        let is_possible = budget.n_searches > 0
            && Instant::now() < budget.deadline
            && queue_time.is_some_and(|queue_time| queue_time < MAX_NEW_CHANNEL_WAIT)
            && self.searches.quota.check_key(&budget.visitor.client).is_ok();
        budget.n_searches -= usize::from(is_possible);
        is_possible
    }

    /// Asks Telegram, and caches the result. A failure, and an empty page in place of posts, which may be due to rate
    /// limiting, leave the earlier result.
    async fn ask(&self, key: SearchKey, newest: Timestamp) {
        let (name, text) = &key;
        let known = self.searches.results.get(&key).filter(|entry| entry.at.elapsed() < MAX_AGE);
        let had_posts = known.as_ref().is_some_and(|entry| entry.found.is_some());
        let rejected_pages = Some(&self.config.rejected_pages);
        let page =
            fetch_page(&self.client, name, PageRequest::Search(text), Priority::New, rejected_pages).await;
        let found = match page {
            Ok(page) => {
                let found = self.as_cached(page.snapshot);
                let compress = move || CompressedSnapshot::new(&found, None).map(Arc::new);
                cpu_pool::try_run(0, compress)
                    .await
                    .map(Some)
                    .map_err(|err| RefreshError::internal(name, &err))
            }
            Err(RefreshError::Page(PageError::Empty | PageError::RateLimited)) if !had_posts => Ok(None),
            Err(err) => Err(err),
        };
        let now = Instant::now();
        let entry = match (found, known) {
            (Ok(found), _) => SearchEntry { found, at: now, newest, failed: None },
            (Err(err), known) => {
                tracing::warn!(channel = %name, error = %err, "cannot search in a channel; answering from the archive");
                let failed = Some(now);
                match known {
                    Some(known) => SearchEntry { failed, ..known },
                    None => SearchEntry { found: None, at: now, newest, failed },
                }
            }
        };
        self.searches.results.insert(key, entry);
    }
}
