//! Several copies of the program on one PostgreSQL: each channel is read by one of them, and the others hear of it.

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
use super::{Archive, ArchiveError, Caller, MONITORED_PAUSE};
use crate::model::channel::ChannelName;

/// A copy that holds a lease and dies holds it for so long.
const LEASE_S: i64 = 15;

/// Where merges are made known.
const NOTIFY_CHANNEL: &str = "telewire";

/// Between attempts to listen, and twice the time between attempts to scope a database.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long such an attempt may take.
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_millis(1500);

/// After so much silence it is looked whether the connection is still there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// What this copy calls itself.
static REPLICA_ID: LazyLock<String> = LazyLock::new(|| format!("{:016x}", fastrand::u64(..)));

/// Who may read a channel from Telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This copy, until it releases the lease or has taken too long.
    Ours,
    /// Another copy, which will make it known.
    Theirs,
}

impl Archive {
    /// Asks for the right to read something from Telegram: a channel, by its name. Unless the archive is shared it is always given.
    ///
    /// # Errors
    ///
    /// When the archive fails; then everybody is on their own.
    pub async fn lease(&self, key: &str) -> Result<Lease, ArchiveError> {
        if !self.is_shared() {
            return Ok(Lease::Ours);
        }
        let name = key.to_ascii_lowercase();
        let ask = async |database: Arc<Database>| {
            // The database's clock counts, since it is the same for all.
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

    /// Gives the right back. A failure does not matter, since it ends by itself.
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
            tracing::debug!(key, "a lease was not given back: {err}");
        }
    }

    /// Whether other copies of the program may use it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.location, Location::Postgres(_))
    }
}

/// Makes a merge known to the other copies, when its transaction ends well.
pub(super) async fn notify(connection: &mut AnyConnection, name: &ChannelName) -> Result<(), sqlx::Error> {
    let notification = format!("{} {}", *REPLICA_ID, lowercase(name));
    let notify = sqlx::query("SELECT pg_notify($1, $2)::text").bind(NOTIFY_CHANNEL).bind(notification);
    notify.fetch_all(connection).await.map(drop)
}

/// Listens to the other copies for as long as the archive is there.
pub(super) fn listen(archive: &Arc<Archive>) {
    let Location::Postgres(url) = &archive.location else { return };
    let (url, archive) = (url.to_string(), Arc::downgrade(archive));
    tokio::spawn(async move {
        while archive.strong_count() > 0 {
            if let Err(err) = listen_until_disconnected(&url, &archive).await {
                tracing::warn!("other copies cannot be heard at the moment: {err}");
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    });
}

/// Passes on what the other copies make known, until the connection is lost. What is missed then is noticed before it is
/// refreshed.
async fn listen_until_disconnected(url: &str, archive: &Weak<Archive>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(NOTIFY_CHANNEL).await?;
    loop {
        let Ok(notification) = tokio::time::timeout(KEEPALIVE_INTERVAL, listener.try_recv()).await else {
            // Nobody has anything to say, or the other end has gone without a word.
            let alive = tokio::time::timeout(RETRY_INTERVAL, (&mut listener).execute("SELECT 1")).await;
            alive.map_err(|_| sqlx::Error::PoolTimedOut)??;
            continue;
        };
        let (Some(notification), Some(archive)) = (notification?, archive.upgrade()) else { return Ok(()) };
        let name = notification.payload().split_once(' ').filter(|(from, _)| *from != *REPLICA_ID);
        if let Some(name) = name.and_then(|(_, name)| ChannelName::new(name)) {
            // Nobody needs to be listening.
            drop(archive.notifications.send(name));
        }
    }
}

/// Looks after a database that has failed, until it answers again: readers do not have the time to connect.
pub(super) fn spawn_health_check(archive: &Arc<Archive>) {
    let archive = Arc::downgrade(archive);
    tokio::spawn(async move {
        while let Some(archive) = archive.upgrade() {
            let is_well = {
                let rest = archive.rest();
                rest.all.is_none() && rest.readers.is_none()
            };
            if is_well {
                let woken = archive.health_check.as_ref().map(Notify::notified);
                // Looks up now and then, to end with the archive.
                drop(tokio::time::timeout(KEEPALIVE_INTERVAL, OptionFuture::from(woken)).await);
                continue;
            }
            let answers = async {
                let database = archive.database_or_open().await?;
                let mut connection = database.writes.acquire().await?;
                // The shortest of some is the way to it; others have waited for something.
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
                    archive.round_trip.fetch_min(milliseconds, Ordering::Relaxed);
                    let rest = std::mem::take(&mut *archive.rest());
                    if rest.all.is_some() {
                        tracing::info!("the shared archive is there again");
                    }
                }
                failed => {
                    tracing::debug!("the shared archive is not there yet: {failed:?}");
                    // Its connections may wait for a machine that is no longer there.
                    archive.discard(archive.database().as_ref());
                    let until = Instant::now() + MONITORED_PAUSE;
                    if archive.rest().all.replace(until).is_none() {
                        tracing::error!(
                            "the shared archive does not answer, and is left alone until it does"
                        );
                    }
                    tokio::time::sleep(RETRY_INTERVAL / 2).await;
                }
            }
        }
    });
}
