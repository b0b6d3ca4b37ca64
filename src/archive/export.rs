//! Export of a channel as JSON lines, and backup and restore of the whole archive.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::connection::Location;
use super::data_dir::{self, DataDir};
use super::database::{Contents, Database};
use super::open::{ARCHIVE_FILE, absolute};
use super::{Archive, ArchiveError, ArchivedArticle, articles, codec, single_post};
use crate::model::archived_post::PostVersion;
use crate::model::article::{Article, LinkedArticle};
use crate::model::channel::{Channel, ChannelName};
use crate::model::post::Post;

/// The version of the export format: raised when a member changes its meaning or is removed, not when one is added.
pub const EXPORT_VERSION: u32 = 1;

/// Posts read per query.
const EXPORT_BATCH_SIZE: i64 = 100;

/// A line of an export: the channel first, then its gaps, then its posts by ascending id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ExportLine {
    /// The channel.
    Channel {
        /// [`EXPORT_VERSION`].
        version: u32,
        /// The channel as it was last fetched.
        channel: Box<Channel>,
        /// When it was last fetched.
        fetched: Timestamp,
    },
    /// A range of ids in which there may be posts that are not archived.
    Gap {
        /// The gap begins above this id.
        above: i64,
        /// The gap ends below this id.
        below: i64,
    },
    /// A post.
    Post {
        /// The post as it was last fetched.
        post: Box<Post>,
        /// When the post was found to be deleted in Telegram.
        gone: Option<Timestamp>,
        /// The versions of the post before its author's edits, newest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        versions: Vec<PostVersion>,
        /// The articles on Telegraph that the post links to or once did, by their numbers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        articles: Vec<ExportedArticle>,
    },
}

/// An article in an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedArticle {
    /// Its number among those of the post, which is a part of the URLs of its files in feeds.
    pub number: usize,
    /// When Telegraph last answered.
    pub fetched: Timestamp,
    /// The article as it was last seen.
    pub article: Article,
}

impl ExportedArticle {
    /// Returns an archived article; `None` if there has never been one.
    fn new(ArchivedArticle { linked, fetched, .. }: ArchivedArticle) -> Option<Self> {
        linked.map(|LinkedArticle { number, article }| Self { number, fetched, article })
    }
}

impl Archive {
    /// Passes the archived channel to `write` line by line. Returns the number of posts; `None` if the channel is not
    /// archived.
    ///
    /// # Errors
    ///
    /// If the archive or `write` fails.
    pub async fn export<E: From<ArchiveError>>(
        &self,
        name: &ChannelName,
        mut write: impl FnMut(&ExportLine) -> Result<(), E>,
    ) -> Result<Option<u64>, E> {
        let database = self.database_or_open().await?;
        let Some(Beginning { key, channel, fetched, gaps, newest }) = begin(&database, name).await? else {
            return Ok(None);
        };
        write(&ExportLine::Channel { version: EXPORT_VERSION, channel, fetched })?;
        gaps.iter().try_for_each(&mut write)?;
        let (mut n_posts, mut last) = (0, 0);
        while let Some((id, posts)) = batch(&database, name, key, last, newest).await? {
            last = id;
            n_posts += posts.len() as u64;
            posts.iter().try_for_each(&mut write)?;
        }
        Ok(Some(n_posts))
    }

    /// Replaces the archive in a data directory, which must not be in use, with a backup. Returns the path of the
    /// previous archive.
    ///
    /// # Errors
    ///
    /// If the directory is in use or has another program's database, or the backup is damaged or newer than this program.
    /// The archive is unchanged then.
    pub async fn restore(folder: &Path, backup: &Path) -> Result<Option<PathBuf>, ArchiveError> {
        let cannot =
            |err: io::Error| ArchiveError::Database(format!("cannot read {}: {err}", backup.display()));
        let not_a_backup =
            |why: &str| ArchiveError::NotABackup { file: backup.to_owned(), why: why.to_owned() };
        if !fs::metadata(backup).map_err(cannot)?.is_file() {
            return Err(not_a_backup("it is not a regular file"));
        }
        let file = absolute(folder).join(ARCHIVE_FILE);
        if backup.canonicalize().is_ok_and(|backup| file.canonicalize().is_ok_and(|file| file == backup)) {
            return Err(not_a_backup("it is the archive itself"));
        }
        let _alone = (DataDir::lock(folder)?, data_dir::lock_exclusive(folder)?);
        if file.exists() && Contents::of(&file).await.is_ok_and(|contents| contents == Contents::Foreign) {
            return Err(ArchiveError::Foreign(file));
        }
        let part = file.with_extension("restored.sqlite");
        let owner = fs::metadata(&file).or_else(|_| fs::metadata(folder));
        let opened = async {
            fs::copy(backup, &part).map_err(|err| {
                let (from, to) = (backup.display(), part.display());
                ArchiveError::Database(format!("cannot copy {from} to {to}: {err}"))
            })?;
            if Contents::of(&part).await? != Contents::Archive {
                return Err(ArchiveError::Damaged("it has no tables of an archive".to_owned()));
            }
            // The next start migrates it.
            Database::connect(&Location::File(part.clone())).await
        };
        match opened.await {
            Ok(database) => database.close().await,
            Err(err) => {
                data_dir::remove(&part);
                return Err(match err {
                    ArchiveError::Damaged(why) => not_a_backup(&why),
                    err => err,
                });
            }
        }
        let not_renamed = |from: &Path, err: io::Error| {
            ArchiveError::Database(format!("cannot rename {}: {err}", from.display()))
        };
        // SQLite would apply the WAL of the previous archive to the new one.
        let before = if file.exists() {
            Some(data_dir::rename_aside(&file, "replaced").map_err(|err| not_renamed(&file, err))?)
        } else {
            None
        };
        fs::rename(&part, &file).map_err(|err| not_renamed(&part, err))?;
        if let Ok(owner) = owner {
            data_dir::give_to(&owner, folder, &file);
        }
        Ok(before)
    }

    /// Copies the archive to a file that must not exist.
    ///
    /// # Errors
    ///
    /// If the file exists or cannot be written, or if the archive is in PostgreSQL.
    pub async fn back_up(&self, copy: &Path) -> Result<(), ArchiveError> {
        if self.is_shared() {
            let why = "`archive backup` copies SQLite archives only: use pg_dump for PostgreSQL".to_owned();
            return Err(ArchiveError::Database(why));
        }
        let copied = self.database_or_open().await?.back_up(copy).await;
        // SQLite does not say which of the two files is meant, and has read this one before.
        let not_copied = |why| ArchiveError::NotCopied { copy: copy.to_owned(), why };
        copied.map_err(|err| match err {
            ArchiveError::Full => not_copied("the disk is full".to_owned()),
            ArchiveError::NoAccess(why) => not_copied(why),
            err => err,
        })
    }
}

/// An export before its posts.
struct Beginning {
    key: i64,
    channel: Box<Channel>,
    fetched: Timestamp,
    gaps: Vec<ExportLine>,
    /// The highest id. A merge during the export may leave a gap above it, so newer posts are left out.
    newest: i64,
}

async fn begin(database: &Database, name: &ChannelName) -> Result<Option<Beginning>, ArchiveError> {
    let mut tx = database.begin_reading().await?;
    let Some(key) = codec::key(&mut tx, name).await? else { return Ok(None) };
    let row = sqlx::query(
        "SELECT record, fetched, (SELECT max(id) FROM post WHERE channel = key) FROM channel WHERE key = $1",
    );
    let row = row.bind(key).fetch_one(&mut *tx).await?;
    let channel = codec::decode(&row.try_get::<Vec<u8>, _>(0)?);
    let channel = channel.map_err(|err| ArchiveError::Damaged(err.to_string()))?;
    let fetched = Timestamp::from_millisecond(row.try_get(1)?).unwrap_or_default();
    let newest = row.try_get::<Option<i64>, _>(2)?.unwrap_or_default();
    let gaps = sqlx::query("SELECT above, below FROM gap WHERE channel = $1 ORDER BY below").bind(key);
    let gaps = gaps.fetch_all(&mut *tx).await?;
    let gaps = gaps.iter().map(|row| Ok(ExportLine::Gap { above: row.try_get(0)?, below: row.try_get(1)? }));
    let gaps = gaps.collect::<Result<_, sqlx::Error>>()?;
    tx.commit().await?;
    Ok(Some(Beginning { key, channel, fetched, gaps, newest }))
}

/// Reads the next posts above `last`, and the id of the last of them; `None` at the end. An export may take long, so each batch
/// is read in its own transaction.
async fn batch(
    database: &Database,
    name: &ChannelName,
    key: i64,
    mut last: i64,
    newest: i64,
) -> Result<Option<(i64, Vec<ExportLine>)>, ArchiveError> {
    let mut tx = database.begin_reading().await?;
    let batch = sqlx::query(
        "SELECT id, body, gone,
             (SELECT count(*) FROM post_version WHERE post_version.channel = post.channel AND post_version.id = post.id),
             (SELECT count(*) FROM article WHERE article.channel = post.channel AND article.post = post.id)
         FROM post WHERE channel = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4",
    );
    let batch = batch.bind(key).bind(last).bind(newest).bind(EXPORT_BATCH_SIZE).fetch_all(&mut *tx).await?;
    if batch.is_empty() {
        return Ok(None);
    }
    let mut posts = Vec::with_capacity(batch.len());
    for row in batch {
        last = row.try_get(0)?;
        let body: Vec<u8> = row.try_get(1)?;
        let gone = codec::time(row.try_get(2)?);
        let is_edited = row.try_get::<i64, _>(3)? > 0;
        let has_articles = row.try_get::<i64, _>(4)? > 0;
        let post = match codec::decode::<Box<Post>>(&body) {
            Ok(post) => post,
            Err(err) => {
                tracing::error!(channel = %name, post = last, error = %err, "an archived post is damaged");
                continue;
            }
        };
        let versions =
            if is_edited { single_post::versions(&mut tx, key, name, &post).await? } else { Vec::new() };
        let articles =
            if has_articles { articles::articles(&mut tx, name, &[post.id]).await? } else { HashMap::new() };
        let articles = articles.into_values().flatten().filter_map(ExportedArticle::new).collect();
        posts.push(ExportLine::Post { post, gone, versions, articles });
    }
    tx.commit().await?;
    Ok(Some((last, posts)))
}
