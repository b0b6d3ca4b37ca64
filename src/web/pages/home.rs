//! `/`: the field for a channel, what the service is, and the ways to move in.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use maud::{Markup, PreEscaped, html};

use super::frame::{Page, channel_field, frame};
use super::links::{path_of, search_path};
use super::post::date;
use super::{PageRequest, path_and_query, path_prefix, respond, single_post, with_token_in_path};
use crate::archive::ChannelOverview;
use crate::feed::Format;
use crate::feed::compat as bridges;
use crate::language::fill;
use crate::model::channel::ChannelName;
use crate::telegram::typed::{ChannelParseError, parse_channel, split_channels};
use crate::web::canonical;
use crate::web::compat;
use crate::web::context::RequestContext;
use crate::web::error::Error;
use crate::web::feeds;
use crate::web::middleware::access::{BUNDLE_PATH, TOKEN_PREFIX};
use crate::web::query;
use crate::web::state::AppState;
use crate::web::status::report::newest_channels;

/// The channel of the example, if it is served.
const EXAMPLE_CHANNEL: &str = "telegram";

/// The channels that an administrator's page lists.
const MAX_CHANNELS: usize = 50;

/// Answers `/`: the home page, or with `?channel=` a redirect to the channel's page.
pub(in crate::web) async fn answer(
    State(state): State<Arc<AppState>>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some(response) = feeds::in_place(&state, &context, &uri, &headers).await {
        return response;
    }
    let mut request = PageRequest::new(&state, &headers, &uri);
    // The page of an administrator is not for others.
    request.is_private |= context.is_admin;
    let answer = match compat::redirect(&state, &context, &uri) {
        Ok(None) => open_channel(&state, &context, &uri, &headers, &request),
        Ok(Some(redirect)) => Ok(Some(redirect)),
        Err(err) => Err(err),
    };
    match answer {
        Ok(Some(response)) => response,
        Ok(None) => {
            if let Some(redirect) = with_token_in_path(&context, &uri, path_and_query(&uri)) {
                return redirect;
            }
            let channels =
                if context.is_admin { Some(newest_channels(&state, MAX_CHANNELS).await) } else { None };
            let page_headers = super::headers(state.config.robots, None);
            respond(&headers, &request, page_headers, page(&state, &context, &request, channels.as_ref()))
        }
        Err(err) => err.into_response(),
    }
}

/// Redirects `/-/token/SECRET` to the home page, whose relative links need the slash after the token.
pub(in crate::web) async fn after_token(uri: Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    canonical::see_other(uri.path(), &format!("{}/{query}", uri.path()))
}

/// Redirects the form to the channel's page; `None` for a query that says nothing. Any other query gets 404, because a
/// reader would take the page for a broken feed.
fn open_channel(
    state: &AppState,
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
    request: &PageRequest,
) -> Result<Option<Response>, Error> {
    let query = uri.query().unwrap_or_default();
    let mut channels = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "channel");
    let Some((_, typed)) = channels.next() else {
        return if says_nothing(query) { Ok(None) } else { Err(Error::NotFound) };
    };
    if channels.next().is_some() {
        return Err(Error::RepeatedChannel);
    }
    // People may open the page under another URL than the readers.
    let requested = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = own_url(&typed, &context.base_url.to_string()).or_else(|| own_url(&typed, requested));
    let path = page_path(state, &typed, own, request)?;
    let link = request.link(path.trim_start_matches('/'));
    let with_token = with_token_in_path(context, uri, &link);
    Ok(Some(with_token.unwrap_or_else(|| canonical::see_other("/", &link))))
}

/// Returns the path and query of the page that shows what was typed. `own` is the path and the query if it is a URL of this
/// service. The options of a feed are kept, so that people can see and change them.
fn page_path(
    state: &AppState,
    typed: &str,
    own: Option<(&str, &str)>,
    request: &PageRequest,
) -> Result<String, Error> {
    let moved = match (own, parse_channel(typed)) {
        (Some((path, query)), _) => bridges::parse(&format!("/{path}"), query),
        (None, Err(ChannelParseError::Search { name, words, .. })) if split_channels(typed).len() == 1 => {
            return Ok(search_path(&name, &words));
        }
        (None, _) => bridges::parse_url(typed, &[]),
    };
    let (mut path, options) = if let Ok(Some(moved)) = moved {
        state.check_any_served(&moved.channels)?;
        let options = options_of_page(&moved.query(), moved.format, request);
        (canonical::path_of_all(&canonical::sorted(moved.channels), None), options)
    } else if let Some((path, query)) = own {
        let split = canonical::split_format(path);
        let (path, format) = split.map_or((path, None), |(path, format)| (path, Some(format)));
        let has_page = single_post::split(path).is_some() || path.starts_with(&BUNDLE_PATH[1..]);
        let page = if has_page {
            path.to_owned()
        } else {
            canonical::path_of_all(&state.parse_channels(path)?, None)
        };
        (page, options_of_page(query, format, request))
    } else {
        (canonical::path_of_all(&state.parse_channels(typed)?, None), String::new())
    };
    query::append(&mut path, &options);
    Ok(path)
}

/// Returns whether a query has nothing but the page's language.
fn says_nothing(query: &str) -> bool {
    canonical::is_only_tracking(&query::without(query, &[query::LANGUAGE]))
}

/// Returns the query of the page on which the options of a feed can be changed. A language that the visitor has chosen replaces
/// that of the feed: a page has one for both.
fn options_of_page(query: &str, format: Option<Format>, request: &PageRequest) -> String {
    let mut left_out = vec![query::TOKEN];
    left_out.extend(request.chosen_language.map(|_| query::LANGUAGE));
    let mut options = query::without(query, &left_out);
    if let Some(format) = format.filter(|format| *format != Format::Rss) {
        options.push_str(if options.is_empty() { "" } else { "&" });
        options.push_str("format=");
        options.push_str(format.name());
    }
    options
}

/// Returns the path, without a token, and the query in a URL of this service; `None` if the URL does not start with the base
/// URL, whose scheme does not matter.
fn own_url<'a>(typed: &'a str, base_url: &str) -> Option<(&'a str, &'a str)> {
    fn without_scheme(url: &str) -> &str {
        url.split_once("://").map_or(url, |(_, rest)| rest)
    }
    let (typed, base_url) = (without_scheme(typed.trim()), without_scheme(base_url));
    let (start, path) = typed.split_at_checked(base_url.len())?;
    let path = path.strip_prefix('/').filter(|_| start.eq_ignore_ascii_case(base_url))?;
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let token_prefix = TOKEN_PREFIX.trim_start_matches('/');
    let after_token = path.strip_prefix(token_prefix).and_then(|rest| rest.split_once('/'));
    Some((after_token.map_or(path, |(_, path)| path), query))
}

/// Returns the channel of the example; `None` if no channel is known to be served.
fn example(state: &AppState) -> Option<ChannelName> {
    let served = &state.config.channels;
    ChannelName::new(EXAMPLE_CHANNEL).filter(|name| served.serves(name)).or_else(|| served.first_allowed())
}

fn page(
    state: &AppState,
    context: &RequestContext,
    request: &PageRequest,
    channels: Option<&(Vec<ChannelOverview>, u64)>,
) -> String {
    let words = request.words();
    let main = html! {
        div.home {
            h1 { (words.tagline) }
            (channel_field(request, "", "channel"))
            p { (words.introduction) }
            @if let Some(name) = example(state) {
                p {
                    (words.example) " "
                    bdi dir="ltr" {
                        a href=(request.link(&path_of(&name))) { "@" (name) }
                        " → "
                        @for (n, format) in Format::ALL.into_iter().enumerate() {
                            @if n > 0 { ", " }
                            a href={ (request.root) (path_of(&name)) "/" (format.name()) } { (format.label()) }
                        }
                    }
                }
            }
            @if state.access.has_tokens() { p { (words.with_token) } }
            @if let Some((shown, total)) = channels { (newest(request, shown, *total)) }
            @if let Some(text) = &state.config.home_text { section dir="auto" { (PreEscaped(text.html())) } }
            (bookmarklet(context, request))
            (moving_in(request, ""))
        }
    };
    frame(request, &Page { title: "telewire", head: html! {}, main, has_field: false })
}

/// Returns the section with the channels of this service, for administrators.
fn newest(request: &PageRequest, shown: &[ChannelOverview], total: u64) -> Markup {
    let words = request.words();
    html! {
        section aria-labelledby="channels" {
            h2 #channels { (words.newest_channels) }
            ul.channels {
                @for channel in shown {
                    li {
                        span {
                            a href=(request.link(&path_of(&channel.name))) {
                                bdi { (channel.title().as_deref().unwrap_or(channel.name.as_str())) }
                            }
                            " " bdi.note { "@" (channel.name) }
                        }
                        @if let Some(newest) = channel.newest { " " time.note datetime=(newest) { (date(newest)) } }
                    }
                }
            }
            p {
                a href=(request.link("-/status")) {
                    @if total > 1 { (fill(words.all_channels, &[&total.to_string()])) }
                    @else { (words.status) }
                }
            }
        }
    }
}

/// Returns the section with the bookmarklet. A page of this site must not run it, but a browser can keep it.
fn bookmarklet(context: &RequestContext, request: &PageRequest) -> Markup {
    let words = request.words();
    let home = context.base_url.with_path(&format!("{}/?channel=", path_prefix(context)));
    let script =
        format!("javascript:location.href={home:?}+encodeURIComponent(location.href)").replace('%', "%25");
    html! {
        section {
            h2 { (words.bookmarklet) }
            p { (words.bookmarklet_text) " " a.bookmarklet href=(script) { (words.bookmarklet_name) } }
        }
    }
}

/// Returns the form that converts a list of subscriptions. Its URL is relative, so that a token in the path is kept, and has
/// the language for the pages of errors. `moved_from` is the text already in its field.
pub(super) fn moving_in(request: &PageRequest, moved_from: &str) -> Markup {
    let words = request.words();
    html! {
        section {
            h2 { (words.moving_in) }
            p { (words.moving_in_text) }
            form.stacked method="post" action=(request.link("-/opml")) enctype="multipart/form-data" {
                label for="opml" { (words.opml_file) }
                input id="opml" type="file" name="opml" accept=".opml,.xml" required;
                label for="moved-from" { (words.moved_from) }
                input id="moved-from" name="moved-from" value=(moved_from) placeholder="tgfeed" dir="ltr";
                button { (words.convert) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::own_url;

    #[test]
    fn urls_of_this_service_are_told_from_others() {
        let base_url = "https://example.org/feeds";
        for (typed, url) in [
            ("https://example.org/feeds/durov/rss", Some(("durov/rss", ""))),
            (" http://Example.org/feeds/durov.atom?limit=5#top ", Some(("durov.atom", "limit=5"))),
            ("example.org/feeds/durov#/?", Some(("durov", ""))),
            ("https://example.org/feeds/-/token/0123456789abcdef/durov/json", Some(("durov/json", ""))),
            ("https://example.org/durov/rss", None),
            ("https://example.org/feeds2/durov/rss", None),
            ("https://t.me/durov", None),
            ("durov", None),
            ("", None),
        ] {
            assert_eq!(own_url(typed, base_url), url, "{typed}");
        }
    }
}
