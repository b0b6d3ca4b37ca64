//! The common part of the pages of one and of several channels: the posts, and the builder of their feed.

use std::collections::BTreeSet;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use maud::{Markup, PreEscaped, html};

use super::builder::Built;
use super::frame::{Page, frame};
use super::links::path_of;
use super::post::post;
use super::view::{View, media_of_pages};
use super::{PageRequest, path_prefix};
use crate::feed::options::{Cursor, FeedOptions, MediaChoice, Merge};
use crate::feed::{Feed, about};
use crate::language::{brief, fill};
use crate::model::channel::ChannelName;
use crate::web::context::RequestContext;
use crate::web::feed_cache::{LoadedFeed, Origin, Rendering};
use crate::web::robots::Robots;
use crate::web::state::AppState;

/// A page of posts, beside its posts.
#[derive(Debug)]
pub(super) struct PostsPage {
    pub(super) request: PageRequest,
    /// The relative path of the page, without its query.
    pub(super) path: String,
    /// The channels, if there are several.
    pub(super) names: Vec<ChannelName>,
    pub(super) view: View,
    /// The token of the path, with its prefix, if feeds need it.
    prefix: String,
    /// The base URL of feeds, with the token.
    base_url: String,
    /// Feeds need another token than the one in the page's path, or none.
    is_admin: bool,
}

impl PostsPage {
    /// Returns the page at a path relative to the home page.
    pub(super) fn new(
        request: PageRequest,
        path: String,
        names: Vec<ChannelName>,
        view: View,
        context: &RequestContext,
    ) -> Self {
        let (prefix, is_admin) = (path_prefix(context), context.is_admin);
        let base_url = context.base_url.with_path(&prefix);
        let request = request.with_query(view.query());
        Self { request, path, names, view, prefix, base_url, is_admin }
    }

    /// Returns the part of the key in the cache that is specific to this page.
    pub(super) fn key(&self) -> String {
        let link = self.request.link(&self.view.path(&self.path));
        let Self { prefix, is_admin, .. } = self;
        format!("#{prefix}{}{}{link}", if *is_admin { "#" } else { "" }, self.request.language.subtag())
    }

    /// Returns how the page is rendered and answered.
    pub(super) fn rendering(self, state: &AppState, context: &RequestContext) -> Rendering {
        let mut headers = super::headers(state.config.robots, Some(state.media_base_url(&context.base_url)));
        if self.request.is_private {
            headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
        }
        let (media, is_hidden) = (media_of_pages(state), state.config.robots == Robots::NoIndex);
        let render = move |loaded: &LoadedFeed| self.render(loaded, media, is_hidden).into_bytes();
        Rendering { headers, render: Box::new(render) }
    }

    /// Returns the page as HTML.
    fn render(&self, loaded: &LoadedFeed, media: MediaChoice, is_hidden: bool) -> String {
        let (request, feed) = (&self.request, &loaded.feed);
        let icon = feed.icon.as_ref().filter(|_| media != MediaChoice::None);
        // Readers find feeds by these links, and must not find an administrator's token.
        let root = if self.is_admin { format!("{}/", self.base_url) } else { request.root.clone() };
        let built = Built { request, path: &self.path, base_url: &self.base_url, root, view: &self.view };
        let head = html! {
            @if is_hidden { link rel="canonical" href=(feed.home_url); }
            meta name="description" content=(feed.description);
            meta property="og:title" content=(feed.title);
            meta property="og:description" content=(feed.description);
            meta property="og:type" content="website";
            @if let Some(icon) = icon { meta property="og:image" content=(icon); }
            (built.alternates(&feed.title))
        };
        let main = html! {
            div.columns {
                section.channel aria-labelledby="title" {
                    (self.header(loaded, icon))
                    (self.search())
                    (self.passing(loaded))
                    @for entry in &feed.entries { (post(request, entry, &loaded.archived)) }
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
        let label = if self.names.is_empty() { words.search } else { words.search_several };
        let options = FeedOptions { search: BTreeSet::new(), before: None, ..self.view.options.clone() };
        let kept = View { options, ..self.view.clone() }.query();
        let typed = self.view.options.search.iter().cloned().collect::<Vec<_>>().join(" ");
        html! {
            form.search role="search" method="get" action=(self.request.link(&self.path)) {
                label.hidden for="search" { (label) }
                input id="search" type="search" name="q" value=(typed) placeholder=(label) dir="auto";
                @for (name, value) in url::form_urlencoded::parse(kept.as_bytes()) {
                    input type="hidden" name=(name) value=(value);
                }
                (self.request.language_field())
                button { (words.search_button) }
            }
        }
    }

    /// Returns how many posts pass the filters, if there are any.
    fn passing(&self, loaded: &LoadedFeed) -> Markup {
        let words = self.request.words();
        let is_filtered = self.view.options.looks_back() && self.view.options.merge == Merge::None;
        if !is_filtered || self.view.options == self.view.defaults {
            return html! {};
        }
        let (n, of) = (loaded.feed.entries.len().to_string(), loaded.n_looked_at.to_string());
        html! {
            p.passing {
                (fill(words.passing, &[&n, &of])) " "
                a href=(self.request.link(&self.path)) { (words.show_all) }
            }
        }
    }

    fn paging(&self, feed: &Feed) -> Markup {
        let words = self.request.words();
        let options = FeedOptions { before: None, ..self.view.options.clone() };
        let newest = View { options, ..self.view.clone() };
        let is_newest = self.view.options.before.is_none();
        html! {
            nav.paging {
                @if !is_newest {
                    a href=(self.request.link(&newest.path(&self.path))) { (words.newest) }
                }
                @if let Some(before) = feed.next_url.as_deref().and_then(before_of) {
                    @let older = View { options: FeedOptions { before: Some(before), ..newest.options }, ..newest };
                    a rel="next" href=(self.request.link(&older.path(&self.path))) { (words.older) }
                }
            }
        }
    }

    /// Returns the channel's photo, title, description and counts; of several channels, their names.
    fn header(&self, loaded: &LoadedFeed, icon: Option<&String>) -> Markup {
        let (request, words, feed) = (&self.request, self.request.words(), &loaded.feed);
        let channel = match &loaded.origin {
            Origin::Channel(channel) => Some(channel),
            Origin::Several(_) => None,
        };
        html! {
            header.about {
                @if let Some(icon) = icon { img.photo src=(icon) alt="" width="96" height="96"; }
                div {
                    h1 #title dir="auto" {
                        (feed.title)
                        @if channel.is_some_and(|channel| channel.verified) {
                            " " span.verified role="img" aria-label=(words.verified) title=(words.verified) { "✓" }
                        }
                    }
                    p.names {
                        @for (n, name) in self.names.iter().enumerate() {
                            @if n > 0 { " · " }
                            a href=(request.link(&path_of(name))) { bdi { "@" (name) } }
                        }
                        @if let Some(channel) = channel {
                            bdi { "@" (channel.name) } " · "
                            a href=(feed.home_url) rel="noopener" { (words.open_in_telegram) }
                        }
                        a.jump href="#feed" { (words.feed) }
                    }
                    @match &loaded.origin {
                        Origin::Channel(channel) => {
                            @if let Some(warning) = &channel.warning { p.warning { (warning) } }
                            div.description dir="auto" { (PreEscaped(about(channel, request.language))) }
                            @if !channel.counters.is_empty() {
                                p.counts {
                                    @for counter in &channel.counters { span { (count(request, &counter.what, counter.n)) } " " }
                                }
                            }
                        }
                        // The names are above.
                        Origin::Several(note) => @if !note.is_empty() { p.note { (note) } },
                    }
                }
            }
        }
    }
}

/// Returns the post in the `before` of a feed page's URL.
pub(super) fn before_of(url: &str) -> Option<Cursor> {
    let (_, query) = url.split_once('?')?;
    FeedOptions::parse(query).ok()?.before
}

/// Returns a count with Telegram's label in the language of the page.
fn count(request: &PageRequest, what: &str, n: u64) -> String {
    let words = request.words();
    let noun = match what.trim_end_matches('s') {
        "subscriber" | "member" => &words.subscribers,
        "photo" => &words.photos,
        "video" => &words.videos,
        "file" => &words.files,
        "link" => &words.links,
        _ => return format!("{} {what}", brief(n)),
    };
    request.language.briefly_counted(n, noun)
}
