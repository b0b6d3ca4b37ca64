//! The archive as its operator sees it: all channels at a glance, some of them in detail, and totals.
//!
//! These queries do not pass the circuit breakers: a slow overview says nothing about the queries of readers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::codec::{decode, in_list, time};
use super::connection::{Location, integer};
use super::{Archive, ArchiveError, BACKGROUND_TIMEOUT, data_dir, gaps};
use crate::model::channel::{Channel, ChannelName};

/// All archived channels.
#[derive(Debug, Default)]
pub struct Overview {
    /// The channels.
    pub channels: Vec<ChannelOverview>,
    /// The index of the channel that each name leads to.
    pub by_name: HashMap<ChannelName, usize>,
}

/// An archived channel at a glance.
#[derive(Clone, Debug)]
pub struct ChannelOverview {
    key: i64,
    /// The canonical name.
    pub name: ChannelName,
    record: Vec<u8>,
    /// When its page was last fetched.
    pub fetched: Timestamp,
    /// Up to which age it counts as fresh.
    pub fresh_for: Duration,
    /// Telegram says that it no longer exists, or no longer shows its posts.
    pub is_gone: bool,
    /// When the newest post was published.
    pub newest: Option<Timestamp>,
}

impl ChannelOverview {
    /// Decodes the title.
    #[must_use]
    pub fn title(&self) -> Option<String> {
        decode::<Channel>(&self.record).ok().map(|channel| channel.title)
    }
}

/// The posts and the gaps of an archived channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivedChannelStatus {
    /// Archived posts, including those that were deleted in Telegram.
    pub posts: u64,
    /// The gaps.
    pub gaps: GapsStatus,
}

/// The ranges in which a channel may have posts that are not archived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GapsStatus {
    /// Gaps that are filled in the background, after each refresh.
    pub open: usize,
    /// Gaps that are filled when a request asks for posts in them.
    pub on_demand: usize,
    /// The most failed attempts to fill one of them.
    pub failures: u32,
    /// When the next attempt for an open gap may be made, if one has failed.
    pub next_attempt: Option<Timestamp>,
    /// The channel's first post is archived.
    pub reaches_start: bool,
}

/// Where an archive is stored.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveKind {
    /// In memory, until the process ends.
    Memory,
    /// In a SQLite file.
    Sqlite,
    /// In a PostgreSQL database.
    Postgres,
}

/// The archive as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct ArchiveStatus {
    /// Where it is stored.
    pub kind: ArchiveKind,
    /// The size of the tables in bytes.
    pub bytes: Option<u64>,
    /// Archived posts; an estimate in PostgreSQL.
    pub posts: Option<u64>,
    /// Free bytes on the disk of a SQLite file.
    pub free_disk_bytes: Option<u64>,
    /// Why the archive cannot be used now.
    pub problem: Option<String>,
}

/// When the newest post of a channel was published: one step in the index of posts, however many posts there are.
const NEWEST: &str = "(SELECT published FROM post WHERE post.channel = channel.key AND post.gone IS NULL
    ORDER BY id DESC LIMIT 1)";

/// The columns of a [`ChannelOverview`] before the time of the newest post.
const COLUMNS: &str = "key, name, record, fetched, fresh_for, gone";

impl Archive {
    /// Returns the channels with the newest posts, the newest first, and the number of all archived channels.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn newest_channels(&self, limit: usize) -> Result<(Vec<ChannelOverview>, u64), ArchiveError> {
        self.look(async |connection, _| {
            let newest = format!(
                "SELECT {COLUMNS}, newest FROM channel JOIN
                     (SELECT key AS newest_key, {NEWEST} AS newest FROM channel
                          ORDER BY newest DESC NULLS LAST LIMIT {limit}) AS newest_channels ON newest_key = key
                 WHERE newest IS NOT NULL ORDER BY newest DESC, name"
            );
            let rows = sqlx::query(AssertSqlSafe(newest)).fetch_all(&mut *connection).await?;
            let channels = rows.iter().map(decode_overview).collect::<Result<Vec<_>, _>>()?;
            let total = integer(connection, "SELECT count(*) FROM channel").await?;
            Ok((channels.into_iter().flatten().collect(), u64::try_from(total).unwrap_or_default()))
        })
        .await
    }

    /// Returns all archived channels.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn overview(&self) -> Result<Overview, ArchiveError> {
        self.look(async |connection, _| overview(connection).await).await
    }

    /// Returns the posts and the gaps of some channels, in their order.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn channel_statuses(
        &self,
        channels: &[&ChannelOverview],
    ) -> Result<Vec<ArchivedChannelStatus>, ArchiveError> {
        let keys: Vec<i64> = channels.iter().map(|channel| channel.key).collect();
        let statuses = self.look(async |connection, _| channel_statuses(connection, &keys).await).await?;
        Ok(keys.iter().map(|key| statuses.get(key).cloned().unwrap_or_default()).collect())
    }

    /// Returns the totals of the archive, as far as it can be read.
    pub async fn status(&self) -> ArchiveStatus {
        let (kind, folder) = match &self.location {
            Location::Memory(_) => (ArchiveKind::Memory, None),
            Location::File(file) | Location::ReadOnlyFile(file, _) => (ArchiveKind::Sqlite, file.parent()),
            Location::Postgres(_) => (ArchiveKind::Postgres, None),
        };
        let posts = self.look(async |connection, is_postgres| {
            let count = if is_postgres {
                "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'post'::regclass"
            } else {
                "SELECT count(*) FROM post"
            };
            Ok(u64::try_from(integer(connection, count).await?).unwrap_or_default())
        });
        let posts = posts.await.ok();
        ArchiveStatus {
            kind,
            bytes: if posts.is_some() { self.size().await.ok() } else { None },
            posts,
            free_disk_bytes: folder.and_then(data_dir::free_bytes),
            problem: self.problem().map(|problem| problem.to_string()),
        }
    }

    /// Runs a query on a connection for reading. The flag says whether it is PostgreSQL's.
    async fn look<T>(
        &self,
        query: impl AsyncFnOnce(&mut AnyConnection, bool) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        if !self.breakers().is_up(Instant::now()) {
            return Err(ArchiveError::CircuitOpen);
        }
        let attempt = async {
            let database = self.database_or_open().await?;
            query(&mut *database.reads.acquire().await?, database.is_postgres).await
        };
        tokio::time::timeout(BACKGROUND_TIMEOUT, attempt).await.unwrap_or(Err(ArchiveError::Slow))
    }
}

/// Decodes a row; `None` if its name is invalid.
fn decode_overview(row: &AnyRow) -> Result<Option<ChannelOverview>, ArchiveError> {
    let Some(name) = ChannelName::new(row.try_get(1)?) else { return Ok(None) };
    Ok(Some(ChannelOverview {
        key: row.try_get(0)?,
        name,
        record: row.try_get(2)?,
        fetched: Timestamp::from_millisecond(row.try_get(3)?).unwrap_or_default(),
        fresh_for: Duration::from_millis(u64::try_from(row.try_get::<i64, _>(4)?).unwrap_or_default()),
        is_gone: row.try_get::<i64, _>(5)? != 0,
        newest: time(row.try_get(6)?),
    }))
}

async fn overview(connection: &mut AnyConnection) -> Result<Overview, ArchiveError> {
    let all = format!("SELECT {COLUMNS}, {NEWEST} FROM channel");
    let (mut channels, mut indexes) = (Vec::new(), HashMap::new());
    for row in sqlx::query(AssertSqlSafe(all)).fetch_all(&mut *connection).await? {
        let Some(channel) = decode_overview(&row)? else { continue };
        indexes.insert(channel.key, channels.len());
        channels.push(channel);
    }
    let mut by_name = HashMap::new();
    for row in sqlx::query("SELECT name, channel FROM alias").fetch_all(connection).await? {
        let name = ChannelName::new(row.try_get(0)?);
        by_name.extend(name.zip(indexes.get(&row.try_get(1)?).copied()));
    }
    Ok(Overview { channels, by_name })
}

async fn channel_statuses(
    connection: &mut AnyConnection,
    keys: &[i64],
) -> Result<HashMap<i64, ArchivedChannelStatus>, ArchiveError> {
    let mut statuses = HashMap::new();
    let counts = "SELECT key, (SELECT count(*) FROM post WHERE post.channel = channel.key) FROM channel WHERE key IN ({})";
    for row in in_list(counts, keys).fetch_all(&mut *connection).await? {
        let gaps = GapsStatus { reaches_start: true, ..GapsStatus::default() };
        let posts = u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
        statuses.insert(row.try_get(0)?, ArchivedChannelStatus { posts, gaps });
    }
    let found = "SELECT above, below, linked, lazy, failures, retry, channel FROM gap WHERE channel IN ({})";
    for row in in_list(found, keys).fetch_all(connection).await? {
        let gap = gaps::decode_gap(&row)?;
        let Some(ArchivedChannelStatus { gaps, .. }) = statuses.get_mut(&row.try_get(6)?) else { continue };
        let count = if gap.lazy { &mut gaps.on_demand } else { &mut gaps.open };
        *count += 1;
        gaps.failures = gaps.failures.max(gap.failures);
        gaps.reaches_start &= gap.above > 0;
        if !gap.lazy && gap.failures > 0 {
            let retry = time(Some(gap.retry));
            gaps.next_attempt = [gaps.next_attempt, retry].into_iter().flatten().min();
        }
    }
    Ok(statuses)
}
