//! Feeds of several channels: `/durov,telegram/rss`. A channel that cannot be read does not fail the others.

mod load;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use tokio::time::{Instant, timeout_at};

use super::canonical;
use super::context::RequestContext;
use super::error::Error;
use super::feed_cache::{RenderRequest, Rendering, Variant, feed_path, soonest};
use super::pages;
use super::state::AppState;
use crate::channels::{CachedChannel, FetchBudget, STALE_MAX_AGE, Visitor};
use crate::feed::Format;
use crate::feed::context::FeedContext;
use crate::feed::filter::Filter;
use crate::feed::options::FeedOptions;
use crate::feed::several_channels as combined;
use crate::language::Language;
use crate::model::channel::ChannelName;
use load::{Member, Page};

/// The channels, options and title of a feed of several channels.
pub(super) struct Group {
    /// The canonical path of the group's page, to which the path of a feed adds its format.
    pub(super) path: String,
    /// The channels, sorted.
    pub(super) names: Vec<ChannelName>,
    /// The title; the names of the channels if absent.
    pub(super) title: Option<String>,
    /// The options of the feed without a query.
    pub(super) defaults: FeedOptions,
    /// Tells groups with the same path apart.
    pub(super) edition: Option<u64>,
}

impl Group {
    /// Returns the group of channels whose names are sorted.
    pub(super) fn of(names: Vec<ChannelName>) -> Self {
        let path = canonical::path_of_all(&names, None);
        Self { path, names, title: None, defaults: FeedOptions::default(), edition: None }
    }

    /// Returns the title of the feed.
    pub(super) fn title(&self, language: Language) -> String {
        combined::title(&self.names, self.title.as_deref(), language)
    }

    pub(super) fn feed_path(&self, format: Format) -> String {
        format!("{}/{}", self.path, format.name())
    }
}

/// Returns the key of a feed in the cache. The edition is that of its [`Group`].
pub(super) fn feed_key(path: &str, options: &FeedOptions, edition: Option<u64>) -> String {
    let edition = edition.map(|edition| format!("#{edition:x}")).unwrap_or_default();
    feed_path(path, options) + &edition
}

/// The form in which the posts of several channels are returned.
pub(super) struct Output {
    /// The format of the feeds that entries name as their sources.
    pub(super) format: Format,
    /// How the response is rendered.
    pub(super) rendering: Rendering,
    /// Tells other responses from feeds in the cache.
    pub(super) key: String,
    /// People look at a page; feed readers, which come again, do not.
    pub(super) is_page: bool,
}

impl From<Format> for Output {
    fn from(format: Format) -> Self {
        Self { format, rendering: format.into(), key: String::new(), is_page: false }
    }
}

/// The channels that could be read, and the errors of the others.
struct ReadChannels {
    read: Vec<(ChannelName, CachedChannel)>,
    to_come: Vec<ChannelName>,
    failed: Vec<ChannelName>,
}

/// Returns the feed of several channels.
pub(super) async fn feed(
    state: &Arc<AppState>,
    group: &Group,
    output: impl Into<Output>,
    options: FeedOptions,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let Output { format, rendering, key, is_page } = output.into();
    // Errors come before anything is fetched.
    if let Some(what) = combined::unsupported(&options) {
        return Err(Error::NotForSeveral(what));
    }
    let filter = Filter::new(&options)?;
    let media = state.chosen_media_linker(options.media, &context.base_url)?;
    let budget = budget(is_page, options.before.is_some(), context.visitor);
    let bounds = match &options.before {
        Some(cursor) => Some(load::bounds(&state.channels, group, cursor, &options).await?),
        None => None,
    };
    let ReadChannels { read, to_come, failed } =
        read(state, &group.names, is_page, context.visitor, budget.deadline).await?;
    for (name, _) in read.iter().filter(|_| !is_page) {
        state.channels.record_visit(name, context.visitor);
    }
    let note = combined::note(&to_come, &failed, options.language);
    let snapshots: Vec<_> = read.iter().map(|(_, cached)| Arc::clone(&cached.snapshot)).collect();
    let request = RenderRequest {
        path: feed_key(&group.feed_path(format), &options, group.edition) + &key,
        channels: group.names.clone(),
        rendering,
        variant: Variant::of(context, headers),
        note: note.clone(),
        // A channel that comes later may have only older posts.
        has_last_modified: false,
    };
    let (base_url, language) = (context.base_url.clone(), options.language);
    let own = FeedContext {
        url: base_url.with_path(&group.feed_path(format)),
        prev_url: None,
        media,
        options,
        defaults: group.defaults.clone(),
    };
    let home_url = base_url.with_path(&group.path);
    let page = Page {
        channels: Arc::clone(&state.channels),
        names: group.names.clone(),
        members: members(group, &read),
        format,
        base_url,
        start: combined::begin(
            &group.names,
            group.title(language),
            home_url,
            own.self_url(),
            &note,
            language,
        ),
        note,
        context: own,
        filter,
        bounds,
        budget,
        for_people: is_page,
    };
    let load = move || page.load();
    let feed = state.feeds.get_or_render(request, &snapshots, load).await?;
    let mut answer = soonest(read.into_iter().map(|(_, cached)| cached)).ok_or(Error::Internal)?;
    if !to_come.is_empty() {
        answer.max_age = answer.max_age.min(STALE_MAX_AGE);
    }
    Ok(feed.respond(answer, headers))
}

/// Returns the channels that could be read.
fn members(group: &Group, read: &[(ChannelName, CachedChannel)]) -> Vec<Member> {
    let member = |(name, cached): &(ChannelName, CachedChannel)| Member {
        place: group.names.iter().position(|other| other == name).unwrap_or_default(),
        name: name.clone(),
        snapshot: Arc::clone(&cached.snapshot),
    };
    read.iter().map(member).collect()
}

/// Returns the requests that may be sent to Telegram for a page of older posts or for the newest ones.
fn budget(is_page: bool, is_older: bool, visitor: Visitor) -> FetchBudget {
    if is_page {
        FetchBudget::none(visitor)
    } else if is_older {
        FetchBudget::new(visitor).without_searches()
    } else {
        FetchBudget::new(visitor)
    }
}

/// Reads all channels at once. Those that cannot be read before the deadline are read on in the background, and come from the
/// cache if they were read before. A channel with two names is read once.
///
/// # Errors
///
/// [`Error::NoneOfSeveral`]
async fn read(
    state: &Arc<AppState>,
    names: &[ChannelName],
    is_page: bool,
    visitor: Visitor,
    deadline: Instant,
) -> Result<ReadChannels, Error> {
    let begin = |name: &ChannelName| {
        let (own_state, own_name) = (Arc::clone(state), name.clone());
        let known = state.channels.known_failure(name);
        let read = async move {
            if is_page {
                pages::read_channel(&own_state, &own_name, visitor).await
            } else {
                Ok(own_state.channels.get(&own_name, visitor).await?)
            }
        };
        (name.clone(), known, state.check_served(name).map(|()| tokio::spawn(read)))
    };
    let reads: Vec<_> = names.iter().map(begin).collect();
    let mut channels = ReadChannels { read: Vec::new(), to_come: Vec::new(), failed: Vec::new() };
    let mut errors = Vec::new();
    for (name, known, task) in reads {
        let answer = match (task, known) {
            (Err(err), _) => Err(err),
            (Ok(_), Some(failure)) => Err(Error::Channel(failure)),
            (Ok(task), None) => match timeout_at(deadline, task).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(err)) => {
                    tracing::error!(channel = %name, error = %err, "a task that reads a channel panicked");
                    Err(Error::Internal)
                }
                Err(_) => state.channels.answer_from_cache(&name).ok_or(Error::TimedOut),
            },
        };
        // The channel's canonical name may be denied even if the requested alias is allowed.
        let answer = answer.and_then(|cached| state.check_served(cached.snapshot.channel()).map(|()| cached));
        match answer {
            Ok(cached) => {
                let is_of =
                    |(_, other): &(_, CachedChannel)| other.snapshot.channel() == cached.snapshot.channel();
                if !channels.read.iter().any(is_of) {
                    channels.read.push((name, cached));
                }
            }
            Err(err) => {
                let list = if err.is_temporary() { &mut channels.to_come } else { &mut channels.failed };
                list.push(name.clone());
                errors.push((name, err));
            }
        }
    }
    if channels.read.is_empty() { Err(Error::NoneOfSeveral(errors)) } else { Ok(channels) }
}
