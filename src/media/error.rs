//! Errors of the media proxy.

use thiserror::Error;

use crate::channels::RefreshError;

/// Why a file cannot be resolved to a URL.
#[derive(Clone, Debug, Error)]
pub enum ResolveError {
    /// The post no longer shows the file, or was deleted.
    #[error("this file no longer exists in Telegram")]
    Gone,
    /// The preview page with the URL cannot be fetched.
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
    /// Too many files are being sent, to this client or in total.
    #[error("too many files are being sent")]
    Busy,
    /// The URL has expired. Holds the HTTP status.
    #[error("Telegram no longer knows this URL (status {0})")]
    Expired(u16),
    /// The URL is on a host that is not in the list of media hosts.
    #[error("the file is on a host that is not in --media-hosts")]
    HostNotAllowed,
    /// The server cannot be reached, or did not answer in time or at all. Holds the cause, for the log.
    #[error("Telegram's file server cannot be reached")]
    Unreachable(String),
    /// The server refused the request or failed, or is paused after a refusal. Holds the HTTP status.
    #[error("Telegram's file server refused the request (status {0})")]
    Refused(u16),
    /// The response is not what was requested, or is incomplete. Holds the cause, for the log.
    #[error("Telegram's file server sent an invalid response")]
    Broken(String),
    /// The requested range starts after the end of the file. Holds the file's length.
    #[error("the requested range is outside the file, which has {0} bytes")]
    RangeNotSatisfiable(u64),
    /// The file is larger than `--media-max-size`.
    #[error("the file is larger than --media-max-size")]
    TooLarge,
    /// The first bytes are not those of a picture, video or audio file.
    #[error("the file is not a picture, video or audio file")]
    BadType,
}
