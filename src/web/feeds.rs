//! Feeds: `/{channel}/rss`, `/{channel}/atom`, `/{channel}/json`, and the fallback for all other channel URLs.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::Response;

use super::canonical;
use super::compat;
use super::context::RequestContext;
use super::encoding::Encoding;
use super::error::Error;
use super::feed_cache::{Variant, render, respond};
use super::state::AppState;
use super::{pages, probes};
use crate::channels::STALE_MAX_AGE;
use crate::cpu_pool;
use crate::feed::Format;
use crate::feed::options::FeedOptions;
use crate::model::channel::ChannelName;
use crate::model::paging::{FeedPageRequest, PrevPage};
use crate::model::post::Post;
use crate::telegram::typed::ChannelParseError;

/// The most characters of an unknown feed name that an error quotes.
const MAX_QUOTED_CHARS: usize = 32;

/// Answers every URL outside `/-/`: a feed of a channel, or the channel's page.
pub(super) async fn answer(
    State(state): State<Arc<AppState>>,
    path: Result<Path<String>, PathRejection>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = match (compat::in_place(&state, &uri), path) {
        (Some(uri), _) => route(&state, uri.path(), &context, &uri, &headers).await,
        (None, Ok(Path(path))) => route(&state, &path, &context, &uri, &headers).await,
        (None, Err(_)) => Err(Error::PathEncoding),
    };
    answer.unwrap_or_else(|err| err.answer(&headers))
}

async fn route(
    state: &Arc<AppState>,
    path: &str,
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    if let Some(redirect) = compat::redirect(state, context, uri)? {
        return Ok(redirect);
    }
    let typed = path.trim_matches('/');
    if typed.starts_with("-/") || typed == "-" || probes::is_probe(typed) {
        return Err(Error::NotFound);
    }
    let Some((name, format)) = canonical::split_format(typed) else {
        return channel_page(state, typed, context, uri).await;
    };
    let name = state.parse_channel(name)?;
    let path = canonical::path(&name, Some(format));
    if uri.path() != path {
        return Ok(canonical::redirect(uri.path(), &path, context.query.as_deref()));
    }
    let request = canonical::parse_query(uri.query().unwrap_or_default())?;
    if request == FeedPageRequest::default() {
        first_page(state, name, format, &path, context, headers).await
    } else {
        page(state, name, format, &path, request, context, headers).await
    }
}

/// Returns the page of a channel, or an error that tells an unknown feed name from an invalid channel.
async fn channel_page(
    state: &Arc<AppState>,
    typed: &str,
    context: &RequestContext,
    uri: &Uri,
) -> Result<Response, Error> {
    let name = state.parse_channel(typed).map_err(|err| {
        let is_invalid = matches!(err, Error::ChannelName(ChannelParseError::NotAChannel(_)));
        let parts = typed.rsplit_once('/').filter(|_| is_invalid);
        match parts.map(|(typed, feed)| (state.parse_channel(typed), feed)) {
            Some((Ok(name), feed)) => Error::UnknownFeed(feed.chars().take(MAX_QUOTED_CHARS).collect(), name),
            _ => err,
        }
    })?;
    let path = canonical::path(&name, None);
    if uri.path() != path {
        return Ok(canonical::redirect(uri.path(), &path, context.query.as_deref()));
    }
    if let Some(redirect) = pages::with_token_in_path(context, path.trim_start_matches('/')) {
        return Ok(redirect);
    }
    pages::channel(state, context, &name).await
}

/// The fast path: returns a feed that is rendered already, which nearly all requests ask for. It takes two cache lookups
/// and cannot fail, so it needs neither limits nor the panic handler.
pub(super) fn cached_response<B>(
    state: &Arc<AppState>,
    request: &Request<B>,
    context: &RequestContext,
) -> Option<Response> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let query = request.uri().query().unwrap_or_default();
    if !is_read || canonical::parse_query(query).ok()? != FeedPageRequest::default() {
        return None;
    }
    let feed = state.feeds.get(request.uri().path(), &variant(context, request.headers()))?;
    let cached = state.channels.answer_at_once(feed.channel())?;
    feed.is_of(&cached.snapshot).then(|| {
        state.channels.record_visit(feed.channel(), context.visitor);
        feed.respond(&cached, request.headers())
    })
}

fn variant(context: &RequestContext, headers: &HeaderMap) -> Variant {
    Variant { base_url: context.base_url.clone(), encoding: Encoding::accepted(headers) }
}

/// Returns a feed without parameters.
async fn first_page(
    state: &AppState,
    name: ChannelName,
    format: Format,
    path: &str,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let cached = state.channels.get(&name, context.visitor).await?;
    // The channel's canonical name may be denied even if the requested alias is allowed.
    state.check_served(cached.snapshot.channel())?;
    state.channels.record_visit(&name, context.visitor);
    let options = FeedOptions {
        self_url: context.base_url.with_path(path),
        media: state.media_linker(&context.base_url),
        ..FeedOptions::default()
    };
    let variant = variant(context, headers);
    let feed = state.feeds.get_or_render(name, &cached.snapshot, format, path, variant, options).await?;
    Ok(feed.respond(&cached, headers))
}

/// Returns a page of a feed: `?limit=N`, `?before=ID`, or both.
async fn page(
    state: &AppState,
    name: ChannelName,
    format: Format,
    path: &str,
    request: FeedPageRequest,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let (page, mut cached) = state.channels.feed_page(&name, request, context.visitor).await?;
    state.check_served(cached.snapshot.channel())?;
    state.channels.record_visit(&name, context.visitor);
    if page.gap.is_some() {
        // The page is incomplete; a later request may get the rest.
        cached.max_age = cached.max_age.min(STALE_MAX_AGE);
    }
    let snapshot = page.snapshot.ok_or(Error::NoOlderPosts)?;
    let url = context.base_url.with_path(path);
    let options = FeedOptions {
        self_url: format!("{url}?{}", canonical::query(request)),
        limit: request.limit,
        prev_url: page.prev.map(|prev| prev_url(url, prev, request.limit)),
        media: state.media_linker(&context.base_url),
    };
    let encoding = Encoding::accepted(headers);
    let n_bytes = snapshot.posts.iter().map(Post::json_len).sum();
    let render = move || {
        let (body, validators) = render(&snapshot, page.changed, format, &options);
        Ok((encoding.encode(body)?, validators))
    };
    let (body, validators) = cpu_pool::try_run(n_bytes, render).await.map_err(|err| {
        tracing::error!(error = %err, "cannot render a feed page");
        Error::Internal
    })?;
    Ok(respond(&validators, format, encoding, body, &cached, headers))
}

/// Returns the URL of the next newer page.
fn prev_url(url: String, prev: PrevPage, limit: Option<u8>) -> String {
    let before = match prev {
        PrevPage::Newest => None,
        PrevPage::Before(id) => Some(id),
    };
    let query = canonical::query(FeedPageRequest { before, limit });
    if query.is_empty() { url } else { format!("{url}?{query}") }
}
