//! The readers of each channel, for the operator.

use jiff::Timestamp;
use serde::Serialize;

use super::{Followed, FollowedChannel};
use crate::model::channel::ChannelName;

/// The readers of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Followers {
    /// Readers that come regularly.
    pub readers: usize,
    /// The last request for the channel's feed since the start of the process.
    pub last_request: Option<Timestamp>,
    /// The next expected visit of a reader.
    pub next_visit: Option<Timestamp>,
    /// The time between two visits of that reader, in seconds.
    pub interval_s: Option<i64>,
}

impl Followed {
    /// Returns the readers of every channel.
    pub(in crate::channels) fn followers(&self, now: Timestamp) -> Vec<(ChannelName, Followers)> {
        self.channels.iter().map(|(name, channel)| (name.clone(), channel.followers(now))).collect()
    }
}

impl FollowedChannel {
    fn followers(&self, now: Timestamp) -> Followers {
        let next = self.expected(now).min_by_key(|visit| visit.due);
        // A restored reader has not sent a request to this process.
        let seen = self.readers.iter().filter(|reader| reader.id.is_some());
        Followers {
            readers: self.expected(now).count(),
            last_request: seen.map(|reader| reader.last).max(),
            next_visit: next.map(|visit| visit.due),
            interval_s: next.map(|visit| visit.interval.as_secs()),
        }
    }
}
