//! The sizes of media files, stored with their posts when the files are served.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::codec::{decode, encode, locked_key, mark_changed};
use super::{Archive, ArchiveError};
use crate::model::media_file::{self, FileId, FileName, MediaSlot};
use crate::model::post::{Post, PostId};

impl Archive {
    /// Stores the size in bytes of a medium's file with its post. Feeds show it after the next refresh. Posters, pictures
    /// of link previews and posts that are not archived have no place for one.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn store_file_size(
        &self,
        file: &FileId,
        bytes: u64,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        let (Some(post), MediaSlot::Medium(n)) = (file.post, file.name.slot) else { return Ok(()) };
        self.check_room()?;
        let write = async |connection: &mut AnyConnection| {
            let Some(channel) = locked_key(connection, &file.channel).await? else { return Ok(()) };
            store(connection, (channel, post), (n, file.name), bytes, now).await
        };
        self.write(write).await
    }
}

async fn store(
    connection: &mut AnyConnection,
    (channel, post): (i64, PostId),
    (n, name): (usize, FileName),
    bytes: u64,
    now: Timestamp,
) -> Result<(), ArchiveError> {
    let id = i64::from(post.get());
    let body = sqlx::query("SELECT body FROM post WHERE channel = $1 AND id = $2").bind(channel).bind(id);
    let Some(row) = body.fetch_optional(&mut *connection).await? else { return Ok(()) };
    // The next page that shows a damaged post replaces it.
    let Ok(mut known) = decode::<Post>(&row.try_get::<Vec<u8>, _>(0)?) else { return Ok(()) };
    let kind = known.media.get(n).and_then(media_file::kind_of);
    let is_current = known.revision == name.revision && kind == Some(name.kind);
    if !is_current || known.file_sizes.insert(n, bytes) == Some(bytes) {
        return Ok(());
    }
    let write = sqlx::query("UPDATE post SET body = $3 WHERE channel = $1 AND id = $2");
    write.bind(channel).bind(id).bind(encode(&known)?).execute(&mut *connection).await?;
    Ok(mark_changed(connection, channel, now).await?)
}
