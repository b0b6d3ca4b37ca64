//! Errors as responses: the one place that chooses a status code.

pub(super) mod problem;

use std::io;
use std::time::Duration;

use axum::Extension;
use axum::http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use thiserror::Error;

use super::canonical::{MAX_CHANNELS, MAX_LISTED};
use crate::channels::{Failure, RefreshError};
use crate::feed::compat::CompatError;
use crate::feed::opml::OpmlError;
use crate::feed::options::OptionsError;
use crate::language::Problem;
use crate::media::error::{MediaError, ResolveError};
use crate::model::channel::ChannelName;
use crate::telegram::error::{PageError, UpstreamErrorKind};
use crate::telegram::typed::ChannelParseError;

/// `Retry-After` of errors that do not know when a retry makes sense.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Why a request gets no feed, page or file.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// The path does not name a channel.
    #[error(transparent)]
    ChannelName(#[from] ChannelParseError),
    /// One of several channels is a search. Holds the list without searches.
    #[error("{0}")]
    SearchAmongSeveral(ChannelParseError, String),
    /// The path names a feed that does not exist.
    #[error("unknown feed {:?}: the feeds of a channel are rss, atom and json, as in /{}/rss", .0, .1)]
    UnknownFeed(String, ChannelName),
    /// The `Host` header is missing, repeated or invalid.
    #[error("missing or invalid Host header: a request must name one host")]
    Host,
    /// The request head is too large; holds the limit in bytes.
    #[error("the request head is larger than {} KiB", .0 >> 10)]
    HeadTooLarge(usize),
    /// The method is not one of these, which the URL has.
    #[error("unsupported method: this URL can only be used with {0}")]
    Method(&'static str),
    /// The percent-decoded path is not UTF-8.
    #[error("the path is not valid UTF-8: check its percent-encoded characters")]
    PathEncoding,
    /// The form's `channel` is there more than once.
    #[error("`channel` is repeated: ask for one channel at a time, as in /?channel=durov")]
    RepeatedChannel,
    /// A URL of another bridge has no counterpart.
    #[error(transparent)]
    Compat(#[from] CompatError),
    /// A list of subscriptions cannot be converted.
    #[error(transparent)]
    Opml(#[from] OpmlError),
    /// The form with a list of subscriptions is invalid. Holds the reason.
    #[error("{0}: send the OPML file in the form field `opml` (multipart/form-data)")]
    Form(String),
    /// The bridge that the form names is unknown. Holds the reason.
    #[error("invalid `moved-from`: {0}")]
    MovedFrom(String),
    /// A list of subscriptions without channels. Holds another way.
    #[error("missing `channels`: name them as in /-/opml?channels=durov,telegram{0}")]
    NoChannels(&'static str),
    /// The query has a misspelled or invalid option.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The reader's choice of `media=` costs the operator more than the default.
    #[error("this server does not allow this value of `media`: leave it out, or use `direct` or `none`")]
    MediaNotAllowed,
    /// The path is neither a channel nor anything else of the service.
    #[error("there is nothing at this URL")]
    NotFound,
    /// The archive does not have the post. Holds its URL on Telegram.
    #[error("this post is not archived here: it is at {0}")]
    PostNotArchived(String),
    /// The path names a bundle that does not exist.
    #[error("there is no bundle {0:?}: the operator of this server names bundles in its settings file")]
    UnknownBundle(String),
    /// The page would be empty.
    #[error("no older posts of this channel are known")]
    NoOlderPosts,
    /// A feed of more channels than allowed; holds their number.
    #[error(
        "a feed of {0} channels: at most {MAX_CHANNELS} can be in one feed, so subscribe to several feeds"
    )]
    TooManyChannels(usize),
    /// A list of more feeds than allowed; holds their number.
    #[error("a list of {0} feeds: at most {MAX_LISTED} can be in one list, so ask for several lists")]
    LongList(usize),
    /// An option that a feed of several channels cannot have.
    #[error(
        "{0} is for feeds of one channel: the numbers of posts say nothing across channels, so leave it out"
    )]
    NotForSeveral(&'static str),
    /// The channel cannot be read.
    #[error("{0}")]
    Channel(#[from] Failure),
    /// None of several channels can be read. Holds why.
    #[error("none of these channels can be read: {}", listed(.0))]
    NoneOfSeveral(Vec<(ChannelName, Error)>),
    /// The request has no token.
    #[error("missing token: send it as the password, or as ?token=… in the URL")]
    MissingToken,
    /// The request's token is not one of the configured ones.
    #[error("invalid token")]
    InvalidToken,
    /// The request needs an administrator's token.
    #[error(
        "this page is for the operator: send a token of --admin-token as the password, or as ?token=… in the URL"
    )]
    NotAdmin,
    /// The query of the status page is invalid; holds the parameter, and what it may be.
    #[error("invalid `{0}`: use {1}")]
    StatusQuery(&'static str, String),
    /// The client has sent too many requests; holds the time until the next one is allowed.
    #[error("too many requests from this client: wait {} seconds", .0.as_secs() + 1)]
    RateLimited(Duration),
    /// Pages of too many channels were asked for that had not been read before; holds the time until the next one is allowed.
    #[error("too many channels that were not read before were opened: wait {} seconds, or subscribe to the feed", .0.as_secs() + 1)]
    TooManyNewChannels(Duration),
    /// The operator does not allow this channel.
    #[error("the channel {0} is not allowed on this server")]
    ChannelNotServed(ChannelName),
    /// A media URL without a valid signature.
    #[error("invalid or missing signature in the media URL")]
    Signature,
    /// The media file cannot be sent.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Too many requests are in flight.
    #[error("the service is overloaded: too many requests are in flight")]
    Overloaded,
    /// The request took too long.
    #[error("the request timed out")]
    TimedOut,
    /// A bug in telewire; the cause is in the log.
    #[error("internal error; the log has the details")]
    Internal,
}

/// An error that a browser gets as a page.
#[derive(Clone, Debug)]
pub(super) struct ErrorPage {
    /// The problem that the page explains.
    pub(super) problem: Problem,
    /// The problem of each of several channels, and the values for its words.
    pub(super) of_several: Vec<(ChannelName, Problem, Vec<String>)>,
    /// The values for the `{}` of its words.
    pub(super) quoted: Vec<String>,
    /// The error, a sentence in English.
    pub(super) sentence: String,
    /// When a retry makes sense.
    pub(super) retry_after: Option<Duration>,
    /// The text for the channel field, if it differs from the request.
    pub(super) suggestion: Option<String>,
    /// The URL on Telegram of the requested post.
    pub(super) link: Option<String>,
    /// The text in the field beside an uploaded list of subscriptions.
    pub(super) moved_from: String,
}

impl Error {
    /// Returns the status code. For a channel, 404 is used only if Telegram itself says that there is nothing: some readers then stop
    /// polling for days.
    fn status(&self) -> StatusCode {
        match self {
            Self::Opml(OpmlError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ChannelName(_)
            | Self::SearchAmongSeveral(..)
            | Self::Host
            | Self::PathEncoding
            | Self::RepeatedChannel
            | Self::Options(_)
            | Self::MediaNotAllowed
            | Self::Compat(CompatError::Format(_) | CompatError::Channel(_))
            | Self::Opml(_)
            | Self::Form(_)
            | Self::MovedFrom(_)
            | Self::TooManyChannels(_)
            | Self::LongList(_)
            | Self::StatusQuery(..)
            | Self::NotForSeveral(_)
            | Self::NoChannels(_) => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::MissingToken | Self::InvalidToken | Self::NotAdmin => StatusCode::UNAUTHORIZED,
            Self::RateLimited(_) | Self::TooManyNewChannels(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Signature | Self::ChannelNotServed(_) => StatusCode::FORBIDDEN,
            Self::Compat(CompatError::OtherBridge(_) | CompatError::Path(_))
            | Self::UnknownFeed(..)
            | Self::UnknownBundle(_)
            | Self::NotFound
            | Self::PostNotArchived(_)
            | Self::NoOlderPosts => StatusCode::NOT_FOUND,
            Self::Channel(failure) => refresh_status(&failure.error),
            Self::NoneOfSeveral(errors) => {
                most_useful(errors).map_or(StatusCode::INTERNAL_SERVER_ERROR, Self::status)
            }
            Self::Media(err) => media_status(err),
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Logs that a response cannot be compressed, which is a bug.
    pub(super) fn not_compressed(err: &io::Error) -> Self {
        tracing::error!(error = %err, "cannot compress a response");
        Self::Internal
    }

    /// Returns whether the channel could not be read in time, and will be read in the background or by a later request.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::TimedOut | Self::TooManyNewChannels(_) => true,
            Self::Channel(Failure { error: RefreshError::Upstream(err), .. }) => err.kind.is_temporary(),
            _ => false,
        }
    }

    /// Returns when a retry makes sense, if ever.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Channel(failure) if !failure.error.is_authoritative() => Some(failure.retry_after()),
            Self::NoneOfSeveral(errors) => most_useful(errors)?.retry_after(),
            Self::RateLimited(left) | Self::TooManyNewChannels(left) => Some(*left),
            Self::Media(MediaError::Unresolved(ResolveError::Page(error))) if error.is_authoritative() => {
                None
            }
            Self::Overloaded
            | Self::TimedOut
            | Self::Media(
                MediaError::Busy
                | MediaError::Unresolved(ResolveError::Busy | ResolveError::Page(_))
                | MediaError::Unreachable(_)
                | MediaError::Refused(_),
            ) => Some(DEFAULT_RETRY_AFTER),
            _ => None,
        }
    }

    /// Returns what the page of this error shows.
    fn page(&self, sentence: String, retry_after: Option<Duration>) -> ErrorPage {
        let (problem, quoted) = self.problem();
        let of_several = if let Self::NoneOfSeveral(errors) = self { errors.as_slice() } else { &[] };
        let of_several = of_several.iter().map(|(name, err)| {
            let (problem, quoted) = err.problem();
            (name.clone(), problem, quoted)
        });
        ErrorPage {
            problem,
            of_several: of_several.collect(),
            quoted,
            sentence,
            retry_after,
            suggestion: self.suggestion(),
            link: if let Self::PostNotArchived(url) = self { Some(url.clone()) } else { None },
            moved_from: String::new(),
        }
    }
}

impl IntoResponse for Error {
    /// Returns the response in plain text, for feed readers. For a browser, the middleware makes a page of it: see
    /// [`pages::error::show`](super::pages::error::show).
    fn into_response(self) -> Response {
        // Read once, because the remaining time changes.
        let (status, retry_after) = (self.status(), self.retry_after());
        let sentence = to_sentence(&self.to_string());
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            headers.extend(HeaderValue::try_from(value).map(|value| (name, value)));
        };
        set(CACHE_CONTROL, "no-store");
        if let Some(retry_after) = retry_after {
            set(RETRY_AFTER, &(retry_after.as_secs() + 1).to_string());
        }
        if status == StatusCode::UNAUTHORIZED {
            set(WWW_AUTHENTICATE, "Basic realm=\"telewire\", charset=\"UTF-8\"");
        }
        if let Self::Method(allowed) = &self {
            set(ALLOW, allowed);
        }
        if let Self::Media(MediaError::RangeNotSatisfiable(total)) = &self {
            set(CONTENT_RANGE, &format!("bytes */{total}"));
        }
        set(CONTENT_TYPE, "text/plain; charset=utf-8");
        let text = format!("{sentence}\n");
        (status, headers, Extension(self.page(sentence, retry_after)), text).into_response()
    }
}

/// Returns the error with the shortest time until the next attempt: one channel that can be read is enough.
fn most_useful(errors: &[(ChannelName, Error)]) -> Option<&Error> {
    errors.iter().map(|(_, err)| err).min_by_key(|err| err.retry_after().unwrap_or(Duration::MAX))
}

fn listed(errors: &[(ChannelName, Error)]) -> String {
    errors.iter().map(|(name, err)| format!("{name} ({err})")).collect::<Vec<_>>().join(", ")
}

/// Returns whether a client prefers HTML. Browsers list it first; feed readers list it last, if at all.
pub(super) fn is_browser(request: &HeaderMap) -> bool {
    let accept = request.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.trim_start().starts_with("text/html")
}

/// Returns the status code for a channel that cannot be read.
fn refresh_status(error: &RefreshError) -> StatusCode {
    match error {
        error if error.is_authoritative() => StatusCode::NOT_FOUND,
        RefreshError::Page(PageError::RateLimited) | RefreshError::OlderUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RefreshError::Page(_) => StatusCode::BAD_GATEWAY,
        RefreshError::Upstream(err) => match &err.kind {
            UpstreamErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            kind if kind.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        },
        RefreshError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns the status code for a media file that cannot be sent.
fn media_status(err: &MediaError) -> StatusCode {
    match err {
        MediaError::Unresolved(ResolveError::Page(error)) => refresh_status(error),
        MediaError::Unresolved(ResolveError::Gone) | MediaError::Expired(_) => StatusCode::NOT_FOUND,
        MediaError::Unresolved(ResolveError::Busy) | MediaError::Busy | MediaError::Refused(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        MediaError::RangeNotSatisfiable(_) => StatusCode::RANGE_NOT_SATISFIABLE,
        MediaError::Broken(_) | MediaError::TooLarge | MediaError::BadType | MediaError::HostNotAllowed => {
            StatusCode::BAD_GATEWAY
        }
        MediaError::Unreachable(_) => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Capitalizes an error message, unless it begins with a host name, and adds a full stop, unless it ends like a sentence.
fn to_sentence(message: &str) -> String {
    let end = if message.ends_with(['.', '?', '!', '…']) { "" } else { "." };
    if message.split(' ').next().is_some_and(|word| word.contains('.')) {
        return format!("{message}{end}");
    }
    let mut letters = message.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).chain(end.chars()).collect())
        .unwrap_or_default()
}
