//! When the readers of channels are expected to come again, so that a restart does not forget it. Nothing is stored about the
//! readers themselves.

use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, Row};

use super::codec::{self, lowercase};
use super::{Archive, ArchiveError, Caller};
use crate::model::channel::{Channel, ChannelName};

/// Channels whose visits are stored in one transaction: a shared database may be distant.
const CHANNELS_PER_TRANSACTION: usize = 50;

/// How long visits are kept that nobody made.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(48);

/// A visit that a reader of a channel is expected to make, and then again after each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedVisit {
    /// When it is due.
    pub due: Timestamp,
    /// The time between visits.
    pub interval: SignedDuration,
}

impl Archive {
    /// Returns the expected visits of all channels.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn expected_visits(&self) -> Result<Vec<(ChannelName, ExpectedVisit)>, ArchiveError> {
        self.read(Caller::Background, async |connection| expected_visits(connection).await).await
    }

    /// Returns the channels that readers have asked for since a time, ordered by name, without those that are gone. Where no
    /// visit is known, a fetch counts: telewire fetches only what somebody reads.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn visited_since(&self, since: Timestamp) -> Result<Vec<Channel>, ArchiveError> {
        let read = async |connection: &mut AnyConnection| {
            let found = sqlx::query(
                "SELECT record FROM channel LEFT JOIN (
                     SELECT alias.channel AS channel, max(due - poll_interval) AS visited FROM expected_visit
                     JOIN alias ON alias.name = expected_visit.name GROUP BY alias.channel
                 ) AS visit ON visit.channel = channel.key
                 WHERE gone = 0 AND COALESCE(visit.visited * 1000, fetched) >= $1 ORDER BY name",
            );
            let rows = found.bind(since.as_millisecond()).fetch_all(connection).await?;
            let records = rows.iter().map(|row| row.try_get(0));
            Ok(records.collect::<Result<Vec<Vec<u8>>, sqlx::Error>>()?)
        };
        let records = self.read(Caller::Background, read).await?;
        // A damaged record is replaced by the channel's next merge.
        Ok(records.iter().filter_map(|record| codec::decode(record).ok()).collect())
    }

    /// Replaces the expected visits of these channels. Channels that are not archived are left out.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`]; some of the channels may have been stored.
    pub async fn store_expected_visits(
        &self,
        changes: &[(ChannelName, Vec<ExpectedVisit>)],
    ) -> Result<(), ArchiveError> {
        if !changes.is_empty() {
            self.check_room()?;
        }
        // Replicas that lock the same names in another order would wait for each other.
        let mut changes: Vec<_> = changes.iter().collect();
        changes.sort_by_cached_key(|(name, _)| lowercase(name));
        for changes in changes.chunks(CHANNELS_PER_TRANSACTION) {
            self.write(async |connection| store(connection, changes).await).await?;
        }
        Ok(())
    }

    /// Deletes the expected visits that nobody has made for 48 hours. It reads all of them, so call it seldom.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn forget_missed_visits(&self, now: Timestamp) -> Result<(), ArchiveError> {
        let delete = async |connection: &mut AnyConnection| {
            let delete = sqlx::query("DELETE FROM expected_visit WHERE due < $1");
            delete.bind((now - MAX_AGE).as_second()).execute(connection).await?;
            Ok(())
        };
        self.write(delete).await
    }

    /// Deletes all expected visits.
    ///
    /// # Errors
    ///
    /// See [`ArchiveError`].
    pub async fn forget_expected_visits(&self) -> Result<(), ArchiveError> {
        let delete = async |connection: &mut AnyConnection| {
            sqlx::query("DELETE FROM expected_visit").execute(connection).await?;
            Ok(())
        };
        self.write(delete).await
    }
}

async fn expected_visits(
    connection: &mut AnyConnection,
) -> Result<Vec<(ChannelName, ExpectedVisit)>, ArchiveError> {
    let rows =
        sqlx::query("SELECT name, due, poll_interval FROM expected_visit").fetch_all(connection).await?;
    let mut visits = Vec::new();
    for row in rows {
        let name: String = row.try_get(0)?;
        let due = Timestamp::from_second(row.try_get(1)?).unwrap_or_default();
        let interval = SignedDuration::from_secs(row.try_get(2)?).clamp(SignedDuration::ZERO, MAX_AGE);
        visits.extend(ChannelName::new(&name).map(|name| (name, ExpectedVisit { due, interval })));
    }
    Ok(visits)
}

async fn store(
    connection: &mut AnyConnection,
    changes: &[&(ChannelName, Vec<ExpectedVisit>)],
) -> Result<(), ArchiveError> {
    for (name, visits) in changes {
        let name = lowercase(name);
        let delete = sqlx::query("DELETE FROM expected_visit WHERE name = $1").bind(&name);
        delete.execute(&mut *connection).await?;
        for visit in visits {
            let insert = sqlx::query(
                "INSERT INTO expected_visit (name, due, poll_interval)
                 SELECT name, CAST($2 AS BIGINT), CAST($3 AS BIGINT) FROM alias WHERE name = $1
                 ON CONFLICT DO NOTHING",
            );
            let insert = insert.bind(&name).bind(visit.due.as_second()).bind(visit.interval.as_secs());
            insert.execute(&mut *connection).await?;
        }
    }
    Ok(())
}
