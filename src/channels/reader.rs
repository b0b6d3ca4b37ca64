//! The visits of one reader to a channel: a series with an interval, learned from its requests.
//!
//! Pure: the caller passes the time in.

use jiff::{SignedDuration, Timestamp};

use crate::archive::ExpectedVisit;

/// A reader follows a channel if its first and its last visit are at least this far apart.
const MIN_FOLLOWED: SignedDuration = SignedDuration::from_hours(1);

/// Requests within this time are one visit: several formats, a repeated request.
const SAME_VISIT: SignedDuration = SignedDuration::from_mins(1);

/// The greatest deviation from the expected time that is a reader's jitter, not a new interval. It is also at most a
/// quarter of the interval.
pub(super) const MAX_JITTER: SignedDuration = SignedDuration::from_mins(15);

/// The expected visits without an actual one after which a reader no longer follows a channel.
const MAX_MISSED: i64 = 3;

/// The longest time without a visit in which a reader still follows a channel.
pub(super) const MAX_ABSENCE: SignedDuration = SignedDuration::from_hours(48);

/// The visits of a series over which a reader's jitter is averaged.
const MAX_AVERAGED: u8 = 8;

/// A reader of a channel.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// The hash; `None` after a restart, until a visit at the expected time shows which reader it is.
    pub(super) id: Option<u64>,
    first: Timestamp,
    pub(super) last: Timestamp,
    /// `None` after a single visit.
    pub(super) next: Option<ExpectedVisit>,
    /// The visits of the series that `next` continues.
    n_visits: u8,
}

/// How late a visit is, negative if it is early; `None` if it was not expected at this time.
pub(super) fn lateness(expected: ExpectedVisit, now: Timestamp) -> Option<SignedDuration> {
    let late = now.duration_since(expected.due);
    (late.abs() <= MAX_JITTER.min(expected.interval / 4)).then_some(late)
}

/// Returns the first visit of a series that is due at `now` or later, and how many were due before it.
pub(super) fn next_of_series(expected: ExpectedVisit, now: Timestamp) -> (ExpectedVisit, i64) {
    let late = now.duration_since(expected.due).as_secs().max(0);
    let interval = expected.interval.as_secs().max(1);
    let n_missed = (late + interval - 1) / interval;
    let skipped = expected.interval * i32::try_from(n_missed).unwrap_or(i32::MAX);
    let due = expected.due.checked_add(skipped).unwrap_or(Timestamp::MAX);
    (ExpectedVisit { due, ..expected }, n_missed)
}

impl Reader {
    /// Returns a reader after its first visit.
    pub(super) fn new(id: u64, now: Timestamp) -> Self {
        Self { id: Some(id), first: now, last: now, next: None, n_visits: 1 }
    }

    /// Restores a reader that followed a channel before the restart.
    pub(super) fn restored(expected: ExpectedVisit) -> Self {
        let before = |time: Timestamp, gap| time.saturating_sub(gap).unwrap_or(Timestamp::MIN);
        let last = before(expected.due, expected.interval);
        Self {
            id: None,
            first: before(last, MIN_FOLLOWED),
            last,
            next: Some(expected),
            n_visits: MAX_AVERAGED,
        }
    }

    /// Records a visit. A visit near the expected time corrects the series a little, so that jitter averages out; any other
    /// starts a new series.
    pub(super) fn visit(&mut self, now: Timestamp) {
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
    pub(super) fn expected(&self, now: Timestamp) -> Option<ExpectedVisit> {
        let (next, n_missed) = next_of_series(self.next?, now);
        let follows = self.last.duration_since(self.first) >= MIN_FOLLOWED
            && n_missed < MAX_MISSED
            && next.due.duration_since(self.last) <= MAX_ABSENCE;
        follows.then_some(next)
    }
}
