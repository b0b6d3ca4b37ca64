//! Request IDs, which connect a response with the log lines about it.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderName, HeaderValue};

/// The response header with the request ID.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The ID of a request: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId(u64);

impl RequestId {
    /// Returns the next ID. IDs count up from a random start, so those of different processes do not overlap.
    pub(super) fn next() -> Self {
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(fastrand::u64(..) & !0xff_ffff));
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
