//! The report: plain data, built by one function.

use jiff::Timestamp;
use serde::Serialize;

use crate::archive::{ArchiveStatus, ChannelOverview};
use crate::channels::{CacheSize, ChannelQuery, ChannelStatuses, Queues, SeenMarkup, unknown_markup_seen};
use crate::clock;
use crate::telegram::upstream::UpstreamStatus;
use crate::web::state::AppState;

/// The report for the operator. With replicas, it covers the shared archive and this replica.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Status {
    pub(in crate::web) version: &'static str,
    /// When the process was started.
    pub(in crate::web) started: Timestamp,
    pub(in crate::web) uptime_s: i64,
    /// In order of preference.
    pub(in crate::web) upstreams: Vec<UpstreamStatus>,
    /// Telegraph, which has the articles that posts link to; through each proxy.
    pub(in crate::web) telegraph: Vec<UpstreamStatus>,
    pub(in crate::web) queues: Queues,
    pub(in crate::web) archive: ArchiveStatus,
    /// The damage to the data directory that was repaired.
    pub(in crate::web) incidents: Vec<Incident>,
    pub(in crate::web) snapshot_cache: CacheSize,
    pub(in crate::web) feed_cache: CacheSize,
    pub(in crate::web) media: MediaStatus,
    pub(in crate::web) unknown_markup: Vec<SeenMarkup>,
    pub(in crate::web) channels: ChannelStatuses,
}

#[derive(Debug, Serialize)]
pub(in crate::web) struct Incident {
    pub(in crate::web) at: Timestamp,
    pub(in crate::web) what: &'static str,
}

/// Files that are being sent through the media proxy.
#[derive(Debug, Serialize)]
pub(in crate::web) struct MediaStatus {
    pub(in crate::web) streams: usize,
    pub(in crate::web) max_streams: usize,
}

/// Returns those of the channels with the newest posts that are served, the newest first, and the number of all; none if the
/// archive cannot be read.
pub(in crate::web) async fn newest_channels(state: &AppState, limit: usize) -> (Vec<ChannelOverview>, u64) {
    let _alone = state.status_lock.lock().await;
    let (mut channels, total) = state.channels.archive().newest_channels(limit).await.unwrap_or_else(|err| {
        tracing::warn!(error = %err, "cannot list the archived channels for the home page");
        (Vec::new(), 0)
    });
    channels.retain(|channel| state.check_served(&channel.name).is_ok());
    (channels, total)
}

/// Builds the report.
pub(in crate::web) async fn status(state: &AppState, query: ChannelQuery) -> Status {
    let _alone = state.status_lock.lock().await;
    let (channels, archive) = (&state.channels, state.channels.archive());
    let (entries, bytes) = state.feeds.size();
    let (streams, max_streams) = state.streams.in_use();
    let incidents = archive.incidents().into_iter().map(|(what, at)| Incident { at, what });
    Status {
        version: env!("CARGO_PKG_VERSION"),
        started: state.started,
        uptime_s: clock::now().duration_since(state.started).as_secs(),
        upstreams: channels.upstream_statuses(),
        telegraph: channels.telegraph_statuses(),
        queues: channels.queues(),
        incidents: incidents.collect(),
        snapshot_cache: channels.cache_size(),
        feed_cache: CacheSize { entries, bytes, max_bytes: state.config.feed_cache_size },
        media: MediaStatus { streams, max_streams },
        unknown_markup: unknown_markup_seen(),
        channels: channels.statuses(query).await,
        archive: archive.status().await,
    }
}
