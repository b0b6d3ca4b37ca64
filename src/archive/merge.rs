//! Compares a fetched page with the archived posts: new posts, edits, deletions. Pure.

use std::collections::BTreeMap;
use std::mem;

use jiff::{SignedDuration, Timestamp};

use super::FetchedPage;
use crate::clock::whole_seconds;
use crate::model::album::{MAX_ALBUM_ITEMS, is_album, is_inside};
use crate::model::channel::Channel;
use crate::model::media_file;
use crate::model::paging::{Gap, MAX_POSTS_PER_PAGE, drop_excess};
use crate::model::post::{Media, Post, PostId, Snapshot};

/// The version of the parser and of the comparison below. Raise it when the same page is parsed differently: a post that
/// another version archived does not count as edited if it is parsed differently now.
pub(super) const PARSER_VERSION: u32 = 5;

/// After this many pages in a row that lack a post inside their range, the post counts as deleted.
pub(super) const MISSES_UNTIL_GONE: u32 = 2;

/// How long after its publication the newest album is held back: its pictures arrive one by one.
const ALBUM_HOLD: SignedDuration = SignedDuration::from_mins(1);

/// An archived post with its state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) post: Post,
    /// Number of pages in a row that lack the post inside their range.
    pub(super) missing: u32,
    /// When the post was found to be deleted.
    pub(super) gone: Option<Timestamp>,
    /// The [`PARSER_VERSION`] that archived the post.
    pub(super) parser_version: u32,
}

/// The part of a page that can be archived.
#[derive(Clone, Debug)]
pub(super) struct PageSlice {
    /// Complete posts, by ascending id.
    pub(super) posts: Vec<Post>,
    /// The lowest id that the page shows.
    pub(super) lowest: PostId,
    /// The highest id that the page shows.
    pub(super) highest: PostId,
    /// Every message was parsed, so a post that is missing is not on the page.
    pub(super) is_whole: bool,
    /// The next older page has the posts below this id.
    pub(super) cursor: PostId,
    /// The oldest post may be the end of an album that the page cuts: each item takes one of the page's places, and the
    /// remaining items have another id than the whole album. The next older page then begins above this post.
    pub(super) is_oldest_cut: bool,
    /// The page links to older posts.
    pub(super) is_linked: bool,
    /// How much longer the newest album is held back.
    pub(super) held_for: Option<SignedDuration>,
}

impl PageSlice {
    /// Returns the slice of a page; `None` for a page without posts. The newest page loses its newest album while that
    /// may be incomplete.
    pub(super) fn of(page: &FetchedPage, is_newest: bool, now: Timestamp) -> Option<Self> {
        let mut posts = page.snapshot.posts.clone();
        let (lowest, highest) = (posts.first()?.id, posts.last()?.id);
        let is_oldest_cut = posts.len() > 1 && page.older.is_some() && shows_media(&posts[0]);
        let cursor = if is_oldest_cut { posts[1].id } else { page.older.unwrap_or(lowest) };
        let mut held_for = None;
        let newest = posts.last()?;
        let age = now.duration_since(newest.published);
        // A larger difference means a skewed clock; do not wait for it.
        if is_newest && posts.len() > 1 && is_album(newest) && (-ALBUM_HOLD..ALBUM_HOLD).contains(&age) {
            held_for = Some((ALBUM_HOLD - age).min(ALBUM_HOLD));
            posts.pop();
        }
        let is_whole = page.is_complete;
        let is_linked = page.older.is_some();
        Some(Self { posts, lowest, highest, is_whole, cursor, is_oldest_cut, is_linked, held_for })
    }

    /// Removes the newest post if a page that was requested up to `from` may cut it there. Returns the id below which
    /// the page is complete.
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

    /// Returns whether a post may be the end of an album that the page cuts.
    fn is_cut(&self, id: PostId) -> bool {
        self.is_oldest_cut && id == self.lowest
    }

    /// Removes the oldest post if the page may cut it. The next older page has it complete, and is fetched unless this
    /// one reaches down to `above`, the highest archived id.
    pub(super) fn drop_cut_oldest(&mut self, above: u32) {
        if self.is_oldest_cut && self.lowest.get() > above + 1 {
            self.posts.retain(|post| post.id != self.lowest);
        }
    }
}

impl PageSlice {
    /// Returns the rest of a gap after this page; `None` if the page reaches the gap's lower end.
    pub(super) fn remaining_gap(&self, gap: Gap) -> Option<Gap> {
        let is_left = self.lowest.get() > gap.above + 1;
        is_left.then_some(Gap { below: self.cursor, linked: self.is_linked, failures: 0, retry: 0, ..gap })
    }
}

fn shows_media(post: &Post) -> bool {
    post.attached_media().next().is_some() || !post.documents.is_empty()
}

/// The result of a comparison.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Records that are new or changed.
    pub(super) put: Vec<Record>,
    /// The versions of posts before their authors' edits.
    pub(super) replaced: Vec<Post>,
    /// A reader can see a difference.
    pub(super) is_visible: bool,
    /// There is a post that was not archived.
    pub(super) has_new: bool,
}

/// Compares a page with the records around its posts.
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
            // The end of an album that is archived whole, on a page that cuts the album.
            (None, Some(post)) if slice.is_cut(post.id) && is_part(post.id) => continue,
            (None, Some(post)) => {
                Some(Record { post, missing: 0, gone: None, parser_version: PARSER_VERSION })
            }
            // The end was archived before the whole album: it is marked as gone.
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
            if let Some(before) = record.as_ref().filter(|before| is_edit(before, &after.post)) {
                changes.replaced.push(as_shown(&before.post));
            }
            changes.has_new |= record.is_none();
            changes.is_visible |= record.is_none_or(|before| {
                as_shown(&before.post) != as_shown(&after.post)
                    || before.gone.is_some() != after.gone.is_some()
            });
            changes.put.push(after);
        }
    }
    changes
}

/// Merges a page with a snapshot if there is no archive.
#[must_use]
pub fn merge_without_archive(known: Option<Snapshot>, page: &FetchedPage, now: Timestamp) -> Snapshot {
    let fresh = &page.snapshot;
    let channel = Channel { counters: Vec::new(), ..fresh.channel.clone() };
    let is_other = |known: &Snapshot| known.channel.id.zip(channel.id).is_some_and(|(known, id)| known != id);
    let known = known.filter(|known| !is_other(known));
    let Some((known, mut slice)) = known.zip(PageSlice::of(page, true, now)) else {
        return Snapshot { channel, ..fresh.clone() };
    };
    let Channel { signature_lines, taken_over, .. } = known.channel;
    let channel = Channel { signature_lines, taken_over, ..channel };
    let record = |post| Record { post, missing: 0, gone: None, parser_version: PARSER_VERSION };
    let mut posts: BTreeMap<PostId, Post> = known.posts.into_iter().map(|post| (post.id, post)).collect();
    let in_range: Vec<_> = posts.range(..=slice.highest).map(|(_, post)| record(post.clone())).collect();
    slice.drop_cut_oldest(posts.last_key_value().map_or(0, |(id, _)| id.get()));
    let now = whole_seconds(now);
    posts.extend(merge(in_range, &slice, now).put.into_iter().map(|record| (record.post.id, record.post)));
    let mut posts: Vec<Post> = posts.into_values().collect();
    let is_cut = drop_excess(&mut posts, MAX_POSTS_PER_PAGE.into(), Post::json_len);
    let has_older = known.has_older || fresh.has_older || is_cut;
    Snapshot { channel, posts, has_older }
}

/// Merges an archived post with the page's version; `None` if there is nothing to write.
fn seen_again(before: &Record, mut post: Post, now: Timestamp) -> Option<Record> {
    let known = &before.post;
    // Once served, a post's publication time and permalink never change.
    post.published = known.published;
    post.permalink.clone_from(&known.permalink);
    post.updated = known.updated;
    post.revision = known.revision;
    if same_media(known, &post) {
        post.file_sizes.clone_from(&known.file_sizes);
        keep_files(known, &mut post);
    }
    if post.only_in_telegram.is_some() && has_content(known) {
        // The page hides the content, but it was shown before or has been recovered.
        let hidden = mem::replace(&mut post, known.clone());
        post.reactions = hidden.reactions;
        post.views = hidden.views;
    } else if is_edit(before, &post) {
        post.updated = Some(now);
    }
    if before.parser_version == PARSER_VERSION && known.only_in_telegram.is_none() {
        post.revision += u32::from(!same_media(known, &post) || !same_preview(known, &post));
    }
    let is_back = before.missing > 0 || before.gone.is_some();
    let differs = is_back
        || before.parser_version != PARSER_VERSION
        || known.clone().without_counts() != post.clone().without_counts();
    differs.then_some(Record { post, missing: 0, gone: None, parser_version: PARSER_VERSION })
}

/// Keeps the URLs and file numbers of the same media where the page lacks them.
fn keep_files(known: &Post, post: &mut Post) {
    for pair in known.media.iter().zip(&mut post.media) {
        match pair {
            (Media::Photo { url: known, file: number, .. }, Media::Photo { url, file, .. }) => {
                *url = url.take().or_else(|| known.clone());
                *file = file.or(*number);
            }
            (Media::Voice { url: known, .. }, Media::Voice { url, .. }) => {
                *url = url.take().or_else(|| known.clone());
            }
            _ => {}
        }
    }
}

/// Counts an archived post that the page does not show; `None` if the page cannot show it.
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

/// Returns the post as a feed shows it: without counts and without Telegram's media URLs.
fn as_shown(post: &Post) -> Post {
    media_file::without_urls(post.clone().without_counts())
}

/// Returns whether the author edited the post. Another version of the parser, or a page that no longer hides the post,
/// may show more of the same.
fn is_edit(before: &Record, after: &Post) -> bool {
    before.parser_version == PARSER_VERSION
        && before.post.only_in_telegram.is_none()
        && !same_content(&before.post, after)
}

/// Returns whether the author's content is unchanged. Additions by Telegram (link preview, quoted reply, counts) and
/// rotating URLs do not count.
pub(super) fn same_content(before: &Post, after: &Post) -> bool {
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

/// Returns whether the media are unchanged.
fn same_media(before: &Post, after: &Post) -> bool {
    before.media.len() == after.media.len()
        && before.media.iter().zip(&after.media).all(|(before, after)| same_medium(before, after))
}

/// Returns whether the link preview is of the same page. A preview that is added later is not a change.
fn same_preview(before: &Post, after: &Post) -> bool {
    before.preview.as_ref().zip(after.preview.as_ref()).is_none_or(|(before, after)| before.url == after.url)
}

/// Returns whether two media are the same, judged without their URLs.
fn same_medium(before: &Media, after: &Media) -> bool {
    match (before, after) {
        (Media::Photo { file: a, size: a_size, .. }, Media::Photo { file: b, size: b_size, .. }) => {
            a.zip(*b).map_or(a_size == b_size, |(a, b)| a == b)
        }
        // The kind is not compared: it changes with whether Telegram currently serves the file.
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
        (
            Media::Photo { .. }
            | Media::Video(_)
            | Media::Voice { .. }
            | Media::Sticker { .. }
            | Media::Location { .. }
            | Media::Contact { .. }
            | Media::Game(_)
            | Media::Invoice(_),
            _,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::channel::ChannelName;

    #[test]
    fn page_of_another_channel_replaces_the_snapshot() {
        let post = |id: u32| {
            let id = PostId::new(id).unwrap();
            Post::empty(id, format!("https://example.org/{id}"), Timestamp::UNIX_EPOCH)
        };
        let snapshot = |number, ids: [u32; 2]| {
            let name = ChannelName::new("sample").unwrap();
            let channel = Channel { id: number, ..Channel::new(name, String::new(), String::new()) };
            Snapshot { channel, posts: ids.map(post).into(), has_older: false }
        };
        let ids_after = |before, after| {
            let page = FetchedPage { snapshot: snapshot(after, [2, 3]), older: None, is_complete: true };
            let known = Some(snapshot(before, [1, 2]));
            let merged = merge_without_archive(known, &page, Timestamp::UNIX_EPOCH);
            merged.posts.iter().map(|post| post.id.get()).collect::<Vec<_>>()
        };
        assert_eq!(ids_after(Some(111), Some(222)), [2, 3]);
        for (before, after) in [(Some(111), Some(111)), (None, Some(222)), (Some(111), None)] {
            assert_eq!(ids_after(before, after), [1, 2, 3], "{before:?} {after:?}");
        }
    }

    #[test]
    fn edit_without_the_archive_has_whole_seconds() {
        let snapshot = |text: &str| {
            let channel = Channel::new(ChannelName::new("sample").unwrap(), String::new(), String::new());
            let id = PostId::new(1).unwrap();
            let post = Post::empty(id, "https://example.org/1".into(), Timestamp::UNIX_EPOCH);
            Snapshot { channel, posts: vec![Post { text: text.into(), ..post }], has_older: false }
        };
        let page = FetchedPage { snapshot: snapshot("after"), older: None, is_complete: true };
        let now = Timestamp::new(1_800_000_000, 123_456_789).unwrap();
        let merged = merge_without_archive(Some(snapshot("before")), &page, now);
        assert_eq!(merged.posts[0].updated, Timestamp::from_second(1_800_000_000).ok());
    }
}
