//! Errors as answers: the one place that picks a status.

use std::time::Duration;

use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use thiserror::Error;

use super::pages;
use crate::archive::MAX_PAGE;
use crate::channel::ChannelName;
use crate::media::MediaError;
use crate::refresh::{Failure, FileError, RefreshError};
use crate::telegram::address::AddressError;
use crate::telegram::client::FetchError;
use crate::telegram::landing::NoPosts;

/// When a reader should try again after being turned away by the service itself.
const RETRY: Duration = Duration::from_mins(1);

/// Why a request gets no feed, and no file.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// What stands for the channel is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The channel has no feed of that name.
    #[error("{:?} is not one of a channel's feeds: they are called rss, atom and json, as in /{}/rss", .0, .1)]
    NoSuchFeed(String, ChannelName),
    /// The request does not say, or not clearly, which host it asks.
    #[error("the request must name one host")]
    Host,
    /// There is something behind a `?` that nobody knows, or twice.
    #[error("feeds have two parameters, each of them once: limit and before, as in ?limit=50&before=1234")]
    Query,
    /// The limit is none.
    #[error("limit is how many posts a page of the feed has: a number from 1 to {}", MAX_PAGE)]
    Limit,
    /// The id is none.
    #[error("before is the number of a post, as in the post's address; the page then has what is older")]
    Before,
    /// The channel has no such posts.
    #[error("this channel has no posts that are older, as far as is known")]
    NothingOlder,
    /// The channel cannot be had.
    #[error("{0}")]
    Channel(#[from] Failure),
    /// The request has no token.
    #[error(
        "this service is not open to everybody: give its token as the password, or as ?token=… in the address"
    )]
    NoToken,
    /// The request has a token that is none.
    #[error("this token is not one of this service's")]
    WrongToken,
    /// The client has made too many requests.
    #[error("these are too many requests")]
    TooOften(Duration),
    /// The channel may not be served.
    #[error("this service does not carry that channel")]
    NotServed,
    /// The address of a file was not made by this service.
    #[error("this address was not made here: it has no signature, or one of other keys")]
    Signature,
    /// A file cannot be found.
    #[error("{0}")]
    File(#[from] FileError),
    /// A file cannot be passed on.
    #[error("{0}")]
    Media(#[from] MediaError),
    /// Too many requests are under way.
    #[error("too many requests are under way at the moment")]
    Overloaded,
    /// The request has taken too long.
    #[error("this has taken too long")]
    TooSlow,
    /// The program failed; the cause is in the log.
    #[error("making the feed failed because of a mistake in telewire itself")]
    Broken,
}

impl Error {
    /// 404 only when Telegram itself says that there is nothing: some readers then stay away for days.
    fn status(&self) -> StatusCode {
        match self {
            Self::Address(_) | Self::Host | Self::Query | Self::Limit | Self::Before => {
                StatusCode::BAD_REQUEST
            }
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Signature | Self::NotServed => StatusCode::FORBIDDEN,
            Self::Media(MediaError::NoSuchPart(_)) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Channel(failure) => of_refresh(&failure.error),
            Self::File(FileError::Page(error)) => of_refresh(error),
            Self::NoSuchFeed(..)
            | Self::NothingOlder
            | Self::File(FileError::Gone)
            | Self::Media(MediaError::Expired(_)) => StatusCode::NOT_FOUND,
            Self::Media(
                MediaError::Broken(_) | MediaError::TooLarge | MediaError::BadType | MediaError::NotAdmitted,
            ) => StatusCode::BAD_GATEWAY,
            Self::Overloaded | Self::File(FileError::Busy) | Self::Media(MediaError::Refused(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::TooSlow | Self::Media(MediaError::Unreachable(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When it is worth trying again, if at all.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Channel(failure) if !failure.error.is_telegrams_word() => Some(failure.left()),
            Self::TooOften(left) => Some(*left),
            Self::File(FileError::Page(error)) if !error.is_telegrams_word() => Some(RETRY),
            Self::Overloaded
            | Self::TooSlow
            | Self::File(FileError::Busy)
            | Self::Media(MediaError::Unreachable(_) | MediaError::Refused(_)) => Some(RETRY),
            _ => None,
        }
    }

    /// Plain text for feed readers, a page for browsers.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let status = self.status();
        let sentence = capitalized(&self.to_string());
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            headers.extend(HeaderValue::try_from(value).map(|value| (name, value)));
        };
        set(CACHE_CONTROL, "no-store");
        if let Some(retry_after) = self.retry_after() {
            set(RETRY_AFTER, &(retry_after.as_secs() + 1).to_string());
        }
        if status == StatusCode::UNAUTHORIZED {
            set(WWW_AUTHENTICATE, "Basic realm=\"telewire\", charset=\"UTF-8\"");
        }
        let accept = request.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        // Browsers name HTML first; feed readers name it last, if at all.
        if accept.trim_start().starts_with("text/html") {
            (status, headers, pages::html(pages::error(status.as_u16(), &sentence))).into_response()
        } else {
            set(CONTENT_TYPE, "text/plain; charset=utf-8");
            (status, headers, sentence + "\n").into_response()
        }
    }
}

/// The status for a channel that cannot be read.
fn of_refresh(error: &RefreshError) -> StatusCode {
    match error {
        error if error.is_telegrams_word() => StatusCode::NOT_FOUND,
        RefreshError::NoPosts(NoPosts::SoftBan) | RefreshError::NotNow => StatusCode::SERVICE_UNAVAILABLE,
        RefreshError::NoPosts(_) => StatusCode::BAD_GATEWAY,
        RefreshError::Fetch(why) => match why {
            FetchError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            FetchError::Refused { .. } | FetchError::Resting { .. } | FetchError::Busy(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_GATEWAY,
        },
        RefreshError::Broken => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A sentence with its first letter large and a full stop.
fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}
