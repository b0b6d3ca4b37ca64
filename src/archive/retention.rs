//! Retention (pruning) and statistics.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, Row};

use super::connection::Location;
use super::database::Database;
use super::{Archive, ArchiveError, Caller, codec, data_dir, gaps};
use crate::model::channel::ChannelName;
use crate::model::paging::{Gap, MIN_POSTS_PER_PAGE};
use crate::model::post::PostId;

/// Posts deleted per statement: others can write in between, and a full disk needs little space.
const PRUNE_BATCH_SIZE: i64 = 500;

/// The pause between two such statements.
const PRUNE_PAUSE: Duration = Duration::from_millis(5);

/// Limits on the posts that are kept of each channel. The newest [`MIN_POSTS_PER_PAGE`] posts are always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Keep posts that were published in the last N days.
    pub keep_days: Option<u32>,
    /// Keep the newest N posts.
    pub keep_posts: Option<u32>,
}

/// Statistics of an archived channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The channel's name.
    pub name: String,
    /// Posts, including those that were deleted in Telegram.
    pub n_posts: u64,
    /// Posts that were deleted in Telegram.
    pub n_gone: u64,
    /// When the oldest post was published.
    pub oldest: Option<Timestamp>,
    /// When the newest post was published.
    pub newest: Option<Timestamp>,
    /// Gaps, without the one before the oldest post.
    pub n_gaps: u64,
    /// The channel's first post is archived.
    pub reaches_start: bool,
}

impl Archive {
    /// Deletes the posts that `retention` does not keep, also on a full disk. Returns the number of deleted posts.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`]; posts that were deleted before the error stay deleted.
    pub async fn prune(&self, retention: Retention, now: Timestamp) -> Result<u64, ArchiveError> {
        let database = self.database_or_open().await?;
        let folder = match &self.location {
            Location::File(file) => file.parent(),
            _ => None,
        };
        if let Some(folder) = folder.filter(|folder| data_dir::is_disk_full(folder)) {
            data_dir::release_ballast(folder);
        }
        let mut n_pruned = 0;
        let channels = sqlx::query("SELECT key FROM channel ORDER BY key").fetch_all(&database.reads).await?;
        for channel in channels {
            n_pruned += prune_channel(&database, channel.try_get(0)?, retention, now).await?;
        }
        database.shrink().await?;
        if let Some(folder) = folder {
            data_dir::restore_ballast(folder);
        }
        Ok(n_pruned)
    }

    /// Deletes a channel with its posts, its names and its gaps. Returns the number of deleted posts; `None` if the channel
    /// is not archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`]; nothing is deleted then.
    pub async fn forget(&self, name: &ChannelName) -> Result<Option<u64>, ArchiveError> {
        let database = self.database_or_open().await?;
        let mut tx = database.begin().await?;
        let Some(key) = codec::locked_key(&mut tx, name).await? else { return Ok(None) };
        let n_posts = codec::count(&mut tx, name).await?;
        // The other tables follow by their foreign keys.
        sqlx::query("DELETE FROM channel WHERE key = $1").bind(key).execute(&mut *tx).await?;
        tx.commit().await?;
        database.shrink().await?;
        Ok(Some(n_posts))
    }

    /// Returns the statistics of each channel, ordered by name.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn stats(&self) -> Result<Vec<Stats>, ArchiveError> {
        let database = self.database_or_open().await?;
        let rows = sqlx::query(
            "SELECT name, count(id), count(post.gone), min(published), max(published),
                 (SELECT count(*) FROM gap WHERE gap.channel = key AND above > 0),
                 (SELECT count(*) FROM gap WHERE gap.channel = key AND above = 0)
             FROM channel LEFT JOIN post ON post.channel = key GROUP BY key, name ORDER BY name",
        );
        let number = |row: &sqlx::any::AnyRow, column| {
            row.try_get::<i64, _>(column).map(|n| u64::try_from(n).unwrap_or_default())
        };
        let stats = rows.fetch_all(&database.reads).await?.into_iter().map(|row| {
            Ok(Stats {
                name: row.try_get(0)?,
                n_posts: number(&row, 1)?,
                n_gone: number(&row, 2)?,
                oldest: codec::time(row.try_get(3)?),
                newest: codec::time(row.try_get(4)?),
                n_gaps: number(&row, 5)?,
                reaches_start: number(&row, 6)? == 0,
            })
        });
        Ok(stats.collect::<Result<_, sqlx::Error>>()?)
    }

    /// Returns the number of archived posts of a channel.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn count(&self, name: &ChannelName) -> Result<u64, ArchiveError> {
        self.read(Caller::Background, async |connection| codec::count(connection, name).await).await
    }

    /// Returns the size of the archive in bytes.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn size(&self) -> Result<u64, ArchiveError> {
        Ok(self.database_or_open().await?.size().await?)
    }
}

async fn prune_channel(
    database: &Database,
    key: i64,
    retention: Retention,
    now: Timestamp,
) -> Result<u64, ArchiveError> {
    let mut connection = database.writes.acquire().await?;
    let Some(page) = nth_newest(&mut connection, key, MIN_POSTS_PER_PAGE).await? else { return Ok(0) };
    let mut lowest_kept = 0;
    if let Some(n) = retention.keep_posts {
        let n = usize::try_from(n).unwrap_or(usize::MAX).max(1);
        lowest_kept = nth_newest(&mut connection, key, n).await?.unwrap_or(0);
    }
    if let Some(days) = retention.keep_days {
        let since =
            now.saturating_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
        let first = sqlx::query("SELECT min(id) FROM post WHERE channel = $1 AND published >= $2");
        let first = first.bind(key).bind(since.as_second()).fetch_one(&mut *connection).await?;
        lowest_kept = lowest_kept.max(first.try_get::<Option<i64>, _>(0)?.unwrap_or(i64::MAX));
    }
    let lowest_kept = lowest_kept.min(page);
    drop(connection);
    let mut n_pruned = 0;
    loop {
        let mut tx = database.begin().await?;
        if !codec::lock(&mut tx, key).await? {
            return Ok(n_pruned);
        }
        let n_deleted = delete_oldest(&mut tx, key, lowest_kept).await?;
        tx.commit().await?;
        if n_deleted == 0 {
            return Ok(n_pruned);
        }
        n_pruned += n_deleted;
        // Also truncates the WAL, which grows with each deletion.
        database.shrink().await?;
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
}

/// Deletes the oldest [`PRUNE_BATCH_SIZE`] posts below `lowest_kept`, and leaves a gap in their place, so that requests for
/// them fetch them again. Returns the number of deleted posts.
async fn delete_oldest(
    connection: &mut AnyConnection,
    key: i64,
    lowest_kept: i64,
) -> Result<u64, ArchiveError> {
    let next =
        sqlx::query("SELECT id FROM post WHERE channel = $1 AND id < $2 ORDER BY id LIMIT 1 OFFSET $3");
    let next =
        next.bind(key).bind(lowest_kept).bind(PRUNE_BATCH_SIZE).fetch_optional(&mut *connection).await?;
    let below = next.map_or(Ok(lowest_kept), |row| row.try_get(0))?;
    let delete = sqlx::query("DELETE FROM post WHERE channel = $1 AND id < $2");
    let n_deleted = delete.bind(key).bind(below).execute(&mut *connection).await?.rows_affected();
    if n_deleted > 0
        && let Some(lowest) = u32::try_from(below).ok().and_then(PostId::new)
    {
        let delete = sqlx::query("DELETE FROM gap WHERE channel = $1 AND below <= $2");
        delete.bind(key).bind(below).execute(&mut *connection).await?;
        let gap = Gap { above: 0, below: lowest, linked: true, lazy: true, failures: 0, retry: 0 };
        gaps::upsert_gap(connection, key, gap).await?;
    }
    Ok(n_deleted)
}

/// Returns the id of the `n`th newest post that is not gone.
async fn nth_newest(connection: &mut AnyConnection, key: i64, n: usize) -> Result<Option<i64>, sqlx::Error> {
    let nth = sqlx::query(
        "SELECT id FROM post WHERE channel = $1 AND gone IS NULL ORDER BY id DESC LIMIT 1 OFFSET $2",
    );
    let offset = i64::try_from(n - 1).unwrap_or(i64::MAX);
    nth.bind(key).bind(offset).fetch_optional(connection).await?.map(|row| row.try_get(0)).transpose()
}

/// Deletes the channels that were fetched the longest ago, until the archive fits into `max_bytes`.
pub(super) async fn evict_channels(database: &Database, max_bytes: u64) -> Result<(), ArchiveError> {
    while database.size().await? > max_bytes {
        let evict = sqlx::query(
            "DELETE FROM channel WHERE key IN (SELECT key FROM channel ORDER BY fetched LIMIT
                 (SELECT count(*) / 16 + 1 FROM channel))",
        );
        if evict.execute(&database.writes).await?.rows_affected() == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Executor;

    use super::*;

    /// The second batch fails, after the first one was deleted.
    #[tokio::test]
    async fn interrupted_pruning_leaves_a_gap_for_the_deleted_posts() {
        let archive = Archive::in_memory(u64::MAX).await.unwrap();
        let database = archive.database_or_open().await.unwrap();
        let posts = "
            INSERT INTO channel (key, name, record, fetched, fresh_for) VALUES (1, 'a', x'', 0, 0);
            WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 1100)
                INSERT INTO post (channel, id, published, missing, rules, body) SELECT 1, id, id, 0, 1, x'' FROM n;
            CREATE TRIGGER stop BEFORE DELETE ON post WHEN old.id > 600 BEGIN SELECT RAISE(ABORT, 'stop'); END";
        database.writes.execute(posts).await.unwrap();
        let retention = Retention { keep_posts: Some(20), keep_days: None };
        archive.prune(retention, Timestamp::UNIX_EPOCH).await.unwrap_err();
        let stats = archive.stats().await.unwrap();
        assert!(stats[0].n_posts == 600 && !stats[0].reaches_start, "{stats:?}");
        database.writes.execute("DROP TRIGGER stop").await.unwrap();
        assert_eq!(archive.prune(retention, Timestamp::UNIX_EPOCH).await.unwrap(), 580);
        let mut connection = database.writes.acquire().await.unwrap();
        let gap = gaps::highest_gap(&mut connection, 1, i64::MAX).await.unwrap().unwrap();
        assert_eq!((gap.above, gap.below.get()), (0, 1081));
    }
}
