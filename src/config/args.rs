//! The command line: commands and their flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::serve::{MediaHostArgs, RetentionArgs, ServeArgs, StorageArgs, UpstreamArgs};
use super::values::{format, listen, number};
use crate::feed::Format;
use crate::feed::compat::MovedFrom;
use crate::web::BaseUrl;

/// Self-hosted RSS, Atom and JSON feeds for public Telegram channels.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Without a command, telewire runs `serve`.",
    after_long_help = NOTES
)]
pub struct Cli {
    /// The command; `serve` if absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Read settings from a TOML FILE; its keys are the flags' names
    #[arg(long, global = true, help_heading = "Settings file", env = "TELEWIRE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Notes at the end of the long help.
pub(super) const NOTES: &str = "\
Without a command, telewire runs `serve`. Every flag can also be set by an environment variable (--public-url by \
TELEWIRE_PUBLIC_URL) and in the file given with --config. Flags override variables, and variables override the file.

Exit codes:
  0  success
  1  check: something on the page is missing from the feed; healthcheck: not healthy; serve: cannot start
  2  invalid command line, variable or settings file
  3  the argument is not a channel
  4  no such channel, no public posts, or nothing of the channel is archived
  5  Telegram cannot be reached, or the answer or saved page is not a valid preview page
  6  an input file could not be read, or the output could not be written
  7  the archive cannot be used";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve feeds over HTTP
    #[command(after_long_help = NOTES)]
    Serve(Box<ServeArgs>),
    /// Write a channel's feed to standard output
    #[command(after_long_help = NOTES)]
    Get(GetArgs),
    /// Report the parsed parts of a channel's page, and any unrecognized markup
    #[command(after_long_help = NOTES)]
    Check(CheckArgs),
    /// List the options of feeds, which are parameters of their URLs
    #[command(after_long_help = super::feed_options())]
    Options,
    /// Inspect, export, back up, prune, forget or backfill channels of the archive
    #[command(subcommand, after_long_help = NOTES)]
    Archive(ArchiveCommand),
    /// Write the archived channels as OPML, or convert the OPML file of a feed reader
    #[command(args_conflicts_with_subcommands = true, after_long_help = NOTES)]
    Opml(OpmlArgs),
    /// Check a settings file, show the settings in effect, or write an example file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write shell completions to standard output
    Completions {
        /// Shell to write completions for
        shell: clap_complete::Shell,
    },
    /// Write the manual page to standard output
    Manual,
    /// Ask the service on this machine whether it is healthy; exit code 0 if it is
    Healthcheck(HealthcheckArgs),
}

/// The commands of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a settings file
    Check {
        /// Settings file
        file: PathBuf,
    },
    /// List every setting with its value and source; secrets are not shown
    Show(Box<ServeArgs>),
    /// Write an example file with every setting to standard output
    Example,
}

/// The flags of `opml`.
#[derive(Debug, Args)]
pub struct OpmlArgs {
    /// The action instead of writing a list.
    #[command(subcommand)]
    pub command: Option<OpmlCommand>,
    /// List these channels instead of those that were read in the last 30 days
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub channels: Vec<String>,
    /// Format of the feeds
    #[arg(long, default_value = "rss", value_parser = format())]
    pub format: Format,
    /// Base URL for the feeds
    #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<BaseUrl>,
    /// The archive.
    #[command(flatten)]
    pub storage: StorageArgs,
}

/// The commands of `opml`.
#[derive(Debug, Subcommand)]
pub enum OpmlCommand {
    /// Copy an OPML FILE to standard output, with the Telegram feeds of other bridges replaced
    Convert {
        /// OPML file, as a feed reader has exported it
        file: PathBuf,
        /// Bridge that the feeds come from, if its entries have other ids than telewire's: rsshub-session, tgfeed, tg2rss,
        /// tg.i-c-a.su or telegram2rss, or HOST=NAME for one host; HOST=@CHANNEL for a site of BroadcastChannel
        #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
        moved_from: Vec<MovedFrom>,
        /// Base URL for the feeds
        #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
        public_url: Option<BaseUrl>,
    },
}

/// The commands of `archive`.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// List the archived channels with the number of their posts, and the archive's size
    Stats {
        /// The archive.
        #[command(flatten)]
        storage: StorageArgs,
    },
    /// Write all archived posts of a channel to standard output, as JSON lines
    Export {
        /// Channel: durov, @durov, t.me/durov, or any URL of the channel
        channel: String,
        /// The archive.
        #[command(flatten)]
        storage: StorageArgs,
    },
    /// Copy the archive to a new FILE; the service may be running
    Backup {
        /// New file for the copy
        file: PathBuf,
        /// The archive.
        #[command(flatten)]
        storage: StorageArgs,
    },
    /// Replace the archive with a backup; the service must not be running
    Restore {
        /// Backup file to restore
        file: PathBuf,
        /// The archive.
        #[command(flatten)]
        storage: StorageArgs,
    },
    /// Delete old posts; the service may be running
    Prune(PruneArgs),
    /// Delete all posts of a channel; the service may be running
    Forget(ForgetArgs),
    /// Fetch a channel's older posts, back to the first one; can be interrupted and resumed
    Backfill(BackfillArgs),
}

/// The flags of `archive prune`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["keep_days", "keep_posts"]))]
pub struct PruneArgs {
    /// Which posts are kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// The archive.
    #[command(flatten)]
    pub storage: StorageArgs,
}

/// The flags of `archive forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// Channel: durov, @durov, t.me/durov, or any URL of the channel
    pub channel: String,
    /// Delete without asking
    #[arg(long)]
    pub yes: bool,
    /// The archive.
    #[command(flatten)]
    pub storage: StorageArgs,
}

/// The flags of `archive backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// Channel: durov, @durov, t.me/durov, or any URL of the channel
    pub channel: String,
    /// Stop when N posts of the channel are archived
    #[arg(long, value_name = "N", value_parser = number::<u64>)]
    pub posts: Option<u64>,
    /// The archive.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// How Telegram is asked.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// The flags of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Channel: durov, @durov, t.me/durov, or any URL of the channel
    #[arg(required_unless_present = "page")]
    pub channel: Option<String>,
    /// Format of the feed
    #[arg(long, default_value = "rss", value_parser = format())]
    pub format: Format,
    /// Options of the feed, as in its URL: "match=rust&limit=5"; `telewire help options` lists them
    #[arg(long, default_value = "", value_name = "QUERY", hide_default_value = true)]
    pub query: String,
    /// Read a saved t.me/s page from FILE instead of asking Telegram
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Base URL for the feed's link to itself
    #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<BaseUrl>,
    /// How Telegram is asked.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Flags that select embedded media.
    #[command(flatten)]
    pub media: MediaHostArgs,
}

/// The flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Channel: durov, @durov, t.me/durov, or any URL of the channel
    #[arg(required_unless_present = "page")]
    pub channel: Option<String>,
    /// Read a saved t.me/s page from FILE instead of asking Telegram
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// How Telegram is asked.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// The flags of `healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Address and port that the service listens on
    #[arg(long, env = "TELEWIRE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS",
        value_parser = listen)]
    pub listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_definition_is_valid() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
