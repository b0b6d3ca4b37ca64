//! Replicas that share a PostgreSQL database: one of them fetches a channel and notifies the others.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;
use sqlx::postgres::PgListener;
use sqlx::{AnyConnection, Executor};
use tokio::sync::Notify;

use super::codec::lowercase;
use super::connection::Location;
use super::database::Database;
use super::{Archive, ArchiveError, Caller};
use crate::model::channel::ChannelName;

/// How long a lease lasts, in seconds, if the replica that holds it dies.
const LEASE_S: i64 = 15;

/// The PostgreSQL notification channel for merges.
const NOTIFY_CHANNEL: &str = "telewire";

/// The delay between attempts to listen. Health checks that fail are repeated after half of it.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a health check may take.
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_millis(1500);

/// After this time without a notification, the connection is tested.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The name of this replica in leases and notifications.
static REPLICA_ID: LazyLock<String> = LazyLock::new(|| format!("{:016x}", fastrand::u64(..)));

/// Which replica may fetch a channel from Telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This replica, until it releases the lease or the lease expires.
    Ours,
    /// Another replica, which will send a notification.
    Theirs,
}

impl Archive {
    /// Takes the lease to fetch `key`, such as a channel's name, from Telegram. Without a shared archive it always
    /// succeeds.
    ///
    /// # Errors
    ///
    /// If the database is unavailable; fetch without a lease then.
    pub async fn lease(&self, key: &str) -> Result<Lease, ArchiveError> {
        if !self.is_shared() {
            return Ok(Lease::Ours);
        }
        let name = key.to_ascii_lowercase();
        let ask = async |database: Arc<Database>| {
            // The database's clock is the same for all replicas.
            let lease = sqlx::query(
                "INSERT INTO lease (name, holder, until) VALUES ($1, $2, now() + make_interval(secs => $3::bigint))
                 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
                 WHERE lease.until < now() OR lease.holder = excluded.holder
                 RETURNING holder",
            );
            let lease = lease.bind(name).bind(REPLICA_ID.as_str()).bind(LEASE_S);
            Ok(lease.fetch_optional(&database.writes).await?)
        };
        let given = self.run(Caller::Refresh, ask).await?;
        Ok(if given.is_some() { Lease::Ours } else { Lease::Theirs })
    }

    /// Releases a lease. A failure is only logged, because the lease expires anyway.
    pub async fn release_lease(&self, key: &str) {
        if !self.is_shared() {
            return;
        }
        let name = key.to_ascii_lowercase();
        let release = async |database: Arc<Database>| {
            let release = sqlx::query("DELETE FROM lease WHERE name = $1 AND holder = $2");
            release.bind(name).bind(REPLICA_ID.as_str()).execute(&database.writes).await?;
            Ok(())
        };
        if let Err(err) = self.run(Caller::Background, release).await {
            tracing::debug!(key, error = %err, "cannot release a lease");
        }
    }

    /// Returns whether replicas share the archive.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.location, Location::Postgres(_))
    }
}

/// Notifies other replicas of a merge when its transaction commits.
pub(super) async fn notify(connection: &mut AnyConnection, name: &ChannelName) -> Result<(), sqlx::Error> {
    let notification = format!("{} {}", *REPLICA_ID, lowercase(name));
    let notify = sqlx::query("SELECT pg_notify($1, $2)::text").bind(NOTIFY_CHANNEL).bind(notification);
    notify.fetch_all(connection).await.map(drop)
}

/// Starts the task that receives notifications of other replicas until the archive is dropped.
pub(super) fn listen(archive: &Arc<Archive>) {
    let Location::Postgres(url) = &archive.location else { return };
    let (url, archive) = (url.to_string(), Arc::downgrade(archive));
    tokio::spawn(async move {
        let mut is_logged = false;
        while archive.strong_count() > 0 {
            let outcome = match subscribe(&url).await {
                Ok(listener) => {
                    is_logged = false;
                    forward(listener, &archive).await
                }
                Err(err) => Err(err),
            };
            // Once per outage.
            if let Err(err) = outcome
                && !is_logged
            {
                tracing::warn!(error = %err, "lost the PostgreSQL LISTEN connection; retrying");
                is_logged = true;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    });
}

async fn subscribe(url: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(NOTIFY_CHANNEL).await?;
    Ok(listener)
}

/// Forwards notifications until the connection is lost. Missed ones do no harm: a refresh asks the archive first.
async fn forward(mut listener: PgListener, archive: &Weak<Archive>) -> Result<(), sqlx::Error> {
    loop {
        let Ok(notification) = tokio::time::timeout(KEEPALIVE_INTERVAL, listener.try_recv()).await else {
            // Either no replica merged anything, or the connection is dead.
            let alive = tokio::time::timeout(RETRY_INTERVAL, (&mut listener).execute("SELECT 1")).await;
            alive.map_err(|_| sqlx::Error::PoolTimedOut)??;
            continue;
        };
        let (Some(notification), Some(archive)) = (notification?, archive.upgrade()) else { return Ok(()) };
        let name = notification.payload().split_once(' ').filter(|(from, _)| *from != *REPLICA_ID);
        if let Some(name) = name.and_then(|(_, name)| ChannelName::new(name)) {
            // There may be no receiver.
            drop(archive.notifications.send(name));
        }
    }
}

/// Starts the health check: after a failure it probes the database until it answers, and closes the circuit. Readers do
/// not have the time to connect.
pub(super) fn spawn_health_check(archive: &Arc<Archive>) {
    let archive = Arc::downgrade(archive);
    tokio::spawn(async move {
        while let Some(archive) = archive.upgrade() {
            if archive.breakers().are_closed() {
                let woken = archive.health_check.as_ref().map(Notify::notified);
                // The timeout lets the task end when the archive is dropped.
                drop(tokio::time::timeout(KEEPALIVE_INTERVAL, OptionFuture::from(woken)).await);
                continue;
            }
            let answers = async {
                let database = archive.database_or_open().await?;
                let mut connection = database.writes.acquire().await?;
                // The shortest of several is the network's share.
                let mut round_trip = Duration::MAX;
                for _ in 0..3 {
                    let begun = Instant::now();
                    connection.execute("SELECT 1").await?;
                    round_trip = round_trip.min(begun.elapsed());
                }
                Ok::<_, ArchiveError>(round_trip)
            };
            match tokio::time::timeout(HEALTH_CHECK_TIMEOUT, answers).await {
                Ok(Ok(round_trip)) => {
                    let milliseconds = u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX);
                    archive.round_trip.store(milliseconds, Ordering::Relaxed);
                    if archive.breakers().close() {
                        tracing::info!("the archive is available again");
                    }
                }
                failed => {
                    let err = failed.ok().and_then(Result::err).unwrap_or(ArchiveError::Slow);
                    tracing::debug!(error = %err, "the shared archive is still unavailable");
                    // Its connections may wait for a host that is gone.
                    archive.discard(archive.database().as_ref());
                    let opened = archive.breakers().failed(Instant::now());
                    if let Some(pause) = opened {
                        let pause_s = pause.as_secs();
                        tracing::error!(
                            error = %err,
                            pause_s,
                            "the shared archive does not answer and is not used for a while"
                        );
                    }
                    tokio::time::sleep(RETRY_INTERVAL / 2).await;
                }
            }
        }
    });
}
