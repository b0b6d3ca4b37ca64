//! `/{channel}/{post}`: one post with its earlier versions, answered from the archive alone.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};
use tokio::task::JoinError;

use super::frame::{Page, frame};
use super::links::{archived_posts, body, path_of, path_of_post};
use super::post::{date, post};
use super::view::for_people;
use super::{PageRequest, path_and_query, respond, with_token_in_path};
use crate::cpu_pool;
use crate::feed::context::FeedContext;
use crate::feed::options::{FeedOptions, MediaChoice};
use crate::feed::{self, Entry};
use crate::language::fill;
use crate::model::archived_post::{ArchivedPost, PostVersion};
use crate::model::channel::{Channel, ChannelName};
use crate::model::post::{Post, PostId, Snapshot};
use crate::telegram::url::post_url;
use crate::web::canonical;
use crate::web::context::RequestContext;
use crate::web::error::Error;
use crate::web::feed_cache::ArchivedPosts;
use crate::web::robots::Robots;
use crate::web::state::AppState;

/// Splits the path of a post's page.
pub(in crate::web) fn split(path: &str) -> Option<(ChannelName, PostId)> {
    let (name, id) = path.split_once('/')?;
    Some((ChannelName::new(name)?, id.parse().ok().and_then(PostId::new)?))
}

/// Answers with the page of a post.
///
/// # Errors
///
/// [`Error::PostNotArchived`], or why the archive cannot be read.
pub(in crate::web) async fn answer(
    state: &Arc<AppState>,
    context: &RequestContext,
    (name, id): (ChannelName, PostId),
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    state.check_served(&name)?;
    let path = canonical::path_of_post(&name, id);
    if uri.path() != path {
        return Ok(canonical::redirect(uri.path(), &path, context.query.as_deref()));
    }
    if let Some(redirect) = with_token_in_path(context, uri, path_and_query(uri)) {
        return Ok(redirect);
    }
    let not_archived = || Error::PostNotArchived(post_url(name.as_str(), id));
    let archived = state.channels.archived_post(&name, id).await?.ok_or_else(not_archived)?;
    state.check_served(&archived.channel.name)?;
    if archived.post.id != id {
        let path = format!("{}/{}", canonical::path(&name, None), archived.post.id);
        return Ok(canonical::redirect(uri.path(), &path, context.query.as_deref()));
    }
    let request = PageRequest::new(state, headers, uri);
    let feed_context = FeedContext {
        media: state.media_linker(&context.base_url),
        options: for_people(FeedOptions::default(), state, &request),
        ..FeedContext::default()
    };
    let failed = |err: JoinError| {
        tracing::error!(error = %err, "cannot render the page of a post");
        Error::Internal
    };
    let n_bytes = archived.post.json_len();
    let shown = cpu_pool::run(n_bytes, move || Shown::new(archived, &feed_context)).await.map_err(failed)?;
    let linked = archived_posts(&state.channels, shown.entries()).await.unwrap_or_default();
    let (render_request, name) = (request.clone(), name.clone());
    let html = cpu_pool::run(n_bytes, move || render(&render_request, &name, &shown, &linked));
    let html = html.await.map_err(failed)?;
    Ok(respond(
        headers,
        &request,
        super::headers(Robots::NoIndex, Some(state.media_base_url(&context.base_url))),
        html,
    ))
}

/// The content of the page.
struct Shown {
    channel: Channel,
    permalink: String,
    entry: Option<Entry>,
    /// The earlier versions, the newest first, and when each was last seen.
    versions: Vec<(Timestamp, Entry)>,
    gone_since: Option<Timestamp>,
    older: Option<PostId>,
    newer: Option<PostId>,
}

impl Shown {
    fn new(archived: ArchivedPost, context: &FeedContext) -> Self {
        let ArchivedPost { channel, post, versions, gone_since, older, newer } = archived;
        let permalink = post.permalink.clone();
        let options = FeedOptions { media: MediaChoice::None, ..context.options.clone() };
        let of_version = FeedContext { options, ..context.clone() };
        let version = |PostVersion { post, until }| Some((until, entry(&channel, post, &of_version)?));
        let versions = versions.into_iter().filter_map(version).collect();
        let entry = entry(&channel, post, context);
        Self { channel, permalink, entry, versions, gone_since, older, newer }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entry.iter().chain(self.versions.iter().map(|(_, entry)| entry))
    }
}

fn render(request: &PageRequest, name: &ChannelName, shown: &Shown, archived: &ArchivedPosts) -> String {
    let words = request.words();
    let Shown { channel, permalink, entry, versions, gone_since, older, newer } = shown;
    let title = entry.as_ref().and_then(|entry| entry.title.clone()).unwrap_or_default();
    let neighbour = |id: PostId| request.link(&path_of_post(name, id));
    let main = html! {
        div.single {
            p.names {
                a href=(request.link(&path_of(name))) dir="auto" { (channel.title) }
                " · " bdi { "@" (channel.name) }
            }
            h1.hidden { (title) }
            @if let Some(gone) = gone_since { p.warning-text { (fill(words.gone, &[&date(*gone)])) } }
            @if let Some(entry) = entry { (post(request, entry, archived)) }
            (earlier(request, versions, archived))
            nav.paging {
                @if let Some(id) = newer { a rel="prev" href=(neighbour(*id)) { (words.newer_post) } }
                @if let Some(id) = older { a rel="next" href=(neighbour(*id)) { (words.older_post) } }
            }
        }
    };
    let head = html! {
        link rel="canonical" href=(permalink);
        meta property="og:title" content=(title);
        meta property="og:type" content="article";
        meta property="og:site_name" content=(channel.title);
        @if let Some(entry) = entry { meta property="og:description" content=(entry.summary); }
    };
    let title = format!("{title} – {}", channel.title);
    frame(request, &Page { title: &title, head, main, has_field: true })
}

/// Returns the earlier versions, the newest first.
fn earlier(request: &PageRequest, versions: &[(Timestamp, Entry)], archived: &ArchivedPosts) -> Markup {
    let words = request.words();
    html! {
        @if !versions.is_empty() {
            section.versions {
                h2 { (words.versions) }
                @for (until, entry) in versions {
                    details {
                        summary {
                            @let (before, after) = words.until.split_once("{}").unwrap_or((words.until, ""));
                            (before) time datetime=(until) { (date(*until)) } (after)
                        }
                        div.body dir="auto" { (PreEscaped(body(request, entry, archived))) }
                    }
                }
            }
        }
    }
}

/// Returns a post as the entry of a feed.
fn entry(channel: &Channel, post: Post, context: &FeedContext) -> Option<Entry> {
    let snapshot = Snapshot { channel: channel.clone(), posts: vec![post], has_older: false };
    feed::build(&snapshot.into(), context).entries.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_posts_are_told_from_other_paths() {
        let (name, id) = split("Durov/12").unwrap();
        assert_eq!((name.as_str(), id.get()), ("Durov", 12));
        for path in ["durov", "durov/0", "durov/x", "durov/1/2", "t.me/durov/1", "a,b/1"] {
            assert!(split(path).is_none(), "{path}");
        }
    }
}
