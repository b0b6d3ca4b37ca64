//! What is older than the newest page: gaps that are filled by themselves, and depth that somebody asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;

use super::channels::{Channels, STALE, Served, now};
use super::failures::Failure;
use super::{RefreshError, hidden, read_page};
use crate::archive::{Archive, ArchiveError, Depth, Gap, MAX_ALBUM, Newer, Reach, View, Wait};
use crate::backoff::grown;
use crate::channel::ChannelName;
use crate::post::{PostId, Snapshot};
use crate::telegram::address::Which;
use crate::telegram::client::{Client, FetchError, Line};
use crate::telegram::landing::NoPosts;

/// For how long a gap that could not be filled is left, the first time, and at most.
const RETRY: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24));

/// How long a reader waits for older pages; after that they get what is there.
const PATIENCE: Duration = Duration::from_secs(8);

/// How often Telegram has to say that a gap is empty though something says otherwise.
const BELIEVED: u32 = 10;

/// Walks that one reader waits for.
const MAX_WALKS: usize = 3;

/// From how many ids on a gap is not read down to where somebody wants to be.
const FAR: u32 = 60;

/// Pages that are read for one reader: as many as the largest feed takes, and some for albums.
const MAX_PAGES: usize = 14;

/// Why a page of a gap did not help.
#[derive(Debug, Error)]
pub enum StepError {
    /// Telegram did not give the page, or not one that can be believed.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// The archive did not take it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It has nothing older than it should have.
    #[error("Telegram answered with posts that are no older than {0}")]
    NotOlder(PostId),
}

/// Reads the page of a gap whose posts are older than `from`, and archives it. Returns what is left of the gap.
///
/// # Errors
///
/// When the gap is as it was. It is then left alone for a time, the longer the more often that has happened.
pub async fn step(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    from: PostId,
    gap: Gap,
    now: Timestamp,
) -> Result<Option<Gap>, StepError> {
    let attempt = async {
        let page = match read_page(client, name, Which::Before(from), Line::Known, None).await {
            Ok(page) => page,
            // That there is nothing Telegram also says when it is asked too often. It is believed the second time where
            // nothing says otherwise, no link and no older post; else when it has been said for many hours.
            Err(RefreshError::NoPosts(NoPosts::Empty | NoPosts::SoftBan))
                if from == gap.below
                    && gap.failures >= if gap.above == 0 && !gap.linked { 1 } else { BELIEVED } =>
            {
                archive.close_gap(name, gap).await?;
                return Ok(None);
            }
            Err(err) => return Err(err.into()),
        };
        if page.snapshot.posts.iter().any(|post| post.id >= from) {
            return Err(StepError::NotOlder(from));
        }
        Ok(archive.merge(name, Arc::new(page), Reach::Older(from, gap), now, Duration::ZERO).await?)
    };
    let outcome: Result<_, StepError> = attempt.await;
    // An upstream that is left alone, or has no time, says nothing of the gap; nor does a page from its middle.
    let is_of_gap = match &outcome {
        Err(StepError::Refresh(RefreshError::Fetch(FetchError::Busy(_) | FetchError::Resting { .. }))) => {
            false
        }
        Err(StepError::Refresh(_) | StepError::NotOlder(_)) => from == gap.below,
        _ => false,
    };
    if is_of_gap {
        let rest = grown(RETRY.0, gap.failures, RETRY.1);
        archive.leave_gap(name, gap, now.saturating_add(rest).unwrap_or(Timestamp::MAX)).await?;
    }
    outcome
}

/// What is worth doing after a refresh, while readers have its posts already: gaps are filled, by so many pages at most,
/// and posts that only open in Telegram are looked up elsewhere. Tells whether that has changed anything.
pub async fn follow_up(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    gap_pages: usize,
    has_hidden: bool,
    now: Timestamp,
) -> bool {
    let mut n_found = 0;
    if has_hidden {
        n_found += look_up_hidden(client, archive, name, now).await.unwrap_or_else(|err| {
            tracing::warn!(channel = %name, "posts that only open in Telegram cannot be looked up: {err}");
            0
        });
    }
    n_found += fill_gaps(client, archive, name, gap_pages, now).await.unwrap_or_else(|err| {
        tracing::warn!(channel = %name, "posts are missing, which will be tried again: {err}");
        1
    });
    n_found > 0
}

async fn look_up_hidden(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    now: Timestamp,
) -> Result<usize, StepError> {
    let posts = archive.hidden(name).await?;
    let Some(known) = archive.load(name, Wait::Behind).await? else { return Ok(0) };
    let mut n_found = 0;
    for post in posts {
        let found = hidden::look_up(client, &known.snapshot.channel, &post).await.unwrap_or_else(|err| {
            tracing::warn!(channel = %name, post = %post.id, "cannot be looked up: {err}");
            post.clone()
        });
        n_found += usize::from(found != post);
        archive.recover(name, found, now).await?;
    }
    Ok(n_found)
}

async fn fill_gaps(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    gap_pages: usize,
    now: Timestamp,
) -> Result<usize, StepError> {
    let mut n_pages = 0;
    for gap in archive.gaps(name, now).await? {
        let mut left = Some(gap);
        while let Some(gap) = left
            && n_pages < gap_pages
        {
            n_pages += 1;
            left = step(client, archive, name, gap.below, gap, now).await?;
        }
    }
    if n_pages > 0 {
        tracing::info!(channel = %name, pages = n_pages, "read what was published since the last time");
    }
    Ok(n_pages)
}

impl Channels {
    /// Some posts of a channel, back to its first one. What is not archived is read from Telegram, as far as that goes
    /// in a few seconds.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve of this channel.
    pub async fn view(self: &Arc<Self>, name: &ChannelName, depth: Depth) -> Result<(View, Served), Failure> {
        let mut served = self.get(name).await?;
        let until = Instant::now() + PATIENCE;
        // A walk that is under way may be for other posts.
        for _ in 0..MAX_WALKS {
            let view = match self.archive.view(name, depth, Wait::Reader).await {
                Ok(Some(view)) => view,
                missing => {
                    let why = missing.err().map(|err| err.to_string()).unwrap_or_default();
                    tracing::debug!(channel = %name, why, "answered from memory alone");
                    // There may be more when the archive is there again.
                    served.max_age = served.max_age.min(STALE);
                    return view_of_memory(&served, depth).map(|view| (view, served));
                }
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || view.gap.is_none_or(|gap| gap.retry > now().as_second()) {
                return known_view(view).map(|view| (view, served));
            }
            let (channels, asked) = (Arc::clone(self), name.clone());
            let walk = self.walks.start(name.clone(), || async move { channels.deepen(&asked, depth).await });
            // When it takes too long, or does not help, there is what has come until then.
            if tokio::time::timeout(left, walk).await != Ok(Some(true)) {
                break;
            }
        }
        match self.archive.view(name, depth, Wait::Reader).await {
            Ok(Some(view)) => known_view(view),
            _ => view_of_memory(&served, depth),
        }
        .map(|view| (view, served))
    }

    /// Reads older pages until the posts are there, or it does not go on. Tells whether it has come any further.
    async fn deepen(&self, name: &ChannelName, depth: Depth) -> bool {
        let mut has_come_further = false;
        for _ in 0..MAX_PAGES {
            let Ok(Some(View { gap: Some(gap), .. })) = self.archive.view(name, depth, Wait::Behind).await
            else {
                break;
            };
            if gap.retry > now().as_second() {
                break;
            }
            // From far away it goes there at once, past an album that may lie there; from nearby by whole pages.
            let jump = depth.before.and_then(|before| PostId::new(before.get().saturating_add(MAX_ALBUM)));
            let is_far = |from: &PostId| from.get().saturating_add(FAR) < gap.below.get();
            let from = jump.filter(is_far).unwrap_or(gap.below);
            if let Err(err) = step(&self.client, &self.archive, name, from, gap, now()).await {
                tracing::warn!(channel = %name, before = %from, "older posts cannot be read now: {err}");
                break;
            }
            has_come_further = true;
        }
        if has_come_further {
            self.reload(name).await;
        }
        has_come_further
    }
}

/// A view, which is without posts only when there are none.
fn known_view(view: View) -> Result<View, Failure> {
    if view.snapshot.is_none() && view.gap.is_some() { Err(Failure::not_now()) } else { Ok(view) }
}

/// A view, as far as memory has it. What is older may be there, but cannot be had.
fn view_of_memory(served: &Served, depth: Depth) -> Result<View, Failure> {
    let Snapshot { channel, mut posts, has_older } =
        served.snapshot.unpack().map_err(|_| Failure::not_now())?;
    posts.retain(|post| depth.before.is_none_or(|before| post.id < before));
    let limit = depth.limit.map_or(posts.len(), usize::from);
    let n_left_out = posts.len().saturating_sub(limit);
    posts.drain(..n_left_out);
    if posts.is_empty() {
        return Err(Failure::not_now());
    }
    let has_older = has_older || n_left_out > 0;
    Ok(View {
        snapshot: Some(Snapshot { channel, posts, has_older }),
        changed: served.snapshot.changed(),
        newer: depth.before.map(|_| Newer::Newest),
        gap: None,
    })
}
