//! Refreshes that no request waits for: of followed channels shortly before their readers come, and of new channels whose
//! requests could not be answered in time.
//!
//! They wait until nobody else waits for an upstream, and until no circuit breaker is open.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::backlog::NewChannel;
use super::{Channels, Failure, Visitor};
use crate::clock;
use crate::metrics;
use crate::model::channel::ChannelName;

/// The longest time between a refresh and the visit that it is for.
const MAX_LEAD: Duration = Duration::from_mins(5);

/// How long before the expected visits the refreshes for them are to be over, because readers may come early.
const MARGIN: Duration = Duration::from_secs(90);

/// How often due visits are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How often expected visits are stored.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// Attempts to read a new channel. A busy or paused upstream does not count.
const MAX_ATTEMPTS: u32 = 5;

/// A refresh that no request waits for.
enum Job {
    /// A channel whose visit is due.
    Followed(ChannelName),
    /// A channel that was never read.
    New(NewChannel),
}

/// Runs the refreshes that no request waits for, until the channels are dropped.
pub(super) async fn run(channels: Weak<Channels>) {
    // The others are for requests that somebody waits for.
    let n_at_once = channels.upgrade().map_or(1, |channels| channels.client.capacity().in_flight.get() - 1);
    let permits = Arc::new(Semaphore::new(n_at_once.max(1) as usize));
    let mut saved: Option<Instant> = None;
    loop {
        let Some(channels) = channels.upgrade() else { return };
        if saved.is_none() {
            channels.restore_visits().await;
        }
        if saved.is_none_or(|saved| saved.elapsed() >= SAVE_INTERVAL) {
            channels.save_visits().await;
            saved = Some(Instant::now());
        }
        if !channels.has_job() {
            let has_new = channels.has_new.notified();
            drop(timeout(POLL_INTERVAL, has_new).await);
            continue;
        }
        // The semaphore is never closed.
        let permit = Arc::clone(&permits).acquire_owned().await;
        channels.client.until_idle().await;
        if let Some(job) = channels.take_job() {
            tokio::spawn(async move {
                channels.run_job(job, permit.ok()).await;
            });
        }
    }
}

/// Returns whether the first of these refreshes has to begin, so that one after the other all are over before their visits.
fn has_to_begin(
    dues: &[(Timestamp, ChannelName)],
    now: Timestamp,
    margin: SignedDuration,
    rate: u32,
) -> bool {
    let rate = i32::try_from(rate).unwrap_or(i32::MAX);
    let needed = |n: usize| margin + SignedDuration::from_secs(i64::try_from(n).unwrap_or(i64::MAX)) / rate;
    dues.iter().zip(1..).any(|((due, _), n)| due.duration_since(now) <= needed(n))
}

impl Channels {
    /// Records a request for a channel's feed, to learn when its reader comes again.
    pub fn record_visit(&self, name: &ChannelName, visitor: Visitor) {
        if self.config.prefetch && self.followed().visit(name, visitor.reader, clock::now()) {
            metrics::prefetch("used");
        }
    }

    /// Reads a new channel in the background, after a request for it failed.
    pub(super) fn read_later(&self, name: &ChannelName, visitor: Visitor) {
        self.backlog().push(NewChannel { name: name.clone(), client: visitor.client, attempts: 0 });
        self.has_new.notify_one();
    }

    /// Returns the followed channels that are to be refreshed within [`MAX_LEAD`], in the order of their visits.
    pub(super) fn due_visits(&self, now: Timestamp) -> Vec<(Timestamp, ChannelName)> {
        let mut due = self.followed().due(now, now + self.lead());
        due.retain(|(_, name)| {
            // A refresh has no effect before the channel is stale.
            let is_fresh = self.snapshots.get(name).is_some_and(|entry| entry.remaining().is_ok());
            !is_fresh && self.failures.not_due(name).is_none()
        });
        due
    }

    /// Returns how long before a visit the channel may be refreshed, so that it is still fresh then.
    fn lead(&self) -> Duration {
        MAX_LEAD.min(self.config.freshness.fresh_for(0.0))
    }

    /// Returns the followed channel whose refresh has to begin.
    fn first_to_begin(&self) -> Option<(Timestamp, ChannelName)> {
        let now = clock::now();
        let margin = SignedDuration::try_from(MARGIN.min(self.lead() / 4)).unwrap_or(SignedDuration::MAX);
        let due = self.due_visits(now);
        let has_to_begin = has_to_begin(&due, now, margin, self.client.capacity().rate.get());
        due.into_iter().next().filter(|_| has_to_begin)
    }

    fn has_job(&self) -> bool {
        self.backlog().has_waiting() || self.first_to_begin().is_some()
    }

    fn take_job(&self) -> Option<Job> {
        if let Some((due, name)) = self.first_to_begin() {
            self.followed().prepare(&name, due);
            return Some(Job::Followed(name));
        }
        self.backlog().pop().map(Job::New)
    }

    async fn run_job(self: &Arc<Self>, job: Job, permit: Option<OwnedSemaphorePermit>) {
        match job {
            Job::Followed(name) => self.prefetch(&name).await,
            Job::New(new) => {
                let outcome = self.start_refresh(&new.name).await;
                drop(permit);
                self.finish_new(new, outcome.err()).await;
            }
        }
    }

    async fn prefetch(self: &Arc<Self>, name: &ChannelName) {
        let mut outcome = self.start_refresh(name).await;
        // A channel that was not cached is loaded from the archive first, and may be stale.
        if outcome.as_ref().is_ok_and(|refreshed| !refreshed.is_from_telegram) {
            outcome = self.start_refresh(name).await;
        }
        if outcome.is_ok_and(|refreshed| refreshed.is_from_telegram) && self.followed().prepared(name) {
            metrics::prefetch("unused");
        }
    }

    /// Finishes a new channel that was read or is not a channel. Any other is put back after a while.
    async fn finish_new(&self, new: NewChannel, failure: Option<Failure>) {
        let Some(failure) = failure.filter(|failure| !failure.error.is_authoritative()) else {
            return self.backlog().finish(&new.name);
        };
        let attempts = new.attempts + u32::from(failure.attempts > 0);
        if attempts >= MAX_ATTEMPTS {
            return self.backlog().finish(&new.name);
        }
        sleep(failure.retry_after()).await;
        self.backlog().put_back(NewChannel { attempts, ..new });
        self.has_new.notify_one();
    }

    /// Restores the expected visits of before the restart. Without prefetching, deletes them.
    async fn restore_visits(&self) {
        if !self.config.prefetch {
            if let Err(err) = self.archive.forget_expected_visits().await {
                tracing::warn!(error = %err, "cannot delete the expected visits of readers from the archive");
            }
            return;
        }
        match self.archive.expected_visits().await {
            Ok(visits) => self.followed().restore(visits),
            Err(err) => tracing::warn!(error = %err, "cannot restore the expected visits of readers"),
        }
    }

    /// Stores the expected visits that have changed. If that fails, the next call does.
    async fn save_visits(&self) {
        let now = clock::now();
        let (changes, n_unused) = {
            let mut followed = self.followed();
            (followed.take_changed(now), followed.forget_absent(now))
        };
        (0..n_unused).for_each(|_| metrics::prefetch("unused"));
        if let Err(err) = self.archive.store_expected_visits(&changes, now).await {
            tracing::debug!(error = %err, "cannot store the expected visits of readers yet");
            self.followed().put_back(changes);
        }
    }
}
