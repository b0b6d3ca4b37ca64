//! Pages for people: server-rendered HTML that works without JavaScript and loads nothing from other hosts.
//!
//! [`frame`] is what all pages share. Each page is one file; [`assets`] are the stylesheet, the script and the icon. The
//! words are in [`language`](crate::language), one file per language.

pub(super) mod assets;
pub(super) mod channel;
pub(super) mod error;
pub(super) mod home;
pub(super) mod several;
pub(super) mod single_post;
pub(super) mod status;

mod builder;
mod frame;
mod links;
mod post;
mod posts;
mod request;
mod view;

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::base_url::BaseUrl;
use super::caching::Validators;
use super::canonical;
use super::context::RequestContext;
use super::encoding::Encoding;
use super::error::Error;
use super::middleware::access::{TOKEN_PREFIX, token_in_query};
use super::robots::Robots;
use super::state::AppState;
use crate::channels::{CacheStatus, CachedChannel, Visitor};
use crate::clock;
use crate::model::channel::ChannelName;

pub(super) use links::{archived_posts, search_option};
pub(super) use request::PageRequest;

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// The time until another channel that is not cached may be opened, after too many of them.
const NEW_CHANNEL_RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long a browser may use a page that is not a channel's.
const MAX_AGE: Duration = Duration::from_mins(5);

/// Redirects a page with `?token=` to the URL with the token in the path, so that the links in the page work with it. `to` is
/// the path and query of the page, without a slash.
pub(super) fn with_token_in_path(context: &RequestContext, uri: &Uri, to: &str) -> Option<Response> {
    path_with_token(context.query.as_deref(), uri, to).map(|path| canonical::see_other(uri.path(), &path))
}

/// Returns the path of a page with the token before it, if the client has sent the token in this query. The middleware leaves
/// it in the query of `uri` if the path had one too.
fn path_with_token(sent: Option<&str>, uri: &Uri, to: &str) -> Option<String> {
    let token = token_in_query(sent?)?;
    let is_in_path = uri.query().and_then(token_in_query).is_some();
    (!is_in_path).then(|| format!("{TOKEN_PREFIX}{token}/{to}"))
}

/// Reads a channel for a page. Crawlers must not use up the requests to Telegram, so beyond the rate for pages a stale channel is
/// not refreshed, and a new one not read.
///
/// # Errors
///
/// [`Error::TooManyNewChannels`], or why the channel cannot be read.
pub(super) async fn read_channel(
    state: &AppState,
    name: &ChannelName,
    visitor: Visitor,
) -> Result<CachedChannel, Error> {
    let channels = &state.channels;
    if let Some(stored) = channels.stored(name).await {
        let is_stale = matches!(stored.status, CacheStatus::Stale { .. });
        let may_refresh = is_stale && channels.may_be_fetched(name) && state.page_refreshes.check().is_ok();
        // The page does not wait for the refresh.
        let refreshing = if may_refresh { channels.answer_from_cache(name) } else { None };
        return Ok(refreshing.unwrap_or(stored));
    }
    if channels.may_be_fetched(name) && state.new_pages.check().is_err() {
        return Err(Error::TooManyNewChannels(NEW_CHANNEL_RETRY_AFTER));
    }
    Ok(channels.get(name, visitor).await?)
}

/// Returns the start of the paths that this client may request: with the token if the page's URL has it.
fn path_prefix(context: &RequestContext) -> String {
    let token = context.path_token.as_ref().map(|token| utf8_percent_encode(token, NON_ALPHANUMERIC));
    token.map_or_else(String::new, |token| format!("{TOKEN_PREFIX}{token}"))
}

/// Returns the path and query of a URI, without a slash.
pub(super) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", PathAndQuery::as_str).trim_start_matches('/')
}

/// Returns the response with a page that is rendered for each request, or 304 if the browser has it.
fn respond(
    headers: &HeaderMap,
    request: &PageRequest,
    page_headers: Vec<(HeaderName, HeaderValue)>,
    html: String,
) -> Response {
    let validators = Validators::new(html.as_bytes(), None, clock::now());
    let mut response = Response::new(Body::empty());
    let own = response.headers_mut();
    own.extend(page_headers);
    if request.is_private {
        own.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    } else {
        validators.write_for(own, MAX_AGE);
        if validators.match_request(headers) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
    }
    let encoding = Encoding::accepted(headers);
    let body = match encoding.encode(html.into_bytes()) {
        Ok(body) => body,
        Err(err) => return Error::not_compressed(&err).into_response(),
    };
    own.extend(encoding.name().map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
    *response.body_mut() = body.into();
    response
}

/// Returns the headers that every page has. Pictures and videos may come from `media`, which is the service under its public
/// URL.
fn headers(robots: Robots, media: Option<&BaseUrl>) -> Vec<(HeaderName, HeaderValue)> {
    let media = media.map(|url| format!(" {}", url.origin())).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'{media}; media-src 'self'{media}; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let mut headers = vec![
        (CONTENT_SECURITY_POLICY, policy),
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (VARY, HeaderValue::from_static("accept-encoding, accept-language")),
    ];
    headers.extend(robots.tag().map(|tag| (X_ROBOTS_TAG, HeaderValue::from_static(tag))));
    headers
}
