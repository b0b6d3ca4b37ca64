//! Posts that were deleted on Telegram, which the archive keeps.

use sqlx::{AnyConnection, Row};

use super::codec::{lowercase, time};
use super::{Archive, ArchiveError, Caller};
use crate::model::channel::ChannelName;
use crate::model::paging::Deletion;
use crate::model::post::PostId;

/// The most deletions that are read at once.
const MAX_DELETIONS: i64 = 2_000;

impl Archive {
    /// Returns the deleted posts of a channel from an id on, the newest first.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn deletions(
        &self,
        name: &ChannelName,
        from: PostId,
        caller: Caller,
    ) -> Result<Vec<Deletion>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| {
            let rows = sqlx::query(
                "SELECT published, gone FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)
                 AND id >= $2 AND gone IS NOT NULL ORDER BY id DESC LIMIT $3",
            );
            let rows = rows.bind(lowercase(name)).bind(i64::from(from.get())).bind(MAX_DELETIONS);
            let rows = rows.fetch_all(connection).await?;
            let deletion = |row: &sqlx::any::AnyRow| {
                let (published, gone) = (time(row.try_get(0)?), time(row.try_get(1)?));
                Ok(published.zip(gone).map(|(published, gone)| Deletion { published, gone }))
            };
            let deletions = rows.iter().map(deletion).collect::<Result<Vec<_>, sqlx::Error>>()?;
            Ok(deletions.into_iter().flatten().collect())
        };
        self.read(caller, read).await
    }
}
