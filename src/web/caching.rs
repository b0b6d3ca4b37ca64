//! Conditional requests and caches on the way: what a reader has is not sent again, and what is sent says how
//! old it is (RFC 9110, section 13; RFC 9111; RFC 9211).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::{AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use headers::{ETag, HeaderMapExt, IfModifiedSince, IfNoneMatch, LastModified};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::refresh::{Origin, RefreshError, Served};
use crate::telegram::client::FetchError;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What identifies the content of an answer.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    etag: ETag,
    modified: SystemTime,
    /// Both as headers.
    headers: HeaderMap,
}

impl Validators {
    /// Validators of a body whose content last changed at `modified`.
    ///
    /// The tag is weak, since compressed forms of the body share it, and depends on the bytes alone: it is the
    /// same after a restart and on every machine.
    pub(super) fn new(body: &[u8], modified: Timestamp) -> Option<Self> {
        let digest = Sha256::digest(body);
        let hex = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let etag: ETag = format!("W/\"{hex}\"").parse().ok()?;
        // Telegram is younger than Unix; HTTP knows whole seconds only.
        let modified = UNIX_EPOCH + Duration::from_secs(modified.as_second().try_into().unwrap_or_default());
        let mut headers = HeaderMap::new();
        headers.typed_insert(etag.clone());
        headers.typed_insert(LastModified::from(modified));
        Some(Self { etag, modified, headers })
    }

    /// Whether the reader has this content. `If-None-Match` wins over `If-Modified-Since` (section 13.1.3).
    pub(super) fn known_to(&self, request: &HeaderMap) -> bool {
        if request.contains_key(IF_NONE_MATCH) {
            let tags = request.typed_get::<IfNoneMatch>();
            return tags.is_some_and(|tags| !tags.precondition_passes(&self.etag));
        }
        request.typed_get::<IfModifiedSince>().is_some_and(|since| !since.is_modified(self.modified))
    }

    /// The headers that a 200 and a 304 share.
    pub(super) fn headers(&self, served: &Served) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(12);
        for name in [ETAG, LAST_MODIFIED] {
            headers.extend(self.headers.get(&name).map(|value| (name, value.clone())));
        }
        let mut set =
            |name, value: String| headers.extend(HeaderValue::try_from(value).map(|value| (name, value)));
        set(CACHE_CONTROL, format!("public, max-age={}", served.max_age.as_secs()));
        set(AGE, served.age.as_secs().to_string());
        set(CACHE_STATUS, cache_status(served));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers
    }
}

/// How this answer came about, for whoever looks into it (RFC 9211): a negative `ttl` is a stale answer.
fn cache_status(served: &Served) -> String {
    match &served.origin {
        Origin::Upstream => "telewire; fwd=uri-miss; stored".to_owned(),
        Origin::Cache => format!("telewire; hit; ttl={}", served.max_age.as_secs()),
        Origin::Stale(over, failure) => {
            let detail =
                failure.as_ref().map(|failure| format!("; detail={}", detail(failure))).unwrap_or_default();
            format!("telewire; hit; ttl=-{}{detail}", over.as_secs().max(1))
        }
    }
}

/// Why the last refresh failed, in a word.
fn detail(failure: &RefreshError) -> String {
    match failure {
        RefreshError::Fetch(FetchError::Refused { status, .. } | FetchError::Status { status, .. }) => {
            format!("upstream-{status}")
        }
        RefreshError::Fetch(FetchError::Unreachable { .. }) => "upstream-unreachable".to_owned(),
        RefreshError::Fetch(FetchError::TimedOut(_)) => "upstream-timeout".to_owned(),
        RefreshError::Fetch(FetchError::Resting { .. }) => "upstream-resting".to_owned(),
        RefreshError::Fetch(FetchError::Busy(_)) => "upstream-busy".to_owned(),
        RefreshError::Fetch(_) => "upstream-broken".to_owned(),
        RefreshError::NoPosts(_) => "page-not-trusted".to_owned(),
        RefreshError::Broken => "internal".to_owned(),
    }
}
