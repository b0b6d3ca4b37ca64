//! When the readers of a channel come again: learned from their requests for its feeds, so that the channel is refreshed
//! just before.
//!
//! Pure: the caller passes the time in.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};

use crate::archive::ExpectedVisit;
use crate::model::channel::ChannelName;

/// A reader follows a channel if its first and its last visit are at least this far apart.
const MIN_FOLLOWED: SignedDuration = SignedDuration::from_hours(1);

/// Requests within this time are one visit: several formats, a repeated request.
const SAME_VISIT: SignedDuration = SignedDuration::from_mins(1);

/// The greatest deviation from the expected time that is a reader's jitter, not a new interval. It is also at most a
/// quarter of the interval.
const MAX_JITTER: SignedDuration = SignedDuration::from_mins(15);

/// The expected visits without an actual one after which a reader no longer follows a channel.
const MAX_MISSED: i64 = 3;

/// The longest time without a visit in which a reader still follows a channel.
const MAX_ABSENCE: SignedDuration = SignedDuration::from_hours(48);

/// The visits of a series over which a reader's jitter is averaged.
const MAX_AVERAGED: u8 = 8;

/// Readers that are remembered per channel, the latest ones.
const MAX_READERS: usize = 8;

/// Channels whose readers are remembered.
const MAX_CHANNELS: usize = 20_000;

/// Who sent a request, as hashes with a salt that is new in each process: they tell clients and readers apart, but do not
/// identify them.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// The client's network.
    pub(super) client: u64,
    /// The program that reads feeds, on this client.
    pub(super) reader: u64,
}

impl Visitor {
    /// Returns the hashes of a client's network and its user agent.
    #[must_use]
    pub fn new(network: IpAddr, user_agent: &[u8]) -> Self {
        static SALT: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self { client: SALT.hash_one(network), reader: SALT.hash_one((network, user_agent)) }
    }
}

/// A reader of a channel.
#[derive(Clone, Debug)]
struct Reader {
    /// The hash; `None` after a restart, until a visit at the expected time shows which reader it is.
    id: Option<u64>,
    first: Timestamp,
    last: Timestamp,
    /// `None` after a single visit.
    next: Option<ExpectedVisit>,
    /// The visits of the series that `next` continues.
    n_visits: u8,
}

/// How late a visit is, negative if it is early; `None` if it was not expected at this time.
fn lateness(expected: ExpectedVisit, now: Timestamp) -> Option<SignedDuration> {
    let late = now.duration_since(expected.due);
    (late.abs() <= MAX_JITTER.min(expected.interval / 4)).then_some(late)
}

/// Returns the first visit of a series that is due at `now` or later, and how many were due before it.
fn next_of_series(expected: ExpectedVisit, now: Timestamp) -> (ExpectedVisit, i64) {
    let late = now.duration_since(expected.due).as_secs().max(0);
    let interval = expected.interval.as_secs().max(1);
    let n_missed = (late + interval - 1) / interval;
    let skipped = expected.interval * i32::try_from(n_missed).unwrap_or(i32::MAX);
    let due = expected.due.checked_add(skipped).unwrap_or(Timestamp::MAX);
    (ExpectedVisit { due, ..expected }, n_missed)
}

impl Reader {
    /// Restores a reader that followed a channel before the restart.
    fn restored(expected: ExpectedVisit) -> Self {
        let last = expected.due - expected.interval;
        Self { id: None, first: last - MIN_FOLLOWED, last, next: Some(expected), n_visits: MAX_AVERAGED }
    }

    /// Records a visit. A visit near the expected time corrects the series a little, so that jitter averages out; any other
    /// starts a new series.
    fn visit(&mut self, now: Timestamp) {
        let gap = now.duration_since(self.last);
        if gap < SAME_VISIT {
            return;
        }
        self.last = now;
        let on_time = self.next.and_then(|next| Some((next, lateness(next, now)?)));
        self.next = Some(if let Some((ExpectedVisit { interval, due }, late)) = on_time {
            self.n_visits = (self.n_visits + 1).min(MAX_AVERAGED);
            // The least squares fit of a line through the visits, updated by one.
            let n = i32::from(self.n_visits);
            let interval = interval + late * 6 / (n * (n + 1));
            ExpectedVisit { interval, due: due + late * (4 * n - 2) / (n * (n + 1)) + interval }
        } else {
            self.n_visits = 2;
            ExpectedVisit { interval: gap, due: now + gap }
        });
    }

    /// Returns the next expected visit, if the reader still follows the channel.
    fn expected(&self, now: Timestamp) -> Option<ExpectedVisit> {
        let (next, n_missed) = next_of_series(self.next?, now);
        let follows = self.last.duration_since(self.first) >= MIN_FOLLOWED
            && n_missed < MAX_MISSED
            && next.due.duration_since(self.last) <= MAX_ABSENCE;
        follows.then_some(next)
    }
}

/// A channel and its readers.
#[derive(Debug, Default)]
struct FollowedChannel {
    readers: Vec<Reader>,
    /// The channel was refreshed, or at least tried, for visits until this time.
    prepared: Timestamp,
    /// The last refresh before a visit has not been followed by one yet.
    is_awaiting: bool,
}

impl FollowedChannel {
    fn reader(&mut self, id: u64, now: Timestamp) -> &mut Reader {
        let known = self.readers.iter().position(|reader| reader.id == Some(id));
        let index = known.or_else(|| self.adopt(id, now)).unwrap_or_else(|| {
            if self.readers.len() >= MAX_READERS {
                let oldest = self.readers.iter().enumerate().min_by_key(|(_, reader)| reader.last);
                let oldest = oldest.map_or(0, |(index, _)| index);
                self.readers.remove(oldest);
            }
            self.readers.push(Reader { id: Some(id), first: now, last: now, next: None, n_visits: 1 });
            self.readers.len() - 1
        });
        &mut self.readers[index]
    }

    /// Takes a visitor for the restored reader that is expected now. Returns its index.
    fn adopt(&mut self, id: u64, now: Timestamp) -> Option<usize> {
        let restored = self.readers.iter().enumerate().filter(|(_, reader)| reader.id.is_none());
        let expected = restored.filter_map(|(index, reader)| {
            let next = next_of_series(reader.next?, now - MAX_JITTER).0;
            Some((lateness(next, now)?.abs(), index, next))
        });
        let (_, index, next) = expected.min_by_key(|(late, ..)| *late)?;
        self.readers[index] = Reader { id: Some(id), next: Some(next), ..self.readers[index].clone() };
        Some(index)
    }

    fn expected(&self, now: Timestamp) -> impl Iterator<Item = ExpectedVisit> {
        self.readers.iter().filter_map(move |reader| reader.expected(now))
    }
}

/// The channels of a service and their readers.
#[derive(Debug, Default)]
pub(super) struct Followed {
    channels: HashMap<ChannelName, FollowedChannel>,
    /// Channels whose expected visits have changed since [`take_changed`](Self::take_changed).
    changed: HashSet<ChannelName>,
}

impl Followed {
    /// Restores the expected visits of before a restart.
    pub(super) fn restore(&mut self, visits: Vec<(ChannelName, ExpectedVisit)>) {
        for (name, expected) in visits {
            self.channels.entry(name).or_default().readers.push(Reader::restored(expected));
        }
    }

    /// Records a visit. Returns whether the channel was refreshed for it.
    pub(super) fn visit(&mut self, name: &ChannelName, reader: u64, now: Timestamp) -> bool {
        // Every request for a feed passes here, so a known channel costs one lookup and no copy of its name.
        let is_full = self.channels.len() >= MAX_CHANNELS;
        let channel = match self.channels.get_mut(name) {
            Some(channel) => channel,
            None if is_full => return false,
            None => self.channels.entry(name.clone()).or_default(),
        };
        let reader = channel.reader(reader, now);
        let before = reader.next;
        reader.visit(now);
        if reader.next != before && reader.expected(now).is_some() {
            self.changed.insert(name.clone());
        }
        std::mem::take(&mut channel.is_awaiting)
    }

    /// Returns the channels with a visit due until `until` that they were not refreshed for, in the order of their visits.
    pub(super) fn due(&self, now: Timestamp, until: Timestamp) -> Vec<(Timestamp, ChannelName)> {
        let next = |(name, channel): (&ChannelName, &FollowedChannel)| {
            let due = channel.expected(now).map(|visit| visit.due).filter(|due| *due > channel.prepared);
            Some((due.min().filter(|due| *due <= until)?, name.clone()))
        };
        let mut due: Vec<_> = self.channels.iter().filter_map(next).collect();
        due.sort_unstable_by_key(|(due, _)| *due);
        due
    }

    /// Records that the refresh for a visit begins.
    pub(super) fn prepare(&mut self, name: &ChannelName, due: Timestamp) {
        if let Some(channel) = self.channels.get_mut(name) {
            channel.prepared = due;
        }
    }

    /// Records that a channel was refreshed for a visit. Returns whether the refresh before was for nothing.
    pub(super) fn prepared(&mut self, name: &ChannelName) -> bool {
        let channel = self.channels.get_mut(name);
        channel.is_some_and(|channel| std::mem::replace(&mut channel.is_awaiting, true))
    }

    /// Forgets readers that have not come for [`MAX_ABSENCE`]. Returns the number of refreshes that were for nothing.
    pub(super) fn forget_absent(&mut self, now: Timestamp) -> u64 {
        let mut n_unused = 0;
        self.channels.retain(|_, channel| {
            channel.readers.retain(|reader| now.duration_since(reader.last) <= MAX_ABSENCE);
            n_unused += u64::from(channel.is_awaiting && channel.readers.is_empty());
            !channel.readers.is_empty()
        });
        n_unused
    }

    /// Returns the expected visits of the channels where they have changed, to be stored.
    pub(super) fn take_changed(&mut self, now: Timestamp) -> Vec<(ChannelName, Vec<ExpectedVisit>)> {
        let expected = |name: ChannelName| {
            let visits = self.channels.get(&name).map(|channel| channel.expected(now).collect());
            (name, visits.unwrap_or_default())
        };
        std::mem::take(&mut self.changed).into_iter().map(expected).collect()
    }

    /// Puts back changes that could not be stored.
    pub(super) fn put_back(&mut self, changes: Vec<(ChannelName, Vec<ExpectedVisit>)>) {
        self.changed.extend(changes.into_iter().map(|(name, _)| name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn name() -> ChannelName {
        ChannelName::new("harbour_news").unwrap()
    }

    /// Returns when the next visit after these of `(reader, second)` is due.
    fn next_due(visits: &[(u64, i64)], now: i64) -> Option<i64> {
        let mut followed = Followed::default();
        for (reader, second) in visits {
            followed.visit(&name(), *reader, at(*second));
        }
        let due = followed.due(at(now), at(now + 30 * DAY));
        due.first().map(|(due, _)| due.duration_since(at(0)).as_secs())
    }

    #[test]
    fn a_channel_is_followed_after_an_hour_of_visits() {
        for (visits, due) in [
            (&[(1, 0)][..], None),
            (&[(1, 0), (1, 59 * MINUTE)], None),
            (&[(1, 0), (1, HOUR)], Some(2 * HOUR)),
            (&[(1, 0), (1, 30 * MINUTE), (1, HOUR)], Some(90 * MINUTE)),
            (&[(1, 0), (1, DAY)], Some(2 * DAY)),
            // Different readers.
            (&[(1, 0), (2, HOUR)], None),
            (&[(1, 0), (2, 10 * MINUTE), (1, HOUR), (2, 70 * MINUTE)], Some(2 * HOUR)),
            // The same visit: another format, a repeated request.
            (&[(1, 0), (1, 5), (1, HOUR), (1, HOUR + 30)], Some(2 * HOUR)),
            // A new interval.
            (&[(1, 0), (1, HOUR), (1, 4 * HOUR)], Some(7 * HOUR)),
            (&[(1, 0), (1, DAY), (1, DAY + HOUR)], Some(DAY + 2 * HOUR)),
            (&[(1, 0), (1, 3 * DAY)], None),
        ] {
            let now = visits.last().unwrap().1;
            assert_eq!(next_due(visits, now), due, "{visits:?}");
        }
    }

    #[test]
    fn a_reader_that_misses_three_visits_no_longer_follows() {
        let hourly = [(1, 0), (1, HOUR)];
        let daily = [(1, 0), (1, DAY)];
        for (visits, now, due) in [
            (hourly, 2 * HOUR, Some(2 * HOUR)),
            (hourly, 2 * HOUR + 1, Some(3 * HOUR)),
            (hourly, 4 * HOUR, Some(4 * HOUR)),
            (hourly, 4 * HOUR + 1, None),
            (daily, 2 * DAY + 1, Some(3 * DAY)),
            (daily, 3 * DAY + 1, None),
        ] {
            assert_eq!(next_due(&visits, now), due, "{visits:?} at {now}");
        }
    }

    #[test]
    fn jitter_averages_out() {
        let jitter = [40, -50, 10, 55, -30, -60, 20, 0, 45, -15, 30, -40];
        let visits: Vec<_> = (0..).zip(jitter).map(|(n, late)| (1, n * HOUR + late)).collect();
        let now = visits.last().unwrap().1;
        let error = next_due(&visits, now).unwrap() - 12 * HOUR;
        assert!(error.abs() <= 40, "{error}");
    }

    #[test]
    fn a_channel_is_prepared_once_for_each_visit() {
        let mut followed = Followed::default();
        let visit = |followed: &mut Followed, second| followed.visit(&name(), 1, at(second));
        assert!(!visit(&mut followed, 0) && !visit(&mut followed, HOUR));
        let due = |followed: &Followed, now| followed.due(at(now), at(now + 5 * MINUTE));
        assert!(due(&followed, 2 * HOUR - 6 * MINUTE).is_empty());
        let next = due(&followed, 2 * HOUR - 5 * MINUTE);
        assert_eq!(next, [(at(2 * HOUR), name())]);
        followed.prepare(&name(), next[0].0);
        assert!(due(&followed, 2 * HOUR - MINUTE).is_empty());
        assert!(!followed.prepared(&name()));
        assert!(visit(&mut followed, 2 * HOUR), "the visit finds a prepared channel");
        assert_eq!(due(&followed, 3 * HOUR - MINUTE), [(at(3 * HOUR), name())]);
        followed.prepare(&name(), at(3 * HOUR));
        assert!(!followed.prepared(&name()));
        assert!(followed.prepared(&name()), "nobody came in between");
    }

    #[test]
    fn a_restart_forgets_nothing() {
        let mut before = Followed::default();
        for (reader, phase) in [(1, 0), (2, 20 * MINUTE)] {
            for n in 0..3 {
                before.visit(&name(), reader, at(phase + n * HOUR));
            }
        }
        let stored = before.take_changed(at(2 * HOUR + 30 * MINUTE));
        assert!(before.take_changed(at(3 * HOUR)).is_empty(), "only changes are stored");
        let restored = || {
            let mut after = Followed::default();
            let visits =
                stored.iter().flat_map(|(name, visits)| visits.iter().map(|visit| (name.clone(), *visit)));
            after.restore(visits.collect());
            after
        };
        let due =
            |followed: &Followed, now| followed.due(at(now), at(now + DAY)).first().map(|(due, _)| *due);
        assert_eq!(due(&restored(), 2 * HOUR + 40 * MINUTE), Some(at(3 * HOUR)));
        assert_eq!(due(&restored(), 3 * HOUR + MINUTE), Some(at(3 * HOUR + 20 * MINUTE)));
        // A visit at the expected time continues the series, also after a missed one and under another hash.
        let mut after = restored();
        after.visit(&name(), 77, at(4 * HOUR));
        after.visit(&name(), 78, at(4 * HOUR + 20 * MINUTE));
        assert_eq!(due(&after, 4 * HOUR + 30 * MINUTE), Some(at(5 * HOUR)));
        assert_eq!(due(&after, 5 * HOUR + MINUTE), Some(at(5 * HOUR + 20 * MINUTE)));
    }

    #[test]
    fn readers_and_channels_are_bounded() {
        let mut followed = Followed::default();
        for reader in 0..1000 {
            followed.visit(&name(), reader, at(0));
        }
        assert_eq!(followed.channels[&name()].readers.len(), MAX_READERS);
        for n in 0..MAX_CHANNELS + 10 {
            followed.visit(&ChannelName::new(&format!("name_{n}")).unwrap(), 1, at(0));
        }
        assert_eq!(followed.channels.len(), MAX_CHANNELS);
        assert_eq!(followed.forget_absent(at(3 * DAY)), 0);
        assert!(followed.channels.is_empty());
    }
}
