//! Selects the posts of a feed from a channel's history: by age, by the filters and by their number.
//!
//! A [`Scan`] looks at posts from the newest to older ones, as many as its caller loads for it. Pages that follow each
//! other give together the same posts as one long page.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;

use jiff::{SignedDuration, Timestamp};

use super::digest::Period;
use super::filter::Filter;
use super::options::{DEFAULT_DIGESTS, FeedOptions, Merge};
use crate::model::album::is_inside;
use crate::model::article::LinkedArticle;
use crate::model::channel::{Channel, ChannelName};
use crate::model::paging::{Deletion, MIN_POSTS_PER_PAGE};
use crate::model::post::{Post, PostId, Snapshot};
use crate::telegram::url::post_of;

/// The most posts that one scan looks at, besides those that are too young. A scan for digests ends at the beginning of the
/// next one after these, so that it has whole ones.
pub const MAX_LOOKED_AT: usize = 2_000;

/// The most posts that one scan looks at in any case. This suffices for digests of a week with 1,400 posts a day.
const MAX_LOOKED_AT_IN_ALL: usize = 20_000;

/// The posts of a feed.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The channel.
    pub channel: Channel,
    /// The posts, newest first.
    pub posts: Vec<Post>,
    /// Posts that were deleted since; only digests depend on them.
    pub deletions: Vec<Deletion>,
    /// The articles that posts link to, if the reader wants them.
    pub articles: HashMap<PostId, Vec<LinkedArticle>>,
    /// The posts for the next feed page.
    pub rest: Rest,
    /// When the newest post was published that the scan looked at.
    pub newest: Option<Timestamp>,
    /// When another selection would result from the same posts.
    pub expires: Option<Timestamp>,
    /// The number of posts that the scan looked at.
    pub n_looked_at: usize,
}

impl From<Snapshot> for Selection {
    /// Selects all posts.
    fn from(snapshot: Snapshot) -> Self {
        let mut scan = Scan::new(FeedOptions::default(), Filter::default(), Timestamp::MIN);
        scan.look_at(&snapshot.channel, snapshot.posts, snapshot.has_older);
        scan.finish(snapshot.channel)
    }
}

/// A post and its place in the order of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The post.
    pub id: PostId,
    /// The date of its entry: when it was published, or when its digest is complete.
    pub at: Timestamp,
}

/// The posts that a selection leaves to the next feed page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are no older posts.
    Nothing,
    /// Posts older than this one.
    After(Place),
    /// Posts that are older than all entries of the feed, which has enough of them; see [`Scan::stopping_at`].
    TooOld,
}

/// How far a scan looks back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To the end of the posts that it begins with.
    Page,
    /// The scan continues until it has enough posts.
    Archive,
}

/// Whether a scan looks at more posts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It does.
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
    reach: Reach,
    posts: Vec<Post>,
    n_looked_at: usize,
    /// How many of these are too young.
    n_too_young: usize,
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
    /// The digest of the last post.
    period: Option<Period>,
    /// The digests that have posts.
    n_periods: usize,
    /// The number of posts before the current digest, and the last post that was looked at before it, if any.
    before_period: (usize, Option<Place>),
    /// The current digest is complete.
    at_period_end: bool,
    /// Posts from Telegram's search that the scan has not reached, by ascending id.
    found: Vec<Post>,
    /// Posts that have what `q` searches for, because Telegram says so.
    matches: HashSet<PostId>,
}

impl Scan {
    /// Starts a scan. `now` is compared with the age of posts only.
    #[must_use]
    pub fn new(options: FeedOptions, filter: Filter, now: Timestamp) -> Self {
        Self {
            reach: if options.looks_back() { Reach::Archive } else { Reach::Page },
            options,
            filter,
            now,
            posts: Vec::new(),
            n_looked_at: 0,
            n_too_young: 0,
            lowest: None,
            floor: Timestamp::MIN,
            originals: Vec::new(),
            newest: None,
            has_older: false,
            progress: Progress::Looking,
            expires: None,
            period: None,
            n_periods: 0,
            before_period: (0, None),
            at_period_end: false,
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

    /// Goes on below a gap, with posts up to this id; 0 if there are none. Posts in the gap may have been found.
    pub fn skip_gap(&mut self, channel: &Channel, highest: u32) {
        self.look_at_found(channel, highest);
        if self.is_done() {
            return;
        }
        self.has_older = highest > 0;
        if let (Some(lowest), Some(next)) = (&mut self.lowest, PostId::new(highest + 1)) {
            lowest.id = next;
        }
    }

    /// There are no older posts.
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
            let begins_period = period != self.period;
            let at = period.map_or(post.published, |period| period.end);
            let is_below_floor = at < self.floor;
            let n_entries = if is_merging { self.n_periods } else { self.posts.len() };
            let is_full = n_entries >= wanted && (begins_period || !is_merging);
            if is_full || is_below_floor || self.is_at_limit(begins_period) {
                self.has_older = true;
                self.progress = if is_below_floor { Progress::BelowFloor } else { Progress::Done };
                self.at_period_end = begins_period;
                break;
            }
            if begins_period {
                self.period = period;
                let lowest = self.lowest.filter(|_| self.n_looked_at > 0);
                self.before_period = (self.posts.len(), lowest);
            }
            // A digest is as old as the end of its day or week, and appears then.
            let age = self.now.duration_since(at);
            if self.options.max_age.is_some_and(|max_age| age >= max_age) {
                // Ids rise with time, so all other posts are older still.
                self.has_older = false;
                self.progress = Progress::Done;
                break;
            }
            self.n_looked_at += 1;
            self.lowest = Some(Place { id: post.id, at });
            self.newest = self.newest.max(Some(post.published));
            let min_age = self.options.min_age.or(is_merging.then_some(SignedDuration::ZERO));
            if let Some(min_age) = min_age.filter(|min_age| age < *min_age) {
                self.n_too_young += 1;
                self.expire_after(min_age - age);
            } else if !self.is_forward(&post) && self.passes(&post, &channel.signature_lines) {
                if let Some(max_age) = self.options.max_age {
                    self.expire_after(max_age - age);
                }
                self.n_periods += usize::from(self.posts.len() == self.before_period.0);
                self.posts.push(post);
            }
        }
        let enough = self.options.limit.map_or(MIN_POSTS_PER_PAGE, usize::from);
        let has_enough = !is_merging && self.posts.len() >= enough;
        if self.progress == Progress::Looking && (has_enough || self.is_at_limit(false)) {
            self.progress = Progress::Done;
        }
    }

    /// Returns whether the scan has looked at enough posts to end before the next one.
    fn is_at_limit(&self, begins_period: bool) -> bool {
        let may_end = begins_period || !self.is_merging();
        may_end && self.n_looked_at - self.n_too_young >= MAX_LOOKED_AT
            || self.n_looked_at >= MAX_LOOKED_AT_IN_ALL
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

    /// Another selection results from the same posts after this time.
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

    /// Ends the scan. A digest of which older posts are missing is left to the next feed page.
    #[must_use]
    pub fn finish(mut self, channel: Channel) -> Selection {
        if self.is_merging() && self.has_older && !self.at_period_end {
            let (n_posts, lowest) = self.before_period;
            self.posts.truncate(n_posts);
            // The next feed page does not begin where this one did, even if the period is too long for one.
            if lowest.is_some() || !self.is_at_limit(false) {
                self.lowest = lowest;
            }
        }
        let Self { posts, lowest, newest, has_older, expires, n_looked_at, .. } = self;
        let rest = match lowest.filter(|_| has_older) {
            _ if self.progress == Progress::BelowFloor => Rest::TooOld,
            Some(lowest) => Rest::After(lowest),
            None => Rest::Nothing,
        };
        let articles = HashMap::new();
        Selection { channel, posts, deletions: Vec::new(), articles, rest, newest, expires, n_looked_at }
    }
}

/// Returns all posts by ascending id. Of two with the same id, the latter has its history from the archive. An item of an
/// album, which a search may have found alone, is left to the whole album.
fn union(found: Vec<Post>, posts: Vec<Post>) -> Vec<Post> {
    if found.is_empty() {
        return posts;
    }
    let all: BTreeMap<PostId, Post> = found.into_iter().chain(posts).map(|post| (post.id, post)).collect();
    let mut all: Vec<Post> = all.into_values().collect();
    all.dedup_by(|post, before| is_inside(post.id, before));
    all
}

#[cfg(test)]
mod tests;
