//! Configuration: flags, `TELEWIRE_*` variables and a TOML file become one plain, validated [`Config`].
//!
//! The only code that reads the environment. Below this module and `cli` no type of clap appears.

mod args;
mod bundles;
mod example;
mod explain;
mod feed_options;
mod file;
mod serve;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use url::Url;

use crate::archive::Retention;
use crate::channels::Freshness;
use crate::media::signed_url::MediaKeys;
use crate::telegram::client::ClientOptions;
use crate::web::WebConfig;

pub use args::{
    ArchiveCommand, BackfillArgs, CheckArgs, Cli, Command, ConfigCommand, ForgetArgs, GetArgs,
    HealthcheckArgs, OpmlArgs, OpmlCommand, PruneArgs,
};
pub use example::example;
pub use feed_options::feed_options;
pub use file::{Setting, SettingSource, SettingsFile, SettingsFileError, from_arguments};
pub use serve::{
    AccessArgs, LogArgs, LogFormat, MediaArgs, MediaHostArgs, RetentionArgs, ServeArgs, StorageArgs,
    UpstreamArgs,
};

/// Where posts are archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In memory, until the process ends.
    Memory,
    /// In SQLite, in the data directory.
    DataDir,
    /// In a PostgreSQL database that replicas can share.
    Postgres(Url),
}

/// The configuration of a service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The web service.
    pub web: WebConfig,
    /// The socket address of the metrics listener, if metrics have their own.
    pub metrics_listen: Option<SocketAddr>,
    /// Where posts are archived.
    pub storage: Storage,
    /// The directory for the archive, the media key and rejected pages.
    pub data_dir: PathBuf,
    /// Which archived posts are kept.
    pub retention: Retention,
    /// How Telegram is asked.
    pub client: ClientOptions,
    /// When a channel is stale.
    pub freshness: Freshness,
    /// How long a request for a stale channel waits for its refresh.
    pub refresh_wait: Duration,
    /// Refresh followed channels before their readers come.
    pub prefetch: bool,
    /// The maximum number of older pages fetched after a refresh to close gaps.
    pub gap_pages: usize,
    /// Bytes for channels in memory; with [`Storage::Memory`] half of them are the archive's.
    pub cache_size: u64,
    /// The keys that sign media URLs; loaded from the data directory if absent.
    pub media_keys: Option<MediaKeys>,
    /// The largest media file that is sent, in bytes.
    pub media_max_size: u64,
    /// How long a media URL of Telegram is used without being checked.
    pub media_url_ttl: Duration,
}

/// Why flags that are valid one by one cannot be used together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Two places for the archive.
    #[error("--no-archive and --database cannot be used together")]
    TwoStorages,
    /// The bounds of the freshness are in the wrong order.
    #[error("--fresh-min must not be longer than --fresh-max")]
    FreshnessBounds,
    /// A stale feed would come later than the timeout of its request.
    #[error("--refresh-wait must not be longer than 10 seconds")]
    RefreshWait,
    /// The text for the home page cannot be read.
    #[error("cannot read --home-text {}: {reason}", file.display())]
    HomeText {
        /// The file.
        file: PathBuf,
        /// The cause.
        reason: String,
    },
}
