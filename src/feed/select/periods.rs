//! The days or weeks that a scan for digests goes through, from the newest to older ones.

use super::{Period, Place};
use crate::feed::options::FeedOptions;
use crate::model::paging::Newer;
use crate::model::post::Post;

/// The periods of the posts that a scan has looked at.
#[derive(Default)]
pub(super) struct Periods {
    /// The period of the last post; `None` below a gap.
    pub(super) current: Option<Period>,
    /// The last post that was looked at.
    pub(super) last: Option<Place>,
    /// The number of periods that are neither too young nor skipped.
    pub(super) n_begun: usize,
    /// The number of those with posts that pass the filters.
    pub(super) n_shown: usize,
    /// All posts of the current period were looked at.
    pub(super) at_end: bool,
    /// A period that is too large for a digest.
    pub(super) too_large: Option<Period>,
    /// The number of selected posts before the current period, and the last post that was looked at before it. `None` if all
    /// of them are too young: the next feed page would begin with the same period.
    before: (usize, Option<Place>),
    /// A gap is between the current period and newer posts.
    is_cut: bool,
    /// A gap is directly above the next post.
    is_below_gap: bool,
}

impl Periods {
    /// Begins below a feed page that ends with this post. If it is of the same period, that page has ended inside of it,
    /// because it is too large for a digest.
    pub(super) fn continue_below(&mut self, newer: Newer, options: &FeedOptions) {
        self.is_below_gap = newer.is_above_gap;
        self.too_large = Period::of(newer.published, options).filter(|_| !newer.is_above_gap);
    }

    /// Begins the next older period. `n_posts` are selected already. It `is_first` if no post before it is old enough.
    pub(super) fn begin(&mut self, period: Option<Period>, n_posts: usize, is_first: bool) {
        self.current = period;
        self.is_cut = std::mem::take(&mut self.is_below_gap);
        self.before = (n_posts, self.last.filter(|_| !is_first));
    }

    /// Returns whether no post of the current period is among the `n_posts` that are selected.
    pub(super) fn is_empty(&self, n_posts: usize) -> bool {
        n_posts == self.before.0
    }

    /// Returns the current period if it is skipped, because its newest posts may be unknown.
    pub(super) fn skipped(&self) -> Option<Period> {
        self.current.filter(|_| self.is_cut)
    }

    /// Leaves out the posts of the current period, because a gap is below it, and skips the next one.
    pub(super) fn cut(&mut self, posts: &mut Vec<Post>) {
        self.n_shown -= usize::from(self.leave_out_current(posts));
        self.current = None;
        self.is_below_gap = true;
    }

    /// Ends the scan: a period of which older posts are missing is left to the next feed page, unless it is too large for any.
    /// Returns the last post of this page.
    pub(super) fn finish(
        &mut self,
        posts: &mut Vec<Post>,
        has_older: bool,
        is_at_limit: bool,
    ) -> Option<Place> {
        if !has_older || self.at_end {
            return self.last;
        }
        if is_at_limit && self.before.1.is_none() {
            self.too_large = self.current;
        }
        self.leave_out_current(posts);
        if self.is_too_large() { self.last } else { self.before.1 }
    }

    /// Returns whether there were any posts to leave out.
    fn leave_out_current(&self, posts: &mut Vec<Post>) -> bool {
        let leaves_out = !self.is_too_large() && posts.len() > self.before.0;
        if leaves_out {
            posts.truncate(self.before.0);
        }
        leaves_out
    }

    fn is_too_large(&self) -> bool {
        self.current.is_some() && self.too_large == self.current
    }
}
