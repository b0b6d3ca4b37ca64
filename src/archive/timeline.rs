//! The posts of several channels in the order of time.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::codec::{in_list, lowercase, post_id, time};
use super::{Archive, ArchiveError, Caller};
use crate::model::channel::ChannelName;
use crate::model::paging::Newer;
use crate::model::post::PostId;

/// The query of [`Archive::published`].
const PUBLISHED: &str =
    "SELECT published FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)
     AND id <= $2 ORDER BY id DESC LIMIT 1";

/// The query of [`Archive::next_newer`].
const NEXT_NEWER: &str = "SELECT published, (SELECT count(*) FROM gap
     WHERE gap.channel = post.channel AND gap.above >= $2 AND gap.below <= post.id)
     FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)
     AND id > $2 AND gone IS NULL ORDER BY id LIMIT 1";

/// The query of [`Archive::newest_before`], of rows with a name, a time and an id: one step for each in the index of this
/// order, however many posts there are.
const NEWEST_BEFORE: &str = "WITH page (n, name, before, below) AS (VALUES {})
     SELECT CAST(n AS BIGINT), (SELECT id FROM post
         WHERE channel = (SELECT channel FROM alias WHERE alias.name = page.name) AND gone IS NULL
         AND published < before AND id < below ORDER BY published DESC, id DESC LIMIT 1) AS id
     FROM page";

/// The query of [`Archive::oldest_after`], one step in the same index.
const OLDEST_AFTER: &str = "SELECT id FROM post WHERE channel = (SELECT channel FROM alias WHERE name = $1)
     AND gone IS NULL AND published > $2 ORDER BY published, id LIMIT 1";

impl Archive {
    /// Returns when a post was published, also if it is deleted; of a post that is not archived, the date of the next older
    /// one. `None` if no older post is archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn published(&self, name: &ChannelName, id: PostId) -> Result<Option<Timestamp>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| {
            let found = sqlx::query(PUBLISHED).bind(lowercase(name)).bind(i64::from(id.get()));
            let row = found.fetch_optional(connection).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        };
        Ok(time(self.read(Caller::Reader, read).await?))
    }

    /// Returns the next visible post above an archived one; `None` if none is archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn next_newer(&self, name: &ChannelName, id: u32) -> Result<Option<Newer>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| {
            let found = sqlx::query(NEXT_NEWER).bind(lowercase(name)).bind(i64::from(id));
            let Some(row) = found.fetch_optional(connection).await? else { return Ok(None) };
            let is_above_gap = row.try_get::<i64, _>(1)? > 0;
            Ok(time(row.try_get(0)?).map(|published| Newer { published, is_above_gap }))
        };
        self.read(Caller::Reader, read).await
    }

    /// Returns the oldest post that was published after a second; `None` if none is archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn oldest_after(
        &self,
        name: &ChannelName,
        after: Timestamp,
    ) -> Result<Option<PostId>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| {
            let found = sqlx::query(OLDEST_AFTER).bind(lowercase(name)).bind(after.as_second());
            let row = found.fetch_optional(connection).await?;
            Ok(row.map(|row| post_id(&row, 0)).transpose()?)
        };
        self.read(Caller::Reader, read).await
    }

    /// Returns the newest post of each channel that was published before a time and has a lower id; `None` for a channel
    /// without such a post.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn newest_before(
        &self,
        limits: &[(ChannelName, Timestamp, u32)],
    ) -> Result<Vec<Option<PostId>>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| {
            // One statement for all: a shared database may be distant.
            let rows = limits.iter().enumerate();
            let rows = rows
                .map(|(n, (_, before, below))| format!("({n}, ${}, {}, {below})", n + 1, before.as_second()));
            let found = in_list(NEWEST_BEFORE, rows);
            let found = limits.iter().fold(found, |found, (name, ..)| found.bind(lowercase(name)));
            let mut posts = vec![None; limits.len()];
            for row in found.fetch_all(connection).await? {
                let n = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
                posts[n] = row.try_get::<Option<i64>, _>(1)?.map(|_| post_id(&row, 1)).transpose()?;
            }
            Ok(posts)
        };
        self.read(Caller::Reader, read).await
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    #[tokio::test]
    async fn post_next_to_a_time_is_one_step_in_an_index() {
        let archive = Archive::in_memory(u64::MAX).await.unwrap();
        let newest_before = NEWEST_BEFORE.replace("{}", "(1, 'a', 0, 0), (2, 'b', 0, 0)");
        for (query, step) in [(newest_before.as_str(), "published<?"), (OLDEST_AFTER, "published>?")] {
            let plan = async |connection: &mut AnyConnection| {
                let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
                let plan = if query == OLDEST_AFTER { plan.bind("a").bind(0_i64) } else { plan };
                let rows = plan.fetch_all(connection).await?;
                Ok(rows.iter().map(|row| row.get(3)).collect::<Vec<String>>())
            };
            let plan = archive.read(Caller::Reader, plan).await.unwrap();
            let search = format!(" post_published (channel=? AND {step})");
            let mut of_posts = plan.iter().filter(|step| step.contains(" post "));
            let is_search = |step: &&String| step.starts_with("SEARCH post USING") && step.ends_with(&search);
            assert!(
                of_posts.next().is_some_and(|step| is_search(&step)) && of_posts.next().is_none(),
                "{plan:?}"
            );
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
