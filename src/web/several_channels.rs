//! Feeds of several channels: `/durov,telegram/rss`. A channel that cannot be read does not fail the others.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use tokio::time::{Instant, timeout_at};

use super::canonical;
use super::context::RequestContext;
use super::error::Error;
use super::feed_cache::{LoadedFeed, RenderRequest, Variant, feed_path, soonest};
use super::lookback::{self, Start};
use super::state::AppState;
use crate::channels::{CachedChannel, STALE_MAX_AGE, Visitor};
use crate::clock;
use crate::cpu_pool;
use crate::feed::Format;
use crate::feed::context::FeedContext;
use crate::feed::filter::Filter;
use crate::feed::options::{EntryIds, FeedOptions};
use crate::feed::select::Scan;
use crate::feed::several_channels as combined;
use crate::model::channel::ChannelName;

/// How long a request waits for channels that are not read yet. The rest of its time is for rendering.
const READ_TIME: Duration = Duration::from_secs(8);

/// What could be read of the channels.
struct Channels {
    read: Vec<(ChannelName, CachedChannel)>,
    to_come: Vec<ChannelName>,
    failed: Vec<ChannelName>,
}

/// Returns the feed of several channels, whose names are sorted.
pub(super) async fn feed(
    state: &Arc<AppState>,
    names: Vec<ChannelName>,
    format: Format,
    options: FeedOptions,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    // Errors come before anything is fetched.
    if options.before.is_some() {
        return Err(Error::NotForSeveral("`before`"));
    }
    if matches!(options.ids, EntryIds::Number | EntryIds::Prefix(_)) {
        return Err(Error::NotForSeveral("`ids` with numbers"));
    }
    let filter = Filter::new(&options)?;
    let media = state.chosen_media_linker(options.media, &context.base_url)?;
    let Channels { read, to_come, failed } = read(state, &names, context.visitor).await?;
    let note = combined::note(&to_come, &failed, options.language);
    let snapshots: Vec<_> = read.iter().map(|(_, cached)| Arc::clone(&cached.snapshot)).collect();
    let path = canonical::path_of_all(&names, Some(format));
    let request = RenderRequest {
        path: feed_path(&path, &options),
        channels: names.clone(),
        rendering: format.into(),
        variant: Variant::of(context, headers),
        note: note.clone(),
        // A channel that comes later may have only older posts.
        has_last_modified: false,
    };
    let members: Vec<_> = read.iter().map(|(name, cached)| (name.clone(), cached.snapshot.clone())).collect();
    let (base_url, channels) = (context.base_url.clone(), Arc::clone(&state.channels));
    let load = move || async move {
        let language = options.language;
        let own = FeedContext { url: base_url.with_path(&path), options, media, ..FeedContext::default() };
        let home_url = base_url.with_path(&canonical::path_of_all(&names, None));
        let mut feed = combined::begin(&names, home_url, own.self_url(), &note, language);
        let (mut expires, mut is_incomplete) = (None, false);
        for (name, snapshot) in members {
            let own =
                FeedContext { url: base_url.with_path(&canonical::path(&name, Some(format))), ..own.clone() };
            let (options, n_bytes) = (own.options.clone(), snapshot.json_len());
            let (limit, channel) = (options.limit, snapshot.channel().clone());
            let loaded = if options.is_default() {
                lookback::newest(snapshot, own).await?
            } else {
                let scan = Scan::new(options, filter.clone(), clock::now()).looking_back();
                lookback::select(&channels, &name, scan, Start::Newest(snapshot), own).await?
            };
            expires = expires.into_iter().chain(loaded.expires).min();
            is_incomplete |= loaded.is_incomplete;
            let add = move || {
                combined::add(&mut feed, &channel, loaded.feed, limit);
                Ok(feed)
            };
            feed = cpu_pool::try_run(n_bytes, add).await?;
        }
        Ok(LoadedFeed {
            feed: combined::finish(feed, language),
            channel: None,
            n_looked_at: 0,
            changed: None,
            expires,
            is_incomplete,
        })
    };
    let feed = state.feeds.get_or_render(request, &snapshots, load).await?;
    let mut answer = soonest(read.into_iter().map(|(_, cached)| cached)).ok_or(Error::Internal)?;
    if !to_come.is_empty() {
        answer.max_age = answer.max_age.min(STALE_MAX_AGE);
    }
    Ok(feed.respond(answer, headers))
}

/// Reads all channels at once, as far as that is possible in time; the others are read on in the background. A channel with
/// two names is read once.
///
/// # Errors
///
/// The most useful one if no channel can be read: one that says when to try again, if there is one.
async fn read(state: &Arc<AppState>, names: &[ChannelName], visitor: Visitor) -> Result<Channels, Error> {
    let deadline = Instant::now() + READ_TIME;
    let begin = |name: &ChannelName| {
        let (channels, own_name) = (Arc::clone(&state.channels), name.clone());
        let known = channels.known_failure(name);
        (name.clone(), known, tokio::spawn(async move { channels.get(&own_name, visitor).await }))
    };
    let reads: Vec<_> = names.iter().map(begin).collect();
    let mut channels = Channels { read: Vec::new(), to_come: Vec::new(), failed: Vec::new() };
    let mut errors = Vec::new();
    for (name, known, task) in reads {
        let answer = match known {
            Some(failure) => Err(Error::Channel(failure)),
            None => match timeout_at(deadline, task).await {
                Ok(Ok(answer)) => answer.map_err(Error::Channel),
                Ok(Err(_)) => Err(Error::Internal),
                Err(_) => Err(Error::TimedOut),
            },
        };
        // The channel's canonical name may be denied even if the requested alias is allowed.
        let answer = answer.and_then(|cached| state.check_served(cached.snapshot.channel()).map(|()| cached));
        match answer {
            Ok(cached) => {
                state.channels.record_visit(&name, visitor);
                let is_of =
                    |(_, other): &(_, CachedChannel)| other.snapshot.channel() == cached.snapshot.channel();
                if !channels.read.iter().any(is_of) {
                    channels.read.push((name, cached));
                }
            }
            Err(err) => {
                let list = if err.is_for_now() { &mut channels.to_come } else { &mut channels.failed };
                list.push(name);
                errors.push(err);
            }
        }
    }
    let error = errors.into_iter().min_by_key(|err| err.retry_after().is_none());
    match error.filter(|_| channels.read.is_empty()) {
        Some(error) => Err(error),
        None => Ok(channels),
    }
}
