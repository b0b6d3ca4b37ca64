//! The state of every channel, for the operator: above all, why its feed is or is not up to date.
//!
//! All channels are looked at, but only the ones that are shown are read in detail.

mod query;
mod reason;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::failures::Failure;
use super::{CONGESTED_QUEUE, Channels, Followers};
use crate::archive::{ChannelOverview, GapsStatus, Overview};
use crate::clock;
use crate::cpu_pool;
use crate::metrics;
use crate::model::channel::ChannelName;
use crate::telegram::upstream::{Priority, UpstreamStatus};

pub use query::{ChannelQuery, ChannelSort, ChannelState};
pub use reason::Reason;

/// A failed refresh.
#[derive(Clone, Debug, Serialize)]
pub struct LastError {
    /// When it failed.
    pub at: Timestamp,
    /// The error.
    pub sentence: String,
    /// The code, as in metrics.
    pub code: String,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// From when on a request leads to the next attempt.
    pub next_attempt: Timestamp,
}

/// The status of a channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelStatus {
    /// The canonical name, or the requested one if no page of it was read.
    pub name: ChannelName,
    /// The title.
    pub title: Option<String>,
    /// The state.
    pub state: ChannelState,
    /// Why its feed is or is not up to date.
    pub reason: Reason,
    /// When its page was last fetched.
    pub fetched: Option<Timestamp>,
    /// When it is refreshed before a reader's visit; `None` if the next request after it is stale does that.
    pub next_refresh: Option<Timestamp>,
    /// The last refresh, if it failed.
    pub error: Option<LastError>,
    /// Archived posts.
    pub posts: Option<u64>,
    /// When the newest post was published.
    pub newest: Option<Timestamp>,
    /// Ranges of posts that are not archived.
    pub gaps: Option<GapsStatus>,
    /// The readers, as far as they are known; they are only remembered with `--prefetch`.
    pub followers: Option<Followers>,
    #[serde(skip)]
    archived: Option<usize>,
}

/// The channels that a query asks for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ChannelStatuses {
    /// All channels that are known.
    pub total: usize,
    /// Their number in each state.
    pub states: BTreeMap<ChannelState, usize>,
    /// The channels that match the query.
    pub matching: usize,
    /// Those that are shown.
    pub shown: Vec<ChannelStatus>,
}

/// The number of entries of a cache, and its size. Both are approximate.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CacheSize {
    /// The entries.
    pub entries: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The most bytes that the cache may have.
    pub max_bytes: u64,
}

/// Work that is under way or waits.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Queues {
    /// Refreshes that are under way or wait for an upstream.
    pub refreshes: usize,
    /// Channels to be refreshed before visits in the next minutes.
    pub before_visits: usize,
    /// New channels that are read in the background.
    pub new_channels: usize,
}

/// The part of a channel's status that is in memory.
#[derive(Default)]
struct Known {
    /// The last refresh, if it failed, and when.
    failure: Option<(Failure, Instant)>,
    /// When the refresh that is under way began.
    refreshing: Option<Instant>,
    is_in_backlog: bool,
    /// When the page in memory was fetched, and until when it is fresh.
    cached: Option<(Timestamp, Timestamp)>,
    newest: Option<Timestamp>,
    followers: Option<Followers>,
}

/// The moment of a report, on both clocks.
#[derive(Clone, Copy)]
struct Now {
    instant: Instant,
    wall: Timestamp,
    /// More refreshes are due than the rate limit allows.
    is_congested: bool,
    /// How long a page is fresh at most.
    fresh_for: Duration,
    /// How long before a visit a channel is refreshed.
    lead: Duration,
}

impl Now {
    fn timestamp(self, instant: Instant) -> Timestamp {
        // The two clocks differ a little with each report.
        clock::whole_seconds(match instant.checked_duration_since(self.instant) {
            Some(left) => later(self.wall, left),
            None => self.wall.saturating_sub(self.instant - instant).unwrap_or(Timestamp::MIN),
        })
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

impl Channels {
    /// Returns the channels that a query asks for. Without the archive, those in memory.
    pub async fn statuses(&self, query: ChannelQuery) -> ChannelStatuses {
        let archived = self.archive.overview().await.unwrap_or_else(|err| {
            tracing::warn!(error = %err, "cannot read the archived channels for the status page");
            Overview::default()
        });
        let archived = Arc::new(archived);
        let (known, now) = (self.known(), self.now());
        let n_bytes = archived.channels.len() * size_of::<ChannelStatus>();
        let (overview, limits) = (Arc::clone(&archived), query);
        let selected = cpu_pool::run(n_bytes, move || select(&overview, known, &limits, now)).await;
        let mut statuses = selected.unwrap_or_else(|err| {
            tracing::error!(error = %err, "the report of the channels panicked");
            ChannelStatuses::default()
        });
        self.add_details(&archived, &mut statuses.shown).await;
        statuses
    }

    /// Adds the titles, the numbers of posts and the gaps.
    async fn add_details(&self, archived: &Overview, shown: &mut [ChannelStatus]) {
        let rows: Vec<_> = shown.iter_mut().filter_map(|row| Some((row.archived?, row))).collect();
        let overviews: Vec<_> = rows.iter().map(|(index, _)| &archived.channels[*index]).collect();
        let details = self.archive.channel_statuses(&overviews).await.unwrap_or_else(|err| {
            tracing::warn!(error = %err, "cannot count the archived posts for the status page");
            Vec::new()
        });
        let mut details = details.into_iter();
        for (index, row) in rows {
            row.title = archived.channels[index].title();
            let detail = details.next();
            row.posts = detail.as_ref().map(|detail| detail.posts);
            row.gaps = detail.map(|detail| detail.gaps);
        }
    }

    fn now(&self) -> Now {
        let is_congested = self.client.queue_time(Priority::High).is_some_and(|time| time >= CONGESTED_QUEUE);
        let (fresh_for, lead) = (self.config.freshness.min, self.lead());
        Now { instant: Instant::now(), wall: clock::now(), is_congested, fresh_for, lead }
    }

    /// Returns what this process knows about each name.
    fn known(&self) -> HashMap<ChannelName, Known> {
        let now = self.now();
        let mut known: HashMap<ChannelName, Known> = HashMap::new();
        for (name, failure, at) in self.failures.all() {
            known.entry(name).or_default().failure = Some((Arc::unwrap_or_clone(failure), at));
        }
        for (name, since) in self.refreshes.running() {
            known.entry(name).or_default().refreshing = Some(since);
        }
        for name in self.backlog().names() {
            known.entry(name.clone()).or_default().is_in_backlog = true;
        }
        for (name, entry) in self.snapshots.all() {
            let fetched = now.wall.saturating_sub(entry.age()).unwrap_or(Timestamp::MIN);
            let fetched = clock::whole_seconds(fetched);
            let known = known.entry(name).or_default();
            known.cached = Some((fetched, later(fetched, entry.fresh_for())));
            known.newest = Some(entry.snapshot.newest());
        }
        for (name, followers) in self.followed().followers(now.wall) {
            known.entry(name).or_default().followers = Some(followers);
        }
        known
    }

    /// Returns the work that is under way or waits.
    #[must_use]
    pub fn queues(&self) -> Queues {
        Queues {
            refreshes: self.refreshes.running().len(),
            before_visits: self.due_visits(clock::now()).len(),
            new_channels: self.backlog().len(),
        }
    }

    /// Updates the gauges of the upstreams, the archive and the queues.
    pub fn report_metrics(&self) {
        self.client.report_metrics();
        metrics::archive_state(self.archive.problem().is_none(), self.unarchived.n_pages());
        metrics::background_queues(self.due_visits(clock::now()).len(), self.backlog().len());
    }

    /// Returns the size of the cache of channels.
    #[must_use]
    pub fn cache_size(&self) -> CacheSize {
        let (entries, bytes) = self.snapshots.size();
        CacheSize { entries, bytes, max_bytes: self.config.cache_size }
    }

    /// Returns the status of each upstream.
    #[must_use]
    pub fn upstream_statuses(&self) -> Vec<UpstreamStatus> {
        self.client.upstream_statuses()
    }

    /// Returns the status of Telegraph through each proxy.
    #[must_use]
    pub fn telegraph_statuses(&self) -> Vec<UpstreamStatus> {
        self.client.telegraph_statuses()
    }
}

/// Joins what the archive and this process know, and selects the channels that a query asks for.
fn select(
    archived: &Overview,
    known: HashMap<ChannelName, Known>,
    query: &ChannelQuery,
    now: Now,
) -> ChannelStatuses {
    let mut known_of: HashMap<usize, Known> = HashMap::new();
    let mut all = Vec::with_capacity(archived.channels.len());
    for (name, known) in known {
        match archived.by_name.get(&name) {
            Some(index) => known_of.entry(*index).or_default().join(known),
            None => all.extend(status(name, None, known, now)),
        }
    }
    for (index, channel) in archived.channels.iter().enumerate() {
        let known = known_of.remove(&index).unwrap_or_default();
        all.extend(status(channel.name.clone(), Some((index, channel)), known, now));
    }
    let mut states = BTreeMap::new();
    for channel in &all {
        *states.entry(channel.state).or_default() += 1;
    }
    let total = all.len();
    all.retain(|channel| query.state.is_none_or(|state| state == channel.state));
    let wanted = query.contains.trim().trim_start_matches('@').to_lowercase();
    if !wanted.is_empty() {
        let title = |channel: &ChannelStatus| archived.channels[channel.archived?].title();
        all.retain(|channel| {
            let is_named = channel.name.as_str().to_ascii_lowercase().contains(&wanted);
            is_named || title(channel).is_some_and(|title| title.to_lowercase().contains(&wanted))
        });
    }
    let matching = all.len();
    all.sort_by(|a, b| query.sort.compare(a, b, query.is_descending));
    let shown = all.into_iter().skip(query.offset).take(query.limit).collect();
    ChannelStatuses { total, states, matching, shown }
}

/// Returns the status of a channel; `None` for a name of which nothing is known but requests.
fn status(
    name: ChannelName,
    archived: Option<(usize, &ChannelOverview)>,
    known: Known,
    now: Now,
) -> Option<ChannelStatus> {
    let in_archive = archived.map(|(_, channel)| {
        // The service that fetched it may have had another setting.
        (channel.fetched, later(channel.fetched, channel.fresh_for.min(now.fresh_for)))
    });
    let page = in_archive.max(known.cached);
    let is_gone = archived.is_some_and(|(_, channel)| channel.is_gone);
    let reason = known.reason(page, is_gone, now)?;
    let error = known.failure.as_ref().map(|(failure, at)| LastError {
        at: now.timestamp(*at),
        sentence: failure.error.to_string(),
        code: failure.error.code(),
        attempts: failure.attempts,
        next_attempt: now.timestamp(failure.until),
    });
    let stale_from = page.map(|(_, stale_from)| stale_from);
    let next_visit = known.followers.as_ref().and_then(|followers| followers.next_visit);
    let before_visit =
        next_visit.map(|visit| visit.saturating_sub(now.lead).unwrap_or(Timestamp::MIN).max(now.wall));
    let next_attempt = error.as_ref().map(|error| error.next_attempt);
    Some(ChannelStatus {
        title: None,
        state: reason.state(),
        reason,
        fetched: page.map(|(fetched, _)| fetched),
        next_refresh: before_visit
            .map(|time| [stale_from, next_attempt].into_iter().flatten().fold(time, Ord::max)),
        error,
        posts: None,
        newest: archived.map_or(known.newest, |(_, channel)| channel.newest),
        gaps: None,
        followers: known.followers,
        archived: archived.map(|(index, _)| index),
        name,
    })
}
