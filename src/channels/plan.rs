//! When the refreshes before expected visits have to begin.
//!
//! Pure: the caller passes the time in.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::model::channel::ChannelName;

/// A refresh before an expected visit.
#[derive(Clone, Debug)]
struct Planned {
    /// When it has to begin.
    begin: Timestamp,
    /// When the visit is due.
    due: Timestamp,
    name: ChannelName,
}

/// Refreshes one after the other, each as late as possible.
#[derive(Debug, Default)]
pub(super) struct Plan(VecDeque<Planned>);

impl Plan {
    /// Plans the refreshes for these visits, ordered by time, so that all are over `margin` before them at this rate per
    /// second.
    pub(super) fn new(dues: Vec<(Timestamp, ChannelName)>, margin: SignedDuration, rate: u32) -> Self {
        let interval = SignedDuration::from_secs(1) / i32::try_from(rate).unwrap_or(i32::MAX);
        let mut planned = VecDeque::with_capacity(dues.len());
        let mut next = Timestamp::MAX;
        for (due, name) in dues.into_iter().rev() {
            let begin = (due - margin).min(next) - interval;
            planned.push_front(Planned { begin, due, name });
            next = begin;
        }
        Self(planned)
    }

    /// Returns whether a refresh has to begin.
    pub(super) fn has_to_begin(&self, now: Timestamp) -> bool {
        self.0.front().is_some_and(|first| first.begin <= now)
    }

    /// Takes the first refresh if it has to begin, with the time of its visit.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<(Timestamp, ChannelName)> {
        self.0.pop_front_if(|first| first.begin <= now).map(|first| (first.due, first.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_begin_as_late_as_their_rate_permits() {
        const MARGIN: i64 = 90;
        let (margin, base) =
            (SignedDuration::from_secs(MARGIN), Timestamp::from_second(1_800_000_000).unwrap());
        for (dues, rate, begins) in [
            (&[500][..], 1, &[409][..]),
            (&[500, 500, 500], 1, &[407, 408, 409]),
            (&[500, 501, 900], 1, &[409, 410, 809]),
            (&[400, 410, 410, 410, 410], 1, &[309, 316, 317, 318, 319]),
            (&[400, 400, 400, 400], 2, &[308, 309, 309, 310]),
            (&[], 1, &[]),
        ] {
            let name = |n| ChannelName::new(&format!("name_{n}")).unwrap();
            let visits =
                dues.iter().enumerate().map(|(n, due)| (base + SignedDuration::from_secs(*due), name(n)));
            let mut plan = Plan::new(visits.collect(), margin, rate);
            let mut begun = Vec::new();
            for second in 0..1000 {
                let now = base + SignedDuration::from_secs(second);
                while plan.has_to_begin(now) {
                    let (due, taken) = plan.take(now).unwrap();
                    assert_eq!(
                        (due.duration_since(base).as_secs(), taken),
                        (dues[begun.len()], name(begun.len()))
                    );
                    begun.push(second);
                }
                assert!(plan.take(now).is_none());
            }
            // In whole seconds, rounded up.
            assert_eq!(begun, begins, "{dues:?} at {rate}");
        }
    }
}
