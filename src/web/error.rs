//! Errors as answers: the one place that picks a status.

use std::time::Duration;

use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use thiserror::Error;

use super::pages;
use crate::refresh::RefreshError;
use crate::telegram::address::AddressError;
use crate::telegram::client::FetchError;
use crate::telegram::landing::NoPosts;

/// When a reader should try again, unless the upstream has said it.
const RETRY: Duration = Duration::from_mins(1);

/// Why a request gets no feed.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// What stands for the channel is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There is something behind a `?`.
    #[error("feeds have no parameters: leave out what follows the question mark")]
    Query,
    /// The channel cannot be had.
    #[error("{0}")]
    Refresh(#[from] RefreshError),
    /// The program failed; the cause is in the log.
    #[error("making the feed failed because of a mistake in telewire itself")]
    Broken,
}

impl Error {
    /// 404 only when Telegram itself says that there is nothing: some readers then stay away for days.
    fn status(&self) -> StatusCode {
        match self {
            Self::Address(_) | Self::Query => StatusCode::BAD_REQUEST,
            Self::Refresh(RefreshError::NoPosts(why)) if why.is_telegrams_word() => StatusCode::NOT_FOUND,
            Self::Refresh(RefreshError::NoPosts(NoPosts::SoftBan)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refresh(RefreshError::NoPosts(_)) => StatusCode::BAD_GATEWAY,
            Self::Refresh(RefreshError::Fetch(why)) => match why {
                FetchError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
                FetchError::Refused { .. } => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_GATEWAY,
            },
            Self::Refresh(RefreshError::Broken) | Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Plain text for feed readers, a page for browsers.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let status = self.status();
        let sentence = capitalized(&self.to_string());
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), "{self}");
        }
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            headers.extend(HeaderValue::try_from(value).map(|value| (name, value)));
        };
        set(CACHE_CONTROL, "no-store");
        if status.is_server_error() && status != StatusCode::INTERNAL_SERVER_ERROR {
            set(RETRY_AFTER, &RETRY.as_secs().to_string());
        }
        let accept = request.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        // Browsers name HTML first; feed readers name it last, if at all.
        if accept.trim_start().starts_with("text/html") {
            set(CONTENT_TYPE, "text/html; charset=utf-8");
            (status, headers, pages::error(status.as_u16(), &sentence)).into_response()
        } else {
            set(CONTENT_TYPE, "text/plain; charset=utf-8");
            (status, headers, sentence + "\n").into_response()
        }
    }
}

/// A sentence with its first letter large and a full stop.
fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}
