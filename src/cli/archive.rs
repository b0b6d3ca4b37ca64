//! `telewire archive …`: look at what is kept, take it elsewhere, trim it, read what is older.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::{CliError, cannot_serve, stop};
use crate::archive::{Archive, ArchiveError, Exported, Gap, Reach};
use crate::backoff::grown;
use crate::channel::ChannelName;
use crate::config::{ArchiveCommand, BackfillArgs, PlaceArgs, PruneArgs};
use crate::refresh::{self, RefreshError, StepError};
use crate::telegram::address::{self, Which};
use crate::telegram::client::{Client, Line, Politeness};

/// How often in a row a page may fail before a backfill gives up, and how long it waits after the first failure and at
/// most.
const FAILURES: u32 = 6;
const WAIT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// Pages between two lines of progress that go into a file.
const LINE_EVERY: u32 = 50;

pub(super) async fn run(command: ArchiveCommand) -> Result<(), CliError> {
    match command {
        ArchiveCommand::Stats { place } => stats(&*open(&place).await?).await,
        ArchiveCommand::Export { channel, place } => export(&*open(&place).await?, &channel).await,
        ArchiveCommand::Backup { file, place } => {
            open(&place).await?.back_up(&file).await?;
            say(&format!("copied to {}", file.display()));
            Ok(())
        }
        ArchiveCommand::Restore { place: PlaceArgs { database: Some(_), .. }, .. } => {
            let why = "a PostgreSQL database is restored with its own programs".to_owned();
            Err(ArchiveError::Database(why).into())
        }
        ArchiveCommand::Restore { file, place } => {
            let before = Archive::restore(&place.data_dir, &file).await?;
            let before = before.map(|before| format!("; what was there before is {}", before.display()));
            say(&format!("restored from {}{}", file.display(), before.unwrap_or_default()));
            Ok(())
        }
        ArchiveCommand::Prune(args) => prune(&args).await,
        ArchiveCommand::Backfill(args) => backfill(&args).await,
    }
}

async fn open(place: &PlaceArgs) -> Result<Arc<Archive>, CliError> {
    Ok(match &place.database {
        Some(url) => Archive::shared(url, false).await?,
        None => Archive::existing(&place.data_dir).await?,
    })
}

async fn stats(archive: &Archive) -> Result<(), CliError> {
    let stats = archive.stats().await?;
    let mut out = io::stdout().lock();
    let day =
        |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.strftime("%F").to_string());
    writeln!(
        out,
        "{:<32} {:>9} {:>8} {:>5} {:>10} {:>10}",
        "channel", "posts", "deleted", "gaps", "oldest", "newest"
    )?;
    for channel in &stats {
        let start = if channel.reaches_start { "  (from the first post on)" } else { "" };
        writeln!(
            out,
            "{:<32} {:>9} {:>8} {:>5} {:>10} {:>10}{start}",
            channel.name,
            channel.n_posts,
            channel.n_gone,
            channel.n_gaps,
            day(channel.oldest),
            day(channel.newest)
        )?;
    }
    let n_posts: u64 = stats.iter().map(|channel| channel.n_posts).sum();
    let size = ByteSize(archive.size().await?);
    writeln!(out, "{} channels, {n_posts} posts, {size}", stats.len())?;
    Ok(out.flush()?)
}

async fn export(archive: &Archive, channel: &str) -> Result<(), CliError> {
    let name = address::parse_channel(channel)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let write = |line: &Exported| {
        serde_json::to_writer(&mut out, line).map_err(io::Error::from)?;
        Ok::<_, CliError>(out.write_all(b"\n")?)
    };
    archive.export(&name, write).await?.ok_or_else(|| CliError::NotArchived(name.to_string()))?;
    Ok(out.flush()?)
}

async fn prune(args: &PruneArgs) -> Result<(), CliError> {
    let archive = open(&args.place).await?;
    let n_pruned = archive.prune(args.retention.retention(), refresh::now()).await?;
    let size = ByteSize(archive.size().await?);
    archive.close().await;
    say(&format!("{n_pruned} posts deleted; the archive takes {size}"));
    Ok(())
}

async fn backfill(args: &BackfillArgs) -> Result<(), CliError> {
    let name = address::parse_channel(&args.channel)?;
    let mut stops = stop::stops().map_err(cannot_serve)?;
    let client = Client::new(args.upstream.client_options(Politeness::default())).map_err(cannot_serve)?;
    let archive = match &args.place.database {
        Some(url) => Archive::shared(url, false).await?,
        None => Archive::beside(&args.place.data_dir).await?,
    };
    let walk = walk(&client, &archive, &name, args.posts);
    let end = tokio::select! {
        end = walk => end,
        _ = stops.next() => Ok(End::Stopped),
    };
    let n_posts = archive.count(&name).await?;
    archive.close().await;
    let again = "the same command goes on from here";
    say(&match &end {
        Ok(End::Start) => format!("{name}: {n_posts} posts, from the first one on"),
        Ok(End::Enough) => format!("{name}: {n_posts} posts"),
        Ok(End::Stopped) | Err(_) => format!("{name}: {n_posts} posts so far; {again}"),
    });
    end.map(drop)
}

/// How a backfill ends.
enum End {
    /// The channel's first post is there.
    Start,
    /// As many as were asked for are there.
    Enough,
    /// Somebody has stopped it.
    Stopped,
}

/// Reads page after page, the newest first, each archived before the next is asked for.
async fn walk(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    most: Option<u64>,
) -> Result<End, CliError> {
    let refused = |err| CliError::Refresh(name.to_string(), err);
    let newest = refresh::read_page(client, name, Which::Newest, Line::Known, None).await.map_err(refused)?;
    archive.merge(name, Arc::new(newest), Reach::Newest, refresh::now(), Duration::ZERO).await?;
    let (mut n_pages, mut n_failures) = (1, 0);
    while let Some(gap) = archive.newest_gap(name).await? {
        let n_posts = archive.count(name).await?;
        progress(name, n_pages, n_posts, gap);
        if most.is_some_and(|most| n_posts >= most) {
            return Ok(End::Enough);
        }
        match refresh::step(client, archive, name, gap.below, gap, refresh::now()).await {
            Ok(_) => n_failures = 0,
            Err(StepError::Archive(err))
                if !matches!(err, ArchiveError::Resting | ArchiveError::Slow | ArchiveError::Busy) =>
            {
                return Err(err.into());
            }
            Err(err) if n_failures + 1 >= FAILURES => {
                return Err(match err {
                    StepError::Refresh(err) => refused(err),
                    err => CliError::Backfill(name.to_string(), err.to_string()),
                });
            }
            Err(err) => {
                let wait = grown(WAIT.0, n_failures, WAIT.1).max(asked_for(&err));
                n_failures += 1;
                say(&format!("{name}: {err}; trying again in {} seconds", wait.as_secs()));
                tokio::time::sleep(wait).await;
            }
        }
        n_pages += 1;
    }
    Ok(End::Start)
}

/// How long Telegram asks to be left alone.
fn asked_for(err: &StepError) -> Duration {
    match err {
        StepError::Refresh(RefreshError::Fetch(err)) => err.rest().unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

fn progress(name: &ChannelName, n_pages: u32, n_posts: u64, gap: Gap) {
    let line = format!("{name}: {n_posts} posts, {n_pages} pages, down to {}", gap.below);
    if io::stderr().is_terminal() {
        eprint_line(&format!("\r{line}\x1b[K"), "");
    } else if n_pages.is_multiple_of(LINE_EVERY) {
        eprint_line(&line, "\n");
    }
}

/// Says something that is not the output of a command.
fn say(sentence: &str) {
    let start = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    eprint_line(&format!("{start}{sentence}"), "\n");
}

fn eprint_line(line: &str, end: &str) {
    // When nobody can hear it, it is not said.
    drop(write!(io::stderr(), "{line}{end}"));
}

impl From<ArchiveError> for CliError {
    fn from(err: ArchiveError) -> Self {
        Self::Archive(err)
    }
}
