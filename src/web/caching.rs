//! Conditional requests: what a reader has already is not sent again (RFC 9110, section 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::{CACHE_CONTROL, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue};
use headers::{ETag, HeaderMapExt, IfModifiedSince, IfNoneMatch, LastModified};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// What identifies the content of an answer.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    etag: ETag,
    modified: SystemTime,
}

impl Validators {
    /// Validators of a body whose content last changed at `modified`.
    ///
    /// The tag is weak, since compressed forms of the body share it, and depends on the bytes alone: it is the
    /// same after a restart and on every machine.
    pub(super) fn new(body: &[u8], modified: Timestamp) -> Option<Self> {
        // Telegram is younger than Unix; HTTP knows whole seconds only.
        let modified = UNIX_EPOCH + Duration::from_secs(modified.as_second().try_into().unwrap_or_default());
        let digest = Sha256::digest(body);
        let hex = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Some(Self { etag: format!("W/\"{hex}\"").parse().ok()?, modified })
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
    pub(super) fn headers(&self, max_age: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.typed_insert(self.etag.clone());
        headers.typed_insert(LastModified::from(self.modified));
        let keep = format!("public, max-age={}", max_age.as_secs());
        headers.extend(HeaderValue::try_from(keep).map(|keep| (CACHE_CONTROL, keep)));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers
    }
}
