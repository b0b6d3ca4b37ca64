//! `/{channel}`: the channel with its posts.

use std::io;
use std::slice;
use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::links::{archived_posts, path_of};
use super::posts::{PostsPage, before_of};
use super::view::{View, canonical_redirect};
use super::{PageRequest, read_channel};
use crate::channels::{Channels, CompressedSnapshot, FetchBudget, Visitor};
use crate::clock;
use crate::feed::context::FeedContext;
use crate::feed::filter::Filter;
use crate::feed::options::FeedOptions;
use crate::feed::select::Scan;
use crate::model::archived_post::ArchivedPage;
use crate::model::channel::ChannelName;
use crate::model::paging::FeedPageRequest;
use crate::web::canonical;
use crate::web::context::RequestContext;
use crate::web::error::Error;
use crate::web::feed_cache::{LoadedFeed, Origin, RenderRequest, Variant};
use crate::web::lookback::{self, AtGap, Start};
use crate::web::state::AppState;

/// Answers with the page of a channel. Older posts and those that pass filters come from the archive, so that crawlers cost
/// Telegram nothing.
///
/// # Errors
///
/// Why the channel cannot be read, so that readers do not discover feeds that do not exist.
pub(in crate::web) async fn answer(
    state: &Arc<AppState>,
    context: &RequestContext,
    name: &ChannelName,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let request = PageRequest::new(state, headers, uri);
    let query = uri.query().unwrap_or_default();
    let view = View::parse(query, |query| state.feed_options(query))?;
    let page = path_of(name);
    if let Some(redirect) = canonical_redirect(uri, &request, &view.path(&page)) {
        return Ok(redirect);
    }
    // The page has the errors of its feed.
    state.chosen_media_linker(view.options.media, &context.base_url)?;
    let view = View { options: view.options.of_channel(name)?, ..view };
    let filter = Filter::new(&view.options)?;
    let cached = read_channel(state, name, context.visitor).await?;
    state.check_served(cached.snapshot.channel())?;
    let options = view.options_of_posts(state, &request);
    let feed_context = FeedContext {
        url: page.clone(),
        media: state.media_linker(&context.base_url),
        options: options.clone(),
        ..FeedContext::default()
    };
    let page = PostsPage::new(request, page, Vec::new(), view, context);
    let rendering = RenderRequest {
        path: canonical::path(name, None) + &page.key(),
        channels: vec![name.clone()],
        rendering: page.rendering(state, context),
        variant: Variant::of(context, headers),
        note: String::new(),
        has_last_modified: false,
    };
    let snapshots = slice::from_ref(&cached.snapshot);
    if let Some(page) = state.feeds.current(&rendering, snapshots) {
        return Ok(page.respond(cached, headers));
    }
    let (channels, name) = (Arc::clone(&state.channels), name.clone());
    let snapshot = Arc::clone(&cached.snapshot);
    let older = match options.before {
        Some(_) if !options.looks_back() => {
            let request = FeedPageRequest {
                before: options.before.as_ref().map(|before| before.id),
                limit: options.limit,
            };
            Some(channels.browse(&name, request).await?.ok_or(Error::NoOlderPosts)?)
        }
        _ => None,
    };
    let visitor = context.visitor;
    let posts = Posts { channels, name, snapshot, older, options, filter, context: feed_context, visitor };
    let page = state.feeds.get_or_render(rendering, snapshots, || posts.load()).await?;
    Ok(page.respond(cached, headers))
}

/// The posts of a page that is not cached.
struct Posts {
    channels: Arc<Channels>,
    name: ChannelName,
    snapshot: Arc<CompressedSnapshot>,
    /// The archived posts of a page without filters below the newest posts.
    older: Option<ArchivedPage>,
    options: FeedOptions,
    filter: Filter,
    context: FeedContext,
    visitor: Visitor,
}

impl Posts {
    async fn load(self) -> io::Result<LoadedFeed> {
        let Self { channels, name, snapshot, older, options, filter, context, visitor } = self;
        let mut loaded = if let Some(page) = older {
            lookback::archived(page, context).await?
        } else {
            let fetched = channels.fetched(&name, &snapshot);
            let start = match &options.before {
                Some(before) => Start::Below(snapshot, before.id),
                None => Start::Newest(snapshot),
            };
            let options = FeedOptions { before: None, ..options };
            let scan = Scan::new(options, filter, clock::now()).fetched(fetched).looking_back();
            select(&channels, &name, scan, start, context, visitor).await?
        };
        let archived = archived_posts(&channels, loaded.feed.entries.iter()).await;
        loaded.is_incomplete |= archived.is_none();
        loaded.archived = archived.unwrap_or_default();
        if let Origin::Channel(channel) = &mut loaded.origin {
            match channels.counters(&name).await {
                Ok(counters) => channel.counters = counters,
                // The next request for the page tries again.
                Err(err) => {
                    tracing::debug!(channel = %name, error = %err, "cannot read the counters of a channel");
                    loaded.is_incomplete = true;
                }
            }
        }
        Ok(loaded)
    }
}

/// Selects the posts of a page. Telegram may have older ones, but only those that are archived have a page.
async fn select(
    channels: &Arc<Channels>,
    name: &ChannelName,
    scan: Scan,
    start: Start,
    context: FeedContext,
    visitor: Visitor,
) -> io::Result<LoadedFeed> {
    let mut budget = FetchBudget::none(visitor);
    let mut loaded = lookback::feed(channels, name, scan, start, AtGap::Skip, context, &mut budget).await?;
    if let Some(before) = loaded.feed.next_url.as_deref().and_then(before_of) {
        let request = FeedPageRequest { before: Some(before.id), limit: Some(1) };
        let older = channels.browse(name, request).await;
        if !matches!(older, Ok(Some(_))) {
            loaded.feed.next_url = None;
        }
        loaded.is_incomplete |= older.map_or(true, |older| older.is_some_and(|older| older.is_from_memory));
    }
    Ok(loaded)
}
