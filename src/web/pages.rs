//! HTML pages for people: the home page, and a channel with its feeds.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, HOST};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;

use super::base_url::BaseUrl;
use super::canonical;
use super::compat;
use super::context::RequestContext;
use super::error::Error;
use super::html::{escape, html_page, respond};
use super::middleware::access::{TOKEN_PREFIX, token_in_query};
use super::state::AppState;
use crate::cpu_pool;
use crate::feed::context::FeedContext;
use crate::feed::{self, Entry, Feed, Format};
use crate::model::channel::ChannelName;
use crate::telegram::url::channel_url;

/// The channel in the example URLs of the home page.
const EXAMPLE_CHANNEL: &str = "telegram";

/// When to retry a page of a channel that is not cached, after too many of them.
const PAGE_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The most posts that a channel's page shows.
const MAX_POSTS: usize = 10;

/// `/`: type a channel, get its page.
pub(super) async fn home(
    State(state): State<Arc<AppState>>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = match uri.query() {
        None | Some("") => Ok(match with_token_in_path(&context, "") {
            Some(redirect) => redirect,
            None => page(&state, html_page("telewire", "", &home_body(&context.base_url.to_string()))),
        }),
        Some(query) => match compat::redirect(&state, &context, &uri) {
            Ok(None) => open_channel(&state, query, &context, &headers),
            Ok(Some(redirect)) => Ok(redirect),
            Err(err) => Err(err),
        },
    };
    answer.unwrap_or_else(|err| err.answer(&headers))
}

/// Redirects a page with `?token=` to the URL with the token in the path, so that the links in the page work with it.
pub(super) fn with_token_in_path(context: &RequestContext, path: &str) -> Option<Response> {
    let token = token_in_query(context.query.as_deref()?)?;
    Some(canonical::see_other(&format!("{TOKEN_PREFIX}{token}/{path}")))
}

/// Returns the response with a page, which is not cached if the service needs a token.
fn page(state: &AppState, html: String) -> Response {
    let mut response = respond(html);
    if state.access.has_tokens() {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Redirects the form on the home page to the channel's page. Any other query gets 404, because a reader would take the
/// page for a broken feed.
fn open_channel(
    state: &AppState,
    query: &str,
    context: &RequestContext,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let mut channels = pairs.filter(|(key, _)| key == "channel");
    let (_, typed) = channels.next().ok_or(Error::NotFound)?;
    if channels.next().is_some() {
        return Err(Error::RepeatedChannel);
    }
    // People may open the page under another URL than the readers.
    let requested = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = own_path(&typed, &context.base_url.to_string()).or_else(|| own_path(&typed, requested));
    let own = own.map(|path| canonical::split_format(path).map_or(path, |(name, _)| name));
    let names = state.parse_channels(own.unwrap_or(&typed))?;
    let path = canonical::path_of_all(&names, None);
    let with_token = with_token_in_path(context, path.trim_start_matches('/'));
    Ok(with_token.unwrap_or_else(|| canonical::see_other(&path)))
}

/// Returns the path in a URL of this service, without a token; `None` if the URL does not start with the base URL, whose
/// scheme does not matter.
fn own_path<'a>(typed: &'a str, base_url: &str) -> Option<&'a str> {
    fn without_scheme(url: &str) -> &str {
        url.split_once("://").map_or(url, |(_, rest)| rest)
    }
    let (typed, base_url) = (without_scheme(typed.trim()), without_scheme(base_url));
    let (start, path) = typed.split_at_checked(base_url.len())?;
    let path = path.strip_prefix('/').filter(|_| start.eq_ignore_ascii_case(base_url))?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let token_prefix = TOKEN_PREFIX.trim_start_matches('/');
    let after_token = path.strip_prefix(token_prefix).and_then(|rest| rest.split_once('/'));
    Some(after_token.map_or(path, |(_, path)| path))
}

/// `/{channel}`: what the channel is, its newest posts and the URLs of its feeds, for people and for feed discovery.
///
/// # Errors
///
/// Why the channel cannot be read, so that readers do not discover feeds that do not exist.
pub(super) async fn channel(
    state: &Arc<AppState>,
    context: &RequestContext,
    name: &ChannelName,
) -> Result<Response, Error> {
    let base_url = &context.base_url;
    let cached = match state.channels.answer_from_cache(name) {
        Some(cached) => cached,
        None if state.channels.asks_telegram(name).await && state.page_limit.check().is_err() => {
            return Err(Error::RateLimited(PAGE_RETRY_AFTER));
        }
        None => state.channels.get(name, context.visitor).await?,
    };
    state.check_served(cached.snapshot.channel())?;
    let path = canonical::path(name, None);
    let context = FeedContext {
        url: base_url.with_path(&path),
        media: state.media_linker(base_url),
        ..FeedContext::default()
    };
    let n_bytes = cached.snapshot.json_len();
    let build = move || Ok(feed::build(&cached.snapshot.decompress()?.into(), &context));
    let feed = cpu_pool::try_run(n_bytes, build).await.map_err(|err| {
        tracing::error!(error = %err, "cannot build a channel page");
        Error::Internal
    })?;
    Ok(page(state, channel_html(state, base_url, name, &feed)))
}

fn channel_html(state: &AppState, base_url: &BaseUrl, name: &ChannelName, feed: &Feed) -> String {
    let title = escape(&feed.title);
    let (head, feeds) = feed_links(state, base_url, slice::from_ref(name), &title);
    let post = |entry: &Entry| {
        let date = entry.published.strftime("%F");
        let title = escape(entry.title.as_deref().unwrap_or_default());
        format!("<li>{date} <a href=\"{}\">{title}</a></li>\n", escape(&entry.url))
    };
    let posts: String = feed.entries.iter().take(MAX_POSTS).map(post).collect();
    let icon = feed
        .icon
        .as_deref()
        .map(|icon| format!("<p><img src=\"{}\" alt=\"\" width=\"96\" height=\"96\"></p>\n", escape(icon)));
    let body = format!(
        "{}<h1>{title}</h1>\n<p><a href=\"{}\">@{name}</a></p>\n<p>{}</p>\n{feeds}\
         <h2>Newest posts</h2>\n<ul>\n{posts}</ul>\n<p><a href=\"./\">Another channel</a></p>\n",
        icon.unwrap_or_default(),
        escape(&feed.home_url),
        escape(&feed.description).replace('\n', "<br>"),
    );
    html_page(&feed.title, &head, &body)
}

/// `/{channel},{channel}`: the URLs of the feeds of several channels.
pub(super) fn several_channels(state: &AppState, base_url: &BaseUrl, names: &[ChannelName]) -> Response {
    let title = format!("{} channels", names.len());
    let (head, feeds) = feed_links(state, base_url, names, &title);
    let item = |name: &ChannelName| format!("<li><a href=\"{name}\">@{name}</a></li>\n");
    let items: String = names.iter().map(item).collect();
    let body = format!(
        "<h1>{title} in one feed</h1>\n<ul>\n{items}</ul>\n{feeds}<p><a href=\"./\">Another channel</a></p>\n"
    );
    page(state, html_page(&title, &head, &body))
}

/// Returns the links to the feeds of channels for the page's head, and the list of their URLs. The title is HTML.
fn feed_links(state: &AppState, base_url: &BaseUrl, names: &[ChannelName], title: &str) -> (String, String) {
    // Relative, so that a token in the path is kept.
    let href =
        |format: Format| canonical::path_of_all(names, Some(format)).trim_start_matches('/').to_owned();
    let url = |format: Format| escape(&base_url.with_path(&canonical::path_of_all(names, Some(format))));
    let link = |format: Format| {
        let mime_type = format.content_type().split(';').next().unwrap_or_default();
        let (label, href) = (label(format), href(format));
        format!("<link rel=\"alternate\" type=\"{mime_type}\" title=\"{title} ({label})\" href=\"{href}\">\n")
    };
    let item = |format: Format| {
        format!("<li>{}: <a href=\"{}\">{}</a></li>\n", label(format), href(format), url(format))
    };
    let head = Format::ALL.into_iter().map(link).collect();
    let list: String = Format::ALL.into_iter().map(item).collect();
    let with = if state.access.has_tokens() { ", with your token as the password" } else { "" };
    (head, format!("<p>Add one of these URLs to your feed reader{with}:</p>\n<ul>\n{list}</ul>\n"))
}

fn home_body(base_url: &str) -> String {
    let base_url = escape(base_url);
    let placeholder = channel_url("NAME");
    let examples: String = Format::ALL
        .iter()
        .map(|format| {
            let (name, label) = (format.name(), label(*format));
            format!("<li><code>{base_url}/{EXAMPLE_CHANNEL}/{name}</code> ({label})</li>\n")
        })
        .collect();
    format!(
        "<h1>telewire</h1>\n<p>Follow public Telegram channels in a feed reader.</p>\n\
         <form method=\"get\">\n\
         <p><label>Channel: <input name=\"channel\" placeholder=\"name, @name or {placeholder}\" size=\"40\" autofocus>\
         </label> <button>Show its feeds</button></p>\n</form>\n\
         <p>Or write the URL yourself:</p>\n<ul>\n{examples}</ul>\n{}",
        super::opml::FORM
    )
}

fn label(format: Format) -> &'static str {
    match format {
        Format::Rss => "RSS",
        Format::Atom => "Atom",
        Format::Json => "JSON Feed",
    }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn urls_of_this_service_are_told_from_others() {
        let base_url = "https://example.org/feeds";
        for (typed, path) in [
            ("https://example.org/feeds/durov/rss", Some("durov/rss")),
            (" http://Example.org/feeds/durov.atom?limit=5 ", Some("durov.atom")),
            ("example.org/feeds/durov", Some("durov")),
            ("https://example.org/feeds/-/token/0123456789abcdef/durov/json", Some("durov/json")),
            ("https://example.org/durov/rss", None),
            ("https://example.org/feeds2/durov/rss", None),
            ("https://t.me/durov", None),
            ("durov", None),
            ("", None),
        ] {
            assert_eq!(own_path(typed, base_url), path, "{typed}");
        }
    }
}
