//! Feeds: `/{channel}/rss`, `/{channel}/atom`, `/{channel}/json`, and the fallback for all other channel URLs.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::Response;

use super::context::RequestContext;
use super::encoding::Encoding;
use super::error::Error;
use super::feed_cache::{render, respond};
use super::pages;
use super::state::AppState;
use crate::channels::STALE_MAX_AGE;
use crate::cpu_pool;
use crate::feed::Format;
use crate::feed::options::FeedOptions;
use crate::model::paging::{FeedPageRequest, MAX_POSTS_PER_PAGE, PrevPage};
use crate::model::post::PostId;
use crate::telegram::url::ChannelParseError;

/// The most characters of an unknown feed name that an error quotes.
const MAX_QUOTED_CHARS: usize = 32;

/// Answers every URL outside `/-/`: a feed of a channel, or the channel's page.
pub(super) async fn answer(
    State(state): State<Arc<AppState>>,
    Path(path): Path<String>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = path.trim_end_matches('/');
    let answer = match path.rsplit_once('/').map(|(typed, name)| (typed, Format::from_name(name))) {
        Some((typed, Some(format))) => match uri.query() {
            None => first_page(&state, typed, format, uri.path(), &context, &headers).await,
            Some(query) => page(&state, typed, format, (uri.path(), query), &context, &headers).await,
        },
        _ => channel_page(&state, path, &context),
    };
    answer.unwrap_or_else(|err| err.answer(&headers))
}

/// Returns the page of a channel, or an error that tells an unknown feed name from an invalid channel.
fn channel_page(state: &AppState, typed: &str, context: &RequestContext) -> Result<Response, Error> {
    pages::channel(state, &context.base_url, typed).map_err(|err| {
        let is_invalid = matches!(err, Error::ChannelName(ChannelParseError::NotAChannel(_)));
        let parts = typed.rsplit_once('/').filter(|_| is_invalid);
        match parts.map(|(typed, feed)| (state.parse_channel(typed), feed)) {
            Some((Ok(name), feed)) => Error::UnknownFeed(feed.chars().take(MAX_QUOTED_CHARS).collect(), name),
            _ => err,
        }
    })
}

/// The fast path: returns a feed that is rendered already, which nearly all requests ask for. It takes two cache lookups
/// and cannot fail, so it needs neither limits nor the panic handler.
pub(super) fn cached_response<B>(
    state: &Arc<AppState>,
    request: &Request<B>,
    context: &RequestContext,
) -> Option<Response> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || request.uri().query().is_some() {
        return None;
    }
    let feed = state.feeds.get(&context.base_url.with_path(request.uri().path()))?;
    let cached = state.channels.cached(feed.channel())?;
    feed.is_of(&cached.snapshot).then(|| feed.respond(&cached, request.headers()))
}

/// Returns a feed without parameters.
async fn first_page(
    state: &AppState,
    typed: &str,
    format: Format,
    path: &str,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let name = state.parse_channel(typed)?;
    let cached = state.channels.get(&name).await?;
    // The channel's canonical name may be denied even if the requested alias is allowed.
    state.check_served(cached.snapshot.channel())?;
    let options = FeedOptions {
        self_url: context.base_url.with_path(path),
        media: state.media_linker(&context.base_url),
        ..FeedOptions::default()
    };
    let feed = state.feeds.get_or_render(name, &cached.snapshot, format, options).await?;
    Ok(feed.respond(&cached, headers))
}

/// Returns a page of a feed: `?limit=N`, `?before=ID`, or both.
async fn page(
    state: &AppState,
    typed: &str,
    format: Format,
    (path, query): (&str, &str),
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let name = state.parse_channel(typed)?;
    let request = parse_query(query)?;
    let (page, mut cached) = state.channels.feed_page(&name, request).await?;
    state.check_served(cached.snapshot.channel())?;
    if page.gap.is_some() {
        // The page is incomplete; a later request may get the rest.
        cached.max_age = cached.max_age.min(STALE_MAX_AGE);
    }
    let snapshot = page.snapshot.ok_or(Error::NoOlderPosts)?;
    let url = context.base_url.with_path(path);
    let options = FeedOptions {
        self_url: format!("{url}?{query}"),
        limit: request.limit,
        prev_url: page.prev.map(|prev| prev_url(url, prev, request.limit)),
        media: state.media_linker(&context.base_url),
    };
    let encoding = Encoding::accepted(headers);
    let render = move || {
        let (body, validators) = render(&snapshot, page.changed, format, &options);
        Ok::<_, io::Error>((encoding.encode(body)?, validators))
    };
    let rendered = cpu_pool::run(render).await.map_err(io::Error::other).flatten();
    let (body, validators) = rendered.map_err(|err| {
        tracing::error!(error = %err, "cannot render a feed page");
        Error::Internal
    })?;
    Ok(respond(&validators, format, |_| body, &cached, headers))
}

/// Returns the URL of the next newer page.
fn prev_url(url: String, prev: PrevPage, limit: Option<u8>) -> String {
    let before = match prev {
        PrevPage::Newest => None,
        PrevPage::Before(id) => Some(format!("before={id}")),
    };
    let limit = limit.map(|limit| format!("limit={limit}"));
    let parameters: Vec<String> = before.into_iter().chain(limit).collect();
    if parameters.is_empty() { url } else { format!("{url}?{}", parameters.join("&")) }
}

fn parse_query(query: &str) -> Result<FeedPageRequest, Error> {
    let mut request = FeedPageRequest::default();
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "limit" if request.limit.is_none() => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_POSTS_PER_PAGE).contains(limit));
                request.limit = Some(limit.ok_or(Error::Limit)?);
            }
            "before" if request.before.is_none() => {
                request.before = Some(value.parse().ok().and_then(PostId::new).ok_or(Error::Before)?);
            }
            _ => return Err(Error::UnknownParameter),
        }
    }
    Ok(request)
}
