//! When the readers of a channel come again: learned from their requests for its feeds, so that the channel is refreshed
//! just before.
//!
//! Pure: the caller passes the time in.

mod followers;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use jiff::Timestamp;

use super::reader::{MAX_ABSENCE, MAX_JITTER, Reader, lateness, next_of_series};
use crate::archive::ExpectedVisit;
use crate::model::channel::ChannelName;

pub use followers::Followers;

/// Readers that are remembered per channel, the latest ones.
const MAX_READERS: usize = 8;

/// Channels whose readers are remembered, of about half a kilobyte each.
const MAX_CHANNELS: usize = 200_000;

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

/// A channel and its readers.
#[derive(Debug, Default)]
struct FollowedChannel {
    readers: Vec<Reader>,
    /// The channel was refreshed, or at least tried, for visits until this time.
    prepared: Timestamp,
    /// The last refresh before a visit has not been followed by one yet.
    is_awaiting: bool,
    /// Where the channel is in [`Followed::queue`].
    queued: Option<Timestamp>,
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
            self.readers.push(Reader::new(id, now));
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
        (self.readers[index].id, self.readers[index].next) = (Some(id), Some(next));
        Some(index)
    }

    fn expected(&self, now: Timestamp) -> impl Iterator<Item = ExpectedVisit> {
        self.readers.iter().filter_map(move |reader| reader.expected(now))
    }

    /// Returns the first expected visit that the channel was not refreshed for.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.expected(now).map(|visit| visit.due).filter(|due| *due > self.prepared).min()
    }
}

/// The channels of a service and their readers.
#[derive(Debug, Default)]
pub(super) struct Followed {
    channels: HashMap<ChannelName, FollowedChannel>,
    /// The channels by their next expected visit, or by an earlier time if that has passed, so that work per visit and per
    /// refresh does not grow with the number of channels.
    queue: BTreeSet<(Timestamp, ChannelName)>,
    /// Channels whose expected visits have changed since [`take_changed`](Self::take_changed).
    changed: HashSet<ChannelName>,
}

impl Followed {
    /// Restores the expected visits of before a restart.
    pub(super) fn restore(&mut self, visits: Vec<(ChannelName, ExpectedVisit)>) {
        for (name, expected) in visits {
            let channel = self.channels.entry(name.clone()).or_default();
            channel.readers.push(Reader::restored(expected));
            let first = channel.queued.map_or(expected.due, |queued| queued.min(expected.due));
            self.enqueue(&name, Some(first));
        }
    }

    /// Moves a channel to this time in the queue, or out of it.
    fn enqueue(&mut self, name: &ChannelName, at: Option<Timestamp>) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        if channel.queued == at {
            return;
        }
        if let Some(before) = std::mem::replace(&mut channel.queued, at) {
            self.queue.remove(&(before, name.clone()));
        }
        self.queue.extend(at.map(|at| (at, name.clone())));
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
        let is_changed = reader.next != before;
        if is_changed && reader.expected(now).is_some() {
            self.changed.insert(name.clone());
        }
        let was_awaiting = std::mem::take(&mut channel.is_awaiting);
        if is_changed {
            self.requeue(name, now);
        }
        was_awaiting
    }

    /// Returns the channels with a visit due until `until` that they were not refreshed for, in the order of their visits.
    pub(super) fn due(&mut self, now: Timestamp, until: Timestamp) -> Vec<(Timestamp, ChannelName)> {
        // Nobody came: the next visit counts.
        let passed: Vec<_> = self.queue.iter().take_while(|(at, _)| *at < now).cloned().collect();
        for (_, name) in passed {
            self.requeue(&name, now);
        }
        let expected = self.queue.iter().take_while(|(at, _)| *at <= until);
        let next = |name: &ChannelName| self.channels.get(name)?.next(now).filter(|due| *due <= until);
        let mut due: Vec<_> = expected.filter_map(|(_, name)| Some((next(name)?, name.clone()))).collect();
        due.sort_unstable();
        due
    }

    fn requeue(&mut self, name: &ChannelName, now: Timestamp) {
        let channel = self.channels.get(name);
        let first = channel.and_then(|channel| channel.expected(now).map(|visit| visit.due).min());
        self.enqueue(name, first);
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
        let Self { channels, queue, .. } = self;
        channels.retain(|name, channel| {
            channel.readers.retain(|reader| now.duration_since(reader.last) <= MAX_ABSENCE);
            if channel.readers.is_empty() {
                n_unused += u64::from(channel.is_awaiting);
                if let Some(at) = channel.queued {
                    queue.remove(&(at, name.clone()));
                }
            }
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
        let due = |followed: &mut Followed, now| followed.due(at(now), at(now + 5 * MINUTE));
        assert!(due(&mut followed, 2 * HOUR - 6 * MINUTE).is_empty());
        let next = due(&mut followed, 2 * HOUR - 5 * MINUTE);
        assert_eq!(next, [(at(2 * HOUR), name())]);
        followed.prepare(&name(), next[0].0);
        assert!(due(&mut followed, 2 * HOUR - MINUTE).is_empty());
        assert!(!followed.prepared(&name()));
        assert!(visit(&mut followed, 2 * HOUR), "the visit finds a prepared channel");
        assert_eq!(due(&mut followed, 3 * HOUR - MINUTE), [(at(3 * HOUR), name())]);
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
            |followed: &mut Followed, now| followed.due(at(now), at(now + DAY)).first().map(|(due, _)| *due);
        assert_eq!(due(&mut restored(), 2 * HOUR + 40 * MINUTE), Some(at(3 * HOUR)));
        assert_eq!(due(&mut restored(), 3 * HOUR + MINUTE), Some(at(3 * HOUR + 20 * MINUTE)));
        // A visit at the expected time continues the series, also after a missed one and under another hash.
        let mut after = restored();
        after.visit(&name(), 77, at(4 * HOUR));
        after.visit(&name(), 78, at(4 * HOUR + 20 * MINUTE));
        assert_eq!(due(&mut after, 4 * HOUR + 30 * MINUTE), Some(at(5 * HOUR)));
        assert_eq!(due(&mut after, 5 * HOUR + MINUTE), Some(at(5 * HOUR + 20 * MINUTE)));
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
        assert!(followed.channels.is_empty() && followed.queue.is_empty());
    }

    /// The queue answers without a look at all channels, and must find the same.
    #[test]
    fn queue_has_the_next_visit_of_every_channel() {
        let mut rng = fastrand::Rng::with_seed(7);
        let names: Vec<_> = (0..50).map(|n| ChannelName::new(&format!("name_{n}")).unwrap()).collect();
        let (mut followed, mut n_due) = (Followed::default(), 0);
        for minute in 0..3000 {
            let (now, until) = (at(minute * MINUTE), at((minute + 5) * MINUTE));
            // A reader of each channel comes at a fixed minute of most hours, and others whenever they like.
            let n_random = rng.usize(..names.len());
            for (n, name) in names.iter().enumerate() {
                if n == n_random {
                    followed.visit(name, rng.u64(..3), now);
                } else if i64::try_from(n).unwrap() == minute % 60 && rng.u8(..10) > 0 {
                    followed.visit(name, 7, now);
                }
            }
            let due = followed.due(now, until);
            let next =
                |name: &ChannelName| followed.channels.get(name)?.next(now).filter(|next| *next <= until);
            let next = |name: &ChannelName| Some((next(name)?, name.clone()));
            let mut expected: Vec<_> = names.iter().filter_map(next).collect();
            expected.sort();
            assert_eq!(due, expected, "minute {minute}");
            n_due += due.len();
            if let Some((due, name)) = due.first().filter(|_| rng.bool()) {
                followed.prepare(name, *due);
            }
        }
        assert!(n_due > 100, "only {n_due} visits were due");
    }
}
