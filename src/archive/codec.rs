//! Encoding and decoding of rows, and the lookups that every query shares.

use std::fmt::Display;
use std::io;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row};

use super::ArchiveError;
use super::connection::is_postgres;
use crate::compressed_json;
use crate::model::channel::{Channel, ChannelName};
use crate::model::paging::{MAX_PAGE_BYTES, MAX_POST_BYTES};
use crate::model::post::{Post, PostId};

/// A row of `channel`.
pub(super) struct ChannelRow {
    pub(super) key: i64,
    pub(super) channel: Channel,
    pub(super) changed: Option<Timestamp>,
    pub(super) fetched: i64,
    pub(super) fresh_for: i64,
    pub(super) is_gone: bool,
}

/// Reads rows of an id and an encoded body.
pub(super) fn bodies(rows: &[AnyRow]) -> Result<Vec<(PostId, Vec<u8>)>, sqlx::Error> {
    rows.iter().map(|row| Ok((post_id(row, 0)?, row.try_get(1)?))).collect()
}

/// Maximum size of an archived post as JSON, in bytes. A merged post may be a little larger than a parsed one, and an older
/// version archived posts without a limit.
const MAX_JSON_BYTES: usize = 2 * MAX_POST_BYTES;

/// Decodes bodies in descending order of ids to posts in ascending order, the newest ones up to [`MAX_PAGE_BYTES`]; also
/// returns whether there are more. Damaged ones are logged and left out.
pub(super) fn posts(name: &ChannelName, bodies: &[(PostId, Vec<u8>)]) -> (Vec<Post>, bool) {
    let (mut posts, mut n_bytes) = (Vec::new(), 0);
    for (id, body) in bodies {
        if let Some((len, post)) = post(name, *id, body) {
            n_bytes += len;
            posts.push(post);
        }
        if n_bytes > MAX_PAGE_BYTES {
            break;
        }
    }
    posts.reverse();
    (posts, n_bytes > MAX_PAGE_BYTES)
}

/// Decodes the body of a post; also returns its size as JSON. A damaged one is logged.
pub(super) fn post(name: &ChannelName, id: PostId, body: &[u8]) -> Option<(usize, Post)> {
    let json = compressed_json::decompress(body, MAX_JSON_BYTES);
    let post = json.and_then(|json| Ok((json.len(), serde_json::from_slice(&json)?)));
    let log = |err: &io::Error| {
        tracing::error!(channel = %name, post = %id, error = %err, "an archived post is damaged");
    };
    post.inspect_err(log).ok()
}

/// Decodes an archived channel, post or article: at most [`MAX_JSON_BYTES`] of JSON.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    compressed_json::decode(body, MAX_JSON_BYTES)
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, ArchiveError> {
    compressed_json::encode(value).map_err(|err| ArchiveError::Database(err.to_string()))
}

pub(super) fn post_id(row: &AnyRow, column: usize) -> Result<PostId, sqlx::Error> {
    let id: i64 = row.try_get(column)?;
    let id = u32::try_from(id).ok().and_then(PostId::new);
    id.ok_or_else(|| sqlx::Error::Decode("post id out of range".into()))
}

pub(super) fn time(seconds: Option<i64>) -> Option<Timestamp> {
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok())
}

pub(super) fn lowercase(name: &ChannelName) -> String {
    name.as_str().to_ascii_lowercase()
}

/// Returns a query whose `{}` is replaced by a list: numbers, placeholders such as `$1`, or rows of these, which need no
/// quotes. Each list makes another statement, which would displace those that are used again, so it is not kept.
pub(super) fn in_list<'q>(
    sql: &str,
    list: impl IntoIterator<Item = impl Display>,
) -> Query<'q, Any, AnyArguments> {
    let list = list.into_iter().map(|item| item.to_string()).reduce(|list, item| list + ", " + &item);
    // PostgreSQL has no empty lists. Nothing equals NULL.
    let sql = sql.replace("{}", list.as_deref().unwrap_or("NULL"));
    sqlx::query(AssertSqlSafe(sql)).persistent(false)
}

/// Returns the key of a channel by any of its names.
pub(super) async fn key(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<i64>, sqlx::Error> {
    let found = sqlx::query("SELECT channel FROM alias WHERE name = $1").bind(lowercase(name));
    found.fetch_optional(connection).await?.map(|row| row.try_get(0)).transpose()
}

/// Makes other replicas that change a channel wait until this transaction ends. Returns whether the channel still exists. On
/// SQLite, a transaction for writing excludes all others.
pub(super) async fn lock(connection: &mut AnyConnection, key: i64) -> Result<bool, sqlx::Error> {
    let lock = if is_postgres(connection) {
        "SELECT key FROM channel WHERE key = $1 FOR NO KEY UPDATE"
    } else {
        "SELECT key FROM channel WHERE key = $1"
    };
    Ok(sqlx::query(lock).bind(key).fetch_optional(connection).await?.is_some())
}

/// Returns the key of a channel by any of its names, and [`lock`]s the channel.
pub(super) async fn locked_key(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<i64>, sqlx::Error> {
    let Some(key) = key(connection, name).await? else { return Ok(None) };
    Ok(lock(connection, key).await?.then_some(key))
}

pub(super) async fn channel(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Option<ChannelRow>, ArchiveError> {
    let found = sqlx::query(
        "SELECT key, record, changed, fetched, fresh_for, gone FROM channel
         WHERE key = (SELECT channel FROM alias WHERE name = $1)",
    );
    let Some(row) = found.bind(lowercase(name)).fetch_optional(connection).await? else { return Ok(None) };
    let record: Vec<u8> = row.try_get(1)?;
    let channel = match decode(&record) {
        Ok(channel) => channel,
        // Treated as not archived until the next merge replaces the record.
        Err(err) => {
            tracing::error!(channel = %name, error = %err, "the archived record of a channel is damaged");
            return Ok(None);
        }
    };
    let changed = time(row.try_get(2)?);
    Ok(Some(ChannelRow {
        key: row.try_get(0)?,
        channel,
        changed,
        fetched: row.try_get(3)?,
        fresh_for: row.try_get(4)?,
        is_gone: row.try_get::<i64, _>(5)? != 0,
    }))
}

pub(super) async fn count(connection: &mut AnyConnection, name: &ChannelName) -> Result<u64, ArchiveError> {
    let count =
        sqlx::query("SELECT count(*) FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)");
    let n: i64 = count.bind(lowercase(name)).fetch_one(connection).await?.try_get(0)?;
    Ok(u64::try_from(n).unwrap_or_default())
}

/// Marks a channel as gone. A page that was fetched before `now` does not remove the mark.
pub(super) async fn mark_gone(
    connection: &mut AnyConnection,
    name: &ChannelName,
    now: Timestamp,
) -> Result<(), ArchiveError> {
    let mark_gone = sqlx::query(
        "UPDATE channel SET gone = 1, fetched = $2 WHERE key = (SELECT channel FROM alias WHERE name = $1)",
    );
    mark_gone.bind(lowercase(name)).bind(now.as_millisecond()).execute(connection).await?;
    Ok(())
}

/// Records a visible change of a channel's posts. The time never moves backwards, like that of a merge.
pub(super) async fn mark_changed(
    connection: &mut AnyConnection,
    key: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let changed =
        sqlx::query("UPDATE channel SET changed = $2 WHERE key = $1 AND (changed IS NULL OR changed < $2)");
    changed.bind(key).bind(now.as_second()).execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Archive;

    #[tokio::test]
    async fn time_of_a_change_never_moves_backwards() {
        let archive = Archive::in_memory(u64::MAX).await.unwrap();
        let database = archive.database_or_open().await.unwrap();
        let mut connection = database.writes.acquire().await.unwrap();
        let insert = "INSERT INTO channel (key, name, record, fetched, fresh_for) VALUES (1, 'a', x'', 0, 0)";
        sqlx::query(insert).execute(&mut *connection).await.unwrap();
        for (now, expected) in [(100, 100), (50, 100), (150, 150)] {
            mark_changed(&mut connection, 1, Timestamp::from_second(now).unwrap()).await.unwrap();
            let changed = sqlx::query("SELECT changed FROM channel").fetch_one(&mut *connection).await;
            assert_eq!(changed.unwrap().get::<i64, _>(0), expected);
        }
    }
}
