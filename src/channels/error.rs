//! Why a channel has no fresh snapshot.

use std::io;

use thiserror::Error;

use crate::model::channel::ChannelName;
use crate::telegram::error::{FetchError, PageError, UpstreamError, UpstreamErrorKind};

/// Why a refresh failed, or a channel has nothing to serve.
#[derive(Clone, Debug, Error)]
pub enum RefreshError {
    /// The page was not fetched.
    #[error(transparent)]
    Upstream(UpstreamError),
    /// The page has no posts, or cannot be trusted.
    #[error(transparent)]
    Page(PageError),
    /// Older posts are neither archived nor available from Telegram at this moment.
    #[error("older posts are temporarily unavailable")]
    OlderUnavailable,
    /// A bug in telewire; the cause is in the log.
    #[error("internal error; the log has the details")]
    Internal,
}

impl From<FetchError> for RefreshError {
    fn from(err: FetchError) -> Self {
        match err {
            FetchError::Upstream(err) => Self::Upstream(err),
            FetchError::Page(err) => Self::Page(err),
        }
    }
}

impl RefreshError {
    /// Logs that a snapshot cannot be compressed or decompressed, which is a bug.
    pub(super) fn internal(name: &ChannelName, err: &io::Error) -> Self {
        tracing::error!(channel = %name, error = %err, "cannot compress or decompress a snapshot");
        Self::Internal
    }

    /// Returns whether Telegram itself says that there is nothing to read; see [`PageError::is_authoritative`].
    #[must_use]
    pub fn is_authoritative(&self) -> bool {
        matches!(self, Self::Page(err) if err.is_authoritative())
    }

    /// Returns whether no request was sent, because too many are waiting or the circuit breaker is open. There may be any
    /// number of such errors.
    #[must_use]
    pub fn is_not_sent(&self) -> bool {
        let Self::Upstream(err) = self else { return false };
        matches!(err.kind, UpstreamErrorKind::Busy | UpstreamErrorKind::CircuitOpen { .. })
    }

    /// All codes; of `upstream-STATUS` only the usual ones.
    pub(super) const CODES: [&str; 10] = [
        "no-posts",
        "page-not-trusted",
        "upstream-unreachable",
        "upstream-timeout",
        "upstream-429",
        "upstream-503",
        "upstream-circuit-open",
        "upstream-busy",
        "upstream-broken",
        "internal",
    ];

    /// Returns the error's code for metrics and the `Cache-Status` header, such as `upstream-timeout`.
    #[must_use]
    pub fn code(&self) -> String {
        let code = match self {
            Self::Upstream(err) => match &err.kind {
                UpstreamErrorKind::Refused { status, .. } | UpstreamErrorKind::Status(status) => {
                    return format!("upstream-{status}");
                }
                UpstreamErrorKind::Unreachable(_) => "upstream-unreachable",
                UpstreamErrorKind::TimedOut => "upstream-timeout",
                UpstreamErrorKind::CircuitOpen { .. } => "upstream-circuit-open",
                UpstreamErrorKind::Busy => "upstream-busy",
                UpstreamErrorKind::TooLarge { .. } | UpstreamErrorKind::Broken(_) => "upstream-broken",
            },
            Self::Page(err) if err.is_authoritative() => "no-posts",
            Self::Page(_) => "page-not-trusted",
            Self::OlderUnavailable | Self::Internal => "internal",
        };
        code.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counters_are_registered_for_every_error() {
        let refused = |status| UpstreamErrorKind::Refused { status, retry_after: None };
        let kinds = [
            UpstreamErrorKind::Unreachable(String::new()),
            UpstreamErrorKind::TimedOut,
            refused(429),
            refused(503),
            UpstreamErrorKind::CircuitOpen { refused: true, retry_after: Duration::ZERO },
            UpstreamErrorKind::Busy,
            UpstreamErrorKind::TooLarge { max_bytes: 0 },
            UpstreamErrorKind::Broken(String::new()),
        ];
        let upstream = kinds.map(|kind| {
            RefreshError::Upstream(UpstreamError { host: String::new(), kind, failed_before: Box::default() })
        });
        let others = [PageError::NotFound, PageError::RateLimited].map(RefreshError::Page);
        for error in upstream.into_iter().chain(others).chain([RefreshError::Internal]) {
            assert!(RefreshError::CODES.contains(&&*error.code()), "{}", error.code());
        }
    }
}
