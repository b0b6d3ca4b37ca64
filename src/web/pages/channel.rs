//! `/{channel}`: the channel with its posts, and the builder of its feed.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use maud::{Markup, PreEscaped, html};

use super::builder::Built;
use super::frame::{Page, frame};
use super::post::{path_of, post};
use super::{PageRequest, path_prefix};
use crate::clock;
use crate::feed::context::FeedContext;
use crate::feed::filter::Filter;
use crate::feed::options::{Choice, Count, Cursor, FeedOptions, MediaChoice};
use crate::feed::select::Scan;
use crate::feed::{Feed, Format, about};
use crate::language::fill;
use crate::media::MediaMode;
use crate::model::channel::{Channel, ChannelName};
use crate::model::paging::FeedPageRequest;
use crate::web::canonical;
use crate::web::context::RequestContext;
use crate::web::error::Error;
use crate::web::feed_cache::{LoadedFeed, RenderRequest, Rendering, Variant};
use crate::web::lookback::{self, Start};
use crate::web::state::AppState;

/// When to retry a page of a channel that is not cached, after too many of them.
const PAGE_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The page of a channel, beside its posts.
#[derive(Debug)]
struct ChannelPage {
    request: PageRequest,
    name: ChannelName,
    view: View,
    /// The base URL of feeds, with the token if the page's URL has it.
    base_url: String,
}

/// What a page shows, by its query.
#[derive(Debug)]
struct View {
    options: FeedOptions,
    format: Option<Format>,
}

impl View {
    /// Parses the query of a page. A form sends each field, also the empty ones.
    fn parse(state: &AppState, query: &str) -> Result<Self, Error> {
        let (mut format, mut others) = (None, url::form_urlencoded::Serializer::new(String::new()));
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "format" => format = Format::from_name(&value).filter(|format| *format != Format::Rss),
                "lang" => {}
                _ if value.is_empty() => {}
                _ => {
                    others.append_pair(&name, &value);
                }
            }
        }
        Ok(Self { options: state.feed_options(&others.finish())?, format })
    }

    /// Returns the canonical query, without the language.
    fn query(&self) -> String {
        let format = self.format.map(|format| format!("format={}", format.name()));
        let parts = [Some(self.options.query()).filter(|query| !query.is_empty()), format];
        parts.into_iter().flatten().collect::<Vec<_>>().join("&")
    }

    /// Returns the relative path of the page that shows this.
    fn path(&self, page: &str) -> String {
        let query = self.query();
        if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") }
    }
}

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
    request_headers: &HeaderMap,
) -> Result<Response, Error> {
    let request = PageRequest::new(state, request_headers, uri);
    let query = uri.query().unwrap_or_default();
    let view = View::parse(state, query)?;
    let (page, canonical_link) = (path_of(name), request.link(&view.path(&path_of(name))));
    if query.contains("=&") || query.ends_with('=') || query.contains("format=rss") {
        return Ok(canonical::see_other(uri.path(), &canonical_link));
    }
    let filter = Filter::new(&view.options)?;
    let cached = match state.channels.answer_from_cache(name) {
        Some(cached) => cached,
        None if state.channels.asks_telegram(name).await && state.page_limit.check().is_err() => {
            return Err(Error::RateLimited(PAGE_RETRY_AFTER));
        }
        None => state.channels.get(name, context.visitor).await?,
    };
    state.check_served(cached.snapshot.channel())?;
    let mut options = view.options.clone();
    // Our own words in posts are in the page's language, which the page's links keep apart from the options.
    (options.language, options.default_language) = (request.language, request.language);
    // A page is no feed, whose entries should not change all the time.
    options.show = Count::ALL.iter().map(|(_, count)| *count).collect();
    if state.config.media_mode != MediaMode::Proxy {
        options.media = MediaChoice::None;
    }
    let feed_context = FeedContext {
        url: page.clone(),
        media: state.media_linker(&context.base_url),
        options: options.clone(),
        ..FeedContext::default()
    };
    let prefix = path_prefix(context);
    let path = canonical::path(name, None);
    let key = format!("{prefix}{path}?{}#{}{canonical_link}", view.query(), request.language.subtag());
    let mut headers = super::headers(state.config.robots, Some(state.media_base_url(context)));
    if request.is_private {
        headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    }
    let variant = Variant::of(context, request_headers);
    let page =
        ChannelPage { request, name: name.clone(), view, base_url: context.base_url.with_path(&prefix) };
    let render = Box::new(move |loaded: &LoadedFeed| page.render(loaded).into_bytes());
    let rendering = RenderRequest {
        path: key,
        channels: vec![name.clone()],
        rendering: Rendering { headers, render },
        variant,
        note: String::new(),
        has_last_modified: false,
    };
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
    let load = move || async move {
        match older {
            Some(page) => lookback::archived(page, feed_context).await,
            None if options.is_default() => lookback::newest(snapshot, feed_context).await,
            None => {
                let scan = Scan::new(options, filter, clock::now()).looking_back();
                lookback::feed(&channels, &name, scan, Start::Newest(snapshot), feed_context).await
            }
        }
    };
    let page = state.feeds.get_or_render(rendering, slice::from_ref(&cached.snapshot), load).await?;
    Ok(page.respond(cached, request_headers))
}

impl ChannelPage {
    /// Returns the page as HTML.
    fn render(&self, loaded: &LoadedFeed) -> String {
        let (request, feed) = (&self.request, &loaded.feed);
        let built = Built {
            request,
            path: &path_of(&self.name),
            base_url: &self.base_url,
            options: &self.view.options,
            format: self.view.format.unwrap_or(Format::Rss),
        };
        let head = html! {
            link rel="canonical" href=(feed.home_url);
            meta name="description" content=(feed.description);
            meta property="og:title" content=(feed.title);
            meta property="og:description" content=(feed.description);
            meta property="og:type" content="website";
            @if let Some(icon) = &feed.icon { meta property="og:image" content=(icon); }
            (built.alternates(&feed.title))
        };
        let main = html! {
            div.columns {
                section.channel aria-labelledby="title" {
                    (header(request, loaded.channel.as_ref(), feed))
                    (self.search())
                    (self.passing(loaded))
                    @for entry in &feed.entries { (post(request, Some(&self.name), entry)) }
                    @if feed.entries.is_empty() { p.empty { (request.words().no_posts) } }
                    (self.paging(feed))
                }
                (built.builder())
            }
        };
        frame(request, &Page { title: &feed.title, head, main, has_field: true })
    }

    /// Returns the field for a search, which keeps the other options.
    fn search(&self) -> Markup {
        let words = self.request.words();
        let options = FeedOptions { search: BTreeSet::new(), before: None, ..self.view.options.clone() };
        let kept = View { options, format: self.view.format }.query();
        let typed = self.view.options.search.iter().cloned().collect::<Vec<_>>().join(" ");
        html! {
            form.search role="search" method="get" action=(self.request.link(&path_of(&self.name))) {
                label.hidden for="search" { (words.search) }
                input id="search" type="search" name="q" value=(typed) placeholder=(words.search) dir="auto";
                @for (name, value) in url::form_urlencoded::parse(kept.as_bytes()) {
                    input type="hidden" name=(name) value=(value);
                }
                @if let Some(language) = self.request.chosen_language {
                    input type="hidden" name="lang" value=(language.subtag());
                }
                button { (words.search_button) }
            }
        }
    }

    /// Returns how many posts pass the filters, if there are any.
    fn passing(&self, loaded: &LoadedFeed) -> Markup {
        let words = self.request.words();
        if !self.view.options.looks_back() {
            return html! {};
        }
        let (n, of) = (loaded.feed.entries.len().to_string(), loaded.n_looked_at.to_string());
        html! {
            p.passing {
                (fill(words.passing, &[&n, &of])) " "
                a href=(self.request.link(&path_of(&self.name))) { (words.show_all) }
            }
        }
    }

    fn paging(&self, feed: &Feed) -> Markup {
        let words = self.request.words();
        let newest = View {
            options: FeedOptions { before: None, ..self.view.options.clone() },
            format: self.view.format,
        };
        let is_newest = self.view.options.before.is_none();
        html! {
            nav.paging {
                @if !is_newest {
                    a href=(self.request.link(&newest.path(&path_of(&self.name)))) { (words.newest) }
                }
                @if let Some(before) = feed.next_url.as_deref().and_then(before_of) {
                    @let older = View { options: FeedOptions { before: Some(before), ..newest.options }, ..newest };
                    a rel="next" href=(self.request.link(&older.path(&path_of(&self.name)))) { (words.older) }
                }
            }
        }
    }
}

/// Returns the post in the `before` of a feed page's URL.
fn before_of(url: &str) -> Option<Cursor> {
    let (_, query) = url.split_once('?')?;
    FeedOptions::parse(query).ok()?.before
}

/// Returns the channel's photo, title, description and counts.
fn header(request: &PageRequest, channel: Option<&Channel>, feed: &Feed) -> Markup {
    let words = request.words();
    html! {
        header.about {
            @if let Some(icon) = &feed.icon { img.photo src=(icon) alt="" width="96" height="96"; }
            div {
                h1 #title dir="auto" {
                    (feed.title)
                    @if channel.is_some_and(|channel| channel.verified) {
                        " " span.verified role="img" aria-label=(words.verified) title=(words.verified) { "✓" }
                    }
                }
                p.names {
                    @if let Some(channel) = channel { bdi { "@" (channel.name) } " · " }
                    a href=(feed.home_url) rel="noopener" { (words.open_in_telegram) }
                    a.jump href="#feed" { (words.feed) }
                }
                @if let Some(channel) = channel {
                    @if let Some(warning) = &channel.warning { p.warning { (warning) } }
                    div.description dir="auto" { (PreEscaped(about(channel, request.language))) }
                    @if !channel.counters.is_empty() {
                        p.counts {
                            @for counter in &channel.counters { span { (count(request, &counter.what, counter.n)) } " " }
                        }
                    }
                }
            }
        }
    }
}

/// Returns a count with Telegram's label in the language of the page.
fn count(request: &PageRequest, what: &str, n: u64) -> String {
    let words = request.words();
    let noun = match what.trim_end_matches('s') {
        "subscriber" => &words.subscribers,
        "photo" => &words.photos,
        "video" => &words.videos,
        "file" => &words.files,
        "link" => &words.links,
        _ => return format!("{n} {what}"),
    };
    request.language.counted(n, noun)
}
