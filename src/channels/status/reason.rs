//! Why a channel's feed is or is not up to date.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::{ChannelState, Known, Now};
use crate::channels::{Failure, RefreshError};
use crate::telegram::error::UpstreamErrorKind;

/// Why a channel's feed is or is not up to date. As text it is an English sentence, for the report as JSON.
#[derive(Clone, Debug)]
pub enum Reason {
    /// It was refreshed a short while ago. Holds until when that is enough.
    UpToDate(Timestamp),
    /// No reader has asked. Holds since when.
    NotRequested(Timestamp),
    /// It was asked for, but more refreshes are due than the rate limit allows, and it is quiet.
    Yielding,
    /// A refresh is under way, or waits for its turn at Telegram. Holds since when.
    Refreshing(Timestamp),
    /// It has never been read, and is read in the background.
    InBacklog,
    /// The last refresh failed.
    Failing {
        /// What went wrong.
        error: RefreshError,
        /// From when on a request leads to the next attempt.
        next_attempt: Timestamp,
        /// That time is still to come.
        is_paused: bool,
    },
    /// Telegram says that there is nothing to read. Holds what it says, if this process has asked.
    Gone(Option<RefreshError>),
}

impl Reason {
    /// Returns the state of the channel.
    #[must_use]
    pub fn state(&self) -> ChannelState {
        match self {
            Self::UpToDate(_) => ChannelState::Ok,
            Self::NotRequested(_) | Self::Yielding => ChannelState::Stale,
            Self::Refreshing(_) | Self::InBacklog => ChannelState::Waiting,
            Self::Failing { .. } => ChannelState::Failing,
            Self::Gone(_) => ChannelState::Gone,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate(until) => {
                write!(f, "up to date; the next request after {} refreshes it", time(*until))
            }
            Self::NotRequested(since) => write!(f, "not requested since {}, so not refreshed", time(*since)),
            Self::Yielding => f.write_str(
                "more refreshes are due than --rate allows, so this quiet channel gives way to others",
            ),
            Self::Refreshing(since) => write!(f, "being refreshed, or in the queue, since {}", time(*since)),
            Self::InBacklog => {
                f.write_str("never read yet; it is read in the background when it is its turn")
            }
            Self::Failing { error, next_attempt, is_paused: true } => {
                let next_attempt = time(*next_attempt);
                match cause(error) {
                    Some(cause) => write!(f, "{cause}, so no request is sent until {next_attempt}"),
                    None => write!(f, "{error}; the next attempt is due at {next_attempt}"),
                }
            }
            Self::Failing { error, .. } => match cause(error) {
                Some(cause) => write!(f, "{cause}; the next request tries again"),
                None => write!(f, "{error}; the next request tries again"),
            },
            Self::Gone(Some(error)) => error.fmt(f),
            Self::Gone(None) => {
                f.write_str("Telegram no longer shows this channel; the next request asks again")
            }
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns what an upstream answered when it is the reason that no request is sent.
fn cause(error: &RefreshError) -> Option<String> {
    let RefreshError::Upstream(err) = error else { return None };
    let host = &err.host;
    match err.kind {
        UpstreamErrorKind::Refused { status, .. } => {
            Some(format!("{host} answered {status} (too many requests)"))
        }
        UpstreamErrorKind::CircuitOpen { refused: true, .. } => {
            Some(format!("{host} answered 429 or 503 (too many requests)"))
        }
        UpstreamErrorKind::CircuitOpen { .. } => Some(format!("{host} keeps failing")),
        _ => None,
    }
}

/// Formats a time for a sentence, in whole seconds.
fn time(time: Timestamp) -> String {
    format!("{time:.0}")
}

impl Known {
    /// Joins what is known about two names of a channel: of each fact, the one that is newer or worse.
    pub(super) fn join(&mut self, other: Self) {
        let Self { failure, refreshing, is_in_backlog, cached, newest, followers } = other;
        let time = |failure: &Option<(Failure, Instant)>| failure.as_ref().map(|(_, at)| *at);
        if time(&failure) > time(&self.failure) {
            self.failure = failure;
        }
        self.refreshing = self.refreshing.or(refreshing);
        self.is_in_backlog |= is_in_backlog;
        self.cached = self.cached.max(cached);
        self.newest = self.newest.max(newest);
        let last_request = |followers: &Option<super::Followers>| followers.as_ref()?.last_request;
        if self.followers.is_none() || last_request(&followers) > last_request(&self.followers) {
            self.followers = followers;
        }
    }

    /// Returns why the feed does or does not move. `page` is when the page was fetched, and until when that is fresh.
    pub(super) fn reason(
        &self,
        page: Option<(Timestamp, Timestamp)>,
        is_gone: bool,
        now: Now,
    ) -> Option<Reason> {
        if let Some((failure, _)) = &self.failure {
            let (error, next_attempt) = (failure.error.clone(), now.timestamp(failure.until));
            if error.is_authoritative() {
                return Some(Reason::Gone(Some(error)));
            }
            return Some(Reason::Failing { error, next_attempt, is_paused: next_attempt > now.wall });
        }
        if let Some(since) = self.refreshing {
            return Some(Reason::Refreshing(now.timestamp(since)));
        }
        if is_gone {
            return Some(Reason::Gone(None));
        }
        let Some((fetched, stale_from)) = page else {
            return self.is_in_backlog.then_some(Reason::InBacklog);
        };
        if stale_from > now.wall {
            return Some(Reason::UpToDate(stale_from));
        }
        let last_request = self.followers.as_ref().and_then(|followers| followers.last_request);
        Some(match last_request {
            Some(last) if last > stale_from && now.is_congested => Reason::Yielding,
            Some(last) => Reason::NotRequested(last.max(fetched)),
            // A request would have led to a refresh.
            None => Reason::NotRequested(stale_from),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::super::Followers;
    use super::*;

    const NOON: &str = "2026-08-01T12:00:00Z";

    fn at(minute: i64) -> Timestamp {
        NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
    }

    fn requested(minute: i64) -> Known {
        let followers =
            Followers { readers: 0, last_request: Some(at(minute)), next_visit: None, interval_s: None };
        Known { followers: Some(followers), ..Known::default() }
    }

    #[test]
    fn reason_is_what_keeps_the_feed_from_moving() {
        let instant = Instant::now();
        let now = |is_congested| Now {
            instant,
            wall: at(0),
            is_congested,
            fresh_for: Duration::from_mins(5),
            lead: Duration::ZERO,
        };
        let refreshing = || Known { refreshing: Some(instant), ..requested(-1) };
        let in_backlog = || Known { is_in_backlog: true, ..Known::default() };
        let (fresh, stale) = (Some((at(-2), at(3))), Some((at(-20), at(-15))));
        for (known, page, is_gone, is_congested, reason) in [
            (Known::default(), None, false, false, None),
            (
                in_backlog(),
                None,
                false,
                false,
                Some("never read yet; it is read in the background when it is its turn"),
            ),
            (
                requested(-1),
                fresh,
                false,
                true,
                Some("up to date; the next request after 2026-08-01T12:03:00Z refreshes it"),
            ),
            (
                Known::default(),
                stale,
                false,
                false,
                Some("not requested since 2026-08-01T11:45:00Z, so not refreshed"),
            ),
            (
                requested(-17),
                stale,
                false,
                true,
                Some("not requested since 2026-08-01T11:43:00Z, so not refreshed"),
            ),
            // Another replica has fetched it later.
            (
                requested(-30),
                stale,
                false,
                false,
                Some("not requested since 2026-08-01T11:40:00Z, so not refreshed"),
            ),
            (
                requested(-1),
                stale,
                false,
                true,
                Some("more refreshes are due than --rate allows, so this quiet channel gives way to others"),
            ),
            (
                refreshing(),
                stale,
                false,
                true,
                Some("being refreshed, or in the queue, since 2026-08-01T12:00:00Z"),
            ),
            (
                requested(-1),
                stale,
                true,
                false,
                Some("Telegram no longer shows this channel; the next request asks again"),
            ),
        ] {
            let found = known.reason(page, is_gone, now(is_congested)).map(|reason| reason.to_string());
            assert_eq!(found.as_deref(), reason);
        }
    }
}
