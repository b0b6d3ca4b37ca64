//! Loads the posts of several channels in the order of time.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::Group;
use crate::archive::ArchiveError;
use crate::channels::{Channels, CompressedSnapshot, Failure, FetchBudget};
use crate::clock;
use crate::cpu_pool;
use crate::feed::context::FeedContext;
use crate::feed::filter::Filter;
use crate::feed::options::{Cursor, Dedupe, FeedOptions, OptionsError};
use crate::feed::select::Scan;
use crate::feed::several_channels::{self as combined, Combined};
use crate::feed::{self, Feed, Format};
use crate::model::channel::ChannelName;
use crate::model::post::PostId;
use crate::web::base_url::BaseUrl;
use crate::web::canonical;
use crate::web::error::Error;
use crate::web::feed_cache::{ArchivedPosts, LoadedFeed, Origin};
use crate::web::lookback::{self, AtGap, Selected, Start};
use crate::web::pages::archived_posts;

/// A channel of a feed page.
pub(super) struct Member {
    /// Its place among the names of the group.
    pub(super) place: usize,
    pub(super) name: ChannelName,
    pub(super) snapshot: Arc<CompressedSnapshot>,
}

/// A feed page that is to be loaded.
pub(super) struct Page {
    pub(super) channels: Arc<Channels>,
    pub(super) names: Vec<ChannelName>,
    pub(super) members: Vec<Member>,
    pub(super) format: Format,
    pub(super) base_url: BaseUrl,
    /// Where the feed is served, and with which options.
    pub(super) context: FeedContext,
    pub(super) filter: Filter,
    /// The feed without entries.
    pub(super) start: Feed,
    /// See [`Origin::Several`].
    pub(super) note: String,
    /// The post of each channel below which the page begins, if it does not begin with the newest ones; `None` for a channel
    /// without posts on the page.
    pub(super) bounds: Option<Vec<Option<PostId>>>,
    /// The requests to Telegram that are left for all channels together.
    pub(super) budget: FetchBudget,
    /// People look at it, so that its links may lead to other pages.
    pub(super) for_people: bool,
}

/// Returns the post of each channel below which the feed page after a post begins; `None` for a channel without older posts.
///
/// # Errors
///
/// [`Error::Options`] if the post is not of one of the channels, [`Error::NoOlderPosts`] if none has older posts,
/// [`Error::Channel`] if the archive cannot be read.
pub(super) async fn bounds(
    channels: &Channels,
    group: &Group,
    cursor: &Cursor,
    options: &FeedOptions,
) -> Result<Vec<Option<PostId>>, Error> {
    let place =
        cursor.channel.as_ref().and_then(|channel| group.names.iter().position(|name| name == channel));
    let place = place.ok_or_else(|| {
        let must_be =
            format!("CHANNEL/ID with one of the channels of this feed, such as {}/1234", group.names[0]);
        OptionsError::Value { name: "before", must_be }
    })?;
    let failed = |err: ArchiveError| {
        tracing::debug!(error = %err, "cannot find older posts of several channels without the archive");
        Error::Channel(Failure::older_unavailable())
    };
    let at = channels.archive().published(&group.names[place], cursor.id).await.map_err(failed)?;
    let bounds = older(channels, &group.names, place, cursor.id, at.ok_or(Error::NoOlderPosts)?, options);
    let bounds = bounds.await.map_err(failed)?;
    if bounds.iter().all(Option::is_none) { Err(Error::NoOlderPosts) } else { Ok(bounds) }
}

/// See [`bounds`]. `at` is when the post was published.
async fn older(
    channels: &Channels,
    names: &[ChannelName],
    place: usize,
    id: PostId,
    at: Timestamp,
    options: &FeedOptions,
) -> Result<Vec<Option<PostId>>, ArchiveError> {
    let (earlier, later) = combined::moments_before(at, options);
    let limits = names.iter().enumerate().map(|(n, name)| {
        let before = if n < place { earlier } else { later };
        (name.clone(), before, if n == place { id.get() } else { u32::MAX })
    });
    let newest = channels.archive().newest_before(&limits.collect::<Vec<_>>()).await?;
    Ok(newest.into_iter().map(|newest| newest.and_then(|newest| PostId::new(newest.get() + 1))).collect())
}

/// Returns the post after which the next page begins; `None` if there are no older posts.
async fn next(
    channels: &Channels,
    names: &[ChannelName],
    combined: &Combined,
    options: &FeedOptions,
) -> Result<Option<Cursor>, ArchiveError> {
    let Some((place, last)) = combined.end() else { return Ok(None) };
    // A page cannot begin after a post that a search found below all archived ones.
    let Some(at) = channels.archive().published(&names[place], last.id).await? else { return Ok(None) };
    let older = older(channels, names, place, last.id, at, options).await?;
    let cursor = Cursor { channel: Some(names[place].clone()), id: last.id };
    Ok(older.iter().any(Option::is_some).then_some(cursor))
}

impl Page {
    /// Loads the page.
    pub(super) async fn load(self) -> io::Result<LoadedFeed> {
        let Self {
            channels,
            names,
            members,
            format,
            base_url,
            context,
            filter,
            start,
            note,
            bounds,
            mut budget,
            for_people,
        } = self;
        let options = context.options.clone();
        let limit = combined::limit(&options, members.iter().map(|member| member.snapshot.n_posts()));
        let served: Vec<ChannelName> =
            members.iter().map(|member| member.snapshot.channel().clone()).collect();
        let (mut expires, mut is_incomplete, mut n_looked_at) = (None, false, 0);
        let mut combined = Combined::new(start, options.clone(), limit);
        for Member { place, name, snapshot } in members {
            let start = match &bounds {
                None => Start::Newest(Arc::clone(&snapshot)),
                Some(bounds) => match bounds[place] {
                    Some(bound) => Start::Below(Arc::clone(&snapshot), bound),
                    None => continue,
                },
            };
            let wanted = FeedOptions { before: None, limit: Some(limit), ..options.clone() };
            let scan = Scan::new(wanted, filter.clone(), clock::now())
                .fetched(channels.fetched(&name, &snapshot))
                .looking_back()
                .stopping_at(combined.floor());
            let others = served.iter().filter(|other| *other != snapshot.channel());
            let scan = match options.dedupe {
                Dedupe::None => scan,
                Dedupe::Forwards => scan.without_forwards_of(others.cloned().collect()),
            };
            let mut selected =
                lookback::select(&channels, &name, scan, start, AtGap::Skip, &mut budget).await?;
            selected.complete(&channels, &name, &options, &mut budget).await;
            let Selected { selection, expires: own_expires, is_incomplete: is_own_incomplete, .. } = selected;
            expires = expires.into_iter().chain(own_expires).min();
            is_incomplete |= is_own_incomplete;
            n_looked_at += selection.n_looked_at;
            let own = FeedContext {
                url: base_url.with_path(&canonical::path(&name, Some(format))),
                options: FeedOptions { before: None, ..options.clone() }
                    .of_channel(&name)
                    .unwrap_or_default(),
                media: context.media.clone(),
                ..FeedContext::default()
            };
            let canonical_name = snapshot.channel().clone();
            let n_bytes = selection.n_bytes.max(snapshot.json_len());
            let add = move || {
                let own = feed::build(&selection, &own);
                combined.add(place, &canonical_name, &selection, own);
                Ok(combined)
            };
            combined = cpu_pool::try_run(n_bytes, add).await?;
        }
        let next = next(&channels, &names, &combined, &options).await;
        is_incomplete |= next.is_err();
        let next = next.unwrap_or_default();
        let next_url = next.map(|next| context.url_with(&FeedOptions { before: Some(next), ..options }));
        let feed = combined.finish(next_url);
        let origin = Origin::Several(note);
        let archived = if for_people {
            archived_posts(&channels, feed.entries.iter()).await
        } else {
            Some(ArchivedPosts::new())
        };
        is_incomplete |= archived.is_none();
        let archived = archived.unwrap_or_default();
        Ok(LoadedFeed { feed, origin, n_looked_at, changed: None, expires, is_incomplete, archived })
    }
}
