//! Reads the responses of upstreams, within a maximum size.

use ::url::Url;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, LOCATION};

use super::error::{PageError, UpstreamErrorKind, excerpt};
use super::upstream::UpstreamUrl;
use super::url;
use crate::model::channel::ChannelName;
use crate::net::http_client::root_cause;

/// Bytes of a page after decompression. The largest seen have 150 KB.
const MAX_HTML_BYTES: usize = 4 << 20;

/// Returns the path that a redirect leads to, if it is a page of the same channel: t.me redirects to `/NAME` if there is
/// no preview page.
pub(super) fn redirect_path(
    response: &Response,
    upstream: &UpstreamUrl,
    name: &ChannelName,
) -> Result<String, PageError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let target: Url = response.url().join(location).map_err(|_| PageError::Redirected(excerpt(location)))?;
    let is_telegram = upstream.has_origin_of(&target) || url::is_telegram(&target);
    let is_channel =
        target.path().trim_start_matches("/s/").trim_matches('/').eq_ignore_ascii_case(name.as_str());
    if is_telegram && is_channel {
        return Ok(target.path().to_owned());
    }
    // Telegram redirects names that cannot exist to its home page.
    let is_home =
        target.path() == "/" && target.host_str().is_some_and(|host| host.ends_with("telegram.org"));
    Err(if is_home {
        PageError::InvalidName
    } else {
        PageError::Redirected(excerpt(target.host_str().unwrap_or(location)))
    })
}

/// Reads a body as text; invalid UTF-8 becomes replacement characters.
pub(super) async fn read_body(mut response: Response) -> Result<String, UpstreamErrorKind> {
    if response.content_length().is_some_and(|length| length > MAX_HTML_BYTES as u64) {
        return Err(UpstreamErrorKind::TooLarge { max_bytes: MAX_HTML_BYTES });
    }
    // The HTTP client removes the header when it decodes a body.
    let encoding = response.headers().get(CONTENT_ENCODING);
    if let Some(encoding) = encoding.filter(|encoding| *encoding != "identity") {
        return Err(UpstreamErrorKind::Broken(format!("content encoding {encoding:?} was not requested")));
    }
    let mut page = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|err| error_kind(&err))? {
        if page.len() + chunk.len() > MAX_HTML_BYTES {
            return Err(UpstreamErrorKind::TooLarge { max_bytes: MAX_HTML_BYTES });
        }
        page.extend_from_slice(&chunk);
    }
    let page = String::from_utf8(page)
        .unwrap_or_else(|invalid| String::from_utf8_lossy(invalid.as_bytes()).into_owned());
    // Each invalid byte becomes three.
    if page.len() > MAX_HTML_BYTES {
        Err(UpstreamErrorKind::TooLarge { max_bytes: MAX_HTML_BYTES })
    } else {
        Ok(page)
    }
}

/// Classifies the error of a request whose response did not come, or ended early.
pub(super) fn error_kind(err: &reqwest::Error) -> UpstreamErrorKind {
    let cause = root_cause(err);
    if err.is_connect() {
        UpstreamErrorKind::Unreachable(cause)
    } else if err.is_timeout() {
        UpstreamErrorKind::TimedOut
    } else {
        UpstreamErrorKind::Broken(cause)
    }
}
