//! Which channels the operator wants to see, and in which order.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::Serialize;

use super::ChannelStatus;

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelState {
    /// Its posts are fresh.
    Ok,
    /// Its posts are old, because there is no reason to refresh them.
    Stale,
    /// A refresh is under way or in a queue.
    Waiting,
    /// The last refresh failed.
    Failing,
    /// Telegram says that there is nothing to read under this name.
    Gone,
}

impl ChannelState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Stale, Self::Waiting, Self::Failing, Self::Gone];

    /// Returns the name, as in `state=failing`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stale => "stale",
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }
}

/// The column that channels are ordered by. A channel that has no such value is last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelSort {
    /// The name.
    #[default]
    Name,
    /// When the newest post was published.
    Newest,
    /// When the page was last fetched.
    Fetched,
    /// When the last refresh failed.
    Error,
    /// When the channel is refreshed next.
    Next,
    /// When a reader last asked.
    Requested,
}

impl ChannelSort {
    /// Every order.
    pub const ALL: [Self; 6] =
        [Self::Name, Self::Newest, Self::Fetched, Self::Error, Self::Next, Self::Requested];

    /// Returns the name, as in `sort=newest`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Newest => "newest",
            Self::Fetched => "fetched",
            Self::Error => "error",
            Self::Next => "next",
            Self::Requested => "requested",
        }
    }

    fn time(self, channel: &ChannelStatus) -> Option<Timestamp> {
        match self {
            Self::Name => None,
            Self::Newest => channel.newest,
            Self::Fetched => channel.fetched,
            Self::Error => channel.error.as_ref().map(|error| error.at),
            Self::Next => channel.next_refresh,
            Self::Requested => channel.followers.as_ref().and_then(|followers| followers.last_request),
        }
    }

    pub(super) fn compare(self, a: &ChannelStatus, b: &ChannelStatus, is_descending: bool) -> Ordering {
        let directed = |order: Ordering| if is_descending { order.reverse() } else { order };
        let by_time = match (self.time(a), self.time(b)) {
            (Some(a), Some(b)) => directed(a.cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let key = |channel: &ChannelStatus| channel.name.as_str().to_ascii_lowercase();
        let by_name = || key(a).cmp(&key(b));
        by_time.then_with(|| if self == Self::Name { directed(by_name()) } else { by_name() })
    }
}

/// Which channels are shown, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelQuery {
    /// The column that they are ordered by.
    pub sort: ChannelSort,
    /// The order is from Z to A, and from late to early.
    pub is_descending: bool,
    /// Only channels whose name or title contains this, in any case; all if empty.
    pub contains: String,
    /// Only channels in this state.
    pub state: Option<ChannelState>,
    /// The first of these channels that are left out.
    pub offset: usize,
    /// The number of channels that are shown.
    pub limit: usize,
}
