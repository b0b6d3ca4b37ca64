//! Why a command failed, and its exit code.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::archive::ArchiveError;
use crate::channels::RefreshError;
use crate::config::{ConfigError, SettingsFileError};
use crate::feed::opml::OpmlError;
use crate::feed::options::OptionsError;
use crate::telegram::error::PageError;
use crate::telegram::typed::ChannelParseError;

/// Why a command failed. Each error has an exit code, listed in `--help`.
#[derive(Debug, Error)]
pub enum CliError {
    /// Something on the page is missing from the feed.
    #[error("parts of this page are missing from the feed: see the report above")]
    IncompletePage,
    /// The service does not answer, or not with 200. Holds the socket address and the reason.
    #[error("the service at {0} is not healthy: {1}")]
    Unhealthy(String, String),
    /// Flags that are valid one by one cannot be used together, or the file of --home-text cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The service or a client cannot start. Holds the cause.
    #[error("cannot start: {0}")]
    CannotStart(String),
    /// The argument does not name a channel.
    #[error(transparent)]
    ChannelName(#[from] ChannelParseError),
    /// The query has a misspelled or invalid option.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The page of a channel, or an article, cannot be read. Holds the channel's name, or the URL of the article.
    #[error("{0}: {1}")]
    Refresh(String, RefreshError),
    /// A saved page has no posts to read.
    #[error("{}: {}", path.display(), err.message_for_saved_page())]
    SavedPage {
        /// The file.
        path: PathBuf,
        /// The cause.
        err: PageError,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {err}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        err: io::Error,
    },
    /// A list of subscriptions cannot be converted.
    #[error("{}: {err}", path.display())]
    Opml {
        /// The file.
        path: PathBuf,
        /// The cause.
        err: OpmlError,
    },
    /// The settings file is invalid.
    #[error(transparent)]
    SettingsFile(#[from] SettingsFileError),
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The channel is not archived. Holds its name.
    #[error("no posts of {0} are archived")]
    NotArchived(String),
    /// Nobody can confirm that posts are deleted.
    #[error("deleting posts needs a terminal to confirm it, or --yes")]
    NotConfirmed,
    /// Older posts cannot be fetched. Holds the channel and the cause.
    #[error("{0}: {1}")]
    Backfill(String, String),
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Returns the exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::IncompletePage | Self::Unhealthy(..) | Self::CannotStart(_) => 1,
            Self::NotConfirmed
            | Self::Config(
                ConfigError::TwoStorages | ConfigError::FreshnessBounds | ConfigError::RefreshWait,
            )
            | Self::Options(_)
            | Self::SettingsFile(SettingsFileError::Invalid { .. }) => 2,
            Self::ChannelName(_) => 3,
            Self::Refresh(_, err) if err.is_authoritative() => 4,
            Self::SavedPage { err, .. } if err.is_authoritative() => 4,
            Self::NotArchived(_) => 4,
            Self::Refresh(..) | Self::SavedPage { .. } | Self::Backfill(..) => 5,
            Self::File { .. }
            | Self::Config(ConfigError::HomeText { .. })
            | Self::Opml { .. }
            | Self::SettingsFile(SettingsFileError::Unreadable { .. })
            | Self::Archive(ArchiveError::NotCopied { .. } | ArchiveError::NotABackup { .. })
            | Self::Output(_) => 6,
            Self::Archive(_) => 7,
        }
    }

    /// Wraps an error that prevents a start.
    pub(super) fn cannot_start(err: impl std::error::Error) -> Self {
        Self::CannotStart(err.to_string())
    }
}
