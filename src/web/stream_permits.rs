//! Limits how many media files are sent at a time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::client_permits::ClientPermits;
use crate::media::error::MediaError;
use crate::metrics;

/// Files that are sent at a time.
const MAX_STREAMS: usize = 256;

/// Files that are sent to one client at a time.
const MAX_STREAMS_PER_CLIENT: usize = 64;

/// How long a client waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The permits to send one file.
pub(super) type StreamPermit = [OwnedSemaphorePermit; 2];

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

    /// Waits until one more file may be sent to a client.
    ///
    /// # Errors
    ///
    /// [`MediaError::Busy`] if that takes too long.
    pub(super) async fn acquire(&self, client: IpAddr) -> Result<StreamPermit, MediaError> {
        let of_client = self.by_client.of(client);
        let permits = async {
            let of_client = of_client.acquire_owned().await?;
            Ok::<_, AcquireError>([of_client, Arc::clone(&self.all).acquire_owned().await?])
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
