//! A cache for small values that no cached feed needs: bounded in number, with a time to live.
//!
//! Posts and feeds are in moka, which is bounded in bytes and read without a lock. Each type of value in it takes 60 KB of
//! the binary.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

/// Values with the time when they were inserted. The least recently used one makes room for a new one.
pub(crate) struct RecentCache<K, V> {
    values: Mutex<LruCache<K, (Instant, V)>>,
    max_len: usize,
    ttl: Duration,
}

impl<K: Hash + Eq + Clone, V: Clone> RecentCache<K, V> {
    /// Returns an empty cache of at most `max_len` values, each for `ttl`.
    pub(crate) fn new(max_len: usize, ttl: Duration) -> Self {
        // A bounded `LruCache` would allocate memory for all values at once.
        Self { values: Mutex::new(LruCache::unbounded()), max_len, ttl }
    }

    /// Returns a value that has not expired.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.get_with_age(key).map(|(value, _)| value)
    }

    /// Returns a value that has not expired, and the time since it was inserted.
    pub(crate) fn get_with_age(&self, key: &K) -> Option<(V, Duration)> {
        let mut values = self.lock();
        let (inserted, value) = values.get(key)?;
        let age = inserted.elapsed();
        (age < self.ttl).then(|| (value.clone(), age))
    }

    /// Inserts a value, or replaces it.
    pub(crate) fn insert(&self, key: K, value: V) {
        self.update(key, |_| value);
    }

    /// Replaces a value by another one, which depends on it.
    pub(crate) fn update(&self, key: K, new: impl FnOnce(Option<V>) -> V) {
        let mut values = self.lock();
        let before = values.pop(&key).filter(|(inserted, _)| inserted.elapsed() < self.ttl);
        values.put(key, (Instant::now(), new(before.map(|(_, value)| value))));
        if values.len() > self.max_len {
            values.pop_lru();
        }
    }

    /// Removes a value.
    pub(crate) fn remove(&self, key: &K) {
        self.lock().pop(key);
    }

    /// Returns all values that have not expired, with the time when they were inserted. It does not count as using them.
    pub(crate) fn all(&self) -> Vec<(K, V, Instant)> {
        let values = self.lock();
        let current = values.iter().filter(|(_, (inserted, _))| inserted.elapsed() < self.ttl);
        current.map(|(key, (inserted, value))| (key.clone(), value.clone(), *inserted)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<K, (Instant, V)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn values_expire_and_the_least_recently_used_one_makes_room() {
        let cache = RecentCache::new(3, Duration::from_secs(10));
        for key in 0..3 {
            cache.insert(key, key);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.insert(3, 3);
        let keys = || (0..4).filter(|key| cache.get(key).is_some()).collect::<Vec<_>>();
        assert_eq!(keys(), [0, 2, 3]);
        tokio::time::advance(Duration::from_secs(6)).await;
        cache.update(2, |before| before.unwrap() + 10);
        cache.remove(&3);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(keys(), [2]);
        assert_eq!(cache.get_with_age(&2), Some((12, Duration::from_secs(6))));
        assert_eq!(cache.all(), [(2, 12, Instant::now() - Duration::from_secs(6))]);
        cache.update(0, |before| before.unwrap_or(7));
        assert_eq!(cache.get(&0), Some(7), "an expired value is not passed on");
    }
}
