//! What is kept in memory: a snapshot of each channel, and the feeds rendered from it.
//!
//! Both are bounded in bytes. Work on an entry is done once however many ask for it, in a task of its own: who
//! asks may go away at any time, and moka's own waiting would start the work again with each one that does.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;
use moka::sync::Cache;
use tracing::Instrument;

use crate::channel::ChannelName;
use crate::post::Snapshot;

#[derive(Clone, Debug)]
struct Stored {
    snapshot: Arc<Packed>,
    fetched: Instant,
    fresh_for: Duration,
}

/// What the cache knows of a channel.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// A snapshot that may be served without asking.
    Fresh {
        /// The snapshot.
        snapshot: Arc<Packed>,
        /// How long ago it was fetched.
        age: Duration,
        /// For how much longer it is fresh.
        left: Duration,
    },
    /// A snapshot that is served while it is being refreshed.
    Stale {
        /// The snapshot.
        snapshot: Arc<Packed>,
        /// How long ago it was fetched.
        age: Duration,
        /// For how long it has been stale.
        over: Duration,
    },
    /// Nothing.
    Miss,
}

/// Snapshots by the name that was asked for, since a channel can have several.
#[derive(Debug)]
pub struct Snapshots(Cache<ChannelName, Stored>);

impl Snapshots {
    /// A cache of at most so many bytes.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let weigher = |_: &ChannelName, stored: &Stored| {
            u32::try_from(ENTRY + stored.snapshot.bytes.len()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(max_bytes).weigher(weigher).build())
    }

    /// What is known of a channel.
    #[must_use]
    pub fn lookup(&self, name: &ChannelName) -> Lookup {
        let Some(Stored { snapshot, fetched, fresh_for }) = self.0.get(name) else { return Lookup::Miss };
        let age = fetched.elapsed();
        match fresh_for.checked_sub(age) {
            Some(left) if !left.is_zero() => Lookup::Fresh { snapshot, age, left },
            _ => Lookup::Stale { snapshot, age, over: age.saturating_sub(fresh_for) },
        }
    }

    /// Keeps what was fetched `age` ago. Returns what is kept: when the same is there already, that stays, and with
    /// it what was made from it.
    #[must_use]
    pub fn insert(
        &self,
        name: ChannelName,
        snapshot: Packed,
        age: Duration,
        fresh_for: Duration,
    ) -> Arc<Packed> {
        // A machine that has just started has no time before that; what was fetched then is as good as expired.
        let (fetched, fresh_for) = Instant::now()
            .checked_sub(age)
            .map_or((Instant::now(), Duration::ZERO), |then| (then, fresh_for));
        let same = self.0.get(&name).filter(|stored| *stored.snapshot == snapshot);
        let snapshot = same.map_or_else(|| Arc::new(snapshot), |stored| stored.snapshot);
        self.0.insert(name, Stored { snapshot: Arc::clone(&snapshot), fetched, fresh_for });
        snapshot
    }

    /// Forgets a channel.
    pub fn remove(&self, name: &ChannelName) {
        self.0.invalidate(name);
    }
}

/// What the cache itself takes for an entry, roughly.
const ENTRY: usize = 512;

/// A snapshot as it is kept: a third to a quarter of its size, which decides how many channels fit into memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Packed {
    bytes: Box<[u8]>,
    /// When something changed that no post tells.
    changed: Option<Timestamp>,
    channel: ChannelName,
}

impl Packed {
    /// Packs a snapshot, of which something that no post tells changed last at `changed`.
    ///
    /// # Errors
    ///
    /// None that its content could cause.
    pub fn new(snapshot: &Snapshot, changed: Option<Timestamp>) -> io::Result<Self> {
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
        serde_json::to_writer(&mut deflated, snapshot)?;
        Ok(Self {
            bytes: deflated.finish()?.into_boxed_slice(),
            changed,
            channel: snapshot.channel.name.clone(),
        })
    }

    /// Whose posts they are, by the name that is the channel's own.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// When something changed that no post tells.
    #[must_use]
    pub fn changed(&self) -> Option<Timestamp> {
        self.changed
    }

    /// The snapshot that was packed.
    ///
    /// # Errors
    ///
    /// When memory has been damaged.
    pub fn unpack(&self) -> io::Result<Snapshot> {
        let mut json = Vec::new();
        DeflateDecoder::new(&*self.bytes).read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

/// The outcome of a task, for everybody who waits; `None` when it panicked.
type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// Work in progress: at most one task for a key at a time, and everybody who asks meanwhile waits for it.
pub struct Flights<K, V> {
    running: Mutex<HashMap<K, Flight<V>>>,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Debug + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// None running.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { running: Mutex::default() })
    }

    /// Starts the task of this key unless it is running. It goes on whether or not what is returned is awaited, which
    /// is `None` when it panics.
    pub fn start<F>(self: &Arc<Self>, key: K, start: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.entry(key.clone()).or_insert_with(|| self.take_off(key, start())).clone()
    }

    fn take_off<F>(self: &Arc<Self>, key: K, work: F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let flights = Arc::clone(self);
        // It is told in the log on whose behalf it began.
        let work = work.in_current_span();
        let task = tokio::spawn(async move {
            let _landing = Landing { flights, key };
            work.await
        });
        task.map(|outcome| outcome.inspect_err(|err| tracing::error!("a task failed: {err}")).ok())
            .boxed()
            .shared()
    }
}

/// Takes a flight off the list, also when its task panics.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::telegram::page::{self, Source};

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        for html in [include_str!("../tests/pages/text.html"), include_str!("../tests/pages/relation.html")] {
            let snapshot = page::parse(html, Source::Saved(None)).unwrap().snapshot;
            assert_eq!(Packed::new(&snapshot, None).unwrap().unpack().unwrap(), snapshot);
        }
    }

    #[tokio::test]
    async fn work_is_done_once_though_everybody_leaves() {
        let flights = Flights::<u8, usize>::new();
        let (started, may_end) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (started, may_end) = (Arc::clone(&started), Arc::clone(&may_end));
            async move {
                let n = started.fetch_add(1, Ordering::SeqCst) + 1;
                may_end.notified().await;
                n
            }
        };
        let waiters: Vec<_> = (0..1000).map(|_| tokio::spawn(flights.start(1, work))).collect();
        tokio::task::yield_now().await;
        waiters.iter().for_each(tokio::task::JoinHandle::abort);
        let last = flights.start(1, work);
        may_end.notify_one();
        assert_eq!((last.await, started.load(Ordering::SeqCst)), (Some(1), 1));
        may_end.notify_one();
        assert_eq!(flights.start(1, work).await, Some(2), "the next one starts anew");
    }

    #[tokio::test]
    async fn work_that_panics_is_no_work_for_ever() {
        let flights = Flights::<u8, u8>::new();
        assert_eq!(flights.start(1, || async { panic!("on purpose") }).await, None);
        assert_eq!(flights.start(1, || async { 7 }).await, Some(7));
    }
}
