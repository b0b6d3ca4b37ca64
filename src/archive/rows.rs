//! The tables as values: reading what a feed needs, writing what a page has changed.

use std::time::Duration;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::merge::{self, MAX_ALBUM, Part, Record};
use super::{ArchiveError, Depth, Gap, Known, MAX_PAGE, Newer, PAGE, Reach, View};
use crate::channel::{Channel, ChannelName};
use crate::post::{Post, PostId, Snapshot};
use crate::work;

/// A reader that comes once a day misses nothing: the first page has the posts of a day, within [`MAX_PAGE`].
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How many hidden posts are looked up after a refresh, and how often each one is tried.
const MAX_HIDDEN: i64 = 3;
const MAX_ATTEMPTS: i64 = 3;

/// A row of `channel`.
struct ChannelRow {
    key: i64,
    channel: Channel,
    changed: Option<Timestamp>,
    fetched: i64,
    fresh_for: i64,
}

/// What belongs to one page of a feed, as it was read; making posts of it is work for another thread.
pub(super) struct Found {
    row: ChannelRow,
    bodies: Vec<(PostId, Vec<u8>)>,
    has_older: bool,
    newer: Option<Newer>,
    gap: Option<Gap>,
}

impl Found {
    pub(super) async fn known(self) -> Result<Option<Known>, ArchiveError> {
        let fetched = Timestamp::from_millisecond(self.row.fetched).unwrap_or_default();
        let fresh_for = Duration::from_millis(u64::try_from(self.row.fresh_for).unwrap_or_default());
        let View { snapshot, changed, .. } = self.view().await?;
        Ok(snapshot.map(|snapshot| Known { snapshot, changed, fetched, fresh_for }))
    }

    pub(super) async fn view(self) -> Result<View, ArchiveError> {
        let Self { row, bodies, has_older, newer, gap } = self;
        let name = row.channel.name.clone();
        let posts = work::off_thread(move || posts(&name, &bodies)).await;
        let posts = posts.map_err(|err| ArchiveError::Database(err.to_string()))?;
        let snapshot = Snapshot { channel: row.channel, posts, has_older };
        let snapshot = Some(snapshot).filter(|snapshot| !snapshot.posts.is_empty());
        Ok(View { snapshot, changed: row.changed, newer, gap })
    }
}

/// Posts by ascending id from bodies by descending id. What cannot be read is told, and left out.
fn posts(name: &ChannelName, bodies: &[(PostId, Vec<u8>)]) -> Vec<Post> {
    let unpack = |(id, body): &(PostId, Vec<u8>)| {
        let damaged = |err: &serde_json::Error| tracing::error!(channel = %name, post = %id, "an archived post is damaged: {err}");
        unpack(body).inspect_err(damaged).ok()
    };
    bodies.iter().rev().filter_map(unpack).collect()
}

/// What was deflated; damage is noticed by the check sum at its end.
pub(super) fn unpack<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_reader(std::io::BufReader::new(ZlibDecoder::new(body)))
}

fn pack(value: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut deflated, value).map_err(|err| ArchiveError::Database(err.to_string()))?;
    deflated.finish().map_err(|err| ArchiveError::Database(err.to_string()))
}

fn post_id(row: &AnyRow, column: usize) -> Result<PostId, sqlx::Error> {
    let id: i64 = row.try_get(column)?;
    let id = u32::try_from(id).ok().and_then(PostId::new);
    id.ok_or_else(|| sqlx::Error::Decode("an id that Telegram never gives".into()))
}

fn time(seconds: Option<i64>) -> Option<Timestamp> {
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok())
}

fn lower(name: &ChannelName) -> String {
    name.as_str().to_ascii_lowercase()
}

/// The key of a channel, by any of its names.
pub(super) async fn key(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<i64>, sqlx::Error> {
    let found = sqlx::query("SELECT channel FROM alias WHERE name = $1").bind(lower(name));
    found.fetch_optional(connection).await?.map(|row| row.try_get(0)).transpose()
}

async fn channel(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<(ChannelRow, bool)>, ArchiveError> {
    let found = sqlx::query(
        "SELECT key, record, changed, fetched, fresh_for, gone FROM channel
         WHERE key = (SELECT channel FROM alias WHERE name = $1)",
    );
    let Some(row) = found.bind(lower(name)).fetch_optional(connection).await? else { return Ok(None) };
    let record: Vec<u8> = row.try_get(1)?;
    let channel =
        unpack(&record).map_err(|err| ArchiveError::Database(format!("the record of {name}: {err}")))?;
    let changed = time(row.try_get(2)?);
    let is_gone = row.try_get::<i64, _>(5)? != 0;
    let row = ChannelRow {
        key: row.try_get(0)?,
        channel,
        changed,
        fetched: row.try_get(3)?,
        fresh_for: row.try_get(4)?,
    };
    Ok(Some((row, is_gone)))
}

/// What the feed of a channel shows; `None` for one that is not archived, or gone.
pub(super) async fn known(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<Found>, ArchiveError> {
    match channel(connection, name).await? {
        Some((row, false)) => page(connection, row, Depth { before: None, limit: None }).await.map(Some),
        _ => Ok(None),
    }
}

/// Some posts of a channel, with what is around them.
pub(super) async fn view(
    connection: &mut AnyConnection,
    name: &ChannelName,
    depth: Depth,
    now: i64,
) -> Result<Option<Found>, ArchiveError> {
    let Some((row, _)) = channel(connection, name).await? else { return Ok(None) };
    let (key, wanted) = (row.key, depth.limit.map_or(PAGE, usize::from));
    let mut found = page(connection, row, depth).await?;
    if let Some(before) = depth.before {
        found.newer = newer(connection, key, before, wanted).await?;
    }
    // Where posts are missing: inside the range of the page, and below it when it has too few.
    let lowest = found.bodies.last().filter(|_| found.bodies.len() >= wanted).map_or(0, |(id, _)| id.get());
    let upper = depth.before.map_or(i64::from(u32::MAX), |before| before.get().into());
    let gap = sqlx::query(
        "SELECT above, below, linked, lazy, failures FROM gap
         WHERE channel = $1 AND below > $2 AND above + 1 < $3 AND retry <= $4 ORDER BY below DESC LIMIT 1",
    );
    let gap = gap.bind(key).bind(i64::from(lowest)).bind(upper).bind(now).fetch_optional(connection).await?;
    found.gap = gap.as_ref().map(gap_of).transpose()?;
    Ok(Some(found))
}

/// The posts of one page of a feed.
async fn page(connection: &mut AnyConnection, row: ChannelRow, depth: Depth) -> Result<Found, ArchiveError> {
    let upper = depth.before.map_or(i64::from(u32::MAX), |before| before.get().into());
    let heads = sqlx::query(
        "SELECT id, published FROM post WHERE channel = $1 AND gone IS NULL AND id < $2 ORDER BY id DESC LIMIT $3",
    );
    // One more than can be shown, to know whether there is more.
    let most = i64::from(MAX_PAGE) + 1;
    let heads = heads.bind(row.key).bind(upper).bind(most).fetch_all(&mut *connection).await?;
    let heads = heads.iter().map(|head| Ok((post_id(head, 0)?, head.try_get(1)?)));
    let heads = heads.collect::<Result<Vec<_>, sqlx::Error>>()?;
    let n_shown = match depth.limit {
        Some(limit) => heads.len().min(limit.into()),
        None => first_page(&heads),
    };
    let Some((lowest, _)) = heads[..n_shown].last() else {
        return Ok(Found { row, bodies: Vec::new(), has_older: false, newer: None, gap: None });
    };
    let lowest = i64::from(lowest.get());
    let bodies = sqlx::query(
        "SELECT id, body FROM post WHERE channel = $1 AND gone IS NULL AND id >= $2 AND id < $3 ORDER BY id DESC",
    );
    let bodies = bodies.bind(row.key).bind(lowest).bind(upper).fetch_all(&mut *connection).await?;
    let bodies = bodies.iter().map(|row| Ok((post_id(row, 0)?, row.try_get(1)?)));
    let bodies = bodies.collect::<Result<Vec<_>, sqlx::Error>>()?;
    let has_older = heads.len() > n_shown
        || {
            let gap = sqlx::query(
                "SELECT below FROM gap WHERE channel = $1 AND above + 1 < $2 AND (linked <> 0 OR above > 0) LIMIT 1",
            );
            gap.bind(row.key).bind(lowest).fetch_optional(connection).await?.is_some()
        };
    Ok(Found { row, bodies, has_older, newer: None, gap: None })
}

/// How many of these posts, the newest first, the first page of a feed shows: as many as Telegram's page, and all
/// that were published within a day before the newest one.
fn first_page(heads: &[(PostId, i64)]) -> usize {
    let newest = heads.first().map_or(0, |(_, published)| *published);
    let since = newest - DAY.as_secs();
    let n_recent = heads.iter().take_while(|(_, published)| *published > since).count();
    n_recent.max(PAGE).min(MAX_PAGE.into()).min(heads.len())
}

/// Where the page above this one begins, as in [`View::newer`].
async fn newer(
    connection: &mut AnyConnection,
    key: i64,
    before: PostId,
    wanted: usize,
) -> Result<Option<Newer>, ArchiveError> {
    let above = sqlx::query(
        "SELECT id FROM post WHERE channel = $1 AND gone IS NULL AND id >= $2 ORDER BY id LIMIT $3",
    );
    let most = i64::try_from(wanted + 1).unwrap_or(i64::MAX);
    let above = above.bind(key).bind(i64::from(before.get())).bind(most).fetch_all(connection).await?;
    Ok(match above.get(wanted) {
        Some(row) => Some(Newer::Before(post_id(row, 0)?)),
        None if above.is_empty() => None,
        None => Some(Newer::Newest),
    })
}

/// A page that was fetched.
pub(super) struct Visit<'a> {
    pub(super) asked: &'a ChannelName,
    pub(super) channel: &'a Channel,
    pub(super) reach: Reach,
    pub(super) now: Timestamp,
    pub(super) fresh_for: Duration,
}

/// Writes what a page has changed. Tells whether a reader can see a difference.
pub(super) async fn merge(
    connection: &mut AnyConnection,
    visit: &Visit<'_>,
    mut part: Part,
) -> Result<bool, ArchiveError> {
    let (key, before) = channel_of(connection, visit).await?;
    let newest = sqlx::query("SELECT max(id) FROM post WHERE channel = $1").bind(key);
    let newest: Option<i64> = newest.fetch_one(&mut *connection).await?.try_get(0)?;
    let newest_known = newest.and_then(|newest| u32::try_from(newest).ok());
    match visit.reach {
        // Of a channel that is new the whole page is shown.
        Reach::Newest => newest_known.into_iter().for_each(|above| part.leave_out_cut(above)),
        Reach::Older(from, gap) => {
            part.leave_out_cut(gap.above);
            if from < gap.below {
                part.leave_out_newest_media();
            }
        }
    }
    let known = records(connection, key, &part).await?;
    let changes = merge::merge(known, &part, visit.now);
    for record in &changes.put {
        put(connection, key, record).await?;
    }
    match visit.reach {
        Reach::Newest => {
            let above = newest_known.unwrap_or(0);
            let lowest = part.lowest.get();
            if lowest > above + 1 {
                let gap =
                    Gap { above, below: part.cursor, linked: part.is_linked, lazy: above == 0, failures: 0 };
                put_gap(connection, key, gap).await?;
            }
        }
        Reach::Older(from, gap) => narrow(connection, key, &part, from, gap).await?,
    }
    let is_visible =
        changes.is_visible || before.as_ref().is_some_and(|before| before.channel != *visit.channel);
    // What is new says itself when it was published, and what was edited when; of the rest this is the only trace.
    let says_when = |record: &Record| {
        newest.is_none_or(|newest| i64::from(record.post.id.get()) > newest)
            || record.post.updated == Some(visit.now)
    };
    let is_told = !changes.put.is_empty() && changes.put.iter().all(says_when);
    let changed_at = match before {
        Some(before) if is_visible && !is_told => Some(visit.now).or(before.changed),
        before => before.and_then(|before| before.changed),
    };
    let update =
        sqlx::query("UPDATE channel SET name = $2, record = $3, changed = $4, gone = 0 WHERE key = $1");
    let record = pack(visit.channel)?;
    update
        .bind(key)
        .bind(visit.channel.name.as_str())
        .bind(record)
        .bind(changed_at.map(Timestamp::as_second))
        .execute(&mut *connection)
        .await?;
    if matches!(visit.reach, Reach::Newest) {
        let fetched = sqlx::query("UPDATE channel SET fetched = $2, fresh_for = $3 WHERE key = $1");
        let fresh_for = i64::try_from(visit.fresh_for.as_millis()).unwrap_or(i64::MAX);
        fetched.bind(key).bind(visit.now.as_millisecond()).bind(fresh_for).execute(connection).await?;
    }
    Ok(is_visible)
}

/// The channel of a page, made when it is not there. A name that Telegram gives to another channel, which it tells
/// by a number, is that one's from now on: the posts of the old one are kept, but not mixed with the new one's.
async fn channel_of(
    connection: &mut AnyConnection,
    visit: &Visit<'_>,
) -> Result<(i64, Option<ChannelRow>), ArchiveError> {
    let number = visit.channel.id.and_then(|id| i64::try_from(id).ok());
    let mut found = key(connection, &visit.channel.name).await?;
    if let Some(by_name) = found {
        let theirs = sqlx::query("SELECT telegram_id FROM channel WHERE key = $1").bind(by_name);
        let theirs: Option<i64> = theirs.fetch_one(&mut *connection).await?.try_get(0)?;
        if theirs.zip(number).is_some_and(|(theirs, number)| theirs != number) {
            tracing::warn!(channel = %visit.channel.name, "the name belongs to another channel now");
            found = None;
        }
    }
    let key = if let Some(key) = found {
        key
    } else {
        let insert = sqlx::query(
            "INSERT INTO channel (telegram_id, name, record, fetched, fresh_for) VALUES ($1, $2, $3, 0, 0) RETURNING key",
        );
        let insert = insert.bind(number).bind(visit.channel.name.as_str()).bind(pack(visit.channel)?);
        insert.fetch_one(&mut *connection).await?.try_get(0)?
    };
    if let Some(number) = number {
        let learn = sqlx::query("UPDATE channel SET telegram_id = $2 WHERE key = $1 AND telegram_id IS NULL");
        learn.bind(key).bind(number).execute(&mut *connection).await?;
    }
    for name in [visit.asked, &visit.channel.name] {
        let alias = sqlx::query(
            "INSERT INTO alias (name, channel) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET channel = excluded.channel WHERE alias.channel <> excluded.channel",
        );
        alias.bind(lower(name)).bind(key).execute(&mut *connection).await?;
    }
    let before =
        if found.is_some() { channel(connection, visit.asked).await?.map(|(row, _)| row) } else { None };
    Ok((key, before))
}

/// The records in the range of a page, and as far below it as an album may reach.
async fn records(connection: &mut AnyConnection, key: i64, part: &Part) -> Result<Vec<Record>, ArchiveError> {
    let range = sqlx::query(
        "SELECT body, missing, gone, rules, id FROM post WHERE channel = $1 AND id BETWEEN $2 AND $3 ORDER BY id",
    );
    let lowest = part.lowest.get().saturating_sub(MAX_ALBUM);
    let range = range.bind(key).bind(i64::from(lowest)).bind(i64::from(part.highest.get()));
    let mut records = Vec::new();
    for row in range.fetch_all(connection).await? {
        let body: Vec<u8> = row.try_get(0)?;
        match unpack(&body) {
            Ok(post) => records.push(Record {
                post,
                missing: u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default(),
                gone: time(row.try_get(2)?),
                rules: u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or_default(),
            }),
            // A page that shows it again replaces it.
            Err(err) => tracing::error!(post = %post_id(&row, 4)?, "an archived post is damaged: {err}"),
        }
    }
    Ok(records)
}

async fn put(connection: &mut AnyConnection, key: i64, record: &Record) -> Result<(), ArchiveError> {
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
        .bind(i64::from(record.rules))
        .bind(pack(&record.post)?)
        .execute(connection)
        .await?;
    Ok(())
}

fn gap_of(row: &AnyRow) -> Result<Gap, sqlx::Error> {
    let number = |column| row.try_get(column).map(|n: i64| u32::try_from(n).unwrap_or(u32::MAX));
    Ok(Gap {
        above: number(0)?,
        below: post_id(row, 1)?,
        linked: number(2)? != 0,
        lazy: number(3)? != 0,
        failures: number(4)?,
    })
}

async fn put_gap(connection: &mut AnyConnection, key: i64, gap: Gap) -> Result<(), ArchiveError> {
    let put = sqlx::query(
        "INSERT INTO gap (channel, above, below, linked, lazy) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (channel, below) DO UPDATE SET above = excluded.above, linked = excluded.linked, lazy = excluded.lazy",
    );
    put.bind(key)
        .bind(i64::from(gap.above))
        .bind(i64::from(gap.below.get()))
        .bind(i64::from(gap.linked))
        .bind(i64::from(gap.lazy))
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes a gap smaller by a page of what is older than `from`, which may leave a gap above it too.
async fn narrow(
    connection: &mut AnyConnection,
    key: i64,
    part: &Part,
    from: PostId,
    gap: Gap,
) -> Result<(), ArchiveError> {
    let delete = sqlx::query("DELETE FROM gap WHERE channel = $1 AND below = $2");
    delete.bind(key).bind(i64::from(gap.below.get())).execute(&mut *connection).await?;
    if from < gap.below {
        let above = part.posts.last().map_or(gap.above, |newest| newest.id.get());
        let upper = Gap { above, lazy: true, failures: 0, ..gap };
        put_gap(connection, key, upper).await?;
    }
    match part.rest_of(gap) {
        Some(rest) => put_gap(connection, key, rest).await,
        None => Ok(()),
    }
}

pub(super) async fn due_gaps(
    connection: &mut AnyConnection,
    name: &ChannelName,
    now: i64,
) -> Result<Vec<Gap>, ArchiveError> {
    let gaps = sqlx::query(
        "SELECT above, below, linked, lazy, failures FROM gap
         WHERE channel = (SELECT channel FROM alias WHERE name = $1) AND lazy = 0 AND retry <= $2
         ORDER BY below DESC",
    );
    let gaps = gaps.bind(lower(name)).bind(now).fetch_all(connection).await?;
    Ok(gaps.iter().map(gap_of).collect::<Result<_, _>>()?)
}

pub(super) async fn newest_gap(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<Gap>, ArchiveError> {
    let gap = sqlx::query(
        "SELECT above, below, linked, lazy, failures FROM gap
         WHERE channel = (SELECT channel FROM alias WHERE name = $1) ORDER BY below DESC LIMIT 1",
    );
    let gap = gap.bind(lower(name)).fetch_optional(connection).await?;
    Ok(gap.as_ref().map(gap_of).transpose()?)
}

pub(super) async fn count(connection: &mut AnyConnection, name: &ChannelName) -> Result<u64, ArchiveError> {
    let count =
        sqlx::query("SELECT count(*) FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)");
    let n: i64 = count.bind(lower(name)).fetch_one(connection).await?.try_get(0)?;
    Ok(u64::try_from(n).unwrap_or_default())
}

pub(super) async fn close_gap(
    connection: &mut AnyConnection,
    name: &ChannelName,
    gap: Gap,
    from: PostId,
) -> Result<(), ArchiveError> {
    let Some(key) = key(connection, name).await? else { return Ok(()) };
    if from < gap.below {
        return put_gap(connection, key, Gap { above: from.get() - 1, ..gap }).await;
    }
    let close = sqlx::query("DELETE FROM gap WHERE channel = $1 AND below = $2");
    close.bind(key).bind(i64::from(gap.below.get())).execute(connection).await?;
    Ok(())
}

pub(super) async fn leave_gap(
    connection: &mut AnyConnection,
    name: &ChannelName,
    gap: Gap,
    retry: i64,
) -> Result<(), ArchiveError> {
    let leave = sqlx::query(
        "UPDATE gap SET failures = failures + 1, retry = $3
         WHERE channel = (SELECT channel FROM alias WHERE name = $1) AND below = $2",
    );
    leave.bind(lower(name)).bind(i64::from(gap.below.get())).bind(retry).execute(connection).await?;
    Ok(())
}

pub(super) async fn hidden(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Vec<Post>, ArchiveError> {
    let newest = sqlx::query(
        "SELECT id, body FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)
         AND gone IS NULL AND attempts < $2 ORDER BY id DESC LIMIT $3",
    );
    let page = i64::try_from(PAGE).unwrap_or(MAX_HIDDEN);
    let newest = newest.bind(lower(name)).bind(MAX_ATTEMPTS).bind(page).fetch_all(connection).await?;
    let bodies = newest.iter().map(|row| Ok((post_id(row, 0)?, row.try_get(1)?)));
    let bodies = bodies.collect::<Result<Vec<_>, sqlx::Error>>()?;
    let mut hidden = posts(name, &bodies);
    hidden.retain(|post| post.only_in_telegram.is_some() && !merge::has_content(post));
    hidden.reverse();
    hidden.truncate(usize::try_from(MAX_HIDDEN).unwrap_or_default());
    Ok(hidden)
}

pub(super) async fn recover(
    connection: &mut AnyConnection,
    name: &ChannelName,
    post: &Post,
) -> Result<(), ArchiveError> {
    let write = sqlx::query(
        "UPDATE post SET attempts = attempts + 1, body = $3
         WHERE channel = (SELECT channel FROM alias WHERE name = $1) AND id = $2",
    );
    write.bind(lower(name)).bind(i64::from(post.id.get())).bind(pack(post)?).execute(connection).await?;
    Ok(())
}

pub(super) async fn bury(connection: &mut AnyConnection, name: &ChannelName) -> Result<(), ArchiveError> {
    let bury =
        sqlx::query("UPDATE channel SET gone = 1 WHERE key = (SELECT channel FROM alias WHERE name = $1)");
    bury.bind(lower(name)).execute(connection).await?;
    Ok(())
}
