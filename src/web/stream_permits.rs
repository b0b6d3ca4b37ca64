//! Limits how many media files are sent at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::middleware::client_ip::network_of;
use crate::media::error::MediaError;
use crate::metrics;

/// Files that are sent at a time.
const MAX_STREAMS: usize = 256;

/// Files that are sent to one client at a time.
const MAX_STREAMS_PER_CLIENT: usize = 64;

/// How long a client waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of clients from which on idle ones are removed.
const MAX_TRACKED_CLIENTS: usize = 1000;

/// The permits to send one file.
pub(super) type StreamPermit = [OwnedSemaphorePermit; 2];

/// The permits for all files being sent.
pub(super) struct StreamPermits {
    all: Arc<Semaphore>,
    /// Permits by client, for as long as the client receives a file.
    by_client: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl StreamPermits {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_STREAMS)), by_client: Mutex::default() }
    }

    /// Waits until one more file may be sent to a client.
    ///
    /// # Errors
    ///
    /// [`MediaError::Busy`] if that takes too long.
    pub(super) async fn acquire(&self, client: IpAddr) -> Result<StreamPermit, MediaError> {
        let of_client = self.of_client(client);
        let permits = async {
            let of_client = of_client.acquire_owned().await?;
            Ok::<_, AcquireError>([of_client, Arc::clone(&self.all).acquire_owned().await?])
        };
        let permits = tokio::time::timeout(PERMIT_TIMEOUT, permits).await;
        permits.ok().and_then(Result::ok).ok_or(MediaError::Busy)
    }

    /// Updates the gauge of files being sent.
    pub(super) fn report_metrics(&self) {
        metrics::media_streams(MAX_STREAMS - self.all.available_permits());
    }

    fn of_client(&self, client: IpAddr) -> Arc<Semaphore> {
        let mut clients = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() > MAX_TRACKED_CLIENTS {
            clients.retain(|_, permits| permits.strong_count() > 0);
        }
        let permits = clients.entry(network_of(client)).or_default();
        permits.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(MAX_STREAMS_PER_CLIENT));
            *permits = Arc::downgrade(&new);
            new
        })
    }
}
