//! Loads the feed of a channel: its newest posts, or those of its history that pass the feed's filters.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::feed_cache::{ArchivedPosts, LoadedFeed, Origin};
use crate::channels::{Channels, CompressedSnapshot, FetchBudget, STALE_MAX_AGE};
use crate::clock;
use crate::cpu_pool;
use crate::feed;
use crate::feed::context::FeedContext;
use crate::feed::options::{FeedOptions, Full};
use crate::feed::select::{Scan, Selection};
use crate::model::archived_post::ArchivedPage;
use crate::model::channel::{Channel, ChannelName};
use crate::model::paging::{FeedPage, FeedPageRequest, MAX_PAGE_BYTES, MAX_POSTS_PER_PAGE};
use crate::model::post::{PostId, Snapshot};

/// How long selected posts are used while the channel's newest posts are the same. Older posts may change in the archive
/// without a change of those.
const MAX_SELECTION_AGE: Duration = Duration::from_mins(5);

/// The posts that a scan begins with.
pub(super) enum Start {
    /// The channel's newest posts.
    Newest(Arc<CompressedSnapshot>),
    /// A feed page, with its snapshot apart.
    Page(Box<(Snapshot, FeedPage)>),
    /// The archived posts below one. The snapshot has the channel's header.
    Below(Arc<CompressedSnapshot>, PostId),
}

/// Builds a feed without options.
pub(super) async fn newest(
    snapshot: Arc<CompressedSnapshot>,
    context: FeedContext,
) -> io::Result<LoadedFeed> {
    let (changed, n_bytes) = (snapshot.changed(), snapshot.json_len());
    let build = move || {
        let selection = snapshot.decompress()?.into();
        Ok((feed::build(&selection, &context), selection))
    };
    let (feed, selection) = cpu_pool::try_run(n_bytes, build).await?;
    Ok(of_channel(feed, selection, changed))
}

/// Returns the feed of one channel; complete, and as long as its snapshot is current.
fn of_channel(feed: feed::Feed, selection: Selection, changed: Option<Timestamp>) -> LoadedFeed {
    LoadedFeed {
        feed,
        origin: Origin::Channel(Box::new(selection.channel)),
        n_looked_at: selection.n_looked_at,
        changed,
        expires: None,
        is_incomplete: false,
        archived: ArchivedPosts::new(),
    }
}

/// Builds a page of archived posts without filters. Its [`next_url`](feed::Feed::next_url) leads on across
/// gaps in the archive.
pub(super) async fn archived(page: ArchivedPage, context: FeedContext) -> io::Result<LoadedFeed> {
    let ArchivedPage { snapshot, changed, older, is_from_memory: is_incomplete, .. } = page;
    let build = move || {
        let (selection, options) = (snapshot.into(), context.options.clone());
        let mut feed = feed::build(&selection, &context);
        feed.next_url = older.map(|id| context.url_with(&FeedOptions { before: Some(id.into()), ..options }));
        Ok((feed, selection))
    };
    let (feed, selection) = cpu_pool::try_run(MAX_PAGE_BYTES, build).await?;
    let expires = Some(soonest(None, MAX_SELECTION_AGE));
    Ok(LoadedFeed { expires, is_incomplete, ..of_channel(feed, selection, changed) })
}

/// The selected posts of a feed.
pub(super) struct Selected {
    pub(super) selection: Selection,
    /// See [`LoadedFeed::changed`].
    pub(super) changed: Option<Timestamp>,
    /// See [`LoadedFeed::expires`].
    pub(super) expires: Option<Timestamp>,
    /// See [`LoadedFeed::is_incomplete`].
    pub(super) is_incomplete: bool,
}

impl Selected {
    /// Adds what a feed with these options has beside the posts: articles and counts.
    pub(super) async fn complete(
        &mut self,
        channels: &Arc<Channels>,
        name: &ChannelName,
        options: &FeedOptions,
        budget: &mut FetchBudget,
    ) {
        if options.full == Full::Telegraph {
            let articles = channels.articles(name, &self.selection.posts, budget).await;
            self.selection.articles = articles.by_post;
            if !articles.is_complete {
                self.expires = Some(soonest(self.expires, STALE_MAX_AGE));
            }
        }
        if !options.show.is_empty() {
            channels.set_counts(name, &mut self.selection.posts).await;
        }
    }
}

/// The behaviour of a scan at a gap in the archive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtGap {
    /// It ends: the next feed page begins there, and closes the gap.
    End,
    /// It goes on below.
    Skip,
}

/// Selects the posts of a feed and builds it.
pub(super) async fn feed(
    channels: &Arc<Channels>,
    name: &ChannelName,
    scan: Scan,
    start: Start,
    at_gap: AtGap,
    context: FeedContext,
    budget: &mut FetchBudget,
) -> io::Result<LoadedFeed> {
    let mut selected = select(channels, name, scan, start, at_gap, budget).await?;
    selected.complete(channels, name, &context.options, budget).await;
    let Selected { selection, changed, expires, is_incomplete, .. } = selected;
    let build = move || Ok((feed::build(&selection, &context), selection));
    let (feed, selection) = cpu_pool::try_run(MAX_PAGE_BYTES, build).await?;
    Ok(LoadedFeed { expires, is_incomplete, ..of_channel(feed, selection, changed) })
}

/// Selects the posts of a feed. Older posts come from the archive; Telegram is asked for those that digests lack, but not for
/// others, because a filter may need many. Its own search is asked for `q`, and for hashtags while the archive does not reach
/// back far enough.
pub(super) async fn select(
    channels: &Arc<Channels>,
    name: &ChannelName,
    mut scan: Scan,
    start: Start,
    at_gap: AtGap,
    budget: &mut FetchBudget,
) -> io::Result<Selected> {
    let (text, mut tags) = scan.searches();
    let mut is_current = search(channels, name, &mut scan, text, budget).await;
    let (changed, mut is_incomplete) = match &start {
        Start::Newest(snapshot) | Start::Below(snapshot, _) => (snapshot.changed(), false),
        Start::Page(page) => (page.1.changed, page.1.gap.is_some() || page.1.is_from_memory),
    };
    let newest = match &start {
        Start::Newest(_) => None,
        Start::Page(page) => page.0.posts.last().map(|newest| newest.id.get()),
        Start::Below(_, id) => Some(id.get() - 1),
    };
    if let Some(newest) = newest.filter(|_| scan.is_merging()) {
        match channels.archive().next_newer(name, newest).await {
            Ok(Some(newer)) => scan = scan.continuing(newer),
            newer => is_incomplete |= newer.is_err(),
        }
    }
    let (mut scan, channel) = cpu_pool::try_run(MAX_PAGE_BYTES, move || begin(scan, start)).await?;
    let mut is_shallow = is_incomplete;
    while scan.needs_posts_before().is_some() {
        is_incomplete |= !skip(channels, name, &mut scan, &channel).await;
        let Some(before) = scan.needs_posts_before() else { break };
        let request = FeedPageRequest { before: Some(before), limit: Some(MAX_POSTS_PER_PAGE) };
        let Some(FeedPage { snapshot, gap, .. }) = channels.archived_page(name, request).await else {
            (is_incomplete, is_shallow) = (true, true);
            break;
        };
        if let Some(Snapshot { channel, posts, has_older }) = snapshot {
            let look = move || {
                scan.look_at(&channel, posts, has_older);
                Ok(scan)
            };
            scan = cpu_pool::try_run(MAX_PAGE_BYTES, look).await?;
        }
        is_shallow = gap.is_some() || scan.needs_posts_before() == Some(before);
        if let Some(lowest) = scan.needs_posts_before().filter(|_| gap.is_some() && scan.lacks_digests()) {
            if channels.fill_gap_below(name, lowest, budget).await {
                continue;
            }
            is_current = false;
        }
        match gap {
            _ if at_gap == AtGap::End && is_shallow => break,
            Some(gap) if scan.needs_posts_before().is_some() => {
                is_current &= search(channels, name, &mut scan, mem::take(&mut tags), budget).await;
                scan.skip_gap(&channel, gap.above);
            }
            None if is_shallow => scan.end(),
            _ => {}
        }
    }
    if is_shallow && !scan.is_done() {
        is_current &= search(channels, name, &mut scan, tags, budget).await;
    }
    scan.look_at_found(&channel, 0);
    let mut selection = scan.finish(channel);
    if let Some(span) = selection.span {
        let deletions = channels.archive().deletions(name, span).await;
        is_incomplete |= deletions.is_err();
        selection.deletions = deletions.unwrap_or_default();
    }
    let lifetime = if is_current { MAX_SELECTION_AGE } else { STALE_MAX_AGE };
    let expires = Some(soonest(selection.expires, lifetime));
    Ok(Selected { selection, changed, expires, is_incomplete })
}

/// Looks at the posts that a scan begins with.
fn begin(mut scan: Scan, start: Start) -> io::Result<(Scan, Channel)> {
    let Snapshot { channel, posts, has_older } = match start {
        Start::Newest(snapshot) => snapshot.decompress()?,
        Start::Page(page) => page.0,
        Start::Below(snapshot, id) => {
            return Ok((scan.beginning_below(id), snapshot.decompress()?.channel));
        }
    };
    scan.look_at(&channel, posts, has_older);
    Ok((scan, channel))
}

/// Skips posts that a scan does not need. Returns whether the archive could be read.
async fn skip(channels: &Channels, name: &ChannelName, scan: &mut Scan, channel: &Channel) -> bool {
    let Some((after, before)) = scan.skips_after().zip(scan.needs_posts_before()) else { return true };
    let oldest = channels.archive().oldest_after(name, after).await;
    if let Ok(Some(oldest)) = oldest
        && oldest < before
    {
        scan.skip_to(channel, oldest.get());
    }
    oldest.is_ok()
}

/// Adds what Telegram's own search finds to a scan. Returns whether Telegram was asked recently.
async fn search(
    channels: &Arc<Channels>,
    name: &ChannelName,
    scan: &mut Scan,
    texts: impl IntoIterator<Item = String>,
    budget: &mut FetchBudget,
) -> bool {
    let mut is_current = true;
    for text in texts {
        let found = channels.search(name, &text, budget).await;
        is_current &= found.is_current;
        scan.add_found(found.posts);
    }
    is_current
}

/// Returns the earlier of `expires` and the end of `lifetime` from now.
fn soonest(expires: Option<Timestamp>, lifetime: Duration) -> Timestamp {
    let until = clock::now().saturating_add(lifetime).unwrap_or(Timestamp::MAX);
    expires.map_or(until, |expires| expires.min(until))
}
