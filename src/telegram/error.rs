//! Why a page could not be fetched, or has no posts.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Why a page was not fetched.
#[derive(Clone, Debug, Error)]
pub enum FetchError {
    /// The upstream gave no page.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The upstream redirected to something that is not a page of the channel.
    #[error(transparent)]
    Page(#[from] PageError),
}

/// A failed request to an upstream.
#[derive(Clone, Debug)]
pub struct UpstreamError {
    /// The upstream's host and port.
    pub host: String,
    /// The kind of failure.
    pub kind: UpstreamErrorKind,
    /// The hosts of the upstreams that were asked before this one and failed too.
    pub failed_before: Box<[String]>,
}

/// The kind of failure of a request to an upstream.
#[derive(Clone, Debug)]
pub enum UpstreamErrorKind {
    /// No connection: the name does not resolve, nothing listens there, or the certificate is invalid. Holds the cause.
    Unreachable(String),
    /// The answer did not begin or end in time.
    TimedOut,
    /// The upstream refused the request.
    Refused {
        /// 429 or 503.
        status: u16,
        /// How long it asked to wait, or how long it is paused.
        retry_after: Option<Duration>,
    },
    /// The request was not sent, because the circuit breaker is open.
    CircuitOpen {
        /// The breaker opened because the upstream refused requests, not because it failed.
        refused: bool,
        /// How much longer the breaker stays open.
        retry_after: Duration,
    },
    /// The request was not sent, because too many are waiting already.
    Busy,
    /// A status that a preview page does not have.
    Status(u16),
    /// The page is larger than allowed.
    TooLarge {
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// The connection broke, or the answer is not a Telegram page. Holds the cause.
    Broken(String),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.kind {
            UpstreamErrorKind::Unreachable(cause) => write!(f, "{host} cannot be reached: {cause}"),
            UpstreamErrorKind::TimedOut => write!(f, "{host} did not answer in time"),
            UpstreamErrorKind::Refused { status, .. } => {
                write!(f, "{host} refused the request (status {status}): too many requests")
            }
            // Does not name the remaining time, which changes: `Retry-After` has it.
            UpstreamErrorKind::CircuitOpen { refused, .. } => {
                let reason = if *refused { "refused requests" } else { "failed" };
                write!(f, "{host} {reason}, so no request is sent for a while")
            }
            UpstreamErrorKind::Busy => write!(f, "too many requests are waiting for {host}"),
            UpstreamErrorKind::Status(status) => write!(f, "{host} answered with status {status}"),
            UpstreamErrorKind::TooLarge { max_bytes } if *max_bytes < 1 << 20 => {
                write!(f, "{host} sent more than {} KiB", max_bytes >> 10)
            }
            UpstreamErrorKind::TooLarge { max_bytes } => {
                write!(f, "{host} sent more than {} MiB", max_bytes >> 20)
            }
            UpstreamErrorKind::Broken(cause) => {
                write!(f, "the answer from {host} is incomplete or invalid: {cause}")
            }
        }?;
        if self.failed_before.is_empty() {
            return Ok(());
        }
        write!(f, " (before it, {} failed too)", self.failed_before.join(" and "))
    }
}

impl std::error::Error for UpstreamError {}

impl UpstreamErrorKind {
    /// Returns how long to wait before the next request, if the upstream said so or is paused.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Returns whether the upstream refuses requests, or gets none, for now. It says nothing about the page.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::CircuitOpen { .. } | Self::Busy)
    }

    /// All that [`code`](Self::code) returns.
    pub(super) const CODES: [&str; 8] =
        ["unreachable", "timeout", "refused", "circuit-open", "busy", "status", "too-large", "broken"];

    /// Returns the label of this outcome in metrics.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timeout",
            Self::Refused { .. } => "refused",
            Self::CircuitOpen { .. } => "circuit-open",
            Self::Busy => "busy",
            Self::Status(_) => "status",
            Self::TooLarge { .. } => "too-large",
            Self::Broken(_) => "broken",
        }
    }

    /// Returns whether another upstream or proxy may answer: after every failure but a full queue and an answer that is too
    /// large. An unexpected status comes from something on the way, which may block only one host. A refusal concerns one
    /// address and opens its circuit breaker.
    pub(super) fn is_worth_failover(&self) -> bool {
        !matches!(self, Self::Busy | Self::TooLarge { .. })
    }
}

/// Why a page has no posts to read, or cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PageError {
    /// No public channel, group, bot or person has this name.
    #[error("no public channel has this name: check the spelling (private channels have no public page)")]
    NotFound,
    /// Telegram redirects such names to its home page.
    #[error("Telegram does not accept this as a channel name: check the spelling")]
    InvalidName,
    /// The name belongs to a person.
    #[error("this name belongs to a person: only public channels have posts to read")]
    User,
    /// The name belongs to a bot.
    #[error("this name belongs to a bot: only public channels have posts to read")]
    Bot,
    /// The name belongs to a group.
    #[error("this name belongs to a group: Telegram shows posts of groups only to people with an account")]
    Group,
    /// The page of an invite link.
    #[error("this is an invite link to a private chat: private channels and groups have no public page")]
    Invite,
    /// A channel whose posts Telegram does not show on the web.
    #[error(
        "this channel exists, but Telegram does not show its posts on the web: its owner has disabled the preview, \
         or Telegram has restricted the channel"
    )]
    PreviewOff,
    /// Telegram has blocked the channel; holds the [`excerpt`] of the reason that the page gives.
    #[error("Telegram does not show this channel: {0}")]
    Blocked(String),
    /// A channel without posts.
    #[error("this channel exists, but has not published anything yet")]
    Empty,
    /// The page of a single post, or its widget.
    #[error("this is the page of a single post, not of a channel")]
    SinglePost,
    /// The widget of a post that does not exist.
    #[error("this post does not exist or was deleted")]
    PostNotFound,
    /// A page that Telegram is known to return when it receives too many requests (a soft ban).
    #[error("Telegram is rate limiting: it returned this channel's page without its posts")]
    RateLimited,
    /// A redirect to another site; holds the [`excerpt`] of its host.
    #[error("Telegram redirected the request to {0}, which is not the channel's page")]
    Redirected(String),
    /// The end of the page is missing.
    #[error("the page is truncated")]
    Truncated,
    /// The page of another channel; holds its name.
    #[error("Telegram answered with the page of another channel, {0}")]
    OtherChannel(String),
    /// The page has messages, but none of them could be parsed; holds their number.
    #[error("none of the {0} posts on this page could be parsed: Telegram may have changed its markup")]
    Unreadable(usize),
    /// The page is nested too deeply, or takes more time or memory than one from Telegram.
    #[error("the page is nested too deeply or too large to be a Telegram page")]
    DomLimitExceeded,
    /// Something else: a login page, a network's own page, an error page.
    #[error("the answer is not a Telegram page: a proxy or the network may have answered instead")]
    NotTelegram,
}

/// Returns the beginning of a text for an error, which is remembered for each of many names.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(200).collect()
}

impl PageError {
    /// Returns the message for a page that a person has saved to a file, which Telegram was not asked for.
    #[must_use]
    pub fn message_for_saved_page(&self) -> String {
        match self {
            Self::NotTelegram => "this is not a saved t.me/s page".to_owned(),
            Self::RateLimited => "this page has no posts: Telegram may have been rate limiting when it was saved, or it is t.me/NAME: \
                 save t.me/s/NAME instead"
                .to_owned(),
            Self::SinglePost => "this is the page of a single post: save t.me/s/NAME instead".to_owned(),
            Self::OtherChannel(name) => format!("this is the page of another channel, {name}"),
            other => other.to_string(),
        }
    }

    /// Returns whether Telegram itself says that there is nothing to read, as opposed to a failure on the way. Only
    /// these errors are cached for long and answered with 404.
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        match self {
            Self::NotFound
            | Self::InvalidName
            | Self::User
            | Self::Bot
            | Self::Group
            | Self::Invite
            | Self::PreviewOff
            | Self::Blocked(_)
            | Self::Empty
            | Self::SinglePost
            | Self::PostNotFound => true,
            Self::RateLimited
            | Self::Redirected(_)
            | Self::Truncated
            | Self::OtherChannel(_)
            | Self::Unreadable(_)
            | Self::DomLimitExceeded
            | Self::NotTelegram => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_an_open_circuit_stays_true_while_time_goes_on() {
        for refused in [true, false] {
            let kind = UpstreamErrorKind::CircuitOpen { refused, retry_after: Duration::from_secs(30) };
            let err = UpstreamError { host: "t.me".to_owned(), kind, failed_before: Box::default() };
            assert!(!err.to_string().contains(char::is_numeric), "{err}");
        }
    }
}
