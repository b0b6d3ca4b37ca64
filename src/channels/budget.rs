//! Limits on the requests to Telegram that one request causes, and its deadline.

use std::time::Duration;

use tokio::time::Instant;

use super::Visitor;

/// How long one request waits for Telegram in all. The rest of its time is for the archive and for rendering.
pub(super) const MAX_TELEGRAM_WAIT: Duration = Duration::from_secs(8);

/// Searches for one request.
const MAX_SEARCHES: usize = 3;

/// Backfills for the digests of one request, each of 20 or more posts.
const MAX_DIGEST_BACKFILLS: usize = 25;

/// Articles that are fetched for one request.
const MAX_ARTICLES: usize = 50;

/// The requests to Telegram that one request may cause besides the pages of its channels, and its deadline.
#[derive(Debug)]
pub struct FetchBudget {
    pub(super) visitor: Visitor,
    pub(super) n_searches: usize,
    pub(super) n_backfills: usize,
    pub(super) n_articles: usize,
    /// The end of all waits for Telegram. Requests that were sent continue, so that a later request finds their results.
    pub deadline: Instant,
}

impl FetchBudget {
    /// Returns the budget of a request that is received now: a few searches, older posts for digests, and articles.
    #[must_use]
    pub fn new(visitor: Visitor) -> Self {
        let deadline = Instant::now() + MAX_TELEGRAM_WAIT;
        let (n_searches, n_backfills, n_articles) = (MAX_SEARCHES, MAX_DIGEST_BACKFILLS, MAX_ARTICLES);
        Self { visitor, n_searches, n_backfills, n_articles, deadline }
    }

    /// Leaves out searches, for older posts.
    #[must_use]
    pub fn without_searches(self) -> Self {
        Self { n_searches: 0, ..self }
    }

    /// Returns the budget of a request whose posts come from the archive. Pages that crawlers visit have it.
    #[must_use]
    pub fn none(visitor: Visitor) -> Self {
        Self { n_articles: 0, n_backfills: 0, ..Self::new(visitor).without_searches() }
    }
}
