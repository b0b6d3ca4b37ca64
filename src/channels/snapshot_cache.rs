//! The in-memory cache: a compressed snapshot per channel, bounded in bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::Entry;
use moka::sync::Cache;
use tokio::time::Instant;

use crate::clock;
use crate::compressed_json;
use crate::model::channel::ChannelName;
use crate::model::post::Snapshot;

/// Approximate size of an entry beside its compressed snapshot, in bytes.
const ENTRY_OVERHEAD: usize = 512;

/// A snapshot as it is cached, with its age.
#[derive(Clone, Debug)]
pub(super) struct CacheEntry {
    pub(super) snapshot: Arc<CompressedSnapshot>,
    fetched: Instant,
    fresh_for: Duration,
    /// When the snapshot was fetched by the clock, in milliseconds since the Unix epoch, as the archive stores it.
    fetched_ms: i64,
}

impl CacheEntry {
    /// Returns how long ago the snapshot was fetched, by the clock if that says more: an [`Instant`] stands still while the
    /// machine is suspended.
    pub(super) fn age(&self) -> Duration {
        let by_clock = Duration::try_from(clock::now().duration_since(self.fetched()));
        self.fetched.elapsed().max(by_clock.unwrap_or_default())
    }

    /// Returns when the snapshot was fetched.
    pub(super) fn fetched(&self) -> Timestamp {
        Timestamp::from_millisecond(self.fetched_ms).unwrap_or_default()
    }

    /// Returns up to which age the snapshot is fresh.
    pub(super) fn fresh_for(&self) -> Duration {
        self.fresh_for
    }

    /// Returns how much longer the snapshot is fresh; `Err` with how long it has been stale.
    pub(super) fn remaining(&self) -> Result<Duration, Duration> {
        let age = self.age();
        match self.fresh_for.checked_sub(age) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(age.saturating_sub(self.fresh_for)),
        }
    }
}

/// Snapshots by the name that was requested; a channel can have several names.
#[derive(Debug)]
pub(super) struct SnapshotCache(Cache<ChannelName, CacheEntry>);

impl SnapshotCache {
    /// Returns an empty cache of at most `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        let weigher = |_: &ChannelName, entry: &CacheEntry| {
            u32::try_from(ENTRY_OVERHEAD + entry.snapshot.compressed_len()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(max_bytes).weigher(weigher).build())
    }

    /// Returns the cached snapshot of a channel.
    pub(super) fn get(&self, name: &ChannelName) -> Option<CacheEntry> {
        self.0.get(name)
    }

    /// Returns every entry, with the name that was requested. It does not count as using them.
    pub(super) fn all(&self) -> impl Iterator<Item = (ChannelName, CacheEntry)> {
        self.0.iter().map(|(name, entry)| ((*name).clone(), entry))
    }

    /// Returns the approximate number of entries and their bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        (self.0.entry_count(), self.0.weighted_size())
    }

    /// Inserts a snapshot fetched `age` ago, at `fetched`, and returns the stored one. If its content is unchanged the existing
    /// `Arc` is kept, so feeds rendered from it stay valid. A snapshot that was fetched later is kept too: this one was read
    /// from the archive before that was merged.
    pub(super) fn insert(
        &self,
        name: ChannelName,
        snapshot: &CompressedSnapshot,
        fetched: Timestamp,
        age: Duration,
        fresh_for: Duration,
    ) -> Arc<CompressedSnapshot> {
        let fetched_ms = fetched.as_millisecond();
        // A time in the future is that of a clock that was set back since.
        let is_later = |entry: &CacheEntry| {
            entry.fetched_ms > fetched_ms && entry.fetched_ms <= clock::now().as_millisecond()
        };
        // Shortly after boot an `Instant` cannot be that old; the entry then counts as stale.
        let (fetched, fresh_for) = Instant::now()
            .checked_sub(age)
            .map_or((Instant::now(), Duration::ZERO), |then| (then, fresh_for));
        let newest = |before: Option<Entry<ChannelName, CacheEntry>>| {
            let snapshot = match before.map(Entry::into_value) {
                Some(later) if is_later(&later) => return later,
                Some(same) if *same.snapshot == *snapshot => same.snapshot,
                // A copy by this thread: see `cpu_pool`.
                _ => Arc::new(snapshot.clone()),
            };
            CacheEntry { snapshot, fetched, fresh_for, fetched_ms }
        };
        self.0.entry(name).and_upsert_with(newest).into_value().snapshot
    }

    /// Removes a channel.
    pub(super) fn remove(&self, name: &ChannelName) {
        self.0.invalidate(name);
    }
}

/// A compressed snapshot: a third to a quarter of its size, which decides how many channels fit into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedSnapshot {
    bytes: Box<[u8]>,
    changed: Option<Timestamp>,
    channel: ChannelName,
    newest: Timestamp,
    n_posts: usize,
}

impl CompressedSnapshot {
    /// Compresses a snapshot; `changed` is stored beside it.
    pub(crate) fn new(snapshot: &Snapshot, changed: Option<Timestamp>) -> io::Result<Self> {
        Ok(Self {
            bytes: compressed_json::encode(snapshot)?.into_boxed_slice(),
            changed,
            channel: snapshot.channel.name.clone(),
            newest: snapshot.posts.iter().map(|post| post.published).max().unwrap_or_default(),
            n_posts: snapshot.posts.len(),
        })
    }

    /// Returns the number of posts.
    #[must_use]
    pub fn n_posts(&self) -> usize {
        self.n_posts
    }

    /// Returns the size in bytes.
    pub(super) fn compressed_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the size when it is decompressed, in bytes.
    #[must_use]
    pub fn json_len(&self) -> usize {
        compressed_json::decoded_len(&self.bytes).unwrap_or_default()
    }

    /// Returns the channel's canonical name.
    #[must_use]
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Returns when the last visible change happened that no post's own timestamp shows; see
    /// [`ArchivedChannel::changed`](crate::model::paging::ArchivedChannel::changed).
    #[must_use]
    pub fn changed(&self) -> Option<Timestamp> {
        self.changed
    }

    /// Returns when the newest post was published.
    pub(super) fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Decompresses the snapshot.
    ///
    /// # Errors
    ///
    /// Only if the bytes were not produced by [`Self::new`].
    pub fn decompress(&self) -> io::Result<Snapshot> {
        compressed_json::decode(&self.bytes, usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::telegram::page::{self, PageSource};

    #[test]
    fn compression_is_lossless() {
        for html in
            [include_str!("../../tests/pages/text.html"), include_str!("../../tests/pages/relation.html")]
        {
            let snapshot = page::parse(html, PageSource::Saved(None)).unwrap().snapshot;
            assert_eq!(CompressedSnapshot::new(&snapshot, None).unwrap().decompress().unwrap(), snapshot);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn older_snapshot_does_not_replace_a_newer_one() {
        let snapshot = page::parse(include_str!("../../tests/pages/text.html"), PageSource::Saved(None));
        let snapshot = snapshot.unwrap().snapshot;
        // They differ in when the channel changed last.
        let at = |second: i64| clock::now() + SignedDuration::from_secs(second);
        let (cache, name) = (SnapshotCache::new(1 << 20), snapshot.channel.name.clone());
        let insert = |second: i64, fetched: Timestamp| {
            let compressed = CompressedSnapshot::new(&snapshot, Some(at(second))).unwrap();
            cache.insert(name.clone(), &compressed, fetched, Duration::ZERO, Duration::ZERO);
            cache.get(&name).unwrap().snapshot.changed() == Some(at(second))
        };
        assert!(insert(1, at(-60)));
        assert!(insert(2, at(-60)), "the archive has more of the same page");
        assert!(!insert(3, at(-61)));
        assert!(insert(4, at(60)));
        assert!(insert(5, at(0)), "the clock was set back");
    }

    /// During a suspend only the clock goes on.
    #[test]
    fn age_is_also_that_by_the_clock() {
        let snapshot = page::parse(include_str!("../../tests/pages/text.html"), PageSource::Saved(None));
        let snapshot = Arc::new(CompressedSnapshot::new(&snapshot.unwrap().snapshot, None).unwrap());
        let age = |by_clock: SignedDuration, by_instant: Duration| {
            let (fetched, fetched_ms) = (Instant::now(), (clock::now() - by_clock).as_millisecond());
            let fresh_for = Duration::from_mins(5);
            let snapshot = Arc::clone(&snapshot);
            let fetched = fetched.checked_sub(by_instant).unwrap();
            CacheEntry { snapshot, fetched, fresh_for, fetched_ms }.age().as_secs() / 60
        };
        let (minute, more) = (Duration::from_mins(1), Duration::from_mins(2));
        assert_eq!(age(SignedDuration::from_hours(9), minute), 9 * 60);
        assert_eq!(age(SignedDuration::from_mins(1), more), 2);
        assert_eq!(age(SignedDuration::from_hours(-9), minute), 1, "the clock was set back");
    }
}
