//! Single flight: concurrent requests for one key share one task.
//!
//! moka's `get_with` would run the work inside the first caller, so a client that disconnects would restart it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::Instrument;

/// The result of a task, for every caller; `None` if the task panicked.
type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// The running tasks, at most one per key, each with its start.
pub(crate) struct SingleFlight<K, V> {
    running: Mutex<HashMap<K, (Instant, Flight<V>)>>,
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Debug + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns an empty group.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { running: Mutex::default() })
    }

    /// Joins the running task of this key, or starts one. The task runs to its end even if no caller awaits it.
    pub(crate) fn run<F>(self: &Arc<Self>, key: K, start: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, flight) =
            running.entry(key.clone()).or_insert_with(|| (Instant::now(), self.spawn(key, start())));
        flight.clone()
    }

    /// Joins the running task of this key; `None` if there is none.
    pub(crate) fn join(&self, key: &K) -> Option<Flight<V>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(key).map(|(_, flight)| flight.clone())
    }

    /// Returns the keys of the running tasks, each with its start.
    pub(crate) fn running(&self) -> Vec<(K, Instant)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().map(|(key, (since, _))| (key.clone(), *since)).collect()
    }

    fn spawn<F>(self: &Arc<Self>, key: K, work: F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (group, name) = (Arc::clone(self), key.clone());
        // Keep the caller's span, so that log lines carry its request id.
        let work = work.in_current_span();
        let task = tokio::spawn(async move {
            let _guard = RemoveOnDrop { group, key };
            work.await
        });
        let log = move |err: &JoinError| tracing::error!(key = ?name, error = %err, "a task panicked");
        task.map(move |result| result.inspect_err(log).ok()).boxed().shared()
    }
}

/// Removes a task from its group, also when it panics.
struct RemoveOnDrop<K: Eq + Hash, V> {
    group: Arc<SingleFlight<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for RemoveOnDrop<K, V> {
    fn drop(&mut self) {
        self.group.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn the_task_runs_once_even_if_every_caller_leaves() {
        let group = SingleFlight::<u8, usize>::new();
        let (started, may_end) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (started, may_end) = (Arc::clone(&started), Arc::clone(&may_end));
            async move {
                let n = started.fetch_add(1, Ordering::SeqCst) + 1;
                may_end.notified().await;
                n
            }
        };
        let callers: Vec<_> = (0..1000).map(|_| tokio::spawn(group.run(1, work))).collect();
        tokio::task::yield_now().await;
        callers.iter().for_each(tokio::task::JoinHandle::abort);
        let last = group.run(1, work);
        may_end.notify_one();
        assert_eq!((last.await, started.load(Ordering::SeqCst)), (Some(1), 1));
        may_end.notify_one();
        assert_eq!(group.run(1, work).await, Some(2), "the next call starts a new task");
    }

    #[tokio::test]
    async fn a_panicked_task_does_not_block_its_key() {
        let group = SingleFlight::<u8, u8>::new();
        assert_eq!(group.run(1, || async { panic!("on purpose") }).await, None);
        assert_eq!(group.run(1, || async { 7 }).await, Some(7));
    }
}
