//! Limits how many media files are sent at a time, and how slowly.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::client_permits::ClientPermits;
use crate::media::client::MIN_BYTES_PER_SECOND;
use crate::media::error::MediaError;
use crate::metrics;

/// Files that are sent at a time.
const MAX_STREAMS: usize = 256;

/// Files that are sent to one client at a time: more than a browser asks for over HTTP/1.1 (6), and enough for the server of
/// a reader that fetches pictures for its users. The others wait for [`PERMIT_TIMEOUT`].
const MAX_STREAMS_PER_CLIENT: usize = 16;

/// How long a client waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a file may be sent before the minimum rate applies, so that a few clients cannot hold all permits. Players ask for
/// the rest of a file when they need it.
const MIN_RATE_AFTER: Duration = Duration::from_mins(1);

/// The permits to send one file.
pub(super) struct StreamPermit {
    _all: OwnedSemaphorePermit,
    _of_client: Option<OwnedSemaphorePermit>,
}

impl StreamPermit {
    /// Returns a stream that holds the permits until it ends. It ends with an error if the client receives it too slowly.
    pub(super) fn hold(
        self,
        stream: impl Stream<Item = io::Result<Bytes>>,
    ) -> impl Stream<Item = io::Result<Bytes>> {
        let (started, mut n_sent) = (Instant::now(), 0);
        stream.map(move |chunk| {
            let _permits = &self;
            let (chunk, elapsed) = (chunk?, started.elapsed());
            if elapsed >= MIN_RATE_AFTER && n_sent / elapsed.as_secs() < MIN_BYTES_PER_SECOND {
                return Err(io::Error::other("the client receives the file too slowly"));
            }
            n_sent += chunk.len() as u64;
            Ok(chunk)
        })
    }
}

/// The permits for all files being sent.
pub(super) struct StreamPermits {
    all: Arc<Semaphore>,
    by_client: ClientPermits,
}

impl StreamPermits {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MAX_STREAMS)),
            by_client: ClientPermits::new(MAX_STREAMS_PER_CLIENT),
        }
    }

    /// Waits until one more file may be sent. `client` is the client whose limit applies, if any.
    ///
    /// # Errors
    ///
    /// [`MediaError::Busy`] if that takes too long.
    pub(super) async fn acquire(&self, client: Option<IpAddr>) -> Result<StreamPermit, MediaError> {
        let permits = async {
            let of_client = match client {
                Some(client) => Some(self.by_client.of(client).acquire_owned().await?),
                None => None,
            };
            let all = Arc::clone(&self.all).acquire_owned().await?;
            Ok::<_, AcquireError>(StreamPermit { _all: all, _of_client: of_client })
        };
        let permits = tokio::time::timeout(PERMIT_TIMEOUT, permits).await;
        permits.ok().and_then(Result::ok).ok_or(MediaError::Busy)
    }

    /// Returns the number of files being sent, and how many may be.
    pub(super) fn in_use(&self) -> (usize, usize) {
        (MAX_STREAMS - self.all.available_permits(), MAX_STREAMS)
    }

    /// Updates the gauge of files being sent.
    pub(super) fn report_metrics(&self) {
        metrics::media_streams(self.in_use().0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns for how many of 600 seconds a client may receive a file at this rate.
    async fn seconds_received(permits: &StreamPermits, bytes_per_second: usize) -> u64 {
        let permit = permits.acquire(Some([192, 0, 2, 1].into())).await.unwrap();
        let chunks = futures_util::stream::repeat_with(move || Ok(vec![0; bytes_per_second].into()));
        let mut stream = Box::pin(permit.hold(chunks.take(600)));
        let started = Instant::now();
        while let Some(Ok(_)) = stream.next().await {
            assert_eq!(permits.in_use().0, 1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn file_for_a_client_that_trickles_ends_after_a_minute() {
        let permits = StreamPermits::new();
        assert_eq!(seconds_received(&permits, 1 << 9).await, 60);
        assert_eq!(seconds_received(&permits, 2 << 10).await, 600);
        assert_eq!(permits.in_use().0, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_does_not_use_up_the_permits() {
        let (permits, client) = (StreamPermits::new(), |n| Some([192, 0, 2, n].into()));
        let held: Vec<_> = (0..16).map(|_| permits.acquire(client(1))).collect();
        let held = futures_util::future::try_join_all(held).await;
        assert!(held.is_ok() && permits.acquire(client(1)).await.is_err());
        assert!(permits.acquire(client(2)).await.is_ok());
        let unlimited = futures_util::future::try_join_all((0..17).map(|_| permits.acquire(None)));
        assert!(unlimited.await.is_ok(), "a proxy has many clients behind it");
    }
}
