//! Pages that could not be archived. They wait in memory until the archive is available again: posts that are deleted
//! meanwhile, and texts that are edited, would be lost.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Channels;
use crate::archive::{ArchiveError, FetchedPage, PageScope};
use crate::compressed_json;
use crate::cpu_pool;
use crate::model::channel::ChannelName;
use crate::model::paging::MAX_PAGE_BYTES;

/// The maximum size of all waiting pages, in compressed bytes.
const MAX_BYTES: usize = 16 << 20;

/// The maximum number of waiting pages of a channel. The last one is replaced by newer ones then.
const MAX_PAGES_PER_CHANNEL: usize = 50;

/// When waiting pages are tried again after a failure, unless their channel is refreshed before.
const RETRY_INTERVAL: Duration = Duration::from_secs(20);

/// A page is dropped when this many newer pages of its channel could be archived, but it could not.
const MAX_FAILURES: u32 = 3;

/// The waiting pages of all channels.
#[derive(Debug, Default)]
pub(super) struct Unarchived(Mutex<WaitingPages>);

/// The waiting pages of each channel by the name that was requested.
#[derive(Debug, Default)]
struct WaitingPages {
    by_name: HashMap<ChannelName, WaitingChannel>,
    n_bytes: usize,
}

#[derive(Debug, Default)]
struct WaitingChannel {
    /// The oldest is first.
    pages: Vec<WaitingPage>,
    /// When they are tried again.
    retry: Option<Instant>,
}

#[derive(Clone, Debug)]
struct WaitingPage {
    compressed: Arc<[u8]>,
    fetched: Timestamp,
    /// Failures beside newer pages that were archived.
    failures: u32,
}

impl WaitingPage {
    fn decompress(&self) -> io::Result<FetchedPage> {
        compressed_json::decode(&self.compressed, usize::MAX)
    }
}

impl Unarchived {
    fn lock(&self) -> MutexGuard<'_, WaitingPages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of waiting pages.
    pub(super) fn n_pages(&self) -> usize {
        self.lock().by_name.values().map(|channel| channel.pages.len()).sum()
    }

    /// Returns whether pages of a channel wait.
    pub(super) fn has(&self, name: &ChannelName) -> bool {
        self.lock().by_name.contains_key(name)
    }

    /// Returns the names of the channels whose waiting pages are to be tried now.
    fn due(&self, now: Instant) -> Vec<ChannelName> {
        let waiting = self.lock();
        let due =
            waiting.by_name.iter().filter(|(_, channel)| channel.retry.is_none_or(|retry| retry <= now));
        due.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the oldest waiting page of a channel.
    fn oldest(&self, name: &ChannelName) -> Option<WaitingPage> {
        self.lock().of(name).first().cloned()
    }

    /// Adds a page that was fetched after those of its channel. Returns whether there was room for it.
    fn add(&self, name: &ChannelName, page: WaitingPage) -> bool {
        let mut waiting = self.lock();
        let replaced =
            waiting.of(name).get(MAX_PAGES_PER_CHANNEL - 1).map_or(0, |last| last.compressed.len());
        let n_bytes = waiting.n_bytes - replaced + page.compressed.len();
        if n_bytes > MAX_BYTES {
            return false;
        }
        waiting.n_bytes = n_bytes;
        let channel = waiting.by_name.entry(name.clone()).or_default();
        channel.pages.truncate(MAX_PAGES_PER_CHANNEL - 1);
        channel.pages.push(page);
        true
    }

    /// Removes a page, if it waits.
    pub(super) fn remove(&self, name: &ChannelName, fetched: Timestamp) {
        let mut waiting = self.lock();
        let Some(n) = waiting.of(name).iter().position(|page| page.fetched == fetched) else { return };
        let Some(channel) = waiting.by_name.get_mut(name) else { return };
        let n_bytes = channel.pages.remove(n).compressed.len();
        if channel.pages.is_empty() {
            waiting.by_name.remove(name);
        }
        waiting.n_bytes -= n_bytes;
    }

    /// Records that the waiting pages of a channel cannot be archived before `retry`.
    fn delay(&self, name: &ChannelName, retry: Instant) {
        if let Some(channel) = self.lock().by_name.get_mut(name) {
            channel.retry = Some(retry);
        }
    }

    /// Records that a newer page of a channel was archived, but its oldest waiting page was not. Returns whether that one is
    /// dropped.
    fn was_overtaken(&self, name: &ChannelName) -> bool {
        let oldest = self.lock().by_name.get_mut(name).and_then(|channel| {
            let oldest = channel.pages.first_mut()?;
            oldest.failures += 1;
            Some(oldest.clone())
        });
        let dropped = oldest.filter(|oldest| oldest.failures >= MAX_FAILURES);
        if let Some(dropped) = &dropped {
            self.remove(name, dropped.fetched);
        }
        dropped.is_some()
    }
}

impl WaitingPages {
    fn of(&self, name: &ChannelName) -> &[WaitingPage] {
        self.by_name.get(name).map_or(&[], |channel| channel.pages.as_slice())
    }
}

impl Channels {
    /// Keeps the newest page of a channel, which was not archived in time.
    pub(super) async fn archive_later(&self, name: &ChannelName, page: Arc<FetchedPage>, fetched: Timestamp) {
        let compressed = cpu_pool::try_run(MAX_PAGE_BYTES, move || compressed_json::encode(&*page)).await;
        match compressed {
            // A copy by this thread: see `cpu_pool`.
            Ok(bytes) => {
                let page = WaitingPage { compressed: Arc::from(&*bytes), fetched, failures: 0 };
                if !self.unarchived.add(name, page) {
                    tracing::warn!(channel = %name, "too many pages wait for the archive; dropped one");
                }
            }
            Err(err) => tracing::error!(channel = %name, error = %err, "cannot keep a page for the archive"),
        }
    }

    /// Archives the waiting pages of a channel. Returns their number.
    ///
    /// # Errors
    ///
    /// Why the oldest one that is left cannot be archived now.
    pub(super) async fn archive_waiting(&self, name: &ChannelName) -> Result<usize, ArchiveError> {
        let mut n_archived = 0;
        while let Some(waiting) = self.unarchived.oldest(name) {
            let fetched = waiting.fetched;
            match self.archive_one(name, waiting).await {
                Ok(()) => n_archived += 1,
                Err(err) if err.is_permanent() => {
                    tracing::error!(channel = %name, error = %err, "dropped a page that waited for the archive");
                }
                Err(err) => {
                    // These errors mean that no attempt was made.
                    if !matches!(err, ArchiveError::CircuitOpen | ArchiveError::Full) {
                        self.unarchived.delay(name, Instant::now() + RETRY_INTERVAL);
                    }
                    return Err(err);
                }
            }
            self.unarchived.remove(name, fetched);
        }
        if n_archived > 0 {
            tracing::info!(channel = %name, pages = n_archived, "archived the pages that waited for the archive");
        }
        Ok(n_archived)
    }

    async fn archive_one(&self, name: &ChannelName, waiting: WaitingPage) -> Result<(), ArchiveError> {
        let fetched = waiting.fetched;
        let page = cpu_pool::try_run(MAX_PAGE_BYTES, move || waiting.decompress()).await;
        let page = page.map_err(|err| ArchiveError::Database(err.to_string()))?;
        self.archive.merge(name, page.into(), PageScope::Newest, fetched, Duration::ZERO).await.map(drop)
    }

    /// Archives the waiting pages that are to be tried now, and starts the background work after them.
    pub(super) async fn archive_due(self: &Arc<Self>) {
        for name in self.archive_waiting_of(self.unarchived.due(Instant::now())).await {
            self.start_follow_up(&name, true);
        }
    }

    /// Archives the waiting pages of all channels before the end of the process, for at most `limit`.
    pub(crate) async fn archive_last(&self, limit: Duration) {
        let all = self.unarchived.due(Instant::now() + RETRY_INTERVAL);
        drop(tokio::time::timeout(limit, self.archive_waiting_of(all)).await);
        let pages = self.unarchived.n_pages();
        if pages > 0 {
            tracing::warn!(pages, "cannot archive the pages that waited for the archive; they are lost");
        }
    }

    /// Archives the waiting pages of these channels, as long as the archive can be used. Returns the channels of which a page
    /// was archived.
    async fn archive_waiting_of(&self, names: Vec<ChannelName>) -> Vec<ChannelName> {
        let mut archived = Vec::new();
        for name in names {
            if self.archive.problem().is_some() {
                break;
            }
            match self.archive_waiting(&name).await {
                Ok(0) => {}
                Ok(_) => archived.push(name),
                Err(err) => {
                    tracing::debug!(channel = %name, error = %err, "cannot archive the waiting pages yet");
                }
            }
        }
        archived
    }

    /// Drops a waiting page that can still not be archived, although newer pages of its channel can.
    pub(super) fn overtake_waiting(&self, name: &ChannelName, err: &ArchiveError) {
        if self.unarchived.was_overtaken(name) {
            tracing::error!(channel = %name, error = %err, "dropped a page that waited for the archive");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn page(second: i64, n_bytes: usize) -> WaitingPage {
        let fetched = Timestamp::from_second(second).unwrap();
        WaitingPage { compressed: vec![0; n_bytes].into(), fetched, failures: 0 }
    }

    fn waiting(unarchived: &Unarchived, name: &ChannelName) -> Vec<i64> {
        unarchived.lock().of(name).iter().map(|page| page.fetched.as_second()).collect()
    }

    #[test]
    fn channel_keeps_its_first_pages_and_the_newest() {
        let (unarchived, name) = (Unarchived::default(), name("harbour_news"));
        let most = i64::try_from(MAX_PAGES_PER_CHANNEL).unwrap();
        assert!((0..most + 10).all(|second| unarchived.add(&name, page(second, 1))));
        let expected: Vec<i64> = (0..most - 1).chain([most + 9]).collect();
        assert_eq!(waiting(&unarchived, &name), expected);
        assert_eq!((unarchived.n_pages(), unarchived.lock().n_bytes), (MAX_PAGES_PER_CHANNEL, 50));
        for second in expected {
            unarchived.remove(&name, Timestamp::from_second(second).unwrap());
        }
        let left = unarchived.lock();
        assert_eq!((left.by_name.len(), left.n_bytes), (0, 0));
    }

    #[test]
    fn size_of_waiting_pages_is_limited() {
        let unarchived = Unarchived::default();
        let (first, second) = (name("harbour_news"), name("quiet_pier"));
        assert!(unarchived.add(&first, page(1, MAX_BYTES / 2)));
        assert!(unarchived.add(&second, page(1, MAX_BYTES / 2)));
        assert!(!unarchived.add(&first, page(2, 1)) && !unarchived.add(&name("north_quay"), page(1, 1)));
        assert_eq!((waiting(&unarchived, &first), unarchived.n_pages()), (vec![1], 2));
        unarchived.remove(&second, Timestamp::from_second(1).unwrap());
        assert!(unarchived.add(&first, page(2, 1)));
        assert_eq!(waiting(&unarchived, &first), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_channel_does_not_keep_others_from_being_tried() {
        let unarchived = Unarchived::default();
        let (failing, other) = (name("harbour_news"), name("quiet_pier"));
        assert!(unarchived.add(&failing, page(1, 1)) && unarchived.add(&other, page(1, 1)));
        unarchived.delay(&failing, Instant::now() + RETRY_INTERVAL);
        assert_eq!(unarchived.due(Instant::now()), [other]);
        assert_eq!(unarchived.due(Instant::now() + RETRY_INTERVAL).len(), 2);
    }

    #[test]
    fn page_that_newer_ones_overtake_is_dropped() {
        let (unarchived, name) = (Unarchived::default(), name("harbour_news"));
        assert!(unarchived.add(&name, page(1, 1)) && unarchived.add(&name, page(2, 1)));
        let dropped: Vec<bool> = (0..MAX_FAILURES).map(|_| unarchived.was_overtaken(&name)).collect();
        assert_eq!((dropped, waiting(&unarchived, &name)), (vec![false, false, true], vec![2]));
    }
}
