//! A single post: what it showed before its author edited it, and the posts beside it.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::codec::{self, channel, encode, post_id, time};
use super::merge::same_content;
use super::{Archive, ArchiveError, Caller};
use crate::clock::whole_seconds;
use crate::cpu_pool;
use crate::model::album::{MAX_ALBUM_ITEMS, is_inside};
use crate::model::archived_post::{ArchivedPost, PostVersion};
use crate::model::channel::ChannelName;
use crate::model::paging::MAX_PAGE_BYTES;
use crate::model::post::{Post, PostId};

/// The maximum number of earlier versions that are kept of a post. The oldest is deleted first.
const MAX_VERSIONS: i64 = 20;

impl Archive {
    /// Returns a post by its id, or by the id of an item of its album, even if it is deleted on Telegram. `None` if it is
    /// not archived or the channel is gone.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn post(&self, name: &ChannelName, id: PostId) -> Result<Option<ArchivedPost>, ArchiveError> {
        let found =
            self.read_state(Caller::Reader, async |connection| find(connection, name, id).await).await?;
        let Some((mut found, versions)) = found else { return Ok(None) };
        if versions.is_empty() {
            return Ok(Some(found));
        }
        let (name, n_bytes) = (name.clone(), versions.iter().map(|(_, body)| body.len()).sum());
        let decode = move || {
            found.versions = decode_versions(&name, &found.post, &versions);
            found
        };
        let decoded = cpu_pool::run(n_bytes, decode).await;
        decoded.map(Some).map_err(|err| ArchiveError::Database(err.to_string()))
    }

    /// Returns which of these posts are archived, even if they are deleted on Telegram.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn archived_of(
        &self,
        mut posts: Vec<(ChannelName, PostId)>,
    ) -> Result<HashSet<(ChannelName, PostId)>, ArchiveError> {
        posts.sort_unstable_by_key(|(name, id)| (codec::lowercase(name), *id));
        posts.dedup();
        let read = async |connection: &mut AnyConnection| {
            let mut archived = HashSet::new();
            for of_channel in posts.chunk_by(|(name, _), (other, _)| name == other) {
                let (name, _) = &of_channel[0];
                let found = codec::in_list(
                    "SELECT id FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1) AND id IN ({})",
                    of_channel.iter().map(|(_, id)| id),
                );
                let found = found.bind(codec::lowercase(name));
                for row in found.fetch_all(&mut *connection).await? {
                    archived.insert((name.clone(), post_id(&row, 0)?));
                }
            }
            Ok(archived)
        };
        self.read(Caller::Reader, read).await
    }
}

/// The end of a version in milliseconds, and its encoded body.
type RawVersion = (i64, Vec<u8>);

/// Finds a post without its versions, and these apart.
async fn find(
    connection: &mut AnyConnection,
    name: &ChannelName,
    id: PostId,
) -> Result<Option<(ArchivedPost, Vec<RawVersion>)>, ArchiveError> {
    let Some(row) = channel(connection, name).await?.filter(|row| !row.is_gone) else { return Ok(None) };
    let (key, channel) = (row.key, row.channel);
    let candidates = sqlx::query(
        "SELECT id, body, gone FROM post WHERE channel = $1 AND id <= $2 AND id > $3 ORDER BY id DESC",
    );
    let candidates = candidates.bind(key).bind(i64::from(id.get()));
    let candidates = candidates.bind(i64::from(id.get()) - i64::from(MAX_ALBUM_ITEMS));
    let mut found = None;
    for row in candidates.fetch_all(&mut *connection).await? {
        let gone = time(row.try_get(2)?);
        // The end of an album may have been archived before the whole album: it is gone then, the album is not.
        if found.is_some() && gone.is_some() {
            continue;
        }
        let body: Vec<u8> = row.try_get(1)?;
        let post = codec::post(name, post_id(&row, 0)?, &body).map(|(_, post)| post);
        if let Some(post) = post.filter(|post| post.id == id || is_inside(id, post)) {
            found = Some((post, gone));
            if gone.is_none() {
                break;
            }
        }
    }
    let Some((post, gone_since)) = found else { return Ok(None) };
    let number = i64::from(post.id.get());
    let versions = raw_versions(connection, key, number).await?;
    let older = next_older(connection, key, post.id).await?;
    let newer = sqlx::query(
        "SELECT id FROM post WHERE channel = $1 AND id > $2 AND gone IS NULL ORDER BY id LIMIT 1",
    );
    let newer = newer.bind(key).bind(number).fetch_optional(connection).await?;
    let newer = newer.map(|row| post_id(&row, 0)).transpose()?;
    Ok(Some((ArchivedPost { channel, post, versions: Vec::new(), gone_since, older, newer }, versions)))
}

/// Returns the highest id below `upper` of a post that is not gone.
pub(super) async fn next_older(
    connection: &mut AnyConnection,
    key: i64,
    upper: PostId,
) -> Result<Option<PostId>, sqlx::Error> {
    let older = sqlx::query(
        "SELECT id FROM post WHERE channel = $1 AND id < $2 AND gone IS NULL ORDER BY id DESC LIMIT 1",
    );
    let older = older.bind(key).bind(i64::from(upper.get())).fetch_optional(connection).await?;
    older.map(|row| post_id(&row, 0)).transpose()
}

/// Returns the earlier versions of a post, the newest first.
pub(super) async fn versions(
    connection: &mut AnyConnection,
    key: i64,
    name: &ChannelName,
    post: &Post,
) -> Result<Vec<PostVersion>, sqlx::Error> {
    let raw = raw_versions(connection, key, post.id.get().into()).await?;
    Ok(decode_versions(name, post, &raw))
}

async fn raw_versions(
    connection: &mut AnyConnection,
    key: i64,
    id: i64,
) -> Result<Vec<RawVersion>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT until, body FROM post_version WHERE channel = $1 AND id = $2 ORDER BY n DESC");
    let rows = rows.bind(key).bind(id).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Decodes the versions of a post up to [`MAX_PAGE_BYTES`]. One with the content of the next newer one is left out: a post
/// that another version of the parser archived is replaced without an earlier version.
fn decode_versions(name: &ChannelName, current: &Post, raw: &[RawVersion]) -> Vec<PostVersion> {
    let (mut versions, mut n_bytes) = (Vec::<PostVersion>::new(), 0);
    for (until, body) in raw {
        let Some((len, post)) = codec::post(name, current.id, body) else { continue };
        n_bytes += len;
        if n_bytes > MAX_PAGE_BYTES {
            break;
        }
        if !same_content(&post, versions.last().map_or(current, |newer| &newer.post)) {
            let until = whole_seconds(Timestamp::from_millisecond(*until).unwrap_or_default());
            // An older version of the archive did not record when a post was seen.
            let until = until.max(post.updated.unwrap_or(post.published));
            versions.push(PostVersion { post, until });
        }
    }
    versions
}

/// Stores a replaced version of a post. To be called before the post's row is written, whose `seen` is the end of this
/// version.
pub(super) async fn keep_version(
    connection: &mut AnyConnection,
    key: i64,
    version: &Post,
) -> Result<(), ArchiveError> {
    let id = i64::from(version.id.get());
    let insert = sqlx::query(
        "INSERT INTO post_version (channel, id, n, until, body)
         SELECT channel, id, (SELECT coalesce(max(n), 0) + 1 FROM post_version WHERE channel = $1 AND id = $2), seen, $3
         FROM post WHERE channel = $1 AND id = $2",
    );
    insert.bind(key).bind(id).bind(encode(version)?).execute(&mut *connection).await?;
    let delete = sqlx::query(
        "DELETE FROM post_version WHERE channel = $1 AND id = $2
         AND n <= (SELECT max(n) FROM post_version WHERE channel = $1 AND id = $2) - $3",
    );
    delete.bind(key).bind(id).bind(MAX_VERSIONS).execute(connection).await?;
    Ok(())
}
