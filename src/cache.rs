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
}

/// What the cache knows of a channel.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// A snapshot that may be served without asking, for this much longer.
    Fresh(Arc<Snapshot>, Duration),
    /// A snapshot that should be refreshed, and served when that fails.
    Stale(Arc<Snapshot>),
    /// Nothing.
    Miss,
}

/// Snapshots by the name that was asked for, since a channel can have several.
#[derive(Debug)]
pub struct Snapshots {
    stored: Cache<ChannelName, Stored>,
    fresh_for: Duration,
}

impl Snapshots {
    /// A cache of at most so many bytes, whose snapshots are fresh for so long.
    #[must_use]
    pub fn new(max_bytes: u64, fresh_for: Duration) -> Self {
        let weigher =
            |_: &ChannelName, stored: &Stored| u32::try_from(weight(&stored.snapshot)).unwrap_or(u32::MAX);
        Self { stored: Cache::builder().max_capacity(max_bytes).weigher(weigher).build(), fresh_for }
    }

    /// What is known of a channel.
    #[must_use]
    pub fn lookup(&self, name: &ChannelName) -> Lookup {
        match self.stored.get(name) {
            None => Lookup::Miss,
            Some(Stored { snapshot, fetched }) => match self.fresh_for.checked_sub(fetched.elapsed()) {
                Some(left) if !left.is_zero() => Lookup::Fresh(snapshot, left),
                _ => Lookup::Stale(snapshot),
            },
        }
    }

    /// How long a snapshot is fresh.
    #[must_use]
    pub fn fresh_for(&self) -> Duration {
        self.fresh_for
    }

    /// Keeps what was just fetched.
    pub fn insert(&self, name: ChannelName, snapshot: Arc<Snapshot>) {
        self.stored.insert(name, Stored { snapshot, fetched: Instant::now() });
    }
}

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

/// Work in progress: at most one task for a key at a time, and everybody who asks meanwhile waits for it.
pub struct Flights<K, V> {
    running: Mutex<HashMap<K, Shared<BoxFuture<'static, Option<V>>>>>,
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
        let flight = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.entry(key.clone()).or_insert_with(|| self.take_off(key, start())).clone()
        };
        flight.await
    }

    fn take_off<F>(self: &Arc<Self>, key: K, work: F) -> Shared<BoxFuture<'static, Option<V>>>
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
