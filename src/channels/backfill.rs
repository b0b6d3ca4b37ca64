//! Posts older than the newest preview page: gaps that are closed after a refresh, and pages that a request asks for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::failures::Failure;
use super::recover::recover;
use super::{Channels, CompressedSnapshot, FetchBudget, RefreshError, fetch_page, to_archive};
use crate::archive::{Archive, ArchiveError, Caller, PageScope};
use crate::clock;
use crate::metrics;
use crate::model::album::MAX_ALBUM_ITEMS;
use crate::model::channel::ChannelName;
use crate::model::paging::{FeedPage, FeedPageRequest, Gap, PrevPage};
use crate::model::post::{PostId, Snapshot};
use crate::resilience::backoff::exponential;
use crate::telegram::client::Client;
use crate::telegram::error::{PageError, UpstreamErrorKind};
use crate::telegram::upstream::Priority;
use crate::telegram::url::PageRequest;

/// The delay after the first failed attempt to fill a gap; it doubles with each further one.
const FIRST_RETRY_DELAY: Duration = Duration::from_mins(1);

/// The longest such delay.
const MAX_RETRY_DELAY: Duration = Duration::from_hours(24);

/// How often Telegram has to answer with an empty page before a gap is closed although something points to older posts.
const EMPTY_ANSWERS_TO_ACCEPT: u32 = 10;

/// Channels whose older posts are fetched for readers at a time. Anyone can ask for those of any number of channels.
pub(super) const MAX_RUNNING_BACKFILLS: usize = 2;

/// Backfills that one reader waits for.
const MAX_BACKFILLS: usize = 3;

/// From this distance in ids, a backfill jumps to the requested post instead of reading the gap from its top.
const MIN_JUMP: u32 = 60;

/// Preview pages fetched for one request: enough for the largest feed page, and some for albums.
const MAX_PAGES: usize = 14;

/// Why a gap was not filled.
#[derive(Debug, Error)]
pub enum BackfillError {
    /// Telegram did not give the page, or not one that can be trusted.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The page has no posts. Telegram also answers so when it is rate limiting.
    #[error("Telegram shows no posts older than {0}")]
    NoneOlder(PostId),
    /// The page has posts that are not older than requested.
    #[error("Telegram answered with posts that are not older than {0}")]
    NotOlder(PostId),
}

/// Fetches the page of a gap with the posts before `from`, and archives it. Returns the rest of the gap. `now` is the clock.
///
/// # Errors
///
/// If the gap is unchanged. The next attempt is then delayed, longer after each failure.
pub async fn fetch_gap_page(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    from: PostId,
    gap: Gap,
    now: impl Fn() -> Timestamp,
    priority: Priority,
) -> Result<Option<Gap>, BackfillError> {
    let attempt = async {
        let page = match fetch_page(client, name, PageRequest::Before(from), priority, None).await {
            Ok(page) => page,
            Err(RefreshError::Page(PageError::Empty | PageError::RateLimited)) => {
                if from != gap.below || !is_end(gap) {
                    return Err(BackfillError::NoneOlder(from));
                }
                archive.close_gap(name, gap).await?;
                return Ok(None);
            }
            Err(err) => return Err(err.into()),
        };
        if page.snapshot.posts.iter().any(|post| post.id >= from) {
            return Err(BackfillError::NotOlder(from));
        }
        let page = Arc::new(to_archive(page));
        Ok(archive.merge(name, page, PageScope::Gap(from, gap), now(), Duration::ZERO).await?)
    };
    let outcome: Result<_, BackfillError> = attempt.await;
    // A busy or paused upstream says nothing about the gap, and neither does a page from its middle.
    let is_failed_attempt = match &outcome {
        Err(BackfillError::Refresh(RefreshError::Upstream(err)))
            if matches!(err.kind, UpstreamErrorKind::Busy | UpstreamErrorKind::CircuitOpen { .. }) =>
        {
            false
        }
        Err(BackfillError::Refresh(_) | BackfillError::NoneOlder(_) | BackfillError::NotOlder(_)) => {
            from == gap.below
        }
        Err(BackfillError::Archive(err)) => err.is_permanent() && from == gap.below,
        _ => false,
    };
    if is_failed_attempt {
        let delay = exponential(FIRST_RETRY_DELAY, gap.failures, MAX_RETRY_DELAY);
        archive.delay_gap(name, gap, now().saturating_add(delay).unwrap_or(Timestamp::MAX)).await?;
    }
    outcome
}

/// Returns whether an empty page is believed. Telegram also returns one when it is rate limiting, so accept it on the
/// second attempt if nothing points to older posts, otherwise only after [`EMPTY_ANSWERS_TO_ACCEPT`] attempts.
fn is_end(gap: Gap) -> bool {
    let is_plausible = gap.above == 0 && !gap.linked;
    gap.failures >= if is_plausible { 1 } else { EMPTY_ANSWERS_TO_ACCEPT }
}

/// The background work after a refresh: closes gaps with at most `gap_pages` pages and recovers posts that the preview
/// page does not show. Returns whether the archive may have changed. `now` is the clock: the work may take minutes.
pub async fn follow_up(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    gap_pages: usize,
    has_hidden: bool,
    now: impl Fn() -> Timestamp,
) -> bool {
    let mut n_changes = 0;
    if has_hidden {
        n_changes += recover_hidden(client, archive, name, &now).await.unwrap_or_else(|err| {
            tracing::warn!(channel = %name, error = %err, "cannot recover posts that the preview page hides");
            0
        });
    }
    n_changes += fill_gaps(client, archive, name, gap_pages, &now).await.unwrap_or_else(|err| {
        tracing::warn!(channel = %name, error = %err, "cannot close a gap between archived posts; retrying later");
        1
    });
    n_changes > 0
}

async fn recover_hidden(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    now: impl Fn() -> Timestamp,
) -> Result<usize, BackfillError> {
    let posts = archive.hidden_posts(name).await?;
    let Some(archived) = archive.load(name, Caller::Background).await? else { return Ok(0) };
    let mut n_recovered = 0;
    for post in posts {
        let recovered = match recover(client, &archived.snapshot.channel, &post).await {
            Ok(recovered) => recovered,
            Err(err) => {
                tracing::warn!(channel = %name, post = %post.id, error = %err, "cannot recover a hidden post");
                continue;
            }
        };
        n_recovered += usize::from(recovered != post);
        if archive.store_recovered(name, recovered, now()).await? {
            metrics::hidden_post();
        }
    }
    Ok(n_recovered)
}

async fn fill_gaps(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    gap_pages: usize,
    now: impl Fn() -> Timestamp,
) -> Result<usize, BackfillError> {
    let mut n_pages = 0;
    // The channel may be refreshed meanwhile, which may open another gap above.
    while n_pages < gap_pages
        && let Some(gap) = archive.due_gaps(name, now(), Caller::Background).await?.into_iter().next()
    {
        n_pages += 1;
        fetch_gap_page(client, archive, name, gap.below, gap, &now, Priority::Low).await?;
    }
    if n_pages > 0 {
        tracing::info!(channel = %name, pages = n_pages, "fetched older posts to close gaps");
    }
    Ok(n_pages)
}

impl Channels {
    /// Returns one page of a cached channel's posts. Posts that are not archived are fetched from Telegram, as
    /// many as arrive before the deadline of the budget.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve.
    pub async fn feed_page(
        self: &Arc<Self>,
        name: &ChannelName,
        request: FeedPageRequest,
        cached: &CompressedSnapshot,
        budget: &FetchBudget,
    ) -> Result<FeedPage, Failure> {
        // An archive on a full disk can be read, but lacks the newest posts.
        if request.before.is_none() && self.unarchived.has(name) {
            return page_from_memory(cached, request);
        }
        // A running backfill may be for other posts, so more than one may be needed.
        for _ in 0..MAX_BACKFILLS {
            let page = match self.archive.feed_page(name, request, Caller::Reader).await {
                Ok(Some(page)) => page,
                missing => {
                    let reason = missing.err().map(|err| err.to_string()).unwrap_or_default();
                    tracing::debug!(channel = %name, reason, "answering from memory without the archive");
                    return page_from_memory(cached, request);
                }
            };
            let is_over = Instant::now() >= budget.deadline;
            if is_over || page.gap.is_none_or(|gap| gap.retry > clock::now().as_second()) {
                return non_empty(page);
            }
            // If the backfill is slow or makes no progress, serve what has been fetched.
            if !self.backfill(name, request, budget.deadline).await {
                break;
            }
        }
        match self.archive.feed_page(name, request, Caller::Reader).await {
            Ok(Some(page)) => non_empty(page),
            _ => page_from_memory(cached, request),
        }
    }

    /// Fetches posts of a gap that is directly below a post, because a digest needs them. Returns whether there are more in the
    /// archive then.
    pub async fn fill_gap_below(
        self: &Arc<Self>,
        name: &ChannelName,
        post: PostId,
        budget: &mut FetchBudget,
    ) -> bool {
        if budget.n_backfills == 0 || Instant::now() >= budget.deadline {
            return false;
        }
        budget.n_backfills -= 1;
        let request = FeedPageRequest { before: Some(post), limit: None };
        self.backfill(name, request, budget.deadline).await
    }

    /// Joins the running backfill of a channel, or starts one. Returns whether it has made progress before the deadline.
    async fn backfill(
        self: &Arc<Self>,
        name: &ChannelName,
        request: FeedPageRequest,
        deadline: Instant,
    ) -> bool {
        let (channels, asked) = (Arc::clone(self), name.clone());
        let backfill = self.backfills.run(name.clone(), || async move {
            let permit = timeout_at(deadline, channels.backfill_permits.acquire()).await;
            permit.is_ok() && channels.backfill_to(&asked, request).await
        });
        timeout_at(deadline, backfill).await == Ok(Some(true))
    }

    /// Fetches older pages until the requested posts are archived or Telegram has none. Returns whether it made
    /// progress.
    async fn backfill_to(&self, name: &ChannelName, request: FeedPageRequest) -> bool {
        let mut has_progressed = false;
        for _ in 0..MAX_PAGES {
            let page = self.archive.feed_page(name, request, Caller::Background).await;
            let Ok(Some(FeedPage { gap: Some(gap), .. })) = page else { break };
            if gap.retry > clock::now().as_second() {
                break;
            }
            // A distant post is fetched directly, including an album that may begin there; a near one page by page.
            let jump =
                request.before.and_then(|before| PostId::new(before.get().saturating_add(MAX_ALBUM_ITEMS)));
            let is_distant = |from: &PostId| from.get().saturating_add(MIN_JUMP) < gap.below.get();
            let from = jump.filter(is_distant).unwrap_or(gap.below);
            let fetched =
                fetch_gap_page(&self.client, &self.archive, name, from, gap, clock::now, Priority::New).await;
            if let Err(err) = fetched {
                tracing::warn!(channel = %name, before = %from, error = %err, "cannot fetch older posts");
                break;
            }
            has_progressed = true;
        }
        if has_progressed {
            self.reload(name, Caller::Background).await;
        }
        has_progressed
    }
}

/// Rejects a page without posts if there is a gap in its range.
fn non_empty(page: FeedPage) -> Result<FeedPage, Failure> {
    if page.snapshot.is_none() && page.gap.is_some() { Err(Failure::older_unavailable()) } else { Ok(page) }
}

/// Returns a feed page from the cached snapshot. Without posts in range it is an error, since the archive may have some.
pub(super) fn page_from_memory(
    cached: &CompressedSnapshot,
    request: FeedPageRequest,
) -> Result<FeedPage, Failure> {
    let Snapshot { channel, mut posts, has_older } =
        cached.decompress().map_err(|_| Failure::older_unavailable())?;
    posts.retain(|post| request.before.is_none_or(|before| post.id < before));
    let limit = request.limit.map_or(posts.len(), usize::from);
    let n_left_out = posts.len().saturating_sub(limit);
    posts.drain(..n_left_out);
    if posts.is_empty() {
        return Err(Failure::older_unavailable());
    }
    let has_older = has_older || n_left_out > 0;
    Ok(FeedPage {
        snapshot: Some(Snapshot { channel, posts, has_older }),
        changed: cached.changed(),
        prev: request.before.map(|_| PrevPage::Newest),
        gap: None,
        is_from_memory: true,
    })
}
