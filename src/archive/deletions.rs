//! Posts that were deleted on Telegram, which the archive keeps.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::codec::{lowercase, time};
use super::{Archive, ArchiveError, Caller};
use crate::model::channel::ChannelName;
use crate::model::paging::Deletion;

/// The most deletions that are read at once.
const MAX_DELETIONS: i64 = 2_000;

/// The query of [`Archive::deletions`]. Only posts that are not deleted are in the index by time; their ids rise with it.
const DELETIONS: &str = "WITH named (channel) AS (SELECT channel FROM alias WHERE name = $1)
     SELECT published, gone FROM post WHERE channel = (SELECT channel FROM named) AND gone IS NOT NULL
     AND id > coalesce((SELECT id FROM post WHERE channel = (SELECT channel FROM named) AND gone IS NULL
         AND published < $2 ORDER BY published DESC, id DESC LIMIT 1), 0)
     AND id < coalesce((SELECT id FROM post WHERE channel = (SELECT channel FROM named) AND gone IS NULL
         AND published >= $3 ORDER BY published, id LIMIT 1), 4294967296)
     AND published >= $2 AND published < $3 ORDER BY id DESC LIMIT $4";

impl Archive {
    /// Returns the deleted posts of a channel that were published in a span, without its end; the newest first.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn deletions(
        &self,
        name: &ChannelName,
        (start, end): (Timestamp, Timestamp),
    ) -> Result<Vec<Deletion>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| {
            let rows = sqlx::query(DELETIONS).bind(lowercase(name)).bind(start.as_second());
            let rows = rows.bind(end.as_second()).bind(MAX_DELETIONS).fetch_all(connection).await?;
            let deletion = |row: &sqlx::any::AnyRow| {
                let (published, gone) = (time(row.try_get(0)?), time(row.try_get(1)?));
                Ok(published.zip(gone).map(|(published, gone)| Deletion { published, gone }))
            };
            let deletions = rows.iter().map(deletion).collect::<Result<Vec<_>, sqlx::Error>>()?;
            Ok(deletions.into_iter().flatten().collect())
        };
        self.read(Caller::Reader, read).await
    }
}
