//! Where a file of a post is at Telegram now: addresses expire, and the page that shows the post has new ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::sync::Cache;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::channels::{Channels, now};
use super::{RefreshError, hidden, read_page};
use crate::archive::{Lease, MAX_ALBUM, Reach, SeenFiles, Wait};
use crate::cache::Flights;
use crate::channel::{Channel, ChannelName};
use crate::files::{FileId, Files};
use crate::post::PostId;
use crate::telegram::address::Which;
use crate::telegram::client::Line;
use crate::telegram::page::Page;

/// Pages that are read at a time for files: what feeds need is never behind more than these.
const MAX_READING: usize = 2;

/// How long whoever asks for a file waits for pages.
const PATIENCE: Duration = Duration::from_secs(20);

/// Posts whose pages were read, which are remembered beside the archive.
const MAX_READ: u64 = 10_000;

/// How long it is remembered that a post is gone, and that its page could not be read.
const GONE: Duration = Duration::from_mins(10);
const FAILED: Duration = Duration::from_secs(30);

/// An address that was found so short a time ago and is refused is not looked for again.
const NEW: Duration = Duration::from_mins(1);

/// How long the page that another copy of the program reads is waited for, and how often it is looked for.
const ELSEWHERE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_millis(100));

/// Where a file is.
#[derive(Clone, Debug)]
pub struct Address {
    /// Its address at Telegram.
    pub url: String,
    /// It is what the post showed when the file was named, as far as is known.
    pub is_present: bool,
}

/// Why there is no address of a file.
#[derive(Clone, Debug, Error)]
pub enum FileError {
    /// The post does not show it any more, or is not there.
    #[error("there is no such file any more")]
    Gone,
    /// The page that would tell cannot be had.
    #[error("Telegram cannot be asked where the file is now: {0}")]
    Page(RefreshError),
    /// Others are asking for too many.
    #[error("too many files are asked for at the moment")]
    Busy,
}

/// What reading the page of a post has shown.
#[derive(Clone, Debug)]
struct Read {
    at: Instant,
    outcome: Result<SeenFiles, FileError>,
}

/// What is read for files.
pub(super) struct Reading {
    flights: Arc<Flights<ChannelName, ()>>,
    read: Cache<(ChannelName, Option<PostId>), Read>,
    permits: Semaphore,
    /// Channels whose pages could not be read.
    failed: Cache<ChannelName, (Instant, RefreshError)>,
    /// Files whose addresses were refused though they were new, with these.
    dead: Cache<FileId, String>,
    /// For how long an address is good without being tried.
    good_for: Duration,
}

impl Reading {
    pub(super) fn new(good_for: Duration) -> Self {
        Self {
            flights: Flights::new(),
            read: Cache::builder().max_capacity(MAX_READ).time_to_live(good_for.max(GONE)).build(),
            failed: Cache::builder().max_capacity(MAX_READ).time_to_live(GONE).build(),
            dead: Cache::builder().max_capacity(MAX_READ).time_to_live(GONE).build(),
            permits: Semaphore::new(MAX_READING),
            good_for,
        }
    }
}

impl Channels {
    /// The file's address at Telegram. The page of its post is read when the one that is known is too old, or was
    /// `refused`.
    ///
    /// # Errors
    ///
    /// See [`FileError`].
    pub async fn address(
        self: &Arc<Self>,
        file: &FileId,
        refused: Option<&str>,
    ) -> Result<Address, FileError> {
        let (begun, until) = (now(), Instant::now() + PATIENCE);
        let owner = (file.channel.clone(), file.post);
        loop {
            let (read, dead) = (self.reading.read.get(&owner), self.reading.dead.get(file));
            let known = self.seen_files(file, read.as_ref()).await;
            let is =
                |known: &SeenFiles, url: Option<&str>| url.is_some() && known.files.address(file.name) == url;
            let is_dead = known.as_ref().is_some_and(|known| is(known, dead.as_deref()));
            let is_new = |read: &Read| {
                read.at.elapsed() < NEW && read.outcome.as_ref().is_ok_and(|found| is(found, refused))
            };
            if is_dead || read.as_ref().is_some_and(is_new) {
                return Err(FileError::Gone);
            }
            let is_refused = |known: &SeenFiles| is(known, refused);
            let known = known.filter(|known| known.seen >= begun || !is_refused(known));
            let age = |known: &SeenFiles| now().duration_since(known.seen).unsigned_abs();
            let is_good = |known: &&SeenFiles| known.seen >= begun || age(known) < self.reading.good_for;
            if let Some(known) = known.as_ref().filter(is_good) {
                return address_in(known, file);
            }
            let failed = match (read, self.reading.failed.get(&file.channel)) {
                (Some(Read { at, outcome: Err(FileError::Gone) }), _) if at.elapsed() < GONE => {
                    return Err(FileError::Gone);
                }
                (Some(Read { at, outcome: Err(err) }), _) if at.elapsed() < FAILED => Some(err),
                (_, Some((at, err))) if at.elapsed() < FAILED || err.is_telegrams_word() => {
                    Some(FileError::Page(err))
                }
                _ if Instant::now() >= until => Some(FileError::Busy),
                _ => None,
            };
            if let Some(err) = failed {
                // An address that is only old may still be good.
                return known.ok_or(err).and_then(|known| address_in(&known, file));
            }
            let (channels, asked) = (Arc::clone(self), file.clone());
            // The page that is being read now may show this post too.
            let flight = self.reading.flights.start(file.channel.clone(), || async move {
                channels.read_again(&asked).await;
            });
            let left = until.saturating_duration_since(Instant::now());
            drop(tokio::time::timeout(left, flight).await);
        }
    }

    /// A new address of a file was refused as well: it is not looked for again for a while.
    pub fn give_up(&self, file: &FileId, refused: String) {
        self.reading.dead.insert(file.clone(), refused);
    }

    /// The addresses that were given last, of the archive and of pages that were read for files.
    async fn seen_files(self: &Arc<Self>, file: &FileId, read: Option<&Read>) -> Option<SeenFiles> {
        let read = read.and_then(|read| read.outcome.clone().ok());
        let archived = match self.archive.files(&file.channel, file.post, Wait::Refresh).await {
            Ok(archived) => archived,
            Err(err) => {
                tracing::debug!(channel = %file.channel, "files are looked for in memory alone: {err}");
                self.files_in_memory(file)
            }
        };
        archived.into_iter().chain(read).max_by_key(|files| files.seen)
    }

    fn files_in_memory(self: &Arc<Self>, file: &FileId) -> Option<SeenFiles> {
        let served = self.known(&file.channel)?;
        let snapshot = served.snapshot.unpack().ok()?;
        let files = match file.post {
            Some(id) => Files::of(snapshot.posts.iter().find(|post| post.id == id)?),
            None => Files::of_channel(&snapshot.channel),
        };
        Some(SeenFiles { files, seen: now().saturating_sub(served.age).unwrap_or_default() })
    }

    /// Reads the page that shows a post, and keeps what it tells of all posts that it shows.
    async fn read_again(self: &Arc<Self>, file: &FileId) {
        let (name, post) = (&file.channel, file.post);
        let lease = format!("{name}/files");
        if self.is_read_elsewhere(file, &lease).await {
            return;
        }
        let Ok(_permit) = self.reading.permits.acquire().await else { return };
        let seen = now();
        let keep = |post: Option<PostId>, outcome: Result<Files, FileError>| {
            let outcome = outcome.map(|files| SeenFiles { files, seen });
            self.reading.read.insert((name.clone(), post), Read { at: Instant::now(), outcome });
        };
        // With the album that may begin with it.
        let above = post.and_then(|post| PostId::new(post.get().saturating_add(MAX_ALBUM)));
        let page =
            read_page(&self.client, name, above.map_or(Which::Newest, Which::Before), Line::Known, None)
                .await;
        match page {
            Ok(page) => {
                let Page { snapshot, .. } = &page;
                let shown = || snapshot.posts.iter().filter(|post| post.only_in_telegram.is_none());
                // The albums at both ends of a page may be cut, but not the one that was asked for.
                let (first, last) = (snapshot.posts.first(), snapshot.posts.last());
                let may_be_cut = |id| {
                    let is_first = snapshot.has_older && first.is_some_and(|first| first.id == id);
                    let is_last =
                        post.is_some_and(|post| id > post) && last.is_some_and(|last| last.id == id);
                    Some(id) != post && (is_first || is_last)
                };
                for whole in shown().filter(|shown| !may_be_cut(shown.id)) {
                    keep(Some(whole.id), Ok(Files::of(whole)));
                }
                keep(None, Ok(Files::of_channel(&snapshot.channel)));
                if let Some(id) = post.filter(|id| !shown().any(|shown| shown.id == *id)) {
                    keep(post, self.files_alone(&snapshot.channel, id).await);
                }
                tracing::info!(channel = %name, posts = snapshot.posts.len(), "read again for its files");
                // What the archive does about it whoever waits for a file need not wait for.
                let (channels, name) = (Arc::clone(self), name.clone());
                let reach = Reach::Again(above.unwrap_or(PostId::MAX));
                let merging = tokio::spawn(async move {
                    let merged =
                        channels.archive.merge(&name, Arc::new(page), reach, seen, Duration::ZERO).await;
                    if let Err(err) = merged {
                        tracing::warn!(channel = %name, "new addresses of files are in memory alone: {err}");
                    }
                    channels.archive.release(&lease).await;
                });
                drop(tokio::time::timeout(self.archive.patience(Wait::Refresh), merging).await);
            }
            Err(err) => {
                tracing::warn!(channel = %name, "files cannot be looked for: {err}");
                self.reading.failed.insert(name.clone(), (Instant::now(), err));
                self.archive.release(&lease).await;
            }
        }
    }

    /// Files of a post that the preview page does not show, by the post's widget.
    async fn files_alone(&self, channel: &Channel, id: PostId) -> Result<Files, FileError> {
        match hidden::widget(&self.client, channel, id).await {
            Ok(Some(post)) => Ok(Files::of(&post)),
            Ok(None) => Err(FileError::Gone),
            Err(err) => Err(FileError::Page(err.into())),
        }
    }

    /// Waits while another copy of the program reads this channel again. Tells whether that has helped.
    async fn is_read_elsewhere(self: &Arc<Self>, file: &FileId, lease: &str) -> bool {
        // When a channel's own photo was seen is not archived.
        if !self.archive.is_shared() || file.post.is_none() {
            return false;
        }
        let until = Instant::now() + ELSEWHERE.0;
        let before = self.archive.files(&file.channel, file.post, Wait::Refresh).await;
        let before = before.ok().flatten().map_or(Timestamp::MIN, |files| files.seen);
        while let Ok(Lease::Theirs) = self.archive.lease(lease).await {
            if Instant::now() > until {
                return false;
            }
            tokio::time::sleep(ELSEWHERE.1).await;
            let archived = self.archive.files(&file.channel, file.post, Wait::Refresh).await;
            if archived.is_ok_and(|files| files.is_some_and(|files| files.seen > before)) {
                return true;
            }
        }
        false
    }
}

fn address_in(known: &SeenFiles, file: &FileId) -> Result<Address, FileError> {
    let url = known.files.address(file.name).ok_or(FileError::Gone)?;
    Ok(Address { url: url.to_owned(), is_present: known.files.is_present(file.name) })
}
