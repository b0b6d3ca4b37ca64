//! Reading: channels, feed pages and media URLs.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, Row};

use super::codec::{ChannelRow, channel, decode, in_list, lowercase, post_id, posts};
use super::single_post::next_older;
use super::{Archive, ArchiveError, Caller, codec, gaps};
use crate::cpu_pool;
use crate::model::archived_post::ArchivedPage;
use crate::model::channel::{Channel, ChannelName, Counter};
use crate::model::media_file::MediaUrls;
use crate::model::paging::{
    ArchivedChannel, FeedPage, FeedPageRequest, Gap, MAX_PAGE_BYTES, MAX_POSTS_PER_PAGE, MIN_POSTS_PER_PAGE,
    PrevPage,
};
use crate::model::post::{PostId, Snapshot};

impl Archive {
    /// Returns a channel as its feed's first page shows it; `None` if it is not archived or gone.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn load(
        &self,
        name: &ChannelName,
        caller: Caller,
    ) -> Result<Option<ArchivedChannel>, ArchiveError> {
        match self.read_state(caller, async |connection| load(connection, name).await).await? {
            Some(raw) => raw.into_archived_channel().await,
            None => Ok(None),
        }
    }

    /// Returns the titles of channels; `None` for each that is not archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn titles(&self, names: &[ChannelName]) -> Result<Vec<Option<String>>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| titles(connection, names).await;
        let found = self.read(Caller::Background, read).await?;
        // A damaged record is replaced by the channel's next merge.
        let title = |record: &Vec<u8>| Some(decode::<Channel>(record).ok()?.title);
        Ok(names.iter().map(|name| found.get(&lowercase(name)).and_then(title)).collect())
    }

    /// Returns the counters in the header of the last page of a channel; empty if it is not archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn counters(&self, name: &ChannelName) -> Result<Vec<Counter>, ArchiveError> {
        let row = self.read(Caller::Reader, async |connection| channel(connection, name).await).await?;
        Ok(row.map(|row| row.channel.counters).unwrap_or_default())
    }

    /// Returns a feed page of a channel; `None` if the channel is not archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn feed_page(
        &self,
        name: &ChannelName,
        request: FeedPageRequest,
        caller: Caller,
    ) -> Result<Option<FeedPage>, ArchiveError> {
        match self.read_state(caller, async |connection| feed_page(connection, name, request).await).await? {
            Some(raw) => raw.into_feed_page().await.map(Some),
            None => Ok(None),
        }
    }
}

impl Archive {
    /// Returns a page of archived posts for the channel's web page; unlike a feed page, it continues below a gap. `None` if no
    /// posts of this range are archived or the channel is gone.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn browse(
        &self,
        name: &ChannelName,
        request: FeedPageRequest,
    ) -> Result<Option<ArchivedPage>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| browse(connection, name, request).await;
        let Some((raw, oldest)) = self.read_state(Caller::Reader, read).await? else { return Ok(None) };
        let ends_at_gap = raw.gap.is_some() && !raw.has_more;
        let gap_below = raw.bodies.last().map(|(lowest, _)| *lowest).filter(|_| ends_at_gap);
        let FeedPage { snapshot, changed, prev, is_from_memory, .. } = raw.into_feed_page().await?;
        Ok(snapshot.map(|snapshot| {
            let lowest = snapshot.posts[0].id;
            let older = oldest.filter(|oldest| *oldest < lowest).map(|_| lowest);
            let is_above_gap = gap_below == Some(lowest);
            ArchivedPage { snapshot, changed, older, newer: prev, is_above_gap, is_from_memory }
        }))
    }
}

/// Reads the records of those channels that are archived, by the names in lower case.
async fn titles(
    connection: &mut AnyConnection,
    names: &[ChannelName],
) -> Result<HashMap<String, Vec<u8>>, ArchiveError> {
    let sql = "SELECT alias.name, record FROM alias JOIN channel ON key = channel WHERE alias.name IN ({})";
    let found = in_list(sql, (1..=names.len()).map(|n| format!("${n}")));
    let found = names.iter().fold(found, |found, name| found.bind(lowercase(name)));
    let rows = found.fetch_all(connection).await?;
    Ok(rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?)
}

/// The media URLs of a post or a channel.
#[derive(Clone, Debug)]
pub struct SeenMediaUrls {
    /// The URLs.
    pub urls: MediaUrls,
    /// When Telegram showed these URLs.
    pub seen: Timestamp,
}

impl Archive {
    /// Returns the media URLs of a post, or without one those of the channel itself. `None` if it is not archived or
    /// gone.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn media_urls(
        &self,
        name: &ChannelName,
        post: Option<PostId>,
    ) -> Result<Option<SeenMediaUrls>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| match post {
            Some(post) => media_urls_of_post(connection, name, post).await,
            None => Ok(channel(connection, name).await?.map(|row| SeenMediaUrls {
                urls: MediaUrls::of_channel(&row.channel),
                seen: Timestamp::from_millisecond(row.fetched).unwrap_or_default(),
            })),
        };
        self.read(Caller::Refresh, read).await
    }
}

async fn media_urls_of_post(
    connection: &mut AnyConnection,
    name: &ChannelName,
    post: PostId,
) -> Result<Option<SeenMediaUrls>, ArchiveError> {
    let found = sqlx::query(
        "SELECT id, body, seen FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)
         AND id = $2 AND gone IS NULL",
    );
    let found = found.bind(lowercase(name)).bind(i64::from(post.get()));
    let Some(row) = found.fetch_optional(connection).await? else { return Ok(None) };
    let seen = Timestamp::from_millisecond(row.try_get(2)?).unwrap_or_default();
    let (posts, _) = posts(name, &codec::bodies(&[row])?);
    Ok(posts.first().map(|post| SeenMediaUrls { urls: MediaUrls::of(post), seen }))
}

/// The first page has the posts of this period, within [`MAX_POSTS_PER_PAGE`], so that a daily poll misses none. It is longer
/// than a day: a poll may be some minutes later than the one before, which may have got a page fetched earlier still.
const FIRST_PAGE_SPAN: SignedDuration = SignedDuration::from_hours(26);

/// A feed page with posts that are still encoded. Decoding is left to the CPU pool.
pub(super) struct RawFeedPage {
    row: ChannelRow,
    bodies: Vec<(PostId, Vec<u8>)>,
    /// There are older posts than these above the gap.
    has_more: bool,
    has_older: bool,
    prev: Option<PrevPage>,
    gap: Option<Gap>,
}

impl RawFeedPage {
    pub(super) async fn into_archived_channel(self) -> Result<Option<ArchivedChannel>, ArchiveError> {
        let fetched = Timestamp::from_millisecond(self.row.fetched).unwrap_or_default();
        let fresh_for = Duration::from_millis(u64::try_from(self.row.fresh_for).unwrap_or_default());
        let FeedPage { snapshot, changed, .. } = self.into_feed_page().await?;
        Ok(snapshot.map(|snapshot| ArchivedChannel { snapshot, changed, fetched, fresh_for }))
    }

    pub(super) async fn into_feed_page(self) -> Result<FeedPage, ArchiveError> {
        let Self { mut row, bodies, has_older, prev, gap, .. } = self;
        // Counters change with each page, and no feed shows them; see `Archive::counters`.
        row.channel.counters.clear();
        let name = row.channel.name.clone();
        let n_bytes = bodies.iter().map(|(_, body)| body.len()).sum();
        let posts = cpu_pool::run(n_bytes, move || posts(&name, &bodies)).await;
        let (posts, is_cut) = posts.map_err(|err| ArchiveError::Database(err.to_string()))?;
        let snapshot = Snapshot { channel: row.channel, posts, has_older: has_older || is_cut };
        let snapshot = Some(snapshot).filter(|snapshot| !snapshot.posts.is_empty());
        Ok(FeedPage { snapshot, changed: row.changed, prev, gap, is_from_memory: false })
    }
}

/// Reads the first feed page of a channel; `None` if the channel is not archived or gone.
pub(super) async fn load(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<RawFeedPage>, ArchiveError> {
    match channel(connection, name).await? {
        Some(row) if !row.is_gone => {
            raw_feed_page(connection, row, FeedPageRequest { before: None, limit: None }).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Reads a feed page, with the previous page and the gap.
pub(super) async fn feed_page(
    connection: &mut AnyConnection,
    name: &ChannelName,
    request: FeedPageRequest,
) -> Result<Option<RawFeedPage>, ArchiveError> {
    let Some(row) = channel(connection, name).await? else { return Ok(None) };
    let (key, wanted) = (row.key, request.limit.map_or(MIN_POSTS_PER_PAGE, usize::from));
    let mut found = raw_feed_page(connection, row, request).await?;
    if let Some(before) = request.before {
        found.prev = prev_page(connection, key, before, wanted).await?;
    }
    // A gap below a full page does not concern this request.
    let is_full = found.bodies.len() >= wanted || found.has_more;
    found.gap.take_if(|gap| is_full && found.bodies.last().is_some_and(|(lowest, _)| *lowest >= gap.below));
    Ok(Some(found))
}

/// Reads a page for [`Archive::browse`], and the id of the channel's oldest post.
async fn browse(
    connection: &mut AnyConnection,
    name: &ChannelName,
    request: FeedPageRequest,
) -> Result<Option<(RawFeedPage, Option<PostId>)>, ArchiveError> {
    let Some(row) = channel(connection, name).await?.filter(|row| !row.is_gone) else { return Ok(None) };
    let key = row.key;
    // The page begins at the next archived post, so that no gap is at its top.
    let upper = request.before.unwrap_or(PostId::MAX);
    let Some(newest) = next_older(connection, key, upper).await? else { return Ok(None) };
    let before = request.before.and_then(|_| PostId::new(newest.get().saturating_add(1)));
    let mut page = raw_feed_page(connection, row, FeedPageRequest { before, ..request }).await?;
    if let Some(before) = before {
        let wanted = request.limit.map_or(MIN_POSTS_PER_PAGE, usize::from);
        page.prev = prev_page(connection, key, before, wanted).await?;
    }
    let oldest = sqlx::query("SELECT id FROM post WHERE channel = $1 AND gone IS NULL ORDER BY id LIMIT 1");
    let oldest = oldest.bind(key).fetch_optional(connection).await?;
    Ok(Some((page, oldest.map(|row| post_id(&row, 0)).transpose()?)))
}

/// Reads the posts of a feed page. The page ends at a gap, so that a reader who follows the pages misses no posts.
async fn raw_feed_page(
    connection: &mut AnyConnection,
    row: ChannelRow,
    request: FeedPageRequest,
) -> Result<RawFeedPage, ArchiveError> {
    let upper = request.before.map_or(i64::from(u32::MAX), |before| before.get().into());
    let gap = gaps::highest_gap(connection, row.key, upper).await?;
    let above = gap.map_or(0, |gap| i64::from(gap.above));
    let heads = sqlx::query(
        "SELECT id, published, CAST(length(body) AS bigint) FROM post
         WHERE channel = $1 AND gone IS NULL AND id > $2 AND id < $3 ORDER BY id DESC LIMIT $4",
    );
    // One more than a page can show, to find out whether there are more.
    let most = i64::from(MAX_POSTS_PER_PAGE) + 1;
    let heads = heads.bind(row.key).bind(above).bind(upper).bind(most).fetch_all(&mut *connection).await?;
    let sizes = heads.iter().map(|head| head.try_get(2)).collect::<Result<Vec<i64>, sqlx::Error>>()?;
    let heads = heads.iter().map(|head| Ok((post_id(head, 0)?, head.try_get(1)?)));
    let heads = heads.collect::<Result<Vec<_>, sqlx::Error>>()?;
    let n_shown = match request.limit {
        Some(limit) => heads.len().min(limit.into()),
        None => first_page_len(&heads),
    };
    let n_shown = n_shown.min(fitting_len(&sizes));
    let Some((lowest, _)) = heads[..n_shown].last() else {
        let (has_more, has_older) = (false, false);
        return Ok(RawFeedPage { row, bodies: Vec::new(), has_more, has_older, prev: None, gap });
    };
    let lowest = i64::from(lowest.get());
    let bodies = sqlx::query(
        "SELECT id, body FROM post WHERE channel = $1 AND gone IS NULL AND id >= $2 AND id < $3 ORDER BY id DESC",
    );
    let bodies = bodies.bind(row.key).bind(lowest).bind(upper).fetch_all(&mut *connection).await?;
    let bodies = codec::bodies(&bodies)?;
    let has_more = heads.len() > n_shown;
    let has_older = has_more || gap.is_some_and(|gap| gap.linked || gap.above > 0);
    Ok(RawFeedPage { row, bodies, has_more, has_older, prev: None, gap })
}

/// Returns how many of these posts, newest first, a feed's first page shows: at least [`MIN_POSTS_PER_PAGE`], and all
/// that were published within [`FIRST_PAGE_SPAN`] before the newest one.
fn first_page_len(heads: &[(PostId, i64)]) -> usize {
    let newest = heads.first().map_or(0, |(_, published)| *published);
    let since = newest - FIRST_PAGE_SPAN.as_secs();
    let n_recent = heads.iter().take_while(|(_, published)| *published > since).count();
    n_recent.max(MIN_POSTS_PER_PAGE).min(MAX_POSTS_PER_PAGE.into()).min(heads.len())
}

/// Returns how many posts of these compressed sizes, at least one, are read at once. Posts are not larger when they are
/// compressed, so this limits the memory before their true sizes are known.
fn fitting_len(sizes: &[i64]) -> usize {
    let mut left = i64::try_from(MAX_PAGE_BYTES).unwrap_or(i64::MAX);
    let fits = |size: &&i64| {
        left -= **size;
        left >= 0
    };
    sizes.iter().take_while(fits).count().max(1)
}

/// Returns the next newer page; see [`FeedPage::prev`].
async fn prev_page(
    connection: &mut AnyConnection,
    key: i64,
    before: PostId,
    wanted: usize,
) -> Result<Option<PrevPage>, ArchiveError> {
    let above = sqlx::query(
        "SELECT id FROM post WHERE channel = $1 AND gone IS NULL AND id >= $2 ORDER BY id LIMIT $3",
    );
    let most = i64::try_from(wanted + 1).unwrap_or(i64::MAX);
    let above = above.bind(key).bind(i64::from(before.get())).bind(most).fetch_all(connection).await?;
    Ok(match above.get(wanted) {
        Some(row) => Some(PrevPage::Before(post_id(row, 0)?)),
        None if above.is_empty() => None,
        None => Some(PrevPage::Newest),
    })
}
