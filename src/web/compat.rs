//! URLs of other bridges: redirects to the same feed, and the rules of the RSSHub Radar browser extension.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::canonical;
use super::context::RequestContext;
use super::error::Error;
use super::middleware::access::{TOKEN_PREFIX, token_in_query};
use super::state::AppState;
use crate::feed::compat::{self, RSSHUB_PATH};
use crate::telegram::url::PREVIEW_HOSTS;

/// Parameters without a counterpart that a header names.
const MAX_NAMED: usize = 20;

/// The part of the manual about URLs of other bridges.
const DOCUMENTATION: &str = "https://github.com/telewire/telewire/blob/main/deploy/README.md#moving-in";

/// Returns a permanent redirect from a URL of another bridge to the feed; `None` if it is not one. The redirect has a token
/// only if the request has it in its URL. That of an administrator leads only to pages; see [`in_place`].
///
/// # Errors
///
/// [`Error::Compat`] if there is no such feed here.
pub(super) fn redirect(
    state: &AppState,
    context: &RequestContext,
    uri: &Uri,
) -> Result<Option<Response>, Error> {
    let Some(moved) = compat::parse(uri.path(), uri.query().unwrap_or_default())? else { return Ok(None) };
    state.check_any_served(&moved.channels)?;
    let own = moved.token.as_ref().filter(|token| state.access.is_token(token));
    let own = own.map(|token| utf8_percent_encode(token, NON_ALPHANUMERIC).to_string());
    // A token in the path is kept, because the redirect is relative.
    let is_missing = state.access.has_tokens() && context.path_token.is_none();
    let token = own.or_else(|| token_in_query(context.query.as_deref()?)).filter(|_| is_missing);
    let prefix = token.map(|token| format!("{TOKEN_PREFIX}{token}")).unwrap_or_default();
    let query = Some(moved.query()).filter(|query| !query.is_empty());
    let mut response = canonical::redirect(uri.path(), &(prefix + &moved.path()), query.as_deref());
    response.headers_mut().extend(help_link(&moved.lost));
    Ok(Some(response))
}

/// Returns a `Link` header to the documentation that names parameters without a counterpart, if there are any.
pub(super) fn help_link<S: AsRef<str>>(
    lost: impl IntoIterator<Item = S>,
) -> Option<(HeaderName, HeaderValue)> {
    let mut names = String::new();
    for name in lost.into_iter().take(MAX_NAMED) {
        names.push_str(if names.is_empty() { "no counterpart: " } else { ", " });
        names.push_str(name.as_ref());
    }
    let link = format!("<{DOCUMENTATION}>; rel=\"help\"; title=\"{names}\"");
    HeaderValue::try_from(link).ok().filter(|_| !names.is_empty()).map(|link| (LINK, link))
}

/// Returns the URI of the feed for a URL of another bridge that must be answered without a redirect: RSSHub's access code is
/// valid for the old path only, and a redirect would put an administrator's token into the feed's URL.
pub(super) fn in_place(state: &AppState, context: &RequestContext, uri: &Uri) -> Option<Uri> {
    if !context.is_admin && !state.access.has_code(uri) {
        return None;
    }
    let moved = compat::parse(uri.path(), uri.query().unwrap_or_default()).ok().flatten()?;
    moved.format.is_some().then(|| moved.path_and_query().parse().ok())?
}

/// `/api/radar/rules`: lets the RSSHub Radar extension find the feeds of Telegram's pages here, if the service is set as
/// its RSSHub instance.
pub(super) async fn radar_rules() -> Response {
    let rule = json!({
        "_name": "Telegram",
        ".": [{
            "title": "Channel",
            "docs": DOCUMENTATION,
            "source": ["/s/:username", "/:username"],
            "target": format!("{RSSHUB_PATH}:username"),
        }],
    });
    let rules = PREVIEW_HOSTS.iter().map(|host| ((*host).to_owned(), rule.clone()));
    let body = serde_json::Value::Object(rules.collect()).to_string();
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=86400")], body).into_response()
}
