//! Hidden posts, which open only in Telegram: selects those that may still be recovered, and stores what
//! [`channels`](crate::channels) has recovered.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::codec::{bodies, decode, encode, locked_key, lowercase, mark_changed, posts};
use super::{Archive, ArchiveError, Caller, merge, replicas};
use crate::model::channel::ChannelName;
use crate::model::paging::MIN_POSTS_PER_PAGE;
use crate::model::post::Post;

/// Hidden posts that are recovered after a refresh.
const MAX_HIDDEN_POSTS: i64 = 3;

/// Attempts to recover a hidden post.
const MAX_RECOVERY_ATTEMPTS: i64 = 3;

impl Archive {
    /// Returns posts of a channel's first page that open only in Telegram and may still be recovered.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn hidden_posts(&self, name: &ChannelName) -> Result<Vec<Post>, ArchiveError> {
        self.read(Caller::Background, async |connection| hidden_posts(connection, name).await).await
    }

    /// Stores the recovered content of a post that opens only in Telegram, and counts the attempt. Returns whether the
    /// post stays hidden, because this was the last attempt.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn store_recovered(
        &self,
        name: &ChannelName,
        found: Post,
        now: Timestamp,
    ) -> Result<bool, ArchiveError> {
        self.check_room()?;
        let write = async |connection: &mut AnyConnection| {
            let stays_hidden = store_recovered(connection, name, &found, now).await?;
            if self.is_shared() {
                replicas::notify(connection, name).await?;
            }
            Ok(stays_hidden)
        };
        self.write(write).await
    }
}

pub(super) async fn hidden_posts(
    connection: &mut AnyConnection,
    name: &ChannelName,
) -> Result<Vec<Post>, ArchiveError> {
    let newest = sqlx::query(
        "SELECT id, body FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)
         AND gone IS NULL AND attempts < $2 ORDER BY id DESC LIMIT $3",
    );
    let page = i64::try_from(MIN_POSTS_PER_PAGE).unwrap_or(MAX_HIDDEN_POSTS);
    let newest =
        newest.bind(lowercase(name)).bind(MAX_RECOVERY_ATTEMPTS).bind(page).fetch_all(connection).await?;
    let (mut hidden, _) = posts(name, &bodies(&newest)?);
    hidden.retain(|post| post.only_in_telegram.is_some() && !merge::has_content(post));
    hidden.reverse();
    hidden.truncate(usize::try_from(MAX_HIDDEN_POSTS).unwrap_or_default());
    Ok(hidden)
}

pub(super) async fn store_recovered(
    connection: &mut AnyConnection,
    name: &ChannelName,
    found: &Post,
    now: Timestamp,
) -> Result<bool, ArchiveError> {
    let (Some(key), id) = (locked_key(connection, name).await?, i64::from(found.id.get())) else {
        return Ok(false);
    };
    let tried = sqlx::query(
        "UPDATE post SET attempts = attempts + 1 WHERE channel = $1 AND id = $2 RETURNING body, attempts",
    );
    let Some(row) = tried.bind(key).bind(id).fetch_optional(&mut *connection).await? else {
        return Ok(false);
    };
    let body: Vec<u8> = row.try_get(0)?;
    // A page may have shown the content in the meantime.
    let Ok(known) = decode::<Post>(&body) else { return Ok(false) };
    if merge::has_content(&known) {
        return Ok(false);
    }
    if !merge::has_content(found) {
        return Ok(row.try_get::<i64, _>(1)? == MAX_RECOVERY_ATTEMPTS);
    }
    let Post { media, text, text_above_media, poll, documents, preview, .. } = found.clone();
    let body = encode(&Post { media, text, text_above_media, poll, documents, preview, ..known })?;
    let write = sqlx::query("UPDATE post SET body = $3 WHERE channel = $1 AND id = $2");
    write.bind(key).bind(id).bind(body).execute(&mut *connection).await?;
    mark_changed(connection, key, now).await?;
    Ok(false)
}
