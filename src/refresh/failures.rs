//! Refreshes that failed: when they may be tried again, and when a channel counts as gone.

use std::time::{Duration, Instant};

use moka::sync::Cache;
use thiserror::Error;

use super::RefreshError;
use crate::backoff::{grown, spread};
use crate::channel::ChannelName;
use crate::telegram::client::FetchError;
use crate::telegram::landing::NoPosts;

/// How long it is remembered that Telegram has no posts to give under a name.
const NO_SUCH_CHANNEL: Duration = Duration::from_mins(10);

/// How long a failure is remembered, the first time; doubled with each further one.
const FAILURE: Duration = Duration::from_secs(30);

/// The longest that a failure is remembered.
const MAX_FAILURE: Duration = Duration::from_mins(15);

/// Names of which a failure is remembered.
const MAX_FAILURES: u64 = 10_000;

/// A failure nobody has met for so long is forgotten, and with it how often it came.
const FORGOTTEN: Duration = Duration::from_hours(2);

/// How often, and over how long, Telegram has to say that a known channel is gone before it is believed.
const CONFIRMED: (u32, Duration) = (3, Duration::from_hours(1));

/// A refresh that failed, remembered so that it is not tried again at once.
#[derive(Clone, Debug, Error)]
#[error("{error}")]
pub struct Failure {
    /// What went wrong.
    pub error: RefreshError,
    /// When it may be tried again.
    until: Instant,
    /// How often in a row.
    pub(super) times: u32,
    /// When Telegram said for the first time that a known channel is gone, and how often it has.
    gone: Option<(Instant, u32)>,
    /// The channel may be archived all the same.
    pub(super) may_be_archived: bool,
}

impl Failure {
    /// What is asked for cannot be had at the moment, and may be asked again soon.
    pub(super) fn not_now() -> Self {
        let until = Instant::now() + FAILURE / 10;
        Self { error: RefreshError::NotNow, until, times: 0, gone: None, may_be_archived: true }
    }

    /// In how long it may be tried again.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// What is known of a channel before it is refreshed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// Its posts.
    Posts,
    /// Nothing, and the archive has nothing either.
    None,
    /// Nothing, but the archive could not be asked.
    Unasked,
}

/// The failures that are remembered.
pub(super) struct Failures(Cache<ChannelName, Failure>);

impl Failures {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MAX_FAILURES).time_to_idle(FORGOTTEN).build())
    }

    /// The last failure of a channel, also when it may be tried again.
    pub(super) fn get(&self, name: &ChannelName) -> Option<Failure> {
        self.0.get(name)
    }

    /// The failure for which a channel is not tried again yet.
    pub(super) fn remembered(&self, name: &ChannelName) -> Option<Failure> {
        self.get(name).filter(|failure| !failure.left().is_zero())
    }

    /// The channel has been read.
    pub(super) fn forget(&self, name: &ChannelName) {
        self.0.invalidate(name);
    }

    /// Remembers a failure, and decides whether a known channel is gone: until that is sure, its error says otherwise.
    pub(super) fn add(
        &self,
        name: &ChannelName,
        error: RefreshError,
        knowledge: Knowledge,
        now: Instant,
    ) -> Failure {
        let known = knowledge == Knowledge::Posts;
        let before = self.get(name);
        // That an upstream is busy or left alone says nothing of the channel, and how long it lasts.
        let of_upstream = match &error {
            RefreshError::Fetch(FetchError::Busy(_)) => Some(FAILURE / 10),
            RefreshError::Fetch(FetchError::Resting { left, .. }) => Some((*left).max(FAILURE / 30)),
            RefreshError::Fetch(FetchError::Refused { retry_after, .. }) => *retry_after,
            _ => None,
        };
        let times_before = before.as_ref().map_or(0, |before| before.times);
        let times = times_before.saturating_add(of_upstream.is_none().into());
        let is_said_gone = known && error.is_telegrams_word();
        let gone_before = before.and_then(|before| before.gone);
        let gone = if is_said_gone {
            let (since, n) = gone_before.unwrap_or((now, 0));
            Some((since, n + 1))
        } else {
            gone_before.filter(|_| of_upstream.is_some())
        };
        let confirmed =
            is_said_gone && gone.is_some_and(|(since, n)| n >= CONFIRMED.0 && now - since >= CONFIRMED.1);
        // Telegram also says so when it is asked too often.
        let error = if is_said_gone && !confirmed { RefreshError::NoPosts(NoPosts::SoftBan) } else { error };
        let rest = if error.is_telegrams_word() {
            NO_SUCH_CHANNEL
        } else {
            let grown = grown(FAILURE, times.saturating_sub(1), MAX_FAILURE);
            of_upstream.unwrap_or_else(|| spread(grown, fastrand::f64()))
        };
        let may_be_archived = knowledge != Knowledge::None && !confirmed;
        let failure = Failure { error, until: now + rest, times, gone, may_be_archived };
        self.0.insert(name.clone(), failure.clone());
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_channel_is_gone_when_telegram_has_said_so_three_times_over_an_hour() {
        let name = ChannelName::new("harbour_news").unwrap();
        let (gone, busy) = (
            RefreshError::NoPosts(NoPosts::Nobody),
            RefreshError::Fetch(FetchError::Busy("t.me".to_owned())),
        );
        let silent = RefreshError::Fetch(FetchError::TimedOut("t.me".to_owned()));
        let begin = Instant::now();
        for (said, is_gone) in [
            (&[(0, &gone), (30, &gone), (60, &gone)][..], true),
            (&[(0, &gone), (60, &gone)], false),
            (&[(0, &gone), (10, &gone), (59, &gone)], false),
            // That t.me is busy is no word on the channel; that it is there again, or fails, begins anew.
            (&[(0, &gone), (30, &gone), (40, &busy), (60, &gone)], true),
            (&[(0, &gone), (30, &silent), (60, &gone), (90, &gone)], false),
        ] {
            let failures = Failures::new();
            let mut last = None;
            for (minute, error) in said {
                let now = begin + Duration::from_mins(*minute);
                last = Some(failures.add(&name, (*error).clone(), Knowledge::Posts, now));
            }
            let last = last.unwrap();
            assert_eq!(last.error.is_telegrams_word(), is_gone, "{said:?}");
            assert_eq!(last.may_be_archived, !is_gone, "{said:?}");
        }
        // Of what nobody has read, Telegram's word is enough.
        let first = Failures::new().add(&name, gone, Knowledge::None, begin);
        assert!(first.error.is_telegrams_word() && !first.may_be_archived);
    }

    #[test]
    fn a_failure_is_remembered_for_longer_each_time() {
        let name = ChannelName::new("harbour_news").unwrap();
        let failures = Failures::new();
        let now = Instant::now();
        let rest = || {
            let lost = RefreshError::Fetch(FetchError::TimedOut("t.me".to_owned()));
            failures.add(&name, lost, Knowledge::None, now).until - now
        };
        let mut before = rest();
        for _ in 0..4 {
            let next = rest();
            assert!(next > before.mul_f64(1.2), "{next:?} after {before:?}");
            before = next;
        }
        for _ in 0..20 {
            assert!(rest() <= MAX_FAILURE.mul_f64(1.5));
        }
    }
}
