//! Permits per client, for what one client must not use up.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

/// The number of clients from which on idle ones are removed.
const MAX_TRACKED_CLIENTS: usize = 1000;

/// Returns the address that limits apply to: an IPv6 client usually controls a whole /64 network.
pub(super) fn network_of(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

/// A fixed number of permits for each client.
pub(super) struct ClientPermits {
    per_client: usize,
    /// Permits by client, for as long as the client has one.
    by_client: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl ClientPermits {
    pub(super) fn new(per_client: usize) -> Self {
        Self { per_client, by_client: Mutex::default() }
    }

    /// Returns the permits of a client.
    pub(super) fn of(&self, client: IpAddr) -> Arc<Semaphore> {
        let mut clients = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() > MAX_TRACKED_CLIENTS {
            clients.retain(|_, permits| permits.strong_count() > 0);
        }
        let permits = clients.entry(network_of(client)).or_default();
        permits.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Semaphore::new(self.per_client));
            *permits = Arc::downgrade(&new);
            new
        })
    }
}
