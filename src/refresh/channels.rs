//! The channels of a service: what is known of each, and when to ask again.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::failures::{Failure, Failures, Knowledge};
use super::files::Reading;
use super::freshness::Freshness;
use super::{RefreshError, Samples, follow_up, read_page};
use crate::archive::{self, Archive, ArchiveError, Known, Lease, Reach, Wait};
use crate::cache::{Flights, Lookup, Packed, Snapshots};
use crate::channel::ChannelName;
use crate::meter;
use crate::post::Snapshot;
use crate::telegram::address::Which;
use crate::telegram::client::{Client, Line};
use crate::telegram::page::Page;
use crate::work;

/// How long what another copy of the program reads is waited for.
const ELSEWHERE: Duration = Duration::from_secs(6);

/// How often it is looked for in case that nobody said it is there.
const LOOK: Duration = Duration::from_secs(1);

/// For how long a reader may keep what is stale: by then it has been refreshed, or not.
pub const STALE: Duration = Duration::from_mins(1);

/// The channels of a service.
pub struct Channels {
    pub(super) client: Client,
    pub(super) archive: Arc<Archive>,
    /// Pages that are read after a refresh to fill gaps, at most.
    pub(super) gap_pages: usize,
    pub(super) walks: Arc<Flights<ChannelName, bool>>,
    follow_ups: Arc<Flights<ChannelName, ()>>,
    freshness: Freshness,
    snapshots: Snapshots,
    failures: Failures,
    flights: Arc<Flights<ChannelName, Landed>>,
    pub(super) reading: Reading,
    samples: Samples,
}

/// A channel as it is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// What it has published.
    pub snapshot: Arc<Packed>,
    /// How long ago that was fetched.
    pub age: Duration,
    /// For how long a reader may keep it.
    pub max_age: Duration,
    /// Where it came from.
    pub origin: Origin,
}

/// Where what is served came from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Telegram, just now.
    Upstream,
    /// The cache.
    Cache,
    /// The cache, though it has been stale for so long; with the failure of the last refresh, if it failed.
    Stale(Duration, Option<RefreshError>),
}

impl Channels {
    /// Channels that are asked for through `client`, archived in `archive`, and kept in memory in at most so many bytes.
    /// A runtime must be there.
    #[must_use]
    pub fn new(
        client: Client,
        archive: Arc<Archive>,
        cache_size: ByteSize,
        freshness: Freshness,
        gap_pages: usize,
        files_good_for: Duration,
        samples: Samples,
    ) -> Arc<Self> {
        let channels = Arc::new(Self {
            client,
            archive,
            gap_pages,
            walks: Flights::new(),
            follow_ups: Flights::new(),
            freshness,
            snapshots: Snapshots::new(cache_size.as_u64()),
            failures: Failures::new(),
            flights: Flights::new(),
            reading: Reading::new(files_good_for),
            samples,
        });
        if channels.archive.is_shared() {
            tokio::spawn(heed(Arc::downgrade(&channels), channels.archive.notices()));
        }
        channels
    }

    /// A channel as it is known, or becomes known now.
    ///
    /// # Errors
    ///
    /// Why there is nothing to serve.
    pub async fn get(self: &Arc<Self>, name: &ChannelName) -> Result<Served, Failure> {
        if let Some(served) = self.known(name) {
            return Ok(served);
        }
        if let Some(failure) = self.failures.remembered(name).filter(|failure| !failure.may_be_archived) {
            return Err(failure);
        }
        let broken = || self.failure(name, RefreshError::Broken, Knowledge::None);
        let (snapshot, origin) = self.flight(name).await.unwrap_or_else(|| Err(broken()))?;
        // What was archived may be stale.
        if matches!(origin, Origin::Cache)
            && let Some(served) = self.known(name)
        {
            return Ok(served);
        }
        let max_age = match self.snapshots.lookup(name) {
            Lookup::Fresh { left, .. } => left,
            Lookup::Stale { .. } | Lookup::Miss => STALE,
        };
        Ok(Served { snapshot, age: Duration::ZERO, max_age, origin: Origin::Upstream })
    }

    /// A channel as it is known, at once. One that is stale is refreshed behind the answer, for which a runtime
    /// must be there.
    #[must_use]
    pub fn known(self: &Arc<Self>, name: &ChannelName) -> Option<Served> {
        match self.snapshots.lookup(name) {
            Lookup::Fresh { snapshot, age, left } => {
                Some(Served { snapshot, age, max_age: left, origin: Origin::Cache })
            }
            Lookup::Stale { snapshot, age, over } => {
                let failure = self.failures.get(name);
                if failure.as_ref().is_none_or(|failure| failure.left().is_zero()) {
                    drop(self.flight(name));
                }
                let error = failure.map(|failure| failure.error);
                Some(Served { snapshot, age, max_age: STALE, origin: Origin::Stale(over, error) })
            }
            Lookup::Miss => None,
        }
    }

    /// Tells how upstreams and the archive are.
    pub fn meter(&self) {
        self.client.meter();
        meter::archive_is(self.archive_is_up());
    }

    /// Whether the archive can be used at the moment.
    #[must_use]
    pub fn archive_is_up(&self) -> bool {
        self.archive.is_up()
    }

    fn flight(self: &Arc<Self>, name: &ChannelName) -> impl Future<Output = Option<Landed>> + use<> {
        let (channels, name) = (Arc::clone(self), name.clone());
        self.flights.start(name.clone(), || async move {
            let refreshed = AssertUnwindSafe(channels.refresh(&name)).catch_unwind().await;
            refreshed.unwrap_or_else(|_| Err(channels.failure(&name, RefreshError::Broken, Knowledge::None)))
        })
    }

    /// Looks a channel up in the archive, or fetches it anew and remembers the outcome, whichever it is.
    async fn refresh(self: &Arc<Self>, name: &ChannelName) -> Landed {
        let known = match self.snapshots.lookup(name) {
            // Another refresh has ended between a reader's look into the cache and this one.
            Lookup::Fresh { snapshot, .. } => return Ok((snapshot, Origin::Cache)),
            Lookup::Stale { snapshot, .. } => Some(snapshot),
            Lookup::Miss => None,
        };
        let mut knowledge = if known.is_some() { Knowledge::Posts } else { Knowledge::None };
        if known.is_none() {
            match self.archive.load(name, Wait::Refresh).await {
                Ok(Some(found)) => {
                    let kept = self.keep(name, found).await;
                    return kept
                        .map(|kept| (kept, Origin::Cache))
                        .map_err(|err| self.failure(name, err, knowledge));
                }
                Ok(None) => {}
                Err(err) => {
                    log_unless_resting(name, &err);
                    knowledge = Knowledge::Unasked;
                }
            }
        }
        // As has one that failed.
        if let Some(failure) = self.failures.remembered(name) {
            return Err(failure);
        }
        if let Some(snapshot) = self.read_elsewhere(name).await {
            return Ok((snapshot, Origin::Cache));
        }
        match self.fetch(name, known.clone()).await {
            Ok(packed) => {
                meter::refreshed("ok".to_owned());
                self.failures.forget(name);
                Ok((packed, Origin::Upstream))
            }
            Err(error) => {
                self.archive.release(name.as_str()).await;
                let known = known.is_some();
                meter::refreshed(error.word());
                let failure = self.failure(name, error, knowledge);
                let error = &failure.error;
                if error.is_telegrams_word() {
                    tracing::info!(channel = %name, "has no posts: {error}");
                    if known && let Err(err) = self.archive.bury(name).await {
                        tracing::warn!(channel = %name, "that it is gone cannot be archived: {err}");
                    }
                } else if known {
                    tracing::warn!(channel = %name, times = failure.times, "goes on as it was: {error}");
                } else {
                    tracing::warn!(channel = %name, times = failure.times, "cannot be read: {error}");
                }
                Err(failure)
            }
        }
    }

    /// What the archive has of a channel, into memory.
    pub(super) async fn reload(&self, name: &ChannelName) {
        match self.archive.load(name, Wait::Behind).await {
            Ok(Some(known)) => drop(self.keep(name, known).await),
            Ok(None) => {}
            Err(err) => log_unless_resting(name, &err),
        }
    }

    /// What another copy of the program is reading at this moment, or has read since, when the archive is shared.
    async fn read_elsewhere(&self, name: &ChannelName) -> Option<Arc<Packed>> {
        if !self.archive.is_shared() {
            return None;
        }
        let until = Instant::now() + ELSEWHERE;
        let mut notices = self.archive.notices();
        loop {
            // An archive that is not there has no part in it.
            let lease = self
                .archive
                .lease(name.as_str())
                .await
                .inspect_err(|err| log_unless_resting(name, err))
                .ok()?;
            let found = self.archive.load(name, Wait::Refresh).await;
            if let Some(found) = found.inspect_err(|err| log_unless_resting(name, err)).ok()?
                && found.fresh_until() > now()
            {
                if lease == Lease::Ours {
                    self.archive.release(name.as_str()).await;
                }
                return self.keep(name, found).await.ok();
            }
            if lease == Lease::Ours || Instant::now() > until {
                return None;
            }
            let notice = async { while notices.recv().await.is_ok_and(|noticed| noticed != *name) {} };
            drop(tokio::time::timeout(LOOK, notice).await);
        }
    }

    /// Fetches a channel anew, merges it with what is known, and keeps it.
    async fn fetch(
        self: &Arc<Self>,
        name: &ChannelName,
        known: Option<Arc<Packed>>,
    ) -> Result<Arc<Packed>, RefreshError> {
        let line = if known.is_some() { Line::Known } else { Line::New };
        let page = read_page(&self.client, name, Which::Newest, line, Some(&self.samples)).await?;
        let (n_posts, fresh_for, fetched) =
            (page.snapshot.posts.len(), self.fresh_for(&page.snapshot), now());
        let has_hidden = page.snapshot.posts.iter().any(|post| post.only_in_telegram.is_some());
        let page = Arc::new(page);
        // It goes on when readers no longer wait for it, and has the lease until its end.
        let mut merging = {
            let (channels, name, page) = (Arc::clone(self), name.clone(), Arc::clone(&page));
            tokio::spawn(async move {
                let merged = channels.archive.merge(&name, page, Reach::Newest, fetched, fresh_for).await;
                let known = match merged {
                    Ok(_) => channels.archive.load(&name, Wait::Behind).await,
                    Err(err) => Err(err),
                };
                channels.archive.release(name.as_str()).await;
                let kept = match known? {
                    Some(known) => channels.keep(&name, known).await.ok(),
                    None => None,
                };
                channels.start_follow_up(&name, has_hidden);
                Ok::<_, ArchiveError>(kept)
            })
        };
        let merged = tokio::time::timeout(self.archive.patience(Wait::Refresh), &mut merging).await;
        let why = match merged {
            Ok(Ok(Ok(Some(kept)))) => {
                tracing::info!(channel = %name, posts = n_posts, "refreshed");
                return Ok(kept);
            }
            Ok(Ok(Ok(None))) => "it has lost the channel".to_owned(),
            Ok(Ok(Err(err))) => err.to_string(),
            Ok(Err(err)) => err.to_string(),
            Err(_) => "it is slow".to_owned(),
        };
        tracing::warn!(channel = %name, "goes on without the archive: {why}");
        let kept = self.keep_page(name, known, &page, fetched, fresh_for).await;
        tracing::info!(channel = %name, posts = n_posts, "refreshed");
        kept
    }

    fn start_follow_up(self: &Arc<Self>, name: &ChannelName, has_hidden: bool) {
        let (channels, after) = (Arc::clone(self), name.clone());
        drop(self.follow_ups.start(name.clone(), || async move {
            let Self { client, archive, gap_pages, .. } = &*channels;
            if follow_up(client, archive, &after, *gap_pages, has_hidden, now()).await {
                channels.reload(&after).await;
            }
        }));
    }

    /// Keeps in memory what is archived.
    async fn keep(&self, name: &ChannelName, known: Known) -> Result<Arc<Packed>, RefreshError> {
        // What comes from the future was written by a wrong clock: it is asked again.
        let age = Duration::try_from(now().duration_since(known.fetched)).unwrap_or(known.fresh_for);
        let Known { snapshot, changed, fresh_for, .. } = known;
        let packed =
            work::off_thread(move || Packed::new(&snapshot, changed)).await.map_err(io::Error::other)??;
        Ok(self.snapshots.insert(name.clone(), packed, age, fresh_for))
    }

    /// Keeps in memory what a page shows, with what was known before.
    async fn keep_page(
        &self,
        name: &ChannelName,
        known: Option<Arc<Packed>>,
        page: &Page,
        fetched: Timestamp,
        fresh_for: Duration,
    ) -> Result<Arc<Packed>, RefreshError> {
        let changed = known.as_ref().and_then(|known| known.changed());
        let known = known.map(|known| known.unpack()).transpose()?;
        let snapshot = archive::without_archive(known, page, fetched);
        self.keep(name, Known { snapshot, changed, fetched, fresh_for }).await
    }

    fn fresh_for(&self, snapshot: &Snapshot) -> Duration {
        let newest = snapshot.posts.iter().map(|post| post.published).max().unwrap_or_default();
        self.freshness.of(newest, now(), fastrand::f64())
    }

    /// Remembers a failure. What is gone is not served any more.
    fn failure(&self, name: &ChannelName, error: RefreshError, knowledge: Knowledge) -> Failure {
        let failure = self.failures.add(name, error, knowledge, Instant::now());
        if failure.error.is_telegrams_word() {
            self.snapshots.remove(name);
        }
        failure
    }
}

fn log_unless_resting(name: &ChannelName, err: &ArchiveError) {
    if !matches!(err, ArchiveError::Resting) {
        tracing::error!(channel = %name, "cannot be read from the archive: {err}");
    }
}

/// What a refresh has come to, and whether Telegram was asked.
type Landed = Result<(Arc<Packed>, Origin), Failure>;

/// The wall clock, for what is compared with times of posts, or outlives the program.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for it")]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Takes over what other copies of the program have merged, of the channels that are in memory here.
async fn heed(channels: Weak<Channels>, mut notices: broadcast::Receiver<ChannelName>) {
    loop {
        let name = match notices.recv().await {
            Ok(name) => name,
            // Those are noticed before they are refreshed.
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(channels) = channels.upgrade() else { return };
        if !matches!(channels.snapshots.lookup(&name), Lookup::Miss) {
            channels.reload(&name).await;
        }
    }
}
