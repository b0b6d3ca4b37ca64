//! HTTP caching: validators, conditional requests and `Cache-Status` (RFC 9110, section 13; RFC 9111; RFC 9211).

use std::time::{Duration, UNIX_EPOCH};

use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use headers::{ETag, HeaderMapExt, IfModifiedSince, IfNoneMatch};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use sha2::{Digest, Sha256};

use crate::channels::{CacheStatus, CachedChannel};
use crate::clock;

/// The longest `max-age`: a reader that polls again later than this gets the posts published until then.
const MAX_AGE: Duration = Duration::from_mins(5);

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The validators of a response body.
#[derive(Debug)]
pub(super) struct Validators {
    etag: HeaderValue,
    /// The time of the last change and its header; `None` if unknown.
    modified: Option<(Timestamp, HeaderValue)>,
}

impl Validators {
    /// Computes the validators of a body that last changed at `modified`.
    ///
    /// The ETag is weak, because all encodings of the body share it. It depends on the bytes only, so it is the same after
    /// a restart and on every replica.
    pub(super) fn new(body: &[u8], modified: Option<Timestamp>, now: Timestamp) -> Self {
        let digest = Sha256::digest(body);
        let hex = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let etag = ascii(format!("W/\"{hex}\""));
        // `Last-Modified` must not be in the future (RFC 9110, section 8.8.2.1).
        let modified = modified.map(|modified| modified.min(now));
        Self { etag, modified: modified.map(|modified| (modified, ascii(http_date(modified)))) }
    }

    /// Returns whether the client already has this body. `If-None-Match` takes precedence over `If-Modified-Since` (RFC
    /// 9110, section 13.1.3).
    pub(super) fn match_request(&self, request: &HeaderMap) -> bool {
        match request.get(IF_NONE_MATCH) {
            // Fast path: most readers send exactly one ETag.
            Some(tag) if *tag == self.etag => true,
            Some(_) => {
                let own = self.etag.to_str().ok().and_then(|tag| tag.parse::<ETag>().ok());
                let tags = request.typed_get::<IfNoneMatch>();
                own.zip(tags).is_some_and(|(own, tags)| !tags.precondition_passes(&own))
            }
            None => {
                // HTTP dates have whole seconds; no post is older than 1970.
                let seconds =
                    self.modified.as_ref().and_then(|(modified, _)| modified.as_second().try_into().ok());
                let modified = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
                request
                    .typed_get::<IfModifiedSince>()
                    .zip(modified)
                    .is_some_and(|(since, modified)| !since.is_modified(modified))
            }
        }
    }

    /// Writes the headers that 200 and 304 responses of a channel share.
    pub(super) fn write(&self, headers: &mut HeaderMap, cached: &CachedChannel) {
        headers.reserve(12);
        self.write_for(headers, cached.max_age);
        headers.insert(CACHE_STATUS, ascii(cache_status(cached)));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }

    /// Writes the validators, and for how long a response may be cached.
    pub(super) fn write_for(&self, headers: &mut HeaderMap, max_age: Duration) {
        headers.insert(ETAG, self.etag.clone());
        // A later change in the same second would have the same date, and a client that sends only `If-Modified-Since` would
        // not get it (RFC 9110, section 8.8.2.2).
        let is_over = |(modified, _): &&(Timestamp, _)| modified.as_second() < clock::now().as_second();
        let modified = self.modified.as_ref().filter(is_over);
        headers.extend(modified.map(|(_, header)| (LAST_MODIFIED, header.clone())));
        // `max-age` is the remaining freshness, so there is no `Age` beside it: caches subtract it (RFC 9111, section 4.2).
        // FreshRSS raises a `max-age` below 800 seconds unless `must-revalidate` is there.
        let max_age = max_age.min(MAX_AGE).as_secs();
        headers.insert(CACHE_CONTROL, ascii(format!("public, max-age={max_age}, must-revalidate")));
    }
}

/// Formats a time as an HTTP date (RFC 9110, section 5.6.7).
fn http_date(time: Timestamp) -> String {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

/// Converts text that is known to be ASCII into a header value.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Returns the `Cache-Status` header (RFC 9211). A stale answer has a negative `ttl`.
fn cache_status(cached: &CachedChannel) -> String {
    match &cached.status {
        CacheStatus::Miss => "telewire; fwd=uri-miss; stored".to_owned(),
        CacheStatus::Refreshed => "telewire; fwd=stale; stored".to_owned(),
        CacheStatus::Hit => format!("telewire; hit; ttl={}", cached.max_age.as_secs()),
        CacheStatus::Stale { stale_for, error } => {
            let detail = error.as_ref().map(|error| format!("; detail={}", error.code())).unwrap_or_default();
            format!("telewire; hit; ttl=-{}{detail}", stale_for.as_secs().max(1))
        }
    }
}
