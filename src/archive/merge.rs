//! What a page changes of what is known: new posts, edits, deletions; pure.

use std::collections::BTreeMap;
use std::mem;

use jiff::{SignedDuration, Timestamp};

use super::FetchedPage;
use crate::model::channel::Channel;
use crate::model::media_file;
use crate::model::paging::{Gap, MAX_POSTS_PER_PAGE};
use crate::model::post::{Media, Post, PostId, Snapshot};

/// The rules by which two states of a post are compared, and posts are read. A post that was archived under other
/// rules is not taken for edited because telewire reads it differently now.
pub(super) const PARSER_VERSION: u32 = 1;

/// How often a post has to be missing from the middle of a page before it counts as deleted.
const MISSES_UNTIL_GONE: u32 = 2;

/// For so long the newest album may not be whole yet: its pictures come one by one.
const ALBUM_HOLD: SignedDuration = SignedDuration::from_mins(1);

/// The most items of an album.
pub const MAX_ALBUM_ITEMS: u32 = 10;

/// A post as it is archived.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) post: Post,
    /// How many pages in a row have not shown it though they should have.
    pub(super) missing: u32,
    /// When it was found to be deleted.
    pub(super) gone: Option<Timestamp>,
    /// The rules by which it was read.
    pub(super) parser_version: u32,
}

/// What of a page can be archived.
#[derive(Clone, Debug)]
pub(super) struct PageSlice {
    /// Posts that are shown whole, by ascending id.
    pub(super) posts: Vec<Post>,
    /// The lowest id that the page shows.
    pub(super) lowest: PostId,
    /// The highest id that the page shows.
    pub(super) highest: PostId,
    /// Every message of it could be read, so what is missing is not there.
    pub(super) is_whole: bool,
    /// Where what is older begins: below this id.
    pub(super) cursor: PostId,
    /// The oldest post may be the rest of an album: a page has so many places, an album takes one for each of its
    /// items, and the rest has another id than the whole. The next older page is then asked for from above it.
    pub(super) is_oldest_cut: bool,
    /// The page says itself that there is something older.
    pub(super) is_linked: bool,
    /// In how long the newest album is whole, which is held back until then.
    pub(super) held_for: Option<SignedDuration>,
}

impl PageSlice {
    /// What a page shows; of the newest page without its newest album while that may not be whole. `None` for a page
    /// without posts.
    pub(super) fn of(page: &FetchedPage, is_newest: bool, now: Timestamp) -> Option<Self> {
        let mut posts = page.snapshot.posts.clone();
        let (lowest, highest) = (posts.first()?.id, posts.last()?.id);
        let is_oldest_cut = posts.len() > 1 && page.older.is_some() && shows_media(&posts[0]);
        let cursor = if is_oldest_cut { posts[1].id } else { page.older.unwrap_or(lowest) };
        let mut held_for = None;
        let newest = posts.last()?;
        let age = now.duration_since(newest.published);
        // A clock that is wrong by more than that is no reason to wait for it.
        if is_newest && posts.len() > 1 && is_album(newest) && (-ALBUM_HOLD..ALBUM_HOLD).contains(&age) {
            held_for = Some((ALBUM_HOLD - age).min(ALBUM_HOLD));
            posts.pop();
        }
        let is_whole = page.is_complete;
        let is_linked = page.older.is_some();
        Some(Self { posts, lowest, highest, is_whole, cursor, is_oldest_cut, is_linked, held_for })
    }

    /// Leaves the newest post out when a page that ends before an id that somebody has chosen may cut it there.
    /// Returns the id below which the page shows everything.
    pub(super) fn drop_cut_newest(&mut self, from: PostId) -> PostId {
        let reaches = |post: &&Post| post.id.get().saturating_add(MAX_ALBUM_ITEMS) > from.get();
        match self.posts.last().filter(reaches).filter(|post| shows_media(post)).map(|post| post.id) {
            Some(id) if self.posts.len() > 1 => {
                self.posts.pop();
                id
            }
            _ => from,
        }
    }

    /// Whether a post may be the rest of an album.
    fn is_cut(&self, id: PostId) -> bool {
        self.is_oldest_cut && id == self.lowest
    }

    /// Leaves the oldest post out when it may be cut: the next older page has it whole, which is read unless this one
    /// reaches down to what is known, up to `above`.
    pub(super) fn drop_cut_oldest(&mut self, above: u32) {
        if self.is_oldest_cut && self.lowest.get() > above + 1 {
            self.posts.retain(|post| post.id != self.lowest);
        }
    }
}

impl PageSlice {
    /// What is left of a gap when this page has been read. Ids start at 1, and nothing is between neighbours.
    pub(super) fn remaining_gap(&self, gap: Gap) -> Option<Gap> {
        let is_left = self.lowest.get() > gap.above + 1;
        is_left.then_some(Gap { below: self.cursor, linked: self.is_linked, failures: 0, retry: 0, ..gap })
    }
}

fn shows_media(post: &Post) -> bool {
    !post.media.is_empty() || !post.documents.is_empty()
}

fn is_album(post: &Post) -> bool {
    n_items(post) > 1
}

fn n_items(post: &Post) -> u32 {
    u32::try_from(post.media.len().max(post.documents.len()))
        .unwrap_or(MAX_ALBUM_ITEMS)
        .clamp(1, MAX_ALBUM_ITEMS)
}

/// Whether `id` is one of an album's items, but not the one that the album is called by.
fn is_inside(id: PostId, album: &Post) -> bool {
    album.id < id && id.get() < album.id.get().saturating_add(n_items(album))
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Records that are new or differ.
    pub(super) put: Vec<Record>,
    /// A reader can see a difference.
    pub(super) is_visible: bool,
}

/// Compares a page with the records in its range, and a little below it.
pub(super) fn merge(known: Vec<Record>, slice: &PageSlice, now: Timestamp) -> Changes {
    let mut changes = Changes::default();
    let mut fresh = slice.posts.iter().peekable();
    let mut known = known.into_iter().peekable();
    let mut whole: Option<Post> = None;
    loop {
        let record = match (known.peek(), fresh.peek()) {
            (Some(record), Some(post)) if record.post.id > post.id => None,
            (Some(_), _) => known.next(),
            (None, Some(_)) => None,
            (None, None) => break,
        };
        let id = record.as_ref().map(|record| record.post.id);
        let post = fresh.next_if(|post| id.is_none_or(|id| id == post.id)).cloned();
        let is_part = |id| whole.as_ref().is_some_and(|album| is_inside(id, album));
        let after = match (record.clone(), post) {
            // The rest of an album that is known whole, on a page that cuts it.
            (None, Some(post)) if slice.is_cut(post.id) && is_part(post.id) => continue,
            (None, Some(post)) => {
                Some(Record { post, missing: 0, gone: None, parser_version: PARSER_VERSION })
            }
            // It came before the whole one, and does not come back.
            (Some(record), Some(post)) if slice.is_cut(post.id) && is_part(post.id) => {
                record.gone.is_none().then_some(Record { gone: Some(now), ..record })
            }
            (Some(record), Some(post)) => seen_again(&record, post, now),
            (Some(record), None) if record.gone.is_none() && is_part(record.post.id) => {
                Some(Record { gone: Some(now), ..record })
            }
            (Some(record), None) => unseen(record, slice, now),
            (None, None) => None,
        };
        let current = after.as_ref().or(record.as_ref()).filter(|record| record.gone.is_none());
        if let Some(album) = current.filter(|record| is_album(&record.post)) {
            whole = Some(album.post.clone());
        }
        if let Some(after) = after {
            changes.is_visible |= record.is_none_or(|before| {
                as_shown(&before.post) != as_shown(&after.post)
                    || before.gone.is_some() != after.gone.is_some()
            });
            changes.put.push(after);
        }
    }
    changes
}

/// What is known when there is no archive to merge a page with: what was known before, and the page.
#[must_use]
pub fn merge_without_archive(known: Option<Snapshot>, page: &FetchedPage, now: Timestamp) -> Snapshot {
    let fresh = &page.snapshot;
    let channel = Channel { counters: Vec::new(), ..fresh.channel.clone() };
    let Some((known, mut slice)) = known.zip(PageSlice::of(page, true, now)) else {
        return Snapshot { channel, ..fresh.clone() };
    };
    let record = |post| Record { post, missing: 0, gone: None, parser_version: PARSER_VERSION };
    let mut posts: BTreeMap<PostId, Post> = known.posts.into_iter().map(|post| (post.id, post)).collect();
    let in_range: Vec<_> = posts.range(..=slice.highest).map(|(_, post)| record(post.clone())).collect();
    slice.drop_cut_oldest(posts.last_key_value().map_or(0, |(id, _)| id.get()));
    posts.extend(merge(in_range, &slice, now).put.into_iter().map(|record| (record.post.id, record.post)));
    let mut posts: Vec<Post> = posts.into_values().collect();
    let n_left_out = posts.len().saturating_sub(MAX_POSTS_PER_PAGE.into());
    posts.drain(..n_left_out);
    let has_older = known.has_older || fresh.has_older || n_left_out > 0;
    Snapshot { channel, posts, has_older }
}

/// A known post, as a page shows it now; `None` when nothing worth writing is different.
fn seen_again(before: &Record, mut post: Post, now: Timestamp) -> Option<Record> {
    let known = &before.post;
    // What a reader has once been given stays: when it was published, and what it is called by.
    post.published = known.published;
    post.permalink.clone_from(&known.permalink);
    post.updated = known.updated;
    post.revision = known.revision;
    if post.only_in_telegram.is_some() && has_content(known) {
        // What it says was there before, or has been found elsewhere.
        let hidden = mem::replace(&mut post, known.clone());
        post.reactions = hidden.reactions;
        post.views = hidden.views;
    } else if before.parser_version == PARSER_VERSION
        && known.only_in_telegram.is_none()
        && !same_content(known, &post)
    {
        post.updated = Some(now);
    }
    if before.parser_version == PARSER_VERSION && known.only_in_telegram.is_none() {
        post.revision += u32::from(!same_media(known, &post) || !same_preview(known, &post));
    }
    let is_back = before.missing > 0 || before.gone.is_some();
    let differs =
        is_back || before.parser_version != PARSER_VERSION || without_counts(known) != without_counts(&post);
    differs.then_some(Record { post, missing: 0, gone: None, parser_version: PARSER_VERSION })
}

/// A known post that the page does not show.
fn unseen(record: Record, slice: &PageSlice, now: Timestamp) -> Option<Record> {
    let is_expected = slice.is_whole && slice.lowest < record.post.id && record.post.id < slice.highest;
    if !is_expected || record.gone.is_some() {
        return None;
    }
    let missing = record.missing + 1;
    Some(Record { missing, gone: (missing >= MISSES_UNTIL_GONE).then_some(now), ..record })
}

pub(super) fn has_content(post: &Post) -> bool {
    !post.text.is_empty() || !post.media.is_empty() || !post.documents.is_empty() || post.poll.is_some()
}

/// The post without what changes all the time, and is no reason to write it anew.
fn without_counts(post: &Post) -> Post {
    let mut post = Post { reactions: Vec::new(), views: None, ..post.clone() };
    if let Some(poll) = &mut post.poll {
        poll.voters = None;
        poll.options.iter_mut().for_each(|option| option.percent = None);
    }
    post
}

/// The post as a feed shows it, where the addresses of its files are others.
fn as_shown(post: &Post) -> Post {
    media_file::without_urls(without_counts(post))
}

/// Whether a post still says and shows the same. What Telegram adds to it (a preview of its link, the quote of
/// what it answers, counts) and addresses, which are other ones every few days, do not count.
fn same_content(before: &Post, after: &Post) -> bool {
    let poll = |post: &Post| {
        let poll = post.poll.as_ref()?;
        let options: Vec<_> = poll.options.iter().map(|option| option.text.clone()).collect();
        Some((poll.question.clone(), options))
    };
    before.text == after.text
        && before.documents == after.documents
        && poll(before) == poll(after)
        && same_media(before, after)
}

/// Whether a post still shows the same.
fn same_media(before: &Post, after: &Post) -> bool {
    before.media.len() == after.media.len()
        && before.media.iter().zip(&after.media).all(|(before, after)| same_medium(before, after))
}

/// Whether the preview of a link is still that of the same page. That it comes later is no change.
fn same_preview(before: &Post, after: &Post) -> bool {
    before.preview.as_ref().zip(after.preview.as_ref()).is_none_or(|(before, after)| before.url == after.url)
}

/// Whether two media are the same one, as far as can be told without their addresses.
fn same_medium(before: &Media, after: &Media) -> bool {
    match (before, after) {
        (Media::Photo { file: a, size: a_size, .. }, Media::Photo { file: b, size: b_size, .. }) => {
            a.zip(*b).map_or(a_size == b_size, |(a, b)| a == b)
        }
        // A kind that changes with whether the file is handed out at the moment is no difference.
        (Media::Video(a), Media::Video(b)) => a.size == b.size && (a.seconds == b.seconds),
        (Media::Voice { seconds: a, .. }, Media::Voice { seconds: b, .. }) => a == b,
        (Media::Sticker { format: a, .. }, Media::Sticker { format: b, .. }) => a == b,
        (Media::Location { url: a, title: a_title, .. }, Media::Location { url: b, title: b_title, .. }) => {
            a == b && a_title == b_title
        }
        (Media::Contact { .. }, Media::Contact { .. }) => before == after,
        (Media::Game(a), Media::Game(b)) | (Media::Invoice(a), Media::Invoice(b)) => {
            a.title == b.title && a.description == b.description
        }
        _ => false,
    }
}
