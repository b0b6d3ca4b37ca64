//! A channel as it is served, and where it came from.

use std::sync::Arc;
use std::time::Duration;

use super::{CompressedSnapshot, RefreshError};

/// A channel as it is served.
#[derive(Clone, Debug)]
pub struct CachedChannel {
    /// The channel and its newest posts.
    pub snapshot: Arc<CompressedSnapshot>,
    /// How long a reader may cache the answer.
    pub max_age: Duration,
    /// Where the answer came from.
    pub status: CacheStatus,
}

/// The cache status of an answer (RFC 9211).
#[derive(Clone, Debug)]
pub enum CacheStatus {
    /// It was not cached; this request waited until it was fetched from Telegram.
    Miss,
    /// It was stale; this request waited for its refresh.
    Refreshed,
    /// It was fresh. The request may have waited for posts between the newest page and the archived ones.
    Hit,
    /// It was stale.
    Stale {
        /// How long it has been stale.
        stale_for: Duration,
        /// Why the last refresh failed, if it did.
        error: Option<RefreshError>,
    },
}

impl CacheStatus {
    /// Returns the label in metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Refreshed => "refreshed",
            Self::Hit => "hit",
            Self::Stale { .. } => "stale",
        }
    }
}
