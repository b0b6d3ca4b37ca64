//! Conditional requests and caches on the way: what a reader has is not sent again, and what is sent says how
//! old it is (RFC 9110, section 13; RFC 9111; RFC 9211).

use std::time::{Duration, UNIX_EPOCH};

use axum::http::header::{AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use headers::{ETag, HeaderMapExt, IfModifiedSince, IfNoneMatch};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use sha2::{Digest, Sha256};

use crate::refresh::{Origin, Served};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What identifies the content of an answer.
#[derive(Debug)]
pub(super) struct Validators {
    etag: HeaderValue,
    /// With how it is written. `None` when that is not known.
    modified: Option<(Timestamp, HeaderValue)>,
}

impl Validators {
    /// Validators of a body that last changed at `modified`.
    ///
    /// The tag is weak, since compressed forms of the body share it, and depends on the bytes alone: it is the
    /// same after a restart and on every machine.
    pub(super) fn new(body: &[u8], modified: Option<Timestamp>, now: Timestamp) -> Self {
        let digest = Sha256::digest(body);
        let hex = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let etag = ascii(format!("W/\"{hex}\""));
        // Nothing has changed in the future, whatever the clock of a post says (RFC 9110, section 8.8.2.1).
        let modified = modified.map(|modified| modified.min(now));
        Self { etag, modified: modified.map(|modified| (modified, ascii(http_date(modified)))) }
    }

    /// Whether the reader has this content. `If-None-Match` wins over `If-Modified-Since` (section 13.1.3).
    pub(super) fn known_to(&self, request: &HeaderMap) -> bool {
        match request.get(IF_NONE_MATCH) {
            // As most readers ask.
            Some(tag) if *tag == self.etag => true,
            Some(_) => {
                let own = self.etag.to_str().ok().and_then(|tag| tag.parse::<ETag>().ok());
                let tags = request.typed_get::<IfNoneMatch>();
                own.zip(tags).is_some_and(|(own, tags)| !tags.precondition_passes(&own))
            }
            None => {
                // Telegram is younger than Unix; HTTP knows whole seconds only.
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

    /// Writes the headers that a 200 and a 304 share.
    pub(super) fn write(&self, headers: &mut HeaderMap, served: &Served) {
        headers.reserve(12);
        headers.insert(ETAG, self.etag.clone());
        headers.extend(self.modified.as_ref().map(|(_, written)| (LAST_MODIFIED, written.clone())));
        headers.insert(CACHE_CONTROL, ascii(format!("public, max-age={}", served.max_age.as_secs())));
        headers.insert(AGE, served.age.as_secs().into());
        headers.insert(CACHE_STATUS, ascii(cache_status(served)));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// As HTTP writes times (RFC 9110, section 5.6.7).
fn http_date(time: Timestamp) -> String {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

/// A header of what is known to be ASCII.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// How this answer came about, for whoever looks into it (RFC 9211): a negative `ttl` is a stale answer.
fn cache_status(served: &Served) -> String {
    match &served.origin {
        Origin::Upstream => "telewire; fwd=uri-miss; stored".to_owned(),
        Origin::Cache => format!("telewire; hit; ttl={}", served.max_age.as_secs()),
        Origin::Stale(over, failure) => {
            let detail =
                failure.as_ref().map(|failure| format!("; detail={}", failure.word())).unwrap_or_default();
            format!("telewire; hit; ttl=-{}{detail}", over.as_secs().max(1))
        }
    }
}
