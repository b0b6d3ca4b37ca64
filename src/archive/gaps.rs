//! Gaps: ranges of ids in which Telegram may have posts that are not archived.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::codec::{locked_key, lowercase, post_id};
use super::{Archive, ArchiveError, Caller};
use crate::model::channel::ChannelName;
use crate::model::paging::Gap;

impl Archive {
    /// Returns the gaps of a channel that are to be filled in the background now, the newest first.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn due_gaps(
        &self,
        name: &ChannelName,
        now: Timestamp,
        caller: Caller,
    ) -> Result<Vec<Gap>, ArchiveError> {
        self.read(caller, async |connection| due_gaps(connection, name, now.as_second()).await).await
    }

    /// Returns the newest gap of a channel, even if it is lazy or not due.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn newest_gap(&self, name: &ChannelName) -> Result<Option<Gap>, ArchiveError> {
        self.read(Caller::Background, async |connection| newest_gap(connection, name).await).await
    }

    /// Removes a gap, because Telegram has no posts in it.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn close_gap(&self, name: &ChannelName, gap: Gap) -> Result<(), ArchiveError> {
        let close = async |connection: &mut AnyConnection| match locked_key(connection, name).await? {
            Some(key) => replace_gap(connection, key, gap, &[]).await,
            None => Ok(()),
        };
        self.write(close).await
    }

    /// Counts a failed attempt to fill a gap. The next one is due at `retry`.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn delay_gap(
        &self,
        name: &ChannelName,
        gap: Gap,
        retry: Timestamp,
    ) -> Result<(), ArchiveError> {
        self.write(async |connection| delay_gap(connection, name, gap, retry.as_second()).await).await
    }
}

pub(super) fn decode_gap(row: &AnyRow) -> Result<Gap, sqlx::Error> {
    let number = |column| row.try_get(column).map(|n: i64| u32::try_from(n).unwrap_or(u32::MAX));
    Ok(Gap {
        above: number(0)?,
        below: post_id(row, 1)?,
        linked: number(2)? != 0,
        lazy: number(3)? != 0,
        failures: number(4)?,
        retry: row.try_get(5)?,
    })
}

pub(super) async fn upsert_gap(
    connection: &mut AnyConnection,
    key: i64,
    gap: Gap,
) -> Result<(), ArchiveError> {
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

/// Replaces a gap with its `rest`. Has no effect if the gap was changed in the meantime.
pub(super) async fn replace_gap(
    connection: &mut AnyConnection,
    key: i64,
    gap: Gap,
    rest: &[Gap],
) -> Result<(), ArchiveError> {
    let delete = sqlx::query("DELETE FROM gap WHERE channel = $1 AND above = $2 AND below = $3");
    let delete = delete.bind(key).bind(i64::from(gap.above)).bind(i64::from(gap.below.get()));
    if delete.execute(&mut *connection).await?.rows_affected() > 0 {
        for gap in rest {
            upsert_gap(connection, key, *gap).await?;
        }
    }
    Ok(())
}

/// Removes the gaps that begin at `lowest` or above.
pub(super) async fn delete_gaps_from(
    connection: &mut AnyConnection,
    key: i64,
    lowest: u32,
) -> Result<(), ArchiveError> {
    let delete = sqlx::query("DELETE FROM gap WHERE channel = $1 AND above >= $2");
    delete.bind(key).bind(i64::from(lowest)).execute(connection).await?;
    Ok(())
}

/// Returns the highest gap that begins below an id.
pub(super) async fn highest_gap(
    connection: &mut AnyConnection,
    key: i64,
    upper: i64,
) -> Result<Option<Gap>, ArchiveError> {
    let gap = sqlx::query(
        "SELECT above, below, linked, lazy, failures, retry FROM gap
         WHERE channel = $1 AND above + 1 < $2 ORDER BY below DESC LIMIT 1",
    );
    let gap = gap.bind(key).bind(upper).fetch_optional(connection).await?;
    Ok(gap.as_ref().map(decode_gap).transpose()?)
}

pub(super) async fn due_gaps(
    connection: &mut AnyConnection,
    name: &ChannelName,
    now: i64,
) -> Result<Vec<Gap>, ArchiveError> {
    let gaps = sqlx::query(
        "SELECT above, below, linked, lazy, failures, retry FROM gap
         WHERE channel = (SELECT channel FROM alias WHERE name = $1) AND lazy = 0 AND retry <= $2
         ORDER BY below DESC",
    );
    let gaps = gaps.bind(lowercase(name)).bind(now).fetch_all(connection).await?;
    Ok(gaps.iter().map(decode_gap).collect::<Result<_, _>>()?)
}

pub(super) async fn newest_gap(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<Gap>, ArchiveError> {
    let gap = sqlx::query(
        "SELECT above, below, linked, lazy, failures, retry FROM gap
         WHERE channel = (SELECT channel FROM alias WHERE name = $1) ORDER BY below DESC LIMIT 1",
    );
    let gap = gap.bind(lowercase(name)).fetch_optional(connection).await?;
    Ok(gap.as_ref().map(decode_gap).transpose()?)
}

pub(super) async fn delay_gap(
    connection: &mut AnyConnection,
    name: &ChannelName,
    gap: Gap,
    retry: i64,
) -> Result<(), ArchiveError> {
    let leave = sqlx::query(
        "UPDATE gap SET failures = failures + 1, retry = $3
         WHERE channel = (SELECT channel FROM alias WHERE name = $1) AND below = $2 AND above = $4",
    );
    let leave = leave.bind(lowercase(name)).bind(i64::from(gap.below.get())).bind(retry);
    leave.bind(i64::from(gap.above)).execute(connection).await?;
    Ok(())
}
