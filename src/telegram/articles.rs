//! Fetches articles from Telegraph, within limits and behind a circuit breaker of their own.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::timeout;

use super::client::Client;
use super::error::{FetchError, UpstreamErrorKind};
use super::response::{error_kind, read_body};
use super::telegraph::{self, AnswerError};
use super::upstream::{Priority, Upstream};
use crate::cpu_pool;
use crate::model::article::Article;
use crate::model::paging::MAX_POST_BYTES;
use crate::net::retry_after::retry_after;

/// Time for one article including its body.
const ARTICLE_TIMEOUT: Duration = Duration::from_secs(8);

/// The proxies that are tried for an article.
const MAX_TRIES: usize = 3;

impl Client {
    /// Fetches the article with this path; `None` if Telegraph has no such article. If one proxy fails, another is tried.
    ///
    /// # Errors
    ///
    /// If Telegraph does not answer with an article that can be archived.
    pub async fn article(&self, path: &str) -> Result<Option<Article>, FetchError> {
        let (mut tried, mut failure) = (Vec::new(), None);
        while tried.len() < MAX_TRIES
            && let Some(upstream) = self.telegraph.choose(&tried, Priority::High)
        {
            tried.push(upstream);
            // A breaker that was open admits no other request until the outcome is recorded.
            let permit = upstream.acquire(Priority::High).await;
            let answer = match &permit {
                Ok(_) => {
                    let answer = timeout(ARTICLE_TIMEOUT, fetch(upstream, path)).await;
                    let answer = answer.unwrap_or(Err(UpstreamErrorKind::TimedOut));
                    answer.map_err(|kind| FetchError::from(upstream.error(kind)))
                }
                // The breaker has opened during the wait.
                Err(err) => Err(err.clone().into()),
            };
            upstream.record_outcome(answer.as_ref().map(|_| ()));
            match answer {
                Err(FetchError::Upstream(err)) if err.kind.is_worth_failover() => failure = Some(err),
                answer => return answer,
            }
        }
        Err(failure.unwrap_or_else(|| self.telegraph.refuse()).into())
    }
}

async fn fetch(upstream: &Upstream, path: &str) -> Result<Option<Article>, UpstreamErrorKind> {
    let url = upstream.url.with_path(&format!("/getPage/{path}"), Some("return_content=true"));
    let response = upstream.identity.http.get(url).send().await.map_err(|err| error_kind(&err))?;
    let json = match response.status() {
        StatusCode::OK => read_body(response).await?,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
            return Err(UpstreamErrorKind::Refused { status, retry_after });
        }
        status => return Err(UpstreamErrorKind::Status(status.as_u16())),
    };
    let (n_bytes, path) = (json.len(), path.to_owned());
    let parsed = cpu_pool::run(n_bytes, move || telegraph::parse(&json, &path)).await;
    let article = match parsed.map_err(|err| UpstreamErrorKind::Broken(err.to_string()))? {
        Ok(article) => article,
        Err(AnswerError::FloodWait(time)) => {
            let status = StatusCode::TOO_MANY_REQUESTS.as_u16();
            return Err(UpstreamErrorKind::Refused { status, retry_after: Some(time) });
        }
        Err(AnswerError::Invalid(cause)) => return Err(UpstreamErrorKind::Broken(cause)),
    };
    match article.as_ref().map_or(0, Article::json_len) {
        0..=MAX_POST_BYTES => Ok(article),
        _ => Err(UpstreamErrorKind::TooLarge { max_bytes: MAX_POST_BYTES }),
    }
}
