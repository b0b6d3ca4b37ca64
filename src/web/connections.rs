//! Limits how many connections are open, in all and per client, and closes idle ones to make room for new ones.
//!
//! A connection is never left waiting: it is served, or closed at once. An accepted connection that waits for its turn would
//! make the clients behind it wait too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, SetOnce};
use tokio::time::Instant;

use super::client_permits::network_of;
use crate::metrics;
use crate::resilience::tally::Tally;

/// Connections of one client at a time.
const MAX_PER_CLIENT: usize = 64;

/// From this age on, a connection without a request is closed before idle ones are.
const SILENT_AFTER: Duration = Duration::from_secs(2);

/// The open connections of a listener.
pub(super) struct Connections {
    max: usize,
    /// By the order in which they were accepted.
    open: Mutex<BTreeMap<u64, Open>>,
    /// The number of connections that were accepted so far, which identifies the next one.
    n_accepted: AtomicU64,
    closed: Notify,
    /// Connections that were closed because of a limit.
    n_over_limit: Tally,
}

struct Open {
    /// The client whose limit applies; `None` if none does.
    client: Option<IpAddr>,
    accepted: Instant,
    shared: Arc<Shared>,
}

/// The state that a connection's task shares with the list of open connections.
#[derive(Default)]
struct Shared {
    requested: SetOnce<()>,
    must_end: Notify,
    is_told_to_end: AtomicBool,
}

/// Which connections give way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No request has been received yet. Such a connection is closed at once.
    New,
    /// A request has been received. Such a connection ends when it is idle.
    Requested,
}

impl Connections {
    /// Returns an empty list for at most `max` connections.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: Mutex::default(),
            n_accepted: AtomicU64::new(0),
            closed: Notify::new(),
            n_over_limit: Tally::new(),
        })
    }

    /// Adds an accepted connection; `None` if it must be closed. `client` is the client whose limit applies, if any.
    ///
    /// From three quarters of a limit on, the oldest connections give way to new ones: those that stay silent, then those that
    /// wait for their next request. At the limit, the oldest one without a request is closed whatever its age.
    pub(super) fn admit(self: &Arc<Self>, client: Option<IpAddr>) -> Option<Connection> {
        let client = client.map(network_of);
        let mut open = self.lock();
        let is_of_client = |open: &Open| client.is_some() && open.client == client;
        let n_of_client = client.map_or(0, |_| open.values().filter(|open| is_of_client(open)).count());
        if is_near(n_of_client, MAX_PER_CLIENT) {
            self.end_oldest(&mut open, Stage::Requested, is_of_client);
        }
        // A client's new connections are only closed at its limit: their requests may be on the way.
        if n_of_client >= MAX_PER_CLIENT && !self.end_oldest(&mut open, Stage::New, is_of_client) {
            self.count_closed();
            return None;
        }
        let (is_crowded, is_full) = (is_near(open.len(), self.max), open.len() >= self.max);
        let is_silent = |open: &Open| is_full || open.accepted.elapsed() >= SILENT_AFTER;
        if is_crowded && !self.end_oldest(&mut open, Stage::New, is_silent) {
            self.end_oldest(&mut open, Stage::Requested, |_| true);
        }
        if open.len() >= self.max {
            self.count_closed();
            return None;
        }
        let (id, shared) = (self.n_accepted.fetch_add(1, Ordering::Relaxed), Arc::<Shared>::default());
        open.insert(id, Open { client, accepted: Instant::now(), shared: Arc::clone(&shared) });
        Some(Connection { connections: Arc::clone(self), id, shared, is_crowded })
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        while !self.lock().is_empty() {
            self.closed.notified().await;
        }
    }

    /// Logs how many connections were closed because of a limit.
    pub(super) fn log_closed(&self) {
        if let Some(connections) = self.n_over_limit.due() {
            tracing::warn!(connections, "closed connections that were over a limit");
        }
    }

    /// Makes the oldest connection in this stage end. Returns whether there was one.
    fn end_oldest(
        &self,
        open: &mut BTreeMap<u64, Open>,
        stage: Stage,
        is_eligible: impl Fn(&Open) -> bool,
    ) -> bool {
        let is_in_stage = |Shared { requested, is_told_to_end, .. }: &Shared| {
            requested.initialized() == (stage == Stage::Requested) && !is_told_to_end.load(Ordering::Relaxed)
        };
        let oldest = open.iter().find(|(_, open)| is_eligible(open) && is_in_stage(&open.shared));
        let Some((&id, Open { shared, .. })) = oldest else { return false };
        shared.is_told_to_end.store(true, Ordering::Relaxed);
        shared.must_end.notify_one();
        if stage == Stage::New {
            open.remove(&id);
            self.count_closed();
        }
        true
    }

    fn count_closed(&self) {
        self.n_over_limit.count();
        metrics::connection_over_limit();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a number has reached three quarters of its limit.
fn is_near(n: usize, max: usize) -> bool {
    n >= max - max / 4
}

/// An open connection, which counts until it is dropped.
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    shared: Arc<Shared>,
    /// It was accepted when the limit was near.
    pub(super) is_crowded: bool,
}

impl Connection {
    /// Notes a request. Call this at every request.
    pub(super) fn on_request(&self) {
        if !self.has_requested() {
            // Nothing else sets it.
            drop(self.shared.requested.set(()));
        }
    }

    /// Waits for the first request. Returns at once if there was one.
    pub(super) async fn requested(&self) {
        self.shared.requested.wait().await;
    }

    /// Returns whether there was a request.
    pub(super) fn has_requested(&self) -> bool {
        self.shared.requested.initialized()
    }

    /// Waits until the connection must end to make room for another one.
    pub(super) async fn must_end(&self) {
        self.shared.must_end.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
        self.connections.closed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const CLIENT: &str = "192.0.2.1";

    /// Admits a connection of a client.
    fn admit(connections: &Arc<Connections>, client: &str) -> Option<Connection> {
        connections.admit(Some(client.parse().unwrap()))
    }

    fn must_end(connection: &Connection) -> bool {
        connection.must_end().now_or_never().is_some()
    }

    fn request_on(connections: &[Connection]) {
        for connection in connections {
            connection.on_request();
        }
    }

    #[test]
    fn a_client_has_at_most_64_connections() {
        let connections = Connections::new(1000);
        let busy: Vec<_> = (0..64).map(|_| admit(&connections, CLIENT).unwrap()).collect();
        request_on(&busy);
        assert!(admit(&connections, CLIENT).is_none());
        assert!(admit(&connections, "192.0.2.2").is_some(), "another client is not affected");
        assert!((0..100).all(|_| connections.admit(None).is_some()), "exempt clients are not counted");
        drop(busy);
        assert!(admit(&connections, CLIENT).is_some());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let connections = Connections::new(1000);
        let of = |n: u32| admit(&connections, &format!("2001:db8::{n:x}"));
        let busy: Vec<_> = (0..64).map(|n| of(n).unwrap()).collect();
        request_on(&busy);
        assert!(of(64).is_none());
        assert!(admit(&connections, "2001:db8:0:1::").is_some());
    }

    #[test]
    fn a_clients_oldest_connection_without_a_request_gives_way_at_its_limit() {
        let connections = Connections::new(1000);
        let open: Vec<_> = (0..64).map(|_| admit(&connections, CLIENT).unwrap()).collect();
        open[0].on_request();
        assert!(!open.iter().any(must_end));
        let new = admit(&connections, CLIENT).unwrap();
        let ended: Vec<_> = (0..64).filter(|n| must_end(&open[*n])).collect();
        assert_eq!(ended, [0, 1], "the idle one at the next response, the silent one at once");
        assert!(!must_end(&new));
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_silent_connections_are_closed_first_near_the_limit() {
        let connections = Connections::new(100);
        let open: Vec<_> = (0..75).map(|_| connections.admit(None).unwrap()).collect();
        assert!(!open.iter().any(|connection| must_end(connection) || connection.is_crowded));
        request_on(&open[..73]);
        tokio::time::advance(SILENT_AFTER).await;
        let mut new = Vec::new();
        for ended in [73, 74] {
            new.push(connections.admit(None).unwrap());
            assert!(new.iter().all(|new| new.is_crowded && !must_end(new)));
            assert_eq!((0..75).filter(|n| must_end(&open[*n])).collect::<Vec<_>>(), [ended]);
        }
        request_on(&new);
        new.push(connections.admit(None).unwrap());
        assert!(must_end(&open[0]) && !must_end(&open[1]), "then the oldest of the others");
    }

    #[test]
    fn near_the_limit_connections_that_wait_give_way_to_new_ones() {
        let connections = Connections::new(100);
        let idle: Vec<_> = (0..75).map(|_| connections.admit(None).unwrap()).collect();
        request_on(&idle);
        let new: Vec<_> = (0..25).map(|_| connections.admit(None).unwrap()).collect();
        assert!((0..75).all(|n| must_end(&idle[n]) == (n < 25)) && !new.iter().any(must_end));
        assert!(connections.admit(None).is_some() && must_end(&new[0]), "at the limit");
    }

    #[test]
    fn closed_connection_does_not_free_the_place_of_another() {
        let connections = Connections::new(1);
        let closed = connections.admit(None).unwrap();
        let open = connections.admit(None).unwrap();
        drop(closed);
        assert!(connections.all_closed().now_or_never().is_none());
        drop(open);
        assert!(connections.all_closed().now_or_never().is_some());
    }

    #[test]
    fn at_the_limit_a_connection_is_refused_instead_of_waiting() {
        let connections = Connections::new(100);
        let admit = || connections.admit(None).inspect(Connection::on_request);
        let busy: Vec<_> = (0..100).map(|_| admit().unwrap()).collect();
        assert!(admit().is_none());
        drop(busy);
        assert!(admit().is_some());
        assert!(connections.all_closed().now_or_never().is_some());
    }
}
