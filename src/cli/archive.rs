//! `telewire archive …`: inspects, exports, backs up, prunes, forgets and backfills channels.

use std::fs;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::CliError;
use crate::archive::{Archive, ArchiveError, ExportLine, PageScope};
use crate::channels::{BackfillError, RefreshError, fetch_gap_page, fetch_page, to_archive};
use crate::clock;
use crate::config::{ArchiveCommand, BackfillArgs, ForgetArgs, PruneArgs, StorageArgs};
use crate::model::channel::ChannelName;
use crate::model::paging::Gap;
use crate::model::post::PostId;
use crate::resilience::backoff::exponential;
use crate::shutdown::shutdown_signals;
use crate::telegram::client::Client;
use crate::telegram::typed::parse_channel;
use crate::telegram::upstream::Priority;
use crate::telegram::url::PageRequest;

/// Failures in a row after which a backfill gives up.
const MAX_FAILURES: u32 = 6;

/// The delay after the first failure; it doubles with each further one.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The longest such delay.
const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);

/// Pages between two progress lines if standard error is not a terminal.
const PAGES_PER_LINE: u32 = 50;

pub(super) async fn run(command: ArchiveCommand) -> Result<(), CliError> {
    match command {
        ArchiveCommand::Stats { storage } => read(&storage, stats).await,
        ArchiveCommand::Export { channel, storage } => {
            let name = parse_channel(&channel)?;
            read(&storage, async |archive| export(archive, &name).await).await
        }
        ArchiveCommand::Backup { file, storage } => {
            let back_up = async |archive: &Archive| {
                archive.back_up(&file).await?;
                Ok(archive.check_unchanged().inspect_err(|_| drop(fs::remove_file(&file)))?)
            };
            read(&storage, back_up).await?;
            print_message(&format!("copied the archive to {}", file.display()));
            Ok(())
        }
        ArchiveCommand::Restore { file, storage } => restore(&file, &storage).await,
        ArchiveCommand::Prune(args) => prune(&args).await,
        ArchiveCommand::Forget(args) => forget(&args).await,
        ArchiveCommand::Backfill(args) => backfill(&args).await,
    }
}

/// Reads the archive, which must exist.
pub(super) async fn read<T>(
    storage: &StorageArgs,
    work: impl AsyncFnOnce(&Archive) -> Result<T, CliError>,
) -> Result<T, CliError> {
    with_archive(storage, Archive::open_to_read, work).await
}

/// Opens the archive in PostgreSQL, or with `open` that in the data directory, and closes it after the `work`: otherwise
/// SQLite would leave its WAL.
async fn with_archive<T>(
    storage: &StorageArgs,
    open: impl AsyncFnOnce(&Path) -> Result<Arc<Archive>, ArchiveError>,
    work: impl AsyncFnOnce(&Archive) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let archive = match &storage.database {
        Some(url) => Archive::shared(url).await?,
        None => open(&storage.data_dir).await?,
    };
    let result = work(&archive).await;
    let unchanged = archive.check_unchanged();
    archive.close().await;
    let result = result?;
    unchanged?;
    Ok(result)
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
        let complete = if channel.reaches_start { "  (back to the first post)" } else { "" };
        writeln!(
            out,
            "{:<32} {:>9} {:>8} {:>5} {:>10} {:>10}{complete}",
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

async fn export(archive: &Archive, name: &ChannelName) -> Result<(), CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let write = |line: &ExportLine| {
        serde_json::to_writer(&mut out, line).map_err(io::Error::from)?;
        Ok::<_, CliError>(out.write_all(b"\n")?)
    };
    archive.export(name, write).await?.ok_or_else(|| CliError::NotArchived(name.to_string()))?;
    Ok(out.flush()?)
}

async fn restore(file: &Path, storage: &StorageArgs) -> Result<(), CliError> {
    if storage.database.is_some() {
        let reason =
            "`archive restore` replaces SQLite archives only: use pg_restore for PostgreSQL".to_owned();
        return Err(ArchiveError::Database(reason).into());
    }
    let cannot_read = |err| CliError::File { path: file.to_owned(), err };
    // Opening a FIFO would wait for its writer. `Archive::restore` refuses it.
    if fs::metadata(file).map_err(cannot_read)?.is_file() {
        fs::File::open(file).map_err(cannot_read)?;
    }
    let before = Archive::restore(&storage.data_dir, file).await?;
    let before = before.map(|before| format!("; the previous archive is {}", before.display()));
    print_message(&format!("restored the archive from {}{}", file.display(), before.unwrap_or_default()));
    Ok(())
}

async fn prune(args: &PruneArgs) -> Result<(), CliError> {
    let prune = async |archive: &Archive| {
        let n_pruned = archive.prune(args.retention.retention(), clock::now()).await?;
        Ok((n_pruned, ByteSize(archive.size().await?)))
    };
    let (n_pruned, size) = with_archive(&args.storage, Archive::open, prune).await?;
    print_message(&format!("deleted {n_pruned} posts; the archive takes {size}"));
    Ok(())
}

async fn forget(args: &ForgetArgs) -> Result<(), CliError> {
    let name = parse_channel(&args.channel)?;
    let forget = async |archive: &Archive| {
        let n_posts = archive.count(&name).await?;
        if !args.yes && !confirm(&name, n_posts)? {
            return Ok("nothing was deleted".to_owned());
        }
        let n_posts = archive.forget(&name).await?.ok_or_else(|| CliError::NotArchived(name.to_string()))?;
        Ok(format!("deleted {n_posts} posts of {name}"))
    };
    print_message(&with_archive(&args.storage, Archive::open, forget).await?);
    Ok(())
}

/// Asks twice whether to delete the posts of a channel, the second time for its name.
///
/// # Errors
///
/// [`CliError::NotConfirmed`] if nobody can answer.
fn confirm(name: &ChannelName, n_posts: u64) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::NotConfirmed);
    }
    let ask = |question: &str| {
        write_stderr(question, " ");
        let mut answer = String::new();
        io::stdin()
            .read_line(&mut answer)
            .map(|_| answer.trim().to_owned())
            .map_err(|_| CliError::NotConfirmed)
    };
    let is_yes = ask(&format!("Delete {n_posts} posts of {name} from the archive? [y/N]"))?;
    Ok(is_yes.eq_ignore_ascii_case("y")
        && ask(
            "Posts that Telegram has deleted cannot be fetched again. Type the channel's name to delete:",
        )?
        .eq_ignore_ascii_case(name.as_str()))
}

async fn backfill(args: &BackfillArgs) -> Result<(), CliError> {
    let name = parse_channel(&args.channel)?;
    let mut shutdown = shutdown_signals().map_err(CliError::cannot_start)?;
    let client = super::client(&args.upstream)?;
    let backfill = async |archive: &Archive| {
        let end = tokio::select! {
            end = fetch_older(&client, archive, &name, args.posts) => end,
            _ = shutdown.next() => Ok(End::Interrupted),
        };
        Ok((end, archive.count(&name).await?))
    };
    let (end, n_posts) = with_archive(&args.storage, Archive::open_or_create, backfill).await?;
    print_message(&match &end {
        Ok(End::FirstPost) => format!("{name}: {n_posts} posts, back to the first one"),
        Ok(End::NoneOlder(id)) => format!("{name}: {n_posts} posts; Telegram shows none older than {id}"),
        Ok(End::Limit) => format!("{name}: {n_posts} posts"),
        Ok(End::Interrupted) | Err(_) => {
            format!("{name}: {n_posts} posts archived; run the command again to continue")
        }
    });
    end.map(drop)
}

/// Why a backfill ended.
enum End {
    /// The channel's first post is archived.
    FirstPost,
    /// Telegram has repeatedly shown no posts older than this one, though it links to some: they were probably deleted.
    NoneOlder(PostId),
    /// The requested number of posts is archived.
    Limit,
    /// The process received a shutdown signal.
    Interrupted,
}

/// Fetches page after page, newest first; each is archived before the next one is fetched.
async fn fetch_older(
    client: &Client,
    archive: &Archive,
    name: &ChannelName,
    limit: Option<u64>,
) -> Result<End, CliError> {
    let failed = |err| CliError::Refresh(name.to_string(), err);
    let newest = fetch_page(client, name, PageRequest::Newest, Priority::High, None).await.map_err(failed)?;
    let newest = Arc::new(to_archive(newest));
    archive.merge(name, newest, PageScope::Newest, clock::now(), Duration::ZERO).await?;
    let (mut n_pages, mut n_failures) = (1, 0);
    while let Some(gap) = archive.newest_gap(name).await? {
        let n_posts = archive.count(name).await?;
        print_progress(name, n_pages, n_posts, gap);
        if limit.is_some_and(|limit| n_posts >= limit) {
            return Ok(End::Limit);
        }
        match fetch_gap_page(client, archive, name, gap.below, gap, clock::now, Priority::High).await {
            Ok(_) => n_failures = 0,
            // Telegram is not rate limiting if it shows the newest posts.
            Err(BackfillError::NoneOlder(id))
                if gap.above == 0
                    && n_failures > 0
                    && fetch_page(client, name, PageRequest::Newest, Priority::High, None).await.is_ok() =>
            {
                return Ok(End::NoneOlder(id));
            }
            Err(BackfillError::Archive(err)) if !err.is_transient() => return Err(err.into()),
            Err(err) if n_failures + 1 >= MAX_FAILURES => {
                return Err(match err {
                    BackfillError::Refresh(err) => failed(err),
                    err => CliError::Backfill(name.to_string(), err.to_string()),
                });
            }
            Err(err) => {
                let delay =
                    exponential(FIRST_RETRY_DELAY, n_failures, MAX_RETRY_DELAY).max(requested_delay(&err));
                n_failures += 1;
                print_message(&format!("{name}: {err}; retrying in {} seconds", delay.as_secs()));
                tokio::time::sleep(delay).await;
            }
        }
        n_pages += 1;
    }
    Ok(End::FirstPost)
}

/// Returns the delay that Telegram requested, if any.
fn requested_delay(err: &BackfillError) -> Duration {
    match err {
        BackfillError::Refresh(RefreshError::Upstream(err)) => err.kind.retry_after().unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

fn print_progress(name: &ChannelName, n_pages: u32, n_posts: u64, gap: Gap) {
    let line = format!("{name}: {n_posts} posts, {n_pages} pages, back to {}", gap.below);
    if io::stderr().is_terminal() {
        write_stderr(&format!("\r{line}\x1b[K"), "");
    } else if n_pages.is_multiple_of(PAGES_PER_LINE) {
        write_stderr(&line, "\n");
    }
}

/// Prints a message that is not the command's output to standard error, over the progress line if there is one.
pub(super) fn print_message(message: &str) {
    let start = if io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    write_stderr(&format!("{start}{message}"), "\n");
}

fn write_stderr(line: &str, end: &str) {
    // Standard error may be closed.
    drop(write!(io::stderr(), "{line}{end}"));
}
