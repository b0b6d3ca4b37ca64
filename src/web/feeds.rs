//! Feeds: `/{channels}/rss`, `/{channels}/atom`, `/{channels}/json`, and the fallback for all other channel URLs.

use std::io;
use std::slice;
use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::{IntoResponse, Response};

use super::canonical;
use super::compat;
use super::context::RequestContext;
use super::encoding::Encoding;
use super::error::Error;
use super::feed_cache::{LoadedFeed, RenderRequest, Variant, feed_path, soonest};
use super::lookback::{self, AtGap, Start};
use super::middleware::access::BUNDLE_PATH;
use super::pages::search_option;
use super::several_channels::{self, Group};
use super::state::AppState;
use super::{bundles, pages, probes};
use crate::channels::{CachedChannel, FetchBudget};
use crate::clock;
use crate::feed::Format;
use crate::feed::compat::quoted;
use crate::feed::context::FeedContext;
use crate::feed::filter::Filter;
use crate::feed::options::{FeedOptions, Full};
use crate::feed::select::Scan;
use crate::model::channel::ChannelName;
use crate::model::paging::{FeedPageRequest, PrevPage};
use crate::telegram::typed::ChannelParseError;

/// Answers every URL outside `/-/`, and those of bundles: a feed of one or several channels, or their page.
pub(super) async fn answer(
    State(state): State<Arc<AppState>>,
    path: Result<Path<String>, PathRejection>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some(response) = in_place(&state, &context, &uri, &headers).await {
        return response;
    }
    let answer = match path {
        Ok(Path(path)) => route(&state, &path, &context, &uri, &headers).await,
        Err(_) => Err(Error::PathEncoding),
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// Returns the feed for a URL of another bridge that is not redirected; see [`compat::in_place`].
pub(super) async fn in_place(
    state: &Arc<AppState>,
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Response> {
    let uri = compat::in_place(state, context, uri)?;
    let answer = route(state, uri.path(), context, &uri, headers).await;
    Some(answer.unwrap_or_else(IntoResponse::into_response))
}

async fn route(
    state: &Arc<AppState>,
    path: &str,
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    if let Some(redirect) = compat::redirect(state, context, uri)? {
        return Ok(redirect);
    }
    if let Some(path) = path.strip_prefix(BUNDLE_PATH.trim_start_matches('/')) {
        return bundles::answer(state, path, context, uri, headers).await;
    }
    let typed = path.trim_matches('/');
    if typed.starts_with("-/") || typed == "-" || probes::is_probe(typed) {
        return Err(Error::NotFound);
    }
    if let Some(redirect) = preview_redirect(typed, context, uri) {
        return Ok(redirect);
    }
    let Some((name, format)) = canonical::split_format(typed) else {
        return channel_page(state, typed, context, uri, headers).await;
    };
    let names = state.parse_channels(name)?;
    let path = canonical::path_of_all(&names, Some(format));
    if uri.path() != path {
        return Ok(canonical::redirect(uri.path(), &path, context.query.as_deref()));
    }
    let options = state.feed_options(uri.query().unwrap_or_default())?;
    let [name] = names.as_slice() else {
        return several_channels::feed(state, &Group::of(names), format, options, context, headers).await;
    };
    let (name, options) = (name.clone(), options.of_channel(name)?);
    let request =
        FeedRequest { state, name, format, url: context.base_url.with_path(&path), context, headers };
    if options.is_default() { request.first_page(options).await } else { request.page_with(options).await }
}

/// Redirects the path of a channel or post on Telegram's preview, as in `/s/NAME`, to its page, with a search in the query.
fn preview_redirect(typed: &str, context: &RequestContext, uri: &Uri) -> Option<Response> {
    let path = typed.strip_prefix("s/")?;
    let path = if let Some((name, id)) = pages::single_post::split(path) {
        canonical::path_of_post(&name, id)
    } else {
        canonical::path(&ChannelName::new(path)?, None)
    };
    let pairs = url::form_urlencoded::parse(context.query.as_deref().unwrap_or_default().as_bytes());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        let (name, value) = if name == "q" { search_option(&value) } else { (&*name, &*value) };
        query.append_pair(name, value);
    }
    let query = Some(query.finish()).filter(|query| !query.is_empty());
    Some(canonical::redirect(uri.path(), &path, query.as_deref()))
}

/// Returns the page of a channel, or an error that tells an unknown feed name from an invalid channel.
async fn channel_page(
    state: &Arc<AppState>,
    typed: &str,
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    if let Some(post) = pages::single_post::split(typed) {
        return pages::single_post::answer(state, context, post, uri, headers).await;
    }
    let names = state.parse_channels(typed).map_err(|err| {
        let is_invalid = matches!(err, Error::ChannelName(ChannelParseError::NotAChannel(_)));
        let parts = typed.rsplit_once('/').filter(|_| is_invalid);
        match parts.map(|(typed, feed)| (state.parse_channel(typed), feed)) {
            // No post has this number: ids are 1 to 4294967295.
            Some((Ok(_), number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => Error::NotFound,
            Some((Ok(name), feed)) => Error::UnknownFeed(quoted(feed), name),
            _ => err,
        }
    })?;
    let path = canonical::path_of_all(&names, None);
    if uri.path() != path {
        return Ok(canonical::redirect(uri.path(), &path, context.query.as_deref()));
    }
    if let Some(redirect) = pages::with_token_in_path(context, uri, pages::path_and_query(uri)) {
        return Ok(redirect);
    }
    match names.as_slice() {
        [name] => pages::channel::answer(state, context, name, uri, headers).await,
        names => {
            let (group, parse) = (Group::of(names.to_vec()), |query: &str| state.feed_options(query));
            pages::several::answer(state, context, &group, parse, uri, headers).await
        }
    }
}

/// The fast path: returns a feed that is rendered already, which nearly all requests ask for. It only looks into caches
/// and cannot fail, so it needs neither limits nor the panic handler nor a span. No filter is compiled: the rendered feed of an
/// invalid one does not exist.
pub(super) fn cached_response<B>(
    state: &Arc<AppState>,
    request: &Request<B>,
    context: &RequestContext,
) -> Option<Response> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    let rendered =
        |path: &str| state.feeds.get(path, &context.base_url, Encoding::accepted(request.headers()));
    let feed = match request.uri().query() {
        _ if !is_read => return None,
        query if path.starts_with(BUNDLE_PATH) => {
            rendered(&bundles::feed_key(state, path, query.unwrap_or_default())?)?
        }
        None => rendered(path)?,
        // Readers mostly send the canonical query, which need not be parsed then.
        Some(query) => rendered(request.uri().path_and_query()?.as_str())
            .or_else(|| rendered(&feed_path(path, &state.feed_options(query).ok()?)))?,
    };
    let answers = feed.channels().iter().map(|name| state.channels.answer_from_cache_alone(name));
    let cached: Vec<CachedChannel> = answers.collect::<Option<_>>()?;
    if !feed.is_of(cached.iter().map(|cached| &cached.snapshot)) {
        return None;
    }
    for name in feed.channels() {
        state.channels.record_visit(name, context.visitor);
    }
    Some(feed.respond(soonest(cached)?, request.headers()))
}

/// A request for a feed by its canonical path.
struct FeedRequest<'a> {
    state: &'a Arc<AppState>,
    name: ChannelName,
    format: Format,
    /// The feed's public URL without a query.
    url: String,
    context: &'a RequestContext,
    headers: &'a HeaderMap,
}

impl FeedRequest<'_> {
    /// Returns a feed without options.
    async fn first_page(self, options: FeedOptions) -> Result<Response, Error> {
        let cached = self.channel().await?;
        let snapshot = Arc::clone(&cached.snapshot);
        let load = |context| lookback::newest(snapshot, context);
        self.respond(options, None, cached, load).await
    }

    /// Returns a feed with options.
    async fn page_with(self, options: FeedOptions) -> Result<Response, Error> {
        // Errors come before anything is fetched.
        let filter = Filter::new(&options)?;
        self.state.chosen_media_linker(options.media, &self.context.base_url)?;
        let mut budget = FetchBudget::new(self.context.visitor);
        if options.before.is_some() {
            // Searches in older posts use what is stored.
            budget = budget.without_searches();
        }
        let cached = self.channel().await?;
        let (name, limit, looks_back) = (self.name.clone(), options.limit, options.looks_back());
        let fetched = self.state.channels.fetched(&name, &cached.snapshot);
        let scan = Scan::new(options.clone(), filter, clock::now()).fetched(fetched);
        let mut start = Start::Newest(Arc::clone(&cached.snapshot));
        let mut prev_url = None;
        if options.before.is_some() || limit.is_some() && !looks_back {
            let request = FeedPageRequest {
                before: options.before.as_ref().map(|before| before.id),
                limit: limit.filter(|_| !looks_back),
            };
            let mut page = self.state.channels.feed_page(&name, request, &cached.snapshot, &budget).await?;
            prev_url = page.prev.filter(|_| !looks_back).map(|prev| self.prev_url(prev, &options));
            let snapshot = page.snapshot.take().ok_or(Error::NoOlderPosts)?;
            start = Start::Page(Box::new((snapshot, page)));
        }
        let channels = Arc::clone(&self.state.channels);
        let load = move |context| async move {
            lookback::feed(&channels, &name, scan, start, AtGap::End, context, &mut budget).await
        };
        self.respond(options, prev_url, cached, load).await
    }

    /// Returns the channel, if it is served.
    async fn channel(&self) -> Result<CachedChannel, Error> {
        let cached = self.state.channels.get(&self.name, self.context.visitor).await?;
        // The channel's canonical name may be denied even if the requested alias is allowed.
        self.state.check_served(cached.snapshot.channel())?;
        self.state.channels.record_visit(&self.name, self.context.visitor);
        Ok(cached)
    }

    async fn respond<F>(
        self,
        options: FeedOptions,
        prev_url: Option<String>,
        cached: CachedChannel,
        load: impl FnOnce(FeedContext) -> F + Send + 'static,
    ) -> Result<Response, Error>
    where
        F: Future<Output = io::Result<LoadedFeed>> + Send,
    {
        let Self { state, name, format, url, context, headers } = self;
        let media = state.chosen_media_linker(options.media, &context.base_url)?;
        let variant = Variant::of(context, headers);
        let request = RenderRequest {
            path: feed_path(&canonical::path(&name, Some(format)), &options),
            channels: vec![name],
            rendering: format.into(),
            variant,
            note: String::new(),
            // With counts or Telegram's own media URLs, a feed changes whenever they do, and nobody records when. What its search
            // finds, and articles, may come later than posts that are newer.
            has_last_modified: media.proxy.is_some()
                && options.show.is_empty()
                && options.search.is_empty()
                && options.tags.is_empty()
                && options.full == Full::None,
        };
        let context = FeedContext { url, prev_url, media, options, ..FeedContext::default() };
        let snapshots = slice::from_ref(&cached.snapshot);
        let feed = state.feeds.get_or_render(request, snapshots, || load(context)).await?;
        Ok(feed.respond(cached, headers))
    }

    /// Returns the URL of the next newer page.
    fn prev_url(&self, prev: PrevPage, options: &FeedOptions) -> String {
        let before = match prev {
            PrevPage::Newest => None,
            PrevPage::Before(id) => Some(id.into()),
        };
        let options = FeedOptions { before, ..options.clone() };
        FeedContext { url: self.url.clone(), options, ..FeedContext::default() }.self_url()
    }
}
