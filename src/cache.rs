//! What is kept in memory: a snapshot of each channel, and the feeds rendered from it.
//!
//! Both are bounded in bytes. Work on an entry is done once however many ask for it, in a task of its own: who
//! asks may go away at any time, and moka's own waiting would start the work again with each one that does.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use moka::sync::Cache;

use crate::channel::ChannelName;
use crate::post::{Media, Post, Snapshot};

#[derive(Clone, Debug)]
struct Stored {
    snapshot: Arc<Snapshot>,
    fetched: Instant,
    fresh_for: Duration,
}

/// What the cache knows of a channel.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// A snapshot that may be served without asking.
    Fresh {
        /// The snapshot.
        snapshot: Arc<Snapshot>,
        /// How long ago it was fetched.
        age: Duration,
        /// For how much longer it is fresh.
        left: Duration,
    },
    /// A snapshot that is served while it is being refreshed.
    Stale {
        /// The snapshot.
        snapshot: Arc<Snapshot>,
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
            u32::try_from(ENTRY + weight(&stored.snapshot)).unwrap_or(u32::MAX)
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

    /// Keeps what was just fetched.
    pub fn insert(&self, name: ChannelName, snapshot: Arc<Snapshot>, fresh_for: Duration) {
        self.0.insert(name, Stored { snapshot, fetched: Instant::now(), fresh_for });
    }

    /// Forgets a channel.
    pub fn remove(&self, name: &ChannelName) {
        self.0.invalidate(name);
    }
}

/// What the cache itself takes for an entry, roughly.
const ENTRY: usize = 256;

/// Bytes of memory that a snapshot takes, nearly.
fn weight(snapshot: &Snapshot) -> usize {
    size_of::<Snapshot>() + snapshot.posts.iter().map(post_weight).sum::<usize>()
}

fn post_weight(post: &Post) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let media = post.media.iter().map(|medium| {
        size_of::<Media>()
            + match medium {
                Media::Photo { url, .. } | Media::Voice { url, .. } => url.len(),
                Media::Video(video) => optional(&video.url) + optional(&video.poster),
                Media::Sticker { url, still, .. } => url.len() + optional(still),
                Media::Location { url, map, .. } => url.len() + optional(map),
                Media::Contact { .. } => 64,
                Media::Game(offer) | Media::Invoice(offer) => {
                    optional(&offer.description) + optional(&offer.image)
                }
            }
    });
    let preview = post.preview.as_ref().map_or(0, |preview| {
        preview.url.len()
            + optional(&preview.description)
            + optional(&preview.image)
            + optional(&preview.video)
    });
    let reply = post.reply.as_ref().map_or(0, |reply| reply.text.len());
    // An entity is its range and, mostly, an address.
    let text = post.text.text().len() + post.text.entities().len() * 96;
    size_of::<Post>() + post.permalink.len() + media.sum::<usize>() + preview + reply + text
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

    /// Waits for the task of this key, which is started now unless it is running.
    ///
    /// The task goes on when nobody waits for it any more. `None` when it panicked.
    pub async fn join<F>(self: &Arc<Self>, key: K, start: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.start(key, start).await
    }

    /// Starts the task of this key unless it is running. It goes on whether or not what is returned is awaited.
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
        let landing = Landing { flights: Arc::clone(self), key };
        let task = tokio::spawn(async move {
            let _landing = landing;
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
