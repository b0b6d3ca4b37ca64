//! Media files of posts: `/-/media/{tag}/{channel}/{post}/{n}.{ext}`. Each request is verified, resolved and streamed.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use headers::{ETag, HeaderMapExt, IfNoneMatch};

use super::context::RequestContext;
use super::error::Error;
use super::query;
use super::state::AppState;
use crate::language::Language;
use crate::media::MediaMode;
use crate::media::client::{MediaInfo, MediaResponse};
use crate::media::error::MediaError;
use crate::media::range::Range;
use crate::media::resolver::MediaLocation;
use crate::media::signed_url::REDIRECT_QUERY;
use crate::model::media_file::{FileId, FileKind};

/// Time until the response head, including pages that may have to be fetched before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The URL identifies immutable content: a post that is edited to show another file gets another URL.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=2592000, immutable");

/// A channel's photo can change while its URL stays.
const ONE_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// Answers a request for a media file.
pub(super) async fn answer(
    State(state): State<Arc<AppState>>,
    Extension(context): Extension<RequestContext>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let client = state.limited_client(context.client);
    let serve = serve(&state, client, &method, &uri, &headers);
    let answer = tokio::time::timeout(HEAD_TIMEOUT, serve).await;
    answer.unwrap_or(Err(Error::TimedOut)).unwrap_or_else(|err| {
        log_failure(&uri, &err);
        err.into_response()
    })
}

/// Logs a file that cannot be sent, unless the request itself is at fault.
fn log_failure(uri: &Uri, err: &Error) {
    let Error::Media(err) = err else { return };
    let cause = match err {
        MediaError::Unresolved(_) | MediaError::RangeNotSatisfiable(_) | MediaError::Busy => return,
        MediaError::Unreachable(cause) | MediaError::Broken(cause) => cause.as_str(),
        _ => "",
    };
    // Without the tag: it is a secret, because it gives access to the file.
    let file = uri.path().splitn(5, '/').nth(4);
    tracing::warn!(file, error = %err, cause, "cannot send a media file");
}

async fn serve(
    state: &AppState,
    client: Option<IpAddr>,
    method: &Method,
    uri: &Uri,
    request: &HeaderMap,
) -> Result<Response, Error> {
    // A query is not covered by the signature, so only one is accepted. The page of an error links to itself in other languages.
    let is_language =
        |query: &str| Language::ALL.iter().any(|language| query == query::in_language(*language));
    // Links write a parameter without a value in this way.
    let after_redirect =
        |query: &str| query.strip_prefix(REDIRECT_QUERY)?.strip_prefix("=&").map(is_language);
    let query = match uri.query() {
        Some(query) if is_language(query) => None,
        Some(query) if after_redirect(query) == Some(true) => Some(REDIRECT_QUERY),
        query => query,
    };
    let is_redirect = query == Some(REDIRECT_QUERY);
    let path = Some(uri.path()).filter(|_| is_redirect || query.is_none());
    let file = path.and_then(|path| state.media_keys.verify(path)).ok_or(Error::Signature)?;
    state.check_served(&file.channel)?;
    if is_redirect || state.config.media_mode != MediaMode::Proxy {
        return redirect(state, &file).await;
    }
    // The URL identifies immutable content, so it doubles as the ETag. A channel photo can change and gets no ETag.
    let etag = file.post.map(|_| format!("\"{}\"", file.to_string().replace('/', ".")));
    let mut response = Response::new(Body::empty());
    write_common_headers(response.headers_mut(), etag.as_deref());
    if etag.as_ref().is_some_and(|etag| matches_etag(etag, request)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    if *method == Method::HEAD {
        let info = |location: MediaLocation| async move {
            let _permit = state.streams.acquire(client).await?;
            state.media_client.info(location.url).await
        };
        let (info, is_current) = state.media_resolver.request(&file, info).await?;
        store_size(state, &file, info, is_current);
        let headers = response.headers_mut();
        downgrade_caching(is_current, headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(info.mime_type));
        match info.total {
            Some(total) => drop(headers.insert(CONTENT_LENGTH, total.into())),
            // An unknown length instead of a length of zero.
            None => *response.body_mut() = Body::from_stream(stream::empty::<io::Result<Bytes>>()),
        }
        return Ok(response);
    }
    let open = |location: MediaLocation| {
        let range = requested_range(etag.as_deref().filter(|_| location.is_current), request);
        async move {
            // Released while a page is fetched, so that other files can be sent.
            let permit = state.streams.acquire(client).await?;
            Ok((state.media_client.open(location.url, range).await?, permit))
        }
    };
    let ((MediaResponse { info, part, body }, permit), is_current) =
        state.media_resolver.request(&file, open).await?;
    store_size(state, &file, info, is_current);
    let headers = response.headers_mut();
    downgrade_caching(is_current, headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(info.mime_type));
    headers.extend(body.length().map(|length| (CONTENT_LENGTH, length.into())));
    if let Some(range) = part.and_then(|part| part.header()) {
        headers.typed_insert(range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    *response.body_mut() = Body::from_stream(permit.hold(body.stream()));
    Ok(response)
}

/// Stores the size of a video or audio file that its post still shows, for podcast players. The size of a picture is of no
/// use to a reader, and pictures are loaded when a post is read: the feed would change each time, and with it the post for
/// readers that compare enclosures.
fn store_size(state: &AppState, file: &FileId, info: MediaInfo, is_current: bool) {
    let is_played = matches!(file.name.kind, FileKind::Mp4 | FileKind::Webm | FileKind::Ogg);
    if let (true, Some(bytes)) = (is_current && is_played, info.total) {
        state.media_resolver.store_size(file, bytes);
    }
}

fn write_common_headers(headers: &mut HeaderMap, etag: Option<&str>) {
    headers.extend([
        (CACHE_CONTROL, if etag.is_some() { IMMUTABLE } else { ONE_DAY }),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ]);
    headers.extend(etag.and_then(|etag| Some((ETAG, HeaderValue::try_from(etag).ok()?))));
}

/// If the post has since been edited to show another file, drops the ETag and shortens `max-age`.
fn downgrade_caching(is_current: bool, headers: &mut HeaderMap) {
    if !is_current {
        headers.remove(ETAG);
        headers.insert(CACHE_CONTROL, ONE_DAY);
    }
}

/// Redirects to the file's current URL.
async fn redirect(state: &AppState, file: &FileId) -> Result<Response, Error> {
    let location = state.media_resolver.resolve(file, None).await.map_err(MediaError::from)?;
    let url = state.config.media_hosts.allow(&location.url).ok_or(MediaError::HostNotAllowed)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().extend(HeaderValue::try_from(url).map(|url| (LOCATION, url)));
    Ok(response)
}

fn matches_etag(etag: &str, request: &HeaderMap) -> bool {
    let own = etag.parse::<ETag>().ok();
    let tags = request.contains_key(IF_NONE_MATCH).then(|| request.typed_get::<IfNoneMatch>()).flatten();
    own.zip(tags).is_some_and(|(own, tags)| !tags.precondition_passes(&own))
}

/// Returns the requested range, unless `If-Range` names another file (RFC 9110, section 13.1.5).
fn requested_range(etag: Option<&str>, request: &HeaderMap) -> Option<Range> {
    let range = Range::parse(request.get(RANGE)?.to_str().ok()?)?;
    let is_same = |condition: &HeaderValue| etag.is_some_and(|etag| condition == etag);
    request.get(IF_RANGE).is_none_or(is_same).then_some(range)
}
