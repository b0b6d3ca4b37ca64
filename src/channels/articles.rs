//! The articles on Telegraph that posts link to: from the archive, or fetched and archived.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio::time::timeout_at;

use super::{Channels, FetchBudget};
use crate::archive::{ArchivedArticle, Caller};
use crate::clock;
use crate::model::article::LinkedArticle;
use crate::model::channel::ChannelName;
use crate::model::paging::MIN_POSTS_PER_PAGE;
use crate::model::post::{Post, PostId};
use crate::telegram::telegraph::article_paths;

/// After this time, an article of one of the newest posts is fetched again, since its author may have edited it.
const MAX_ARTICLE_AGE: SignedDuration = SignedDuration::from_hours(24);

/// A channel, a post and the path of an article.
pub(super) type ArticleKey = (ChannelName, PostId, String);

/// The articles of a feed.
#[derive(Debug, Default)]
pub struct Articles {
    /// By post, in the order of the links.
    pub by_post: HashMap<PostId, Vec<LinkedArticle>>,
    /// No article is still to come.
    pub is_complete: bool,
}

impl Channels {
    /// Returns the articles that posts, sorted from the newest on, link to. Those that are not archived are fetched, as many as
    /// arrive before the deadline of the budget. Posts that are not archived have none, because only the archive keeps the URLs of
    /// their pictures valid.
    pub async fn articles(
        self: &Arc<Self>,
        name: &ChannelName,
        posts: &[Post],
        budget: &mut FetchBudget,
    ) -> Articles {
        let links: Vec<(PostId, Vec<String>)> = posts
            .iter()
            .map(|post| (post.id, article_paths(post)))
            .filter(|(_, paths)| !paths.is_empty())
            .collect();
        let ids: Vec<PostId> = links.iter().map(|(id, _)| *id).collect();
        let Ok(mut archived) = self.archive.articles(name, &ids, Caller::Reader).await else {
            return Articles::default();
        };
        let mut fetches = Vec::new();
        for (n, (id, paths)) in links.iter().enumerate() {
            // A post that is not archived gets no articles: their pictures are found through the archive.
            let is_archived = archived.contains_key(id);
            for path in paths.iter().filter(|_| is_archived) {
                let known = find(&archived, *id, path);
                let is_old = known.is_some_and(|known| {
                    n < MIN_POSTS_PER_PAGE && clock::now().duration_since(known.fetched) > MAX_ARTICLE_AGE
                });
                let is_missing = known.is_none();
                if (is_missing || is_old) && budget.n_articles > 0 {
                    budget.n_articles -= 1;
                    let fetch = self.start_article(name, *id, path);
                    // An old one is replaced in the background.
                    fetches.extend(is_missing.then_some(fetch));
                }
            }
        }
        if !fetches.is_empty() {
            drop(timeout_at(budget.deadline, join_all(fetches)).await);
            archived = self.archive.articles(name, &ids, Caller::Reader).await.unwrap_or(archived);
        }
        let mut articles = Articles { is_complete: true, ..Articles::default() };
        for (id, paths) in links {
            let known: Vec<_> = paths.iter().filter_map(|path| find(&archived, id, path)).collect();
            articles.is_complete &= known.len() == paths.len();
            articles.by_post.insert(id, known.into_iter().filter_map(|known| known.linked.clone()).collect());
        }
        articles
    }

    /// Joins the running fetch of an article, or starts one.
    fn start_article(
        self: &Arc<Self>,
        name: &ChannelName,
        post: PostId,
        path: &str,
    ) -> impl Future<Output = Option<()>> + use<> {
        let key = (name.clone(), post, path.to_owned());
        let (channels, asked) = (Arc::clone(self), key.clone());
        self.articles.run(key, || async move {
            let (name, post, path) = &asked;
            let outcome = match channels.client.article(path).await {
                Ok(article) => {
                    let stored = channels.archive.store_article(name, *post, path, article, clock::now()).await;
                    stored.map_err(|err| err.to_string())
                }
                Err(err) => Err(err.to_string()),
            };
            if let Err(error) = outcome {
                tracing::warn!(channel = %name, %post, path, error, "cannot fetch an article from Telegraph; retrying later");
            }
        })
    }
}

fn find<'a>(
    archived: &'a HashMap<PostId, Vec<ArchivedArticle>>,
    post: PostId,
    path: &str,
) -> Option<&'a ArchivedArticle> {
    archived.get(&post)?.iter().find(|article| article.path == path)
}
