//! Names: which archived channel a fetched page belongs to.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::ArchiveError;
use super::codec::{ChannelRow, channel, encode, lock, lowercase};
use super::connection::is_postgres;
use crate::clock::{self, whole_seconds};
use crate::model::channel::{Channel, ChannelName, TakenName};

/// The archived channel of a fetched page.
pub(super) struct ChannelOfPage {
    pub(super) key: i64,
    /// The row before the merge; `None` for a new channel.
    pub(super) before: Option<ChannelRow>,
    /// The name that this page is the first to show as this channel's.
    pub(super) taken_over: Option<TakenName>,
}

/// Finds or inserts the channel of a page that was requested as `requested`, and fetched at `seen`. Telegram's numeric id
/// decides: a channel with a new name keeps its row, so that the ids of its entries stay the same, and a name that now belongs
/// to another channel leads to that one's row, because the posts of two channels must not be mixed. The channel is [`lock`]ed.
///
/// # Errors
///
/// [`ArchiveError::PageOutdated`] if a page that was fetched later showed a name as another channel's.
pub(super) async fn find_or_insert_channel(
    connection: &mut AnyConnection,
    requested: &ChannelName,
    on_page: &Channel,
    seen: Timestamp,
) -> Result<ChannelOfPage, ArchiveError> {
    let name = &on_page.name;
    lock_name(connection, name).await?;
    let number = on_page.id.and_then(|id| i64::try_from(id).ok());
    let is_same = |owner: &Owner| number.is_some() && owner.number == number;
    let is_other = |owner: &Owner| owner.number.zip(number).is_some_and(|(theirs, number)| theirs != number);
    let by_request = owner(connection, requested).await?;
    let by_name = owner(connection, name).await?;
    let mut others = by_request.iter().chain(&by_name).filter(|owner| is_other(owner));
    if others.any(|other| is_older_page(seen, other.fetched)) {
        return Err(ArchiveError::PageOutdated);
    }
    let found = by_request.filter(is_same).or(by_name.filter(|by_name| !is_other(by_name)));
    let key = if let Some(found) = found {
        found.key
    } else {
        let insert = sqlx::query(
            "INSERT INTO channel (telegram_id, name, record, fetched, fresh_for) VALUES ($1, $2, $3, 0, 0) RETURNING key",
        );
        let insert = insert.bind(number).bind(name.as_str()).bind(encode(on_page)?);
        insert.fetch_one(&mut *connection).await?.try_get(0)?
    };
    if !lock(connection, key).await? {
        // Another process has just deleted it.
        return Err(ArchiveError::Busy);
    }
    if let Some(number) = number {
        let set_id =
            sqlx::query("UPDATE channel SET telegram_id = $2 WHERE key = $1 AND telegram_id IS NULL");
        set_id.bind(key).bind(number).execute(&mut *connection).await?;
    }
    let mut taken_over = None;
    let names = [(name, by_name), (requested, by_request)];
    for (name, owner) in &names[usize::from(name == requested)..] {
        if owner.is_some_and(|owner| is_same(&owner)) {
            continue;
        }
        if let Some(before) = owner.filter(is_other) {
            tracing::warn!(channel = %name, id_before = before.number, id = number, "the name now belongs to another channel");
            taken_over = Some(TakenName { name: (*name).clone(), since: whole_seconds(seen) });
        }
        let alias = sqlx::query(
            "INSERT INTO alias (name, channel) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET channel = excluded.channel WHERE alias.channel <> excluded.channel",
        );
        alias.bind(lowercase(name)).bind(key).execute(&mut *connection).await?;
    }
    let before = if found.is_some() { channel(connection, requested).await? } else { None };
    Ok(ChannelOfPage { key, before, taken_over })
}

/// Returns whether a page was fetched at `seen` or before, and another one after it: at `last`, in milliseconds since the Unix
/// epoch. A time in the future was written by a skewed clock, so it is ignored.
pub(super) fn is_older_page(seen: Timestamp, last: i64) -> bool {
    (seen.as_millisecond()..=clock::now().as_millisecond()).contains(&last)
}

/// Makes other replicas that insert a channel with this name wait until this transaction ends.
async fn lock_name(connection: &mut AnyConnection, name: &ChannelName) -> Result<(), sqlx::Error> {
    if is_postgres(connection) {
        let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtext($1))::text").bind(lowercase(name));
        lock.fetch_all(connection).await?;
    }
    Ok(())
}

/// The channel that a name leads to.
#[derive(Clone, Copy)]
struct Owner {
    key: i64,
    /// Telegram's numeric id; `None` if no page has shown it.
    number: Option<i64>,
    /// When its newest page was fetched, in milliseconds since the Unix epoch.
    fetched: i64,
}

async fn owner(connection: &mut AnyConnection, name: &ChannelName) -> Result<Option<Owner>, sqlx::Error> {
    let found = sqlx::query(
        "SELECT key, telegram_id, fetched FROM channel WHERE key = (SELECT channel FROM alias WHERE name = $1)",
    );
    let row = found.bind(lowercase(name)).fetch_optional(connection).await?;
    row.map(|row| Ok(Owner { key: row.try_get(0)?, number: row.try_get(1)?, fetched: row.try_get(2)? }))
        .transpose()
}
