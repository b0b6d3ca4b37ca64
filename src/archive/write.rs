//! Writing: merges fetched pages, and marks channels as gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::codec::{bodies, decode, encode, in_list, mark_changed, post_id, posts, time};
use super::connection::Location;
use super::database::Database;
use super::merge::{self, MISSES_UNTIL_GONE, PageSlice, Record};
use super::names::{ChannelOfPage, find_or_insert_channel, is_older_page};
use super::retention::evict_channels;
use super::{Archive, ArchiveError, Caller, FetchedPage, PageScope, codec, gaps, replicas, single_post};
use crate::clock::{self, whole_seconds};
use crate::model::album::MAX_ALBUM_ITEMS;
use crate::model::channel::{Channel, ChannelName};
use crate::model::paging::{Gap, MAX_PAGE_BYTES};
use crate::model::post::Post;
use crate::model::signature;

impl Archive {
    /// Merges a fetched page of the channel that was requested as `name`. After the newest page the channel is fresh
    /// for `fresh_for`. Returns the rest of the gap that the page was fetched for.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`]; nothing of the page is archived then.
    pub async fn merge(
        &self,
        name: &ChannelName,
        page: Arc<FetchedPage>,
        scope: PageScope,
        now: Timestamp,
        fresh_for: Duration,
    ) -> Result<Option<Gap>, ArchiveError> {
        self.check_room()?;
        self.check_place()?;
        let (seen, now) = (now, whole_seconds(now));
        let Some(slice) = PageSlice::of(&page, matches!(scope, PageScope::Newest), now) else {
            return Err(ArchiveError::Database("cannot archive a page without posts".to_owned()));
        };
        let left = match scope {
            PageScope::Newest | PageScope::Revisit(_) => None,
            PageScope::Gap(_, gap) => slice.remaining_gap(gap),
        };
        // An album that is held back is fetched again when it should be complete.
        let whole_in = slice.held_for.and_then(|left| Duration::try_from(left).ok());
        let fresh_for = whole_in.map_or(fresh_for, |left| fresh_for.min(left + Duration::from_secs(1)));
        let channel = &page.snapshot.channel;
        let context = MergeContext { requested: name, channel, scope, seen, now, fresh_for };
        let write = async |connection: &mut AnyConnection| {
            let is_visible = merge(connection, &context, slice).await?;
            if self.is_shared() && (is_visible || matches!(scope, PageScope::Newest)) {
                replicas::notify(connection, name).await?;
            }
            Ok(())
        };
        self.write(write).await?;
        if let Location::Memory(max_bytes) = self.location {
            let evict = async |database: Arc<Database>| evict_channels(&database, max_bytes).await;
            self.run(Caller::Background, evict).await?;
        }
        Ok(left)
    }

    /// Marks a channel as gone. Its posts stay, and the merge of a page that is fetched later brings it back.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn mark_gone(&self, name: &ChannelName, now: Timestamp) -> Result<(), ArchiveError> {
        self.write(async |connection| codec::mark_gone(connection, name, now).await).await
    }
}

/// The maximum size of the archived posts that a page is compared with, as JSON, in bytes.
const MAX_RECORD_BYTES: usize = 4 * MAX_PAGE_BYTES;

/// The maximum number of missing posts that are counted per page, the oldest first: if newer ones went before them, feeds
/// would show these in their place. The rest is counted once these are gone.
const MAX_UNSEEN: u32 = 5_000;

/// A fetched page, without its posts.
pub(super) struct MergeContext<'a> {
    pub(super) requested: &'a ChannelName,
    pub(super) channel: &'a Channel,
    pub(super) scope: PageScope,
    /// When the page was fetched.
    pub(super) seen: Timestamp,
    /// [`Self::seen`] in whole seconds, the resolution of posts.
    pub(super) now: Timestamp,
    pub(super) fresh_for: Duration,
}

/// Leaves out the posts that a page may cut, and updates the gaps around it.
async fn fit_into_gaps(
    connection: &mut AnyConnection,
    key: i64,
    scope: PageScope,
    newest_known: Option<u32>,
    slice: &mut PageSlice,
) -> Result<(), ArchiveError> {
    match scope {
        PageScope::Newest => {
            let (lowest, newest) = (slice.lowest.get(), newest_known.unwrap_or(0));
            let gap = gaps::highest_gap(connection, key, i64::from(lowest) + 1).await?;
            // When posts are deleted, the page reaches down into a gap that it was above before.
            let gap = gap.filter(|gap| slice.lowest < gap.below);
            // A post that may be cut is left out unless the page reaches down to archived posts. A new channel shows
            // the whole page.
            if let Some(above) = gap.map(|gap| gap.above).or(newest_known) {
                slice.drop_cut_oldest(above);
            }
            gaps::delete_gaps_from(connection, key, lowest).await?;
            let rest = gap.and_then(|gap| slice.remaining_gap(gap));
            if let Some(gap) = gap.filter(|gap| rest.is_none_or(|rest| rest.below < gap.below)) {
                gaps::replace_gap(connection, key, gap, rest.as_slice()).await?;
            } else if lowest > newest + 1 {
                let (below, linked, lazy) = (slice.cursor, slice.is_linked, newest == 0);
                let gap = Gap { above: newest, below, linked, lazy, failures: 0, retry: 0 };
                gaps::upsert_gap(connection, key, gap).await?;
            }
        }
        PageScope::Gap(from, gap) => {
            slice.drop_cut_oldest(gap.above);
            let upper = (from < gap.below).then(|| {
                let above = (slice.drop_cut_newest(from).get() - 1).max(gap.above);
                Gap { above, failures: 0, retry: 0, ..gap }
            });
            let rest: Vec<Gap> = upper.into_iter().chain(slice.remaining_gap(gap)).collect();
            gaps::replace_gap(connection, key, gap, &rest).await?;
        }
        PageScope::Revisit(from) => {
            slice.drop_cut_oldest(0);
            slice.drop_cut_newest(from);
            // Revisits follow each other within seconds, so two of them are not independent proof of a deletion.
            slice.is_whole = false;
        }
    }
    Ok(())
}

/// Writes the changes of a page. Returns whether a reader can see a difference.
pub(super) async fn merge(
    connection: &mut AnyConnection,
    context: &MergeContext<'_>,
    mut slice: PageSlice,
) -> Result<bool, ArchiveError> {
    let ChannelOfPage { key, before, taken_over } =
        find_or_insert_channel(connection, context.requested, context.channel, context.seen).await?;
    let newest = sqlx::query("SELECT max(id) FROM post WHERE channel = $1").bind(key);
    let newest: Option<i64> = newest.fetch_one(&mut *connection).await?.try_get(0)?;
    let newest_known = newest.and_then(|newest| u32::try_from(newest).ok());
    let is_newest = matches!(context.scope, PageScope::Newest);
    let is_older = before.as_ref().is_some_and(|before| is_older_page(context.seen, before.fetched));
    // Whatever the clocks say, a page above all archived posts is newer, and has a gap below it.
    if is_newest && is_older && newest_known.is_some_and(|newest| slice.lowest.get() <= newest + 1) {
        return merge_late(connection, key, context, slice).await;
    }
    fit_into_gaps(connection, key, context.scope, newest_known, &mut slice).await?;
    let near = ids_around(&slice);
    let known = records(connection, key, &context.channel.name, &near).await?;
    if let PageScope::Revisit(_) = context.scope {
        slice.posts.retain(|post| is_among(&known, post));
    }
    let mut changes = merge::merge(known, &slice, context.now);
    for replaced in &changes.replaced {
        single_post::keep_version(connection, key, replaced).await?;
    }
    write_posts(connection, key, &changes.put, &slice, context.seen).await?;
    changes.is_visible |= count_unseen(connection, key, &slice, &near, context.now).await?;
    let mut channel = context.channel.clone();
    if let Some(before) = &before {
        channel.signature_lines.clone_from(&before.channel.signature_lines);
        channel.taken_over.clone_from(&before.channel.taken_over);
    }
    // The posts of the new owner may be older than what `Last-Modified` was under this name.
    let changed_by_owner = taken_over.as_ref().map(|taken| taken.since);
    channel.taken_over = taken_over.or(channel.taken_over);
    if changes.has_new {
        add_signature_lines(connection, key, &mut channel).await?;
    }
    let is_visible = changes.is_visible
        || before.as_ref().is_some_and(|before| as_shown(&before.channel) != as_shown(&channel));
    // A post may become visible later than a change that was noticed after its publication, so its own timestamp is not
    // enough for `Last-Modified`. The time never moves backwards: merges may overtake each other.
    let changed_at = match before {
        Some(before) if is_visible => before.changed.max(Some(context.now)),
        before => before.and_then(|before| before.changed).or(changed_by_owner),
    };
    let update = sqlx::query(
        "UPDATE channel SET name = $2, record = $3, changed = $4, gone = 0,
             fetched = coalesce($5, fetched), fresh_for = coalesce($6, fresh_for) WHERE key = $1",
    );
    let fresh_for = i64::try_from(context.fresh_for.as_millis()).unwrap_or(i64::MAX);
    update
        .bind(key)
        .bind(channel.name.as_str())
        .bind(encode(&channel)?)
        .bind(changed_at.map(Timestamp::as_second))
        .bind(is_newest.then_some(context.seen.as_millisecond()))
        .bind(is_newest.then_some(fresh_for))
        .execute(connection)
        .await?;
    Ok(is_visible)
}

/// Adds the missing posts of a page that was fetched before the one that was merged last: merges may overtake each other, and
/// pages wait while the archive is unavailable. Returns whether a reader can see a difference.
async fn merge_late(
    connection: &mut AnyConnection,
    key: i64,
    context: &MergeContext<'_>,
    mut slice: PageSlice,
) -> Result<bool, ArchiveError> {
    slice.drop_cut_oldest(0);
    slice.is_whole = false;
    let known = records(connection, key, &context.channel.name, &ids_around(&slice)).await?;
    slice.posts.retain(|post| !is_among(&known, post));
    let changes = merge::merge(known, &slice, context.now);
    write_posts(connection, key, &changes.put, &slice, context.seen).await?;
    if changes.is_visible {
        mark_changed(connection, key, whole_seconds(clock::now())).await?;
    }
    Ok(changes.is_visible)
}

fn is_among(known: &[Record], post: &Post) -> bool {
    known.iter().any(|record| record.post.id == post.id)
}

/// Writes the new and changed posts of a page, and when Telegram showed its posts.
async fn write_posts(
    connection: &mut AnyConnection,
    key: i64,
    changed: &[Record],
    slice: &PageSlice,
    seen: Timestamp,
) -> Result<(), ArchiveError> {
    for record in changed {
        upsert_post(connection, key, record).await?;
    }
    Ok(mark_seen(connection, key, slice, seen).await?)
}

/// Returns the channel without what feeds do not show, and without the URL of its photo, which rotates.
fn as_shown(channel: &Channel) -> Channel {
    let photo = channel.photo.as_ref().map(|_| String::new());
    Channel { counters: Vec::new(), photo, ..channel.clone() }
}

/// Adds the signature lines of the newest posts to those of the channel.
async fn add_signature_lines(
    connection: &mut AnyConnection,
    key: i64,
    channel: &mut Channel,
) -> Result<(), ArchiveError> {
    let newest = sqlx::query(
        "SELECT id, body FROM post WHERE channel = $1 AND gone IS NULL ORDER BY id DESC LIMIT $2",
    );
    let limit = i64::try_from(signature::MAX_POSTS).unwrap_or(i64::MAX);
    let newest = newest.bind(key).bind(limit).fetch_all(connection).await?;
    let (newest, _) = posts(&channel.name, &bodies(&newest)?);
    signature::add_lines(&mut channel.signature_lines, &newest);
    Ok(())
}

/// Records when Telegram showed these posts with their current media URLs.
async fn mark_seen(
    connection: &mut AnyConnection,
    key: i64,
    slice: &PageSlice,
    seen: Timestamp,
) -> Result<(), sqlx::Error> {
    let is_shown = |post: &&Post| post.only_in_telegram.is_none();
    let ids = slice.posts.iter().filter(is_shown).map(|post| post.id);
    // One statement for all: a shared database may be distant.
    let update = in_list("UPDATE post SET seen = $2 WHERE channel = $1 AND id IN ({})", ids);
    update.bind(key).bind(seen.as_millisecond()).execute(connection).await.map(drop)
}

/// Returns the ids of a page's posts, and those as far around each as an album may reach.
fn ids_around(slice: &PageSlice) -> BTreeSet<u32> {
    let shown = slice.posts.iter().map(|post| post.id).chain([slice.lowest, slice.highest]);
    let around = shown.flat_map(|id| {
        let id = id.get();
        id.saturating_sub(MAX_ALBUM_ITEMS)..=id.saturating_add(MAX_ALBUM_ITEMS)
    });
    around.collect()
}

/// Counts the archived posts that a page lacks although they are in its range, apart from those that the page was compared
/// with. An author who deletes a long history leaves any number of them. Returns whether a reader can see a difference.
async fn count_unseen(
    connection: &mut AnyConnection,
    key: i64,
    slice: &PageSlice,
    compared: &BTreeSet<u32>,
    now: Timestamp,
) -> Result<bool, ArchiveError> {
    let (lowest, highest) = (slice.lowest.get(), slice.highest.get());
    let n_compared = compared.range(lowest..=highest).count();
    let (Some(oldest), Some(newest)) = (slice.posts.first(), slice.posts.last()) else { return Ok(false) };
    if !slice.is_whole || n_compared > (highest - lowest) as usize {
        return Ok(false);
    }
    // By the time of publication, because that index has no deleted posts: there may be many more of them.
    let count = in_list(
        "UPDATE post SET missing = missing + 1, gone = CASE WHEN missing + 1 >= $7 THEN $8 END
         WHERE channel = $1 AND id IN (
             SELECT id FROM post WHERE channel = $1 AND gone IS NULL AND published BETWEEN $2 AND $3
                 AND id > $4 AND id < $5 AND id NOT IN ({})
             ORDER BY published, id LIMIT $6)
         RETURNING gone",
        compared.range(lowest..=highest),
    );
    let count = count.bind(key).bind(oldest.published.as_second()).bind(newest.published.as_second());
    let count = count.bind(i64::from(lowest)).bind(i64::from(highest)).bind(i64::from(MAX_UNSEEN));
    let count = count.bind(i64::from(MISSES_UNTIL_GONE)).bind(now.as_second());
    for row in count.fetch_all(connection).await? {
        if time(row.try_get(0)?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the archived posts with these ids.
async fn records(
    connection: &mut AnyConnection,
    key: i64,
    name: &ChannelName,
    ids: &BTreeSet<u32>,
) -> Result<Vec<Record>, ArchiveError> {
    let found = in_list(
        "SELECT body, missing, gone, rules, id FROM post WHERE channel = $1 AND id IN ({}) ORDER BY id",
        ids,
    );
    let (mut records, mut n_bytes) = (Vec::new(), 0);
    let mut rows = found.bind(key).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let body: Vec<u8> = row.try_get(0)?;
        let post = decode::<Post>(&body);
        n_bytes += post.as_ref().map_or(0, Post::json_len);
        if n_bytes > MAX_RECORD_BYTES {
            return Err(ArchiveError::PageTooLarge);
        }
        match post {
            Ok(post) => records.push(Record {
                post,
                missing: u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default(),
                gone: time(row.try_get(2)?),
                parser_version: u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or_default(),
            }),
            // The next page that shows the post replaces it.
            Err(err) => {
                tracing::error!(channel = %name, post = %post_id(&row, 4)?, error = %err, "an archived post is damaged");
            }
        }
    }
    Ok(records)
}

async fn upsert_post(connection: &mut AnyConnection, key: i64, record: &Record) -> Result<(), ArchiveError> {
    let put = sqlx::query(
        "INSERT INTO post (channel, id, published, missing, gone, rules, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (channel, id) DO UPDATE SET published = excluded.published, missing = excluded.missing,
             gone = excluded.gone, rules = excluded.rules, body = excluded.body",
    );
    put.bind(key)
        .bind(i64::from(record.post.id.get()))
        .bind(record.post.published.as_second())
        .bind(i64::from(record.missing))
        .bind(record.gone.map(Timestamp::as_second))
        .bind(i64::from(record.parser_version))
        .bind(encode(&record.post)?)
        .execute(connection)
        .await?;
    Ok(())
}
