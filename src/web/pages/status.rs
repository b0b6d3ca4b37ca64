//! `/-/status` as a page: the parts of the service as cards, and the channels as a table.

mod cards;

use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};

use super::frame::{Page, frame, technical_detail};
use super::request::PageRequest;
use crate::channels::{
    ChannelQuery, ChannelSort, ChannelState, ChannelStatus, Followers, Reason, RefreshError, SeenMarkup,
};
use crate::language::{StatusWords, fill};
use crate::web::canonical;
use crate::web::error::problem::of_refresh;
use crate::web::robots::Robots;
use crate::web::status::query;
use crate::web::status::report::Status;

/// The page, relative to the home page.
const PATH: &str = "-/status";

/// The page of a report.
struct StatusPage<'a> {
    request: &'a PageRequest,
    words: &'static StatusWords,
    status: &'a Status,
    query: &'a ChannelQuery,
    has_feeds: bool,
}

/// Returns the response with the page of a report on the channels of a query. `has_feeds` says whether there are pages of
/// channels beside it.
pub(in crate::web) fn respond(
    headers: &HeaderMap,
    request: &PageRequest,
    status: &Status,
    query: &ChannelQuery,
    has_feeds: bool,
) -> Response {
    let html = render(request, status, query, has_feeds);
    super::respond(headers, request, super::headers(Robots::NoIndex, None), html)
}

fn render(request: &PageRequest, status: &Status, query: &ChannelQuery, has_feeds: bool) -> String {
    let title = request.words().status;
    let page = StatusPage { request, words: &request.words().status_page, status, query, has_feeds };
    let main = html! {
        div.status {
            h1 { (title) }
            p.note {
                "telewire " (status.version) " · " (with_time(page.words.running_since, status.started))
                " (" (page.duration(status.uptime_s)) ")"
            }
            (page.cards())
            (page.channels())
            (page.unknown_markup())
        }
    };
    frame(request, &Page { title, head: html! {}, main, has_field: has_feeds })
}

impl StatusPage<'_> {
    fn channels(&self) -> Markup {
        let (words, channels) = (self.words, &self.status.channels);
        let all = ChannelQuery { state: None, offset: 0, ..self.query.clone() };
        let in_state = |state| ChannelQuery { state: Some(state), ..all.clone() };
        let first = (self.query.offset + 1).min(channels.matching);
        let last = (self.query.offset + channels.shown.len()).min(channels.matching);
        let numbers = [first, last, channels.matching].map(|n| n.to_string());
        html! {
            section aria-labelledby="channels" {
                h2 #channels { (words.channels) }
                p.states {
                    a href=(self.link(&all)) aria-current=[self.query.state.is_none().then_some("true")] {
                        (words.all) " " (channels.total)
                    }
                    @for (state, n) in &channels.states {
                        a href=(self.link(&in_state(*state)))
                            aria-current=[(self.query.state == Some(*state)).then_some("true")] {
                            span class={ "state " (state.name()) } { (state_name(words, *state)) } " " (n)
                        }
                    }
                }
                (self.form())
                @if channels.shown.is_empty() {
                    p { (words.none_match) }
                } @else {
                    table.channels {
                        thead { tr { @for (sort, label) in self.columns() { (self.column(sort, label)) } } }
                        tbody { @for channel in &channels.shown { (self.row(channel)) } }
                    }
                    p.note { (fill(words.shown, &[&numbers[0], &numbers[1], &numbers[2]])) }
                    (self.paging())
                }
            }
        }
    }

    /// Returns the form that filters the channels. It keeps their order.
    fn form(&self) -> Markup {
        let words = self.words;
        let kept = ChannelQuery { contains: String::new(), state: None, offset: 0, ..self.query.clone() };
        html! {
            form.filter method="get" action={ (self.request.root) (PATH) } {
                div {
                    label for="q" { (words.name_or_title) }
                    input id="q" type="search" name="q" value=(self.query.contains) dir="auto";
                }
                div {
                    label for="state" { (words.state) }
                    select id="state" name="state" {
                        option value="" { (words.all) }
                        @for state in ChannelState::ALL {
                            option value=(state.name()) selected[self.query.state == Some(state)] {
                                (state_name(words, state))
                            }
                        }
                    }
                }
                @for (name, value) in query::pairs(&kept) { input type="hidden" name=(name) value=(value); }
                (self.request.language_field())
                button { (words.filter) }
            }
        }
    }

    fn columns(&self) -> [(Option<ChannelSort>, &'static str); 7] {
        let words = self.words;
        [
            (Some(ChannelSort::Name), words.channel),
            (Some(ChannelSort::Error), words.state),
            (Some(ChannelSort::Newest), words.newest_post),
            (Some(ChannelSort::Fetched), words.fetched),
            (Some(ChannelSort::Next), words.next_refresh),
            (Some(ChannelSort::Requested), words.last_request),
            (None, words.posts),
        ]
    }

    /// Returns the head of a column: a link that sorts by it, and if that is the order already, one that reverses it.
    fn column(&self, sort: Option<ChannelSort>, label: &str) -> Markup {
        let Some(sort) = sort else { return html! { th scope="col" { (label) } } };
        let is_current = sort == self.query.sort;
        let is_descending =
            if is_current { !self.query.is_descending } else { query::is_descending_by_default(sort) };
        let order = if self.query.is_descending { "descending" } else { "ascending" };
        let sorted = ChannelQuery { sort, is_descending, offset: 0, ..self.query.clone() };
        html! {
            th scope="col" aria-sort=[is_current.then_some(order)] {
                a href=(self.link(&sorted)) { (label) }
                @if is_current { span aria-hidden="true" { @if self.query.is_descending { " ↓" } @else { " ↑" } } }
            }
        }
    }

    fn row(&self, channel: &ChannelStatus) -> Markup {
        let words = self.words;
        let requests = channel.followers.as_ref().map(|followers| self.requests(followers));
        let open_gaps = channel.gaps.as_ref().map_or(0, |gaps| gaps.open as u64);
        let posts = channel.posts.map(|posts| {
            html! {
                (posts)
                @if open_gaps > 0 { p.note { (self.request.language.counted(open_gaps, &words.gaps)) } }
            }
        });
        let on_request = || html! { (words.on_request) };
        let path = canonical::path(&channel.name, None);
        html! {
            tr {
                th scope="row" {
                    @if self.has_feeds {
                        a href=(self.request.link(path.trim_start_matches('/'))) { bdi { "@" (channel.name) } }
                    } @else {
                        bdi { "@" (channel.name) }
                    }
                    @if let Some(title) = &channel.title { div.title { bdi { (title) } } }
                }
                td {
                    span class={ "state " (channel.state.name()) } { (state_name(words, channel.state)) }
                    p { (self.reason(&channel.reason)) }
                    @if let Some(error) = &channel.error {
                        p.note {
                            (words.last_error) ": " (time(error.at))
                            // A request that was not sent does not count as an attempt.
                            @if error.attempts > 0 {
                                " · " (self.request.language.counted(error.attempts.into(), &words.attempts))
                            }
                        }
                        (technical_detail(self.request, &error.sentence, false))
                    }
                }
                (cell(words.newest_post, channel.newest.map(time)))
                (cell(words.fetched, channel.fetched.map(time)))
                (cell(words.next_refresh, Some(channel.next_refresh.map_or_else(on_request, time))))
                (cell(words.last_request, requests))
                (cell(words.posts, posts))
            }
        }
    }

    /// Returns when a reader last asked, and how often readers come.
    fn requests(&self, followers: &Followers) -> Markup {
        let words = self.words;
        html! {
            (followers.last_request.map_or_else(none, time))
            @if followers.readers > 0 {
                p.note {
                    (self.request.language.counted(followers.readers as u64, &words.readers))
                    @if let Some(interval) = followers.interval_s {
                        ", " (fill(words.every, &[&self.duration(interval)]))
                    }
                }
            }
        }
    }

    /// Returns why a channel's feed is or is not up to date.
    fn reason(&self, reason: &Reason) -> Markup {
        let words = self.words;
        let why = |error: &RefreshError| self.request.words().problems.get(of_refresh(error)).why;
        match reason {
            Reason::UpToDate(until) => with_time(words.up_to_date, *until),
            Reason::NotRequested(since) => with_time(words.not_requested, *since),
            Reason::Yielding => html! { (words.yielding) },
            Reason::Refreshing(since) => with_time(words.refreshing, *since),
            Reason::InBacklog => html! { (words.in_backlog) },
            Reason::Gone(None) => html! { (words.no_longer_shown) },
            Reason::Gone(Some(error)) => html! { (why(error)) },
            Reason::Failing { error, next_attempt, is_paused: true } => {
                html! { (why(error)) " " (with_time(words.paused, *next_attempt)) }
            }
            Reason::Failing { error, .. } => html! { (why(error)) " " (words.tries_again) },
        }
    }

    fn paging(&self) -> Markup {
        let (query, words) = (self.query, self.words);
        let at = |offset| self.link(&ChannelQuery { offset, ..query.clone() });
        let next = query.offset.saturating_add(query.limit);
        html! {
            nav.paging {
                @if query.offset > 0 {
                    a rel="prev" href=(at(query.offset.saturating_sub(query.limit))) { (words.previous) }
                }
                @if next < self.status.channels.matching { a rel="next" href=(at(next)) { (words.next) } }
            }
        }
    }

    fn unknown_markup(&self) -> Markup {
        let words = self.words;
        let row = |found: &SeenMarkup| {
            html! {
                tr {
                    th scope="row" { code dir="ltr" { (found.markup) } }
                    (cell(words.channel, Some(html! { bdi { "@" (found.channel) } })))
                    (cell(words.example, Some(html! { a href=(found.example) rel="noopener" dir="ltr" { (found.example) } })))
                    (cell(words.times, Some(html! { (found.n) })))
                }
            }
        };
        html! {
            @if !self.status.unknown_markup.is_empty() {
                section aria-labelledby="markup" {
                    h2 #markup { (words.unknown_markup) }
                    p { (words.unknown_markup_text) }
                    table {
                        thead {
                            tr {
                                @for label in [words.markup, words.channel, words.example, words.times] {
                                    th scope="col" { (label) }
                                }
                            }
                        }
                        tbody { @for found in &self.status.unknown_markup { (row(found)) } }
                    }
                }
            }
        }
    }

    fn link(&self, query: &ChannelQuery) -> String {
        let pairs = query::pairs(query);
        let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let separator = if encoded.is_empty() { "" } else { "?" };
        self.request.link(&format!("{PATH}{separator}{encoded}"))
    }

    /// Returns a time span as its two largest units, rounded to minutes.
    fn duration(&self, seconds: i64) -> String {
        let minutes = (seconds + 30) / 60;
        let words = self.words;
        let units =
            [(words.days, minutes / 1440), (words.hours, minutes / 60 % 24), (words.minutes, minutes % 60)];
        let parts = units.into_iter().skip_while(|(_, n)| *n == 0).take(2).filter(|(_, n)| *n > 0);
        let parts: Vec<_> = parts.map(|(unit, n)| fill(unit, &[&n.to_string()])).collect();
        if parts.is_empty() { fill(words.minutes, &["0"]) } else { parts.join(" ") }
    }
}

fn state_name(words: &StatusWords, state: ChannelState) -> &'static str {
    match state {
        ChannelState::Ok => words.ok,
        ChannelState::Stale => words.stale,
        ChannelState::Waiting => words.waiting,
        ChannelState::Failing => words.failing,
        ChannelState::Gone => words.gone,
    }
}

fn time(time: Timestamp) -> Markup {
    html! { time datetime={ (format!("{time:.0}")) } { (time.strftime("%Y-%m-%d %H:%M UTC").to_string()) } }
}

fn none() -> Markup {
    html! { "–" }
}

/// Returns a cell of a table. On a narrow screen it shows its label, and nothing if it is empty.
fn cell(label: &str, content: Option<Markup>) -> Markup {
    html! { td data-label=(label) class=[content.is_none().then_some("empty")] { (content.unwrap_or_else(none)) } }
}

/// Returns a text with its `{}` replaced by a time.
fn with_time(text: &str, at: Timestamp) -> Markup {
    let (before, after) = text.split_once("{}").unwrap_or((text, ""));
    html! { (before) (time(at)) (after) }
}
