//! What a person sets: flags, `TELEWIRE_*` variables and a file, checked once.

mod file;
mod serve;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::feed::Format;
use values::{format, listen, number};

pub use file::{FileError, Origin, Setting, check, example, from_arguments};
pub use serve::{
    AccessArgs, LogArgs, LogFormat, MediaArgs, MediaMode, OwnMediaArgs, PlaceArgs, RetentionArgs, ServeArgs,
    UpstreamArgs,
};
pub use values::{HeaderText, Patterns, PublicUrl, Secrets};

/// Public Telegram channels as RSS, Atom and JSON Feed, every post whole.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command, telewire serves.",
    after_long_help = EXIT_CODES
)]
pub struct Cli {
    /// What to do; `serve` when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// File with settings, in TOML: the names of flags with their values. Flags and variables win over it
    #[arg(long, global = true, env = "TELEWIRE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is set, and where, for `config show`.
    #[arg(skip)]
    pub settings: Vec<Setting>,
}

const EXIT_CODES: &str = "\
Without a command, telewire serves. Every flag can also be set by a variable, --public-url by TELEWIRE_PUBLIC_URL, and in
the file that --config names. A flag wins over a variable, and that over the file.

Exit codes:
  0  done
  1  check: something that a person would see is not carried; healthcheck: not healthy; serve: cannot start
  2  the command line, a variable or the file with settings is wrong
  3  what was typed is not a channel
  4  there is no such channel, it has no public posts, or nothing of it is archived
  5  Telegram cannot be reached, or its answer cannot be trusted: try again later
  6  the file cannot be read, or the output not be written
  7  the archive cannot be used";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve feeds over HTTP
    Serve(Box<ServeArgs>),
    /// Write a channel's feed to standard output
    #[command(after_long_help = EXIT_CODES)]
    Get(GetArgs),
    /// Tell what a channel's page holds, and what of it is not understood
    #[command(after_long_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Look at what is archived, take it elsewhere, trim it, or read older posts
    #[command(subcommand, after_long_help = EXIT_CODES)]
    Archive(ArchiveCommand),
    /// Look at settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write what a shell needs to complete command lines, to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page, to standard output
    Manual,
    /// Ask the service on this machine whether it is well: exit code 0 if so
    Healthcheck(HealthcheckArgs),
}

/// The commands of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Tell what is wrong with a file of settings, if anything
    Check {
        /// The file
        file: PathBuf,
    },
    /// List every setting with its value, and where that comes from; secrets are not shown
    Show(Box<ServeArgs>),
    /// Write a file with every setting, its default and what it is for, to standard output
    Example,
}

/// The commands of `archive`.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// List the channels, how many posts of each are there, and how much room they take
    Stats {
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Write everything that is archived of a channel to standard output, as lines of JSON
    Export {
        /// The channel: durov, @durov, t.me/durov, or any address of it
        channel: String,
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Copy the whole archive to a new file; telewire may be running
    Backup {
        /// The copy, which must not be there yet
        file: PathBuf,
        /// Where it is.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Put a backup in the archive's place; telewire must not be running
    Restore {
        /// The backup
        file: PathBuf,
        /// Where the archive is; not for PostgreSQL.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Delete old posts; telewire may be running
    Prune(PruneArgs),
    /// Read a channel's older posts, slowly, back to its first one; what was read stays when it is stopped
    Backfill(BackfillArgs),
}

/// Flags of `archive prune`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["keep_days", "keep_posts"]))]
pub struct PruneArgs {
    /// What is kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// Where it is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Flags of `archive backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The channel: durov, @durov, t.me/durov, or any address of it
    pub channel: String,
    /// Stop when so many of its posts are archived
    #[arg(long, value_name = "N", value_parser = number::<u64>)]
    pub posts: Option<u64>,
    /// Where the archive is.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Where channels are read.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// Flags of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The channel: durov, @durov, t.me/durov, or any address of it
    #[arg(required_unless_present = "page")]
    pub channel: Option<String>,
    /// Format of the feed
    #[arg(long, default_value = "rss", value_name = "FORMAT", value_parser = format)]
    pub format: Format,
    /// Read this saved page instead of asking Telegram; the page says which channel it is
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Base address that the feed names as its own
    #[arg(long, env = "TELEWIRE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// Where channels are read.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Where media may come from.
    #[command(flatten)]
    pub media: MediaArgs,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The channel: durov, @durov, t.me/durov, or any address of it
    #[arg(required_unless_present = "page")]
    pub channel: Option<String>,
    /// Read this saved page instead of asking Telegram
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Where channels are read.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// Flags of `healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Address and port on which the service listens
    #[arg(long, env = "TELEWIRE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS",
        value_parser = listen)]
    pub listen: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
