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
use super::plan::Plan;
use super::refresh::Source;
use super::{Channels, Failure, Visitor};
use crate::clock;
use crate::metrics;
use crate::model::channel::ChannelName;
use crate::resilience::keep_running::keep_running;

/// The longest time between a refresh and the visit that it is for.
const MAX_LEAD: Duration = Duration::from_mins(5);

/// How long before the expected visits the refreshes for them are to be over, because readers may come early.
const MARGIN: Duration = Duration::from_secs(90);

/// How often due visits are looked for and their refreshes are planned.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How often expected visits and waiting pages are archived.
pub(super) const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// How often all followed channels are searched for readers that no longer come.
const FORGET_INTERVAL: Duration = Duration::from_mins(10);

/// Attempts to read a new channel. A busy or paused upstream does not count.
const MAX_ATTEMPTS: u32 = 5;

/// A refresh that no request waits for.
enum Job {
    /// A channel whose visit is due.
    Followed(ChannelName),
    /// A channel that was never read.
    New(NewChannel),
}

/// Runs the refreshes that no request waits for, and archives expected visits and waiting pages at each interval, until the
/// channels are dropped.
pub(super) async fn run(channels: Weak<Channels>, save_interval: Duration) {
    if let Some(channels) = channels.upgrade() {
        channels.restore_visits().await;
    }
    tokio::join!(
        keep_running("archiving in the background", || save(channels.clone(), save_interval)),
        keep_running("refreshing in the background", || run_refreshes(channels.clone())),
    );
}

/// Archives expected visits and waiting pages, also while the circuit breaker of an upstream is open.
async fn save(channels: Weak<Channels>, interval: Duration) {
    let mut forgetting = Due(Some(Instant::now()));
    loop {
        sleep(interval).await;
        let Some(channels) = channels.upgrade() else { return };
        channels.archive_due().await;
        channels.save_visits().await;
        if channels.config.prefetch && forgetting.is_due(FORGET_INTERVAL) {
            channels.forget_absent().await;
        }
    }
}

async fn run_refreshes(channels: Weak<Channels>) {
    // The other permits in flight are for requests that somebody waits for.
    let n_at_once = channels.upgrade().map_or(1, |channels| channels.client.capacity().in_flight.get() - 1);
    let permits = Arc::new(Semaphore::new(n_at_once.max(1) as usize));
    let (mut planning, mut plan) = (Due::default(), Plan::default());
    loop {
        let Some(channels) = channels.upgrade() else { return };
        if planning.is_due(POLL_INTERVAL) {
            plan = channels.plan_refreshes();
        }
        if !channels.backlog().has_waiting() && !plan.has_to_begin(clock::now()) {
            let has_new = channels.has_new.notified();
            drop(timeout(POLL_INTERVAL, has_new).await);
            continue;
        }
        // The semaphore is never closed.
        let permit = Arc::clone(&permits).acquire_owned().await;
        channels.client.until_idle().await;
        if planning.is_due(POLL_INTERVAL) {
            plan = channels.plan_refreshes();
        }
        if let Some(job) = channels.take_job(&mut plan) {
            tokio::spawn(async move {
                channels.run_job(job, permit.ok()).await;
            });
        }
    }
}

/// When something was done last.
#[derive(Default)]
struct Due(Option<Instant>);

impl Due {
    /// Returns whether something that is done every `interval` is to be done now.
    fn is_due(&mut self, interval: Duration) -> bool {
        let is_due = self.0.is_none_or(|last| last.elapsed() >= interval);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
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
        due.retain(|(_, name)| self.may_be_refreshed(name));
        due
    }

    /// Returns whether a refresh would ask Telegram: it has no effect before the channel is stale.
    fn may_be_refreshed(&self, name: &ChannelName) -> bool {
        let is_fresh = self.snapshots.get(name).is_some_and(|entry| entry.remaining().is_ok());
        !is_fresh && self.failures.not_due(name).is_none()
    }

    /// Returns how long before a visit the channel may be refreshed, so that it is still fresh then.
    pub(super) fn lead(&self) -> Duration {
        MAX_LEAD.min(self.config.freshness.fresh_for(0.0))
    }

    fn plan_refreshes(&self) -> Plan {
        let margin = SignedDuration::try_from(MARGIN.min(self.lead() / 4)).unwrap_or(SignedDuration::MAX);
        Plan::new(self.due_visits(clock::now()), margin, self.client.capacity().rate.get())
    }

    fn take_job(&self, plan: &mut Plan) -> Option<Job> {
        let now = clock::now();
        while let Some((due, name)) = plan.take(now) {
            // A request may have refreshed the channel in the meantime.
            if self.may_be_refreshed(&name) {
                self.followed().prepare(&name, due);
                return Some(Job::Followed(name));
            }
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
        if let Some(loaded) = outcome.as_ref().ok().filter(|refreshed| refreshed.source != Source::Telegram) {
            outcome = self.start_refresh_of(name, Some(Arc::clone(&loaded.snapshot))).await;
        }
        if outcome.is_ok_and(|refreshed| refreshed.source == Source::Telegram)
            && self.followed().prepared(name)
        {
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
        let changes = self.followed().take_changed(now);
        if let Err(err) = self.archive.store_expected_visits(&changes).await {
            tracing::debug!(error = %err, "cannot store the expected visits of readers yet");
            self.followed().put_back(changes);
        }
    }

    /// Forgets the readers that no longer come, also in the archive. If that fails, a later call does.
    async fn forget_absent(&self) {
        let now = clock::now();
        let n_unused = self.followed().forget_absent(now);
        (0..n_unused).for_each(|_| metrics::prefetch("unused"));
        if let Err(err) = self.archive.forget_missed_visits(now).await {
            tracing::debug!(error = %err, "cannot delete missed visits of readers from the archive yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt;

    use super::*;
    use crate::channels::simulation::{HOUR, archived_channels, config, page};
    use crate::telegram::error::UpstreamErrorKind;

    #[tokio::test]
    async fn expected_visits_are_stored_while_a_circuit_breaker_is_open() {
        let is_first = AtomicBool::new(true);
        let pages = move |name: &ChannelName| {
            let refused = || UpstreamErrorKind::Refused { status: 429, retry_after: Some(HOUR) };
            let page = page(name, &[clock::now()]);
            let answer = is_first.swap(false, Ordering::Relaxed).then_some(page).ok_or_else(refused);
            async move { answer }.boxed()
        };
        let channels = archived_channels(Box::new(pages), config(true)).await;
        let name = |name| ChannelName::new(name).unwrap();
        let visitor = Visitor::new([127, 0, 0, 1].into(), b"reader");
        assert!(channels.get(&name("harbour_news"), visitor).await.is_ok());
        assert!(channels.get(&name("refused_one"), visitor).await.is_err());
        for hours in [2, 1, 0] {
            let at = clock::now() - SignedDuration::from_hours(hours);
            channels.followed().visit(&name("harbour_news"), 1, at);
        }
        tokio::spawn(run(Arc::downgrade(&channels), SAVE_INTERVAL / 100));
        let stored = async {
            while channels.archive.expected_visits().await.unwrap().is_empty() {
                sleep(SAVE_INTERVAL / 100).await;
            }
        };
        timeout(SAVE_INTERVAL, stored).await.unwrap();
    }
}
