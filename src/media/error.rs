//! Why a media file cannot be found or sent.

use thiserror::Error;

use crate::channels::RefreshError;

/// Why a file has no URL.
#[derive(Clone, Debug, Error)]
pub enum ResolveError {
    /// The post does not show it any more, or does not exist.
    #[error("this file no longer exists in Telegram")]
    Gone,
    /// The page that has the URL cannot be fetched.
    #[error("cannot look up the file: {0}")]
    Page(RefreshError),
    /// Too many other files are being resolved.
    #[error("too many files are being looked up")]
    Busy,
}

/// Why a file cannot be sent.
#[derive(Debug, Error)]
pub enum MediaError {
    /// The file has no URL at Telegram.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// Too many files are being sent, to this client or altogether.
    #[error("too many files are being sent")]
    Busy,
    /// The URL has expired; holds the status.
    #[error("Telegram no longer knows this URL (status {0})")]
    Expired(u16),
    /// The URL is on a host that is not in the list of media hosts.
    #[error("the file is on a host that is not in --media-hosts")]
    HostNotAllowed,
    /// The server does not answer, or not in time. Holds the cause.
    #[error("Telegram's file server cannot be reached")]
    Unreachable(String),
    /// The server is busy, fails, or its breaker is open; holds the status.
    #[error("Telegram's file server refused the request (status {0})")]
    Refused(u16),
    /// The server sent something else than requested, or an incomplete file. Holds the cause.
    #[error("Telegram's file server sent an invalid response")]
    Broken(String),
    /// The requested range is outside the file; holds the file's length in bytes.
    #[error("the requested range is outside the file, which has {0} bytes")]
    RangeNotSatisfiable(u64),
    /// The file is larger than `--media-max-size`.
    #[error("the file is larger than --media-max-size")]
    TooLarge,
    /// The file is not a picture, video or audio file.
    #[error("the file is not a picture, video or audio file")]
    BadType,
}
