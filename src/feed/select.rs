//! Selects the posts of a feed from a channel's history: by age, by the filters and by their number.
//!
//! A [`Scan`] looks at posts from the newest to older ones, as many as its caller loads for it. Pages that follow each
//! other give together the same posts as one long page.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::digest::Period;
use super::filter::Filter;
use super::options::{DEFAULT_DIGESTS, FeedOptions, Merge};
use crate::model::channel::{Channel, ChannelName};
use crate::model::paging::{MIN_POSTS_PER_PAGE, Newer};
use crate::model::post::{Post, PostId};
use crate::telegram::url::post_of;
use found::union;
use periods::Periods;

pub use selection::{Place, Rest, Selection};

/// The most posts that one scan looks at, besides those that are too young, of which it skips all but a page.
pub const MAX_LOOKED_AT: usize = 2_000;

/// A scan ends when the posts that it selected have this size as JSON, in bytes.
const MAX_SELECTED_BYTES: usize = 8 << 20;

/// A preview page may lack posts of this time before it was fetched: Telegram shows new ones some seconds late, and the newest
/// album is held back for a minute.
const SETTLING_TIME: Duration = Duration::from_mins(2);

/// How far a scan looks back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To the end of the posts that it begins with, whose size has a limit already.
    Page,
    /// The scan continues until it has enough posts.
    Archive,
}

/// Whether a scan looks at more posts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The scan looks at more posts.
    Looking,
    /// It has enough, or the others are too old for the options.
    Done,
    /// The others make entries before the time at which it ends.
    BelowFloor,
}

/// Returns the channel and the number of the post that a forward shows; `None` for other posts.
pub(super) fn origin(post: &Post) -> Option<(ChannelName, PostId)> {
    post_of(post.forward.as_ref()?.from.url.as_deref()?)
}

/// Selects posts.
pub struct Scan {
    options: FeedOptions,
    filter: Filter,
    now: Timestamp,
    /// All posts until then are known.
    known_until: Timestamp,
    reach: Reach,
    posts: Vec<Post>,
    n_bytes: usize,
    n_looked_at: usize,
    /// The last post that was looked at.
    lowest: Option<Place>,
    /// Entries before this time are of no use.
    floor: Timestamp,
    /// Channels whose posts are left out if they are forwarded.
    originals: Vec<ChannelName>,
    newest: Option<Timestamp>,
    has_older: bool,
    progress: Progress,
    expires: Option<Timestamp>,
    periods: Periods,
    /// Posts from Telegram's search that the scan has not reached, by ascending id.
    found: Vec<Post>,
    /// Posts that have what `q` searches for, because Telegram says so.
    matches: HashSet<PostId>,
}

impl Scan {
    /// Starts a scan. `now` serves only to compute the ages of posts and digests.
    #[must_use]
    pub fn new(options: FeedOptions, filter: Filter, now: Timestamp) -> Self {
        Self {
            reach: if options.looks_back() { Reach::Archive } else { Reach::Page },
            options,
            filter,
            now,
            known_until: Timestamp::MAX,
            posts: Vec::new(),
            n_bytes: 0,
            n_looked_at: 0,
            lowest: None,
            floor: Timestamp::MIN,
            originals: Vec::new(),
            newest: None,
            has_older: false,
            progress: Progress::Looking,
            expires: None,
            periods: Periods::default(),
            found: Vec::new(),
            matches: HashSet::new(),
        }
    }

    /// Makes the scan ask for older posts also if only a limit needs them.
    #[must_use]
    pub fn looking_back(mut self) -> Self {
        if self.options.limit.is_some() {
            self.reach = Reach::Archive;
        }
        self
    }

    /// Makes the scan end at posts whose entries would be older than this.
    #[must_use]
    pub fn stopping_at(mut self, floor: Timestamp) -> Self {
        self.floor = floor;
        self
    }

    /// Leaves forwards of posts of these channels out.
    #[must_use]
    pub fn without_forwards_of(mut self, channels: Vec<ChannelName>) -> Self {
        self.originals = channels;
        self
    }

    /// Begins the scan below a post instead of with the newest ones.
    #[must_use]
    pub fn beginning_below(mut self, id: PostId) -> Self {
        self.found.retain(|post| post.id < id);
        self.lowest = Some(Place { id, at: Timestamp::MAX });
        self.has_older = true;
        self
    }

    /// Tells when the channel's newest preview page was fetched. Digests of later posts are still to come.
    #[must_use]
    pub fn fetched(mut self, fetched: Timestamp) -> Self {
        if self.is_merging() {
            self.known_until = fetched.saturating_sub(SETTLING_TIME).unwrap_or(Timestamp::MIN);
        }
        self
    }

    /// Tells which post is the next newer one than those of the scan.
    #[must_use]
    pub fn continuing(mut self, newer: Newer) -> Self {
        self.periods.continue_below(newer, &self.options);
        self
    }

    /// Returns after which time posts are skipped, if the scan is at such posts: because they are too young, or of a digest
    /// that cannot be complete.
    #[must_use]
    pub fn skips_after(&self) -> Option<Timestamp> {
        if let Some(period) = self.periods.skipped() {
            return Some(period.start - SignedDuration::from_secs(1));
        }
        let min_age = self.min_age().filter(|_| self.n_looked_at == 0)?;
        let moment = self.now.saturating_sub(min_age).unwrap_or(Timestamp::MIN).min(self.known_until);
        let period = Period::of(moment, &self.options);
        Some(period.map_or(moment, |period| period.start - SignedDuration::from_secs(1)))
    }

    fn min_age(&self) -> Option<SignedDuration> {
        self.options.min_age.or(self.is_merging().then_some(SignedDuration::ZERO))
    }

    /// Continues below a gap with posts up to `highest`, 0 for none. The digests directly above and below a gap are
    /// incomplete, so they are left out.
    pub fn skip_gap(&mut self, channel: &Channel, highest: u32) {
        if self.is_merging() && !self.is_done() {
            self.periods.cut(&mut self.posts);
        }
        self.skip_to(channel, highest);
    }

    /// Continues with posts up to this id.
    pub fn skip_to(&mut self, channel: &Channel, highest: u32) {
        self.look_at_found(channel, highest);
        if self.is_done() {
            return;
        }
        self.has_older = highest > 0;
        if let (Some(lowest), Some(next)) = (&mut self.lowest, PostId::new(highest + 1)) {
            lowest.id = next;
        }
    }

    /// Records that there are no older posts.
    pub fn end(&mut self) {
        self.has_older = false;
    }

    /// Adds posts that Telegram's search found for `q` or for a hashtag, sorted by ascending id. Those found for `q` need not
    /// contain its words: Telegram also finds their other forms.
    pub fn add_found(&mut self, posts: Vec<Post>) {
        if !self.options.search.is_empty() {
            self.matches.extend(posts.iter().map(|post| post.id));
        }
        self.found = union(mem::take(&mut self.found), posts);
    }

    /// Looks at the next older posts, which are sorted by ascending id, and at the found posts among them. `has_older` tells
    /// whether the channel has still older ones.
    pub fn look_at(&mut self, channel: &Channel, posts: Vec<Post>, has_older: bool) {
        let n_older = posts
            .first()
            .map_or(self.found.len(), |lowest| self.found.partition_point(|post| post.id < lowest.id));
        let found = self.found.split_off(n_older);
        self.scan(channel, union(found, posts), has_older);
    }

    /// Looks at the found posts with higher ids that are older than all others. Digests are made of ranges in which no post is
    /// missing.
    pub fn look_at_found(&mut self, channel: &Channel, above: u32) {
        let n_below = self.found.partition_point(|post| post.id.get() <= above);
        let mut found = self.found.split_off(n_below);
        found.retain(|post| self.lowest.is_none_or(|lowest| post.id < lowest.id));
        if !found.is_empty() && !self.is_done() && !self.is_merging() {
            self.scan(channel, found, self.has_older);
        }
    }

    fn scan(&mut self, channel: &Channel, posts: Vec<Post>, has_older: bool) {
        self.has_older = has_older;
        let is_merging = self.is_merging();
        let wanted = match self.options.limit {
            Some(limit) => limit.into(),
            None if is_merging => DEFAULT_DIGESTS,
            // The first posts are what the feed shows without filters, which may be more than the minimum.
            None if self.lowest.is_none() => usize::MAX,
            None => MIN_POSTS_PER_PAGE,
        };
        for post in posts.into_iter().rev() {
            if self.options.before.as_ref().is_some_and(|before| post.id >= before.id) {
                continue;
            }
            let period = Period::of(post.published, &self.options);
            let begins_period = period != self.periods.current;
            let at = period.map_or(post.published, |period| period.end);
            let is_below_floor = at < self.floor;
            let n_entries = if is_merging { self.periods.n_shown } else { self.posts.len() };
            let is_full = n_entries >= wanted && (begins_period || !is_merging);
            if is_full || is_below_floor || self.is_at_limit() {
                self.has_older = true;
                self.progress = if is_below_floor { Progress::BelowFloor } else { Progress::Done };
                self.periods.at_end = begins_period;
                break;
            }
            if begins_period {
                self.periods.begin(period, self.posts.len(), self.n_looked_at == 0);
            }
            // A digest is as old as the end of its day or week, and appears then.
            let age = self.now.duration_since(at);
            if self.options.max_age.is_some_and(|max_age| age >= max_age) {
                // Ids rise with time, so all other posts are older still.
                self.has_older = false;
                self.progress = Progress::Done;
                break;
            }
            self.lowest = Some(Place { id: post.id, at });
            self.periods.last = self.lowest;
            self.newest = self.newest.max(Some(post.published));
            if let Some(min_age) = self.min_age().filter(|min_age| age < *min_age) {
                self.expire_after(min_age - age);
                continue;
            }
            if is_merging && (at > self.known_until || self.periods.skipped().is_some()) {
                continue;
            }
            self.periods.n_begun += usize::from(begins_period);
            self.n_looked_at += 1;
            if !self.is_forward(&post) && self.passes(&post, &channel.signature_lines) {
                if let Some(max_age) = self.options.max_age {
                    self.expire_after(max_age - age);
                }
                self.periods.n_shown += usize::from(self.periods.is_empty(self.posts.len()));
                if self.reach == Reach::Archive {
                    self.n_bytes += post.json_len();
                }
                self.posts.push(post);
            }
        }
        // Whether a digest is complete shows at the next older post.
        let enough = self.options.limit.map_or(MIN_POSTS_PER_PAGE, usize::from);
        let has_enough = !is_merging && (self.posts.len() >= enough || self.is_at_limit());
        if self.progress == Progress::Looking && has_enough {
            self.progress = Progress::Done;
        }
    }

    fn is_at_limit(&self) -> bool {
        self.n_looked_at >= MAX_LOOKED_AT || self.n_bytes >= MAX_SELECTED_BYTES
    }

    fn is_forward(&self, post: &Post) -> bool {
        !self.originals.is_empty()
            && origin(post).is_some_and(|(channel, _)| self.originals.contains(&channel))
    }

    fn passes(&self, post: &Post, signature_lines: &[String]) -> bool {
        if self.matches.contains(&post.id) {
            self.filter.passes_if_found(post, signature_lines)
        } else {
            self.filter.passes(post, signature_lines)
        }
    }

    /// Records that the same posts give another selection after `duration`.
    fn expire_after(&mut self, duration: SignedDuration) {
        let at = self.now.saturating_add(duration).unwrap_or(Timestamp::MAX);
        self.expires = Some(self.expires.map_or(at, |expires| expires.min(at)));
    }

    /// Returns the post below which a filter needs older posts; `None` if the scan is complete.
    #[must_use]
    pub fn needs_posts_before(&self) -> Option<PostId> {
        let needs_more = self.reach == Reach::Archive && self.has_older && self.progress == Progress::Looking;
        self.lowest.filter(|_| needs_more).map(|lowest| lowest.id)
    }

    /// Returns whether the scan has as many posts as the feed shows.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.progress != Progress::Looking
    }

    /// Returns whether the scan has fewer digests than a feed has by default, without those of which no post passes the filters.
    #[must_use]
    pub fn lacks_digests(&self) -> bool {
        // The last one is complete when an older post is known.
        self.is_merging() && !self.is_done() && self.periods.n_begun <= DEFAULT_DIGESTS
    }

    /// Returns the texts for Telegram's own search: that of `q`, or else those of hashtags, which are searched while the archive
    /// does not reach back far enough. None for digests, whose posts must not change with what Telegram currently finds.
    #[must_use]
    pub fn searches(&self) -> (Option<String>, Vec<String>) {
        if self.is_merging() {
            return (None, Vec::new());
        }
        let text = self.options.search_text();
        let tags = self.options.tags.iter().filter(|_| text.is_none());
        let tags = tags.map(|tag| format!("#{tag}")).collect();
        (text, tags)
    }

    /// Returns whether the posts are merged into digests.
    #[must_use]
    pub fn is_merging(&self) -> bool {
        self.options.merge != Merge::None
    }

    /// Ends the scan. A digest of which older posts are missing is left to the next feed page, unless it is too large for any.
    #[must_use]
    pub fn finish(mut self, channel: Channel) -> Selection {
        if self.is_merging() {
            let is_at_limit = self.progress == Progress::Done;
            self.lowest = self.periods.finish(&mut self.posts, self.has_older, is_at_limit);
        }
        let period = |post: &Post| Period::of(post.published, &self.options);
        let span = self.posts.last().and_then(period).zip(self.posts.first().and_then(period));
        let Self { posts, n_bytes, lowest, newest, has_older, expires, n_looked_at, periods, .. } = self;
        let rest = match lowest.filter(|_| has_older) {
            _ if self.progress == Progress::BelowFloor => Rest::TooOld,
            Some(lowest) => Rest::After(lowest),
            None => Rest::Nothing,
        };
        Selection {
            channel,
            posts,
            deletions: Vec::new(),
            articles: HashMap::new(),
            rest,
            newest,
            expires,
            n_looked_at,
            n_bytes,
            too_large: periods.too_large,
            span: span.map(|(oldest, newest)| (oldest.start, newest.end)),
        }
    }
}

mod found;
mod periods;
mod selection;
#[cfg(test)]
mod tests;
