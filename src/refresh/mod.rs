//! Fetch a channel's page, parse it, decide whether to believe it, and keep the snapshot: alone writes the cache.

mod channels;
mod failures;
mod files;
mod freshness;
mod hidden;
mod history;
mod samples;

use std::io;

use thiserror::Error;

use crate::channel::ChannelName;
use crate::meter;
use crate::post::Snapshot;
use crate::telegram::address::Which;
use crate::telegram::client::{Client, FetchError, Line};
use crate::telegram::landing::NoPosts;
use crate::telegram::page::{self, Page, Source};
use crate::work;

pub use channels::{Channels, Origin, STALE, Served, now};
pub use failures::Failure;
pub use files::{Address, FileError};
pub use freshness::Freshness;
pub use history::{StepError, follow_up, step};
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
    /// What is asked for is in the archive, or in Telegram, but cannot be had now.
    #[error("older posts cannot be read at the moment")]
    NotNow,
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

impl From<io::Error> for RefreshError {
    fn from(err: io::Error) -> Self {
        tracing::error!("a snapshot cannot be packed: {err}");
        Self::Broken
    }
}

impl RefreshError {
    /// Whether there is nothing to be had because Telegram itself says so.
    #[must_use]
    pub fn is_telegrams_word(&self) -> bool {
        matches!(self, Self::NoPosts(why) if why.is_telegrams_word())
    }

    /// What went wrong in a word, as caches and metrics have it.
    #[must_use]
    pub fn word(&self) -> String {
        let word = match self {
            Self::Fetch(FetchError::Refused { status, .. } | FetchError::Status { status, .. }) => {
                return format!("upstream-{status}");
            }
            Self::Fetch(FetchError::Unreachable { .. }) => "upstream-unreachable",
            Self::Fetch(FetchError::TimedOut(_)) => "upstream-timeout",
            Self::Fetch(FetchError::Resting { .. }) => "upstream-resting",
            Self::Fetch(FetchError::Busy(_)) => "upstream-busy",
            Self::Fetch(_) => "upstream-broken",
            Self::NoPosts(why) if why.is_telegrams_word() => "no-posts",
            Self::NoPosts(_) => "page-not-trusted",
            Self::NotNow | Self::Broken => "internal",
        };
        word.to_owned()
    }
}

/// Reads a page of a channel, as it is now.
///
/// A page that should have been readable and was not is kept in `samples`.
///
/// # Errors
///
/// See [`RefreshError`].
pub async fn read_page(
    client: &Client,
    name: &ChannelName,
    which: Which,
    line: Line,
    samples: Option<&Samples>,
) -> Result<Page, RefreshError> {
    let mut fetched = client.page(name, which, line).await?;
    let html = std::mem::take(&mut fetched.html);
    let (asked, samples) = (name.clone(), samples.cloned());
    let parse = move || {
        let page = page::parse(&html, Source::Fetched(&asked));
        if let (Err(NoPosts::NotTelegram | NoPosts::Unreadable(_)), Some(samples)) = (&page, samples) {
            samples.keep(&asked, &html);
        }
        page
    };
    let page = work::off_thread(parse).await.map_err(|err| {
        tracing::error!(channel = %name, "the page made the parser panic: {err}");
        RefreshError::Broken
    })?;
    // Of older posts there may be none.
    let is_end = |why: &NoPosts| matches!((which, why), (Which::Before(_), NoPosts::SoftBan));
    fetched.judge(page.as_ref().err().is_none_or(|why| why.is_telegrams_word() || is_end(why)));
    match page {
        Ok(page) => {
            report(name, &page);
            Ok(page)
        }
        Err(why) => Err(RefreshError::NoPosts(why)),
    }
}

/// Says what was not understood, so that a change of Telegram's markup is noticed.
fn report(name: &ChannelName, page: &Page) {
    let Snapshot { posts, .. } = &page.snapshot;
    for skipped in &page.skipped {
        meter::skipped_post();
        tracing::warn!(channel = %name, text = skipped.text, "a post was skipped: {}", skipped.why);
    }
    for post in posts {
        for part in &post.unknown {
            meter::unknown_markup(&part.markup);
            tracing::warn!(channel = %name, post = %post.id, markup = part.markup, "unknown markup, kept as its text");
        }
    }
}
