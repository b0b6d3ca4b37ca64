//! The articles on Telegraph that archived posts link to.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::codec::{decode, encode, in_list, locked_key, lowercase, post_id};
use super::{Archive, ArchiveError, Caller};
use crate::model::article::{Article, LinkedArticle};
use crate::model::channel::ChannelName;
use crate::model::post::PostId;

/// An article as it was last fetched.
#[derive(Clone, Debug)]
pub struct ArchivedArticle {
    /// The end of its URL.
    pub path: String,
    /// When Telegraph last answered.
    pub fetched: Timestamp,
    /// `None` if there has never been such an article.
    pub linked: Option<LinkedArticle>,
}

/// The maximum compressed size of the articles that are read at once, in bytes: several times as much as a feed can show.
const MAX_BYTES: usize = 16 << 20;

impl Archive {
    /// Returns the articles of those of these posts that are archived, in the order of their numbers. Beyond a limit, those of
    /// older posts are left out, as if they did not exist.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn articles(
        &self,
        name: &ChannelName,
        posts: &[PostId],
        caller: Caller,
    ) -> Result<HashMap<PostId, Vec<ArchivedArticle>>, ArchiveError> {
        self.read(caller, async |connection| articles(connection, name, posts).await).await
    }

    /// Archives an article that a post links to; `None` if there is no such article. An earlier version is replaced, but not
    /// by nothing. Has no effect if the post is not archived.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn store_article(
        &self,
        name: &ChannelName,
        post: PostId,
        path: &str,
        article: Option<Article>,
        now: Timestamp,
    ) -> Result<(), ArchiveError> {
        self.check_room()?;
        let write = async |connection: &mut AnyConnection| match locked_key(connection, name).await? {
            Some(channel) => store(connection, (channel, post), path, article, now).await,
            None => Ok(()),
        };
        self.write(write).await
    }
}

pub(super) async fn articles(
    connection: &mut AnyConnection,
    name: &ChannelName,
    posts: &[PostId],
) -> Result<HashMap<PostId, Vec<ArchivedArticle>>, ArchiveError> {
    let mut found: HashMap<PostId, Vec<ArchivedArticle>> = HashMap::new();
    let select = "SELECT id, n, path, fetched, article.body
         FROM post LEFT JOIN article ON article.channel = post.channel AND article.post = post.id
         WHERE post.channel = (SELECT channel FROM alias WHERE name = $1) AND id IN ({}) ORDER BY id DESC, n";
    let mut n_bytes = 0;
    let mut rows = in_list(select, posts).bind(lowercase(name)).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let post = post_id(&row, 0)?;
        let articles = found.entry(post).or_default();
        let Some(number) = row.try_get::<Option<i64>, _>(1)? else { continue };
        let number = usize::try_from(number).unwrap_or_default();
        let (path, body): (String, Vec<u8>) = (row.try_get(2)?, row.try_get(4)?);
        n_bytes += body.len();
        // A damaged article is fetched again.
        let article =
            if body.is_empty() || n_bytes > MAX_BYTES { None } else { Some(decode::<Article>(&body)) };
        let linked = match article.transpose() {
            Ok(article) => article.map(|article| LinkedArticle { number, article }),
            Err(err) => {
                tracing::error!(channel = %name, %post, path, error = %err, "an archived article is damaged");
                continue;
            }
        };
        let fetched = Timestamp::from_millisecond(row.try_get(3)?).unwrap_or_default();
        articles.push(ArchivedArticle { path, fetched, linked });
    }
    Ok(found)
}

async fn store(
    connection: &mut AnyConnection,
    (channel, post): (i64, PostId),
    path: &str,
    article: Option<Article>,
    now: Timestamp,
) -> Result<(), ArchiveError> {
    let id = i64::from(post.get());
    let exists = sqlx::query("SELECT id FROM post WHERE channel = $1 AND id = $2").bind(channel).bind(id);
    if exists.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(());
    }
    let known = sqlx::query("SELECT n, path, body FROM article WHERE channel = $1 AND post = $2");
    let known = known.bind(channel).bind(id).fetch_all(&mut *connection).await?;
    let mut n = i64::try_from(known.len()).unwrap_or(i64::MAX);
    let mut earlier = Vec::new();
    for row in known {
        if row.try_get::<String, _>(1)? == path {
            (n, earlier) = (row.try_get(0)?, row.try_get(2)?);
        }
    }
    let body = match (article, decode::<Article>(&earlier)) {
        (Some(article), Ok(earlier)) => encode(&article.with_media_of(&earlier))?,
        (Some(article), Err(_)) => encode(&article)?,
        (None, _) => earlier,
    };
    let put = sqlx::query(
        "INSERT INTO article (channel, post, n, path, fetched, body) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (channel, post, n) DO UPDATE SET fetched = excluded.fetched, body = excluded.body",
    );
    let put = put.bind(channel).bind(id).bind(n).bind(path);
    put.bind(now.as_millisecond()).bind(body).execute(connection).await?;
    Ok(())
}
