//! `/{channel}/{post}`: one post with its earlier versions, answered from the archive alone.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::frame::{Page, frame};
use super::post::{body, date, path_of, path_of_post, post};
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
    let n_bytes = archived.post.json_len();
    let (render_request, name) = (request.clone(), name.clone());
    let html = cpu_pool::run(n_bytes, move || render(&render_request, &name, archived, &feed_context));
    let html = html.await.map_err(|err| {
        tracing::error!(error = %err, "cannot render the page of a post");
        Error::Internal
    })?;
    Ok(respond(headers, &request, super::headers(Robots::NoIndex, Some(state.media_base_url(context))), html))
}

fn render(
    request: &PageRequest,
    name: &ChannelName,
    archived: ArchivedPost,
    context: &FeedContext,
) -> String {
    let words = request.words();
    let ArchivedPost { channel, post: current, versions, gone_since, older, newer } = archived;
    let permalink = current.permalink.clone();
    let shown = entry(&channel, current, context);
    let title = shown.as_ref().and_then(|entry| entry.title.clone()).unwrap_or_default();
    let neighbour = |id: PostId| request.link(&path_of_post(name, id));
    let main = html! {
        div.single {
            p.names {
                a href=(request.link(&path_of(name))) dir="auto" { (channel.title) }
                " · " bdi { "@" (channel.name) }
            }
            h1.hidden { (title) }
            @if let Some(gone) = gone_since { p.warning-text { (fill(words.gone, &[&date(gone)])) } }
            @if let Some(entry) = &shown { (post(request, entry)) }
            (earlier(request, &channel, versions, context))
            nav.paging {
                @if let Some(id) = newer { a rel="prev" href=(neighbour(id)) { (words.newer_post) } }
                @if let Some(id) = older { a rel="next" href=(neighbour(id)) { (words.older_post) } }
            }
        }
    };
    let head = html! {
        link rel="canonical" href=(permalink);
        meta property="og:title" content=(title);
        meta property="og:type" content="article";
        meta property="og:site_name" content=(channel.title);
        @if let Some(entry) = &shown { meta property="og:description" content=(entry.summary); }
    };
    let title = format!("{title} – {}", channel.title);
    frame(request, &Page { title: &title, head, main, has_field: true })
}

/// Returns the earlier versions, the newest first.
fn earlier(
    request: &PageRequest,
    channel: &Channel,
    versions: Vec<PostVersion>,
    context: &FeedContext,
) -> Markup {
    let words = request.words();
    let options = FeedOptions { media: MediaChoice::None, ..context.options.clone() };
    let context = FeedContext { options, ..context.clone() };
    let shown: Vec<(Timestamp, Entry)> = versions
        .into_iter()
        .filter_map(|version| Some((version.until, entry(channel, version.post, &context)?)))
        .collect();
    html! {
        @if !shown.is_empty() {
            section.versions {
                h2 { (words.versions) }
                @for (until, entry) in &shown {
                    details {
                        summary {
                            @let (before, after) = words.until.split_once("{}").unwrap_or((words.until, ""));
                            (before) time datetime=(until) { (date(*until)) } (after)
                        }
                        div.body dir="auto" { (PreEscaped(body(request, &entry.id, &entry.body))) }
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
