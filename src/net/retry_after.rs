//! The `Retry-After` header of responses that refuse a request.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

/// Returns how long a response asks to wait: seconds, or a date by the server's own clock (RFC 9110, section 10.2.3). Invalid
/// values, and dates without a `Date` to compare with, are ignored.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = |text| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    let left = date(value)?.duration_since(date(text(DATE)?)?);
    Duration::try_from(left).ok()
}
