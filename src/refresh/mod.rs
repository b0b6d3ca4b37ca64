//! Fetch a channel's page, parse it, decide whether to believe it, and keep the snapshot.

mod samples;

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use thiserror::Error;

use crate::cache::{Flights, Lookup, Snapshots};
use crate::channel::ChannelName;
use crate::post::Snapshot;
use crate::telegram::client::{Client, FetchError};
use crate::telegram::landing::NoPosts;
use crate::telegram::page::{self, Page, Source};

pub use samples::Samples;

/// Why a channel has no fresh snapshot.
#[derive(Clone, Debug, Error)]
pub enum RefreshError {
    /// No page was had.
    #[error(transparent)]
    Fetch(FetchError),
    /// The page holds no posts, or none that can be trusted.
    #[error(transparent)]
    NoPosts(NoPosts),
    /// The program failed; the cause is in the log.
    #[error("reading the page failed because of a mistake in telewire itself")]
    Broken,
}

impl From<FetchError> for RefreshError {
    fn from(err: FetchError) -> Self {
        match err {
            FetchError::NoPosts(why) => Self::NoPosts(why),
            err => Self::Fetch(err),
        }
    }
}

/// How long a reader may keep what was served because asking anew failed.
const AFTER_FAILURE: Duration = Duration::from_mins(1);

/// The channels of a service: what is known of them, and the one who asks for more.
pub struct Channels {
    client: Client,
    snapshots: Snapshots,
    samples: Samples,
    flights: Arc<Flights<ChannelName, Result<Arc<Snapshot>, RefreshError>>>,
}

impl Channels {
    /// Channels that are asked for through `client`, kept in at most so many bytes and fresh for so long.
    #[must_use]
    pub fn new(client: Client, cache_size: ByteSize, fresh_for: Duration, samples: Samples) -> Arc<Self> {
        let snapshots = Snapshots::new(cache_size.as_u64(), fresh_for);
        Arc::new(Self { client, snapshots, samples, flights: Flights::new() })
    }

    /// A channel's snapshot, and for how long it may be kept without asking again.
    ///
    /// # Errors
    ///
    /// Why there is none. A channel that was read before has one, however old.
    pub async fn snapshot(
        self: &Arc<Self>,
        name: &ChannelName,
    ) -> Result<(Arc<Snapshot>, Duration), RefreshError> {
        let known = match self.snapshots.lookup(name) {
            Lookup::Fresh(snapshot, left) => return Ok((snapshot, left)),
            Lookup::Stale(snapshot) => Some(snapshot),
            Lookup::Miss => None,
        };
        let (channels, asked) = (Arc::clone(self), name.clone());
        let refreshed =
            self.flights.join(name.clone(), || async move { channels.refresh(asked).await }).await;
        match (refreshed.unwrap_or(Err(RefreshError::Broken)), known) {
            (Ok(snapshot), _) => Ok((snapshot, self.snapshots.fresh_for())),
            (Err(err), Some(known)) => {
                tracing::warn!(channel = %name, "served as it was, since it cannot be refreshed: {err}");
                Ok((known, AFTER_FAILURE))
            }
            (Err(err), None) => Err(err),
        }
    }

    async fn refresh(&self, name: ChannelName) -> Result<Arc<Snapshot>, RefreshError> {
        let known = match self.snapshots.lookup(&name) {
            // Another refresh has ended between a reader's look into the cache and this one.
            Lookup::Fresh(snapshot, _) => return Ok(snapshot),
            Lookup::Stale(_) => true,
            Lookup::Miss => false,
        };
        let snapshot = Arc::new(refresh(&self.client, &name, known, Some(&self.samples)).await?.snapshot);
        tracing::info!(channel = %name, posts = snapshot.posts.len(), "refreshed");
        self.snapshots.insert(name, Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

/// Reads a channel as it is now.
///
/// `known` says that the channel had posts before: then an answer that Telegram also gives for no good reason,
/// that there is no such channel or nothing in it, is not believed. A page that should have been readable and was
/// not is kept in `samples`.
///
/// # Errors
///
/// See [`RefreshError`].
pub async fn refresh(
    client: &Client,
    name: &ChannelName,
    known: bool,
    samples: Option<&Samples>,
) -> Result<Page, RefreshError> {
    let html = client.preview_page(name).await?;
    let (asked, samples) = (name.clone(), samples.cloned());
    // Parsing takes milliseconds, on a hostile page many: not on the threads that answer readers.
    let parse = move || {
        let page = page::parse(&html, Source::Fetched(&asked));
        if let (Err(NoPosts::NotTelegram | NoPosts::Unreadable(_)), Some(samples)) = (&page, samples) {
            samples.keep(&asked, &html);
        }
        page
    };
    let parsed = tokio::task::spawn_blocking(parse).await;
    let page = parsed.map_err(|err| {
        tracing::error!(channel = %name, "the page made the parser panic: {err}");
        RefreshError::Broken
    })?;
    match page {
        Ok(page) => {
            report(name, &page);
            Ok(page)
        }
        Err(NoPosts::Nobody | NoPosts::Empty | NoPosts::NotAName) if known => {
            Err(RefreshError::NoPosts(NoPosts::SoftBan))
        }
        Err(why) => Err(RefreshError::NoPosts(why)),
    }
}

/// Says what was not understood, so that a change of Telegram's markup is noticed.
fn report(name: &ChannelName, page: &Page) {
    let Snapshot { posts, .. } = &page.snapshot;
    for skipped in &page.skipped {
        tracing::warn!(channel = %name, text = skipped.text, "a post was skipped: {}", skipped.why);
    }
    for post in posts {
        for part in &post.unknown {
            tracing::warn!(channel = %name, post = %post.id, markup = part.markup, "unknown markup, kept as its text");
        }
    }
}
