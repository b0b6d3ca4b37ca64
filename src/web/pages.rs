//! HTML pages for people: the home page and the feed URLs of a channel.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::base_url::BaseUrl;
use super::context::RequestContext;
use super::error::Error;
use super::html::{escape, html_page, respond};
use super::state::AppState;
use crate::feed::Format;
use crate::telegram::url::channel_url;

/// The channel in the example URLs of the home page.
const EXAMPLE_CHANNEL: &str = "telegram";

/// The query of the form on the home page.
#[derive(Deserialize)]
pub(super) struct HomeQuery {
    channel: Option<String>,
}

/// `/`: type a channel, get its feeds.
pub(super) async fn home(
    State(state): State<Arc<AppState>>,
    Extension(context): Extension<RequestContext>,
    Query(query): Query<HomeQuery>,
    headers: HeaderMap,
) -> Response {
    match query.channel.filter(|typed| !typed.trim().is_empty()) {
        Some(typed) => channel(&state, &context.base_url, &typed).unwrap_or_else(|err| err.answer(&headers)),
        None => respond(html_page("telewire", "", &home_body(&context.base_url.to_string()))),
    }
}

/// `/{channel}`: the URLs of a channel's feeds, for people and for feed discovery.
pub(super) fn channel(state: &AppState, base_url: &BaseUrl, typed: &str) -> Result<Response, Error> {
    let name = state.parse_channel(typed)?;
    let url = |format: Format| escape(&format!("{base_url}/{name}/{}", format.name()));
    let links: String = Format::ALL
        .iter()
        .map(|format| {
            let mime_type = format.content_type().split(';').next().unwrap_or_default();
            let (title, href) = (label(*format), url(*format));
            format!(
                "<link rel=\"alternate\" type=\"{mime_type}\" title=\"{name} ({title})\" href=\"{href}\">\n"
            )
        })
        .collect();
    let list: String = Format::ALL
        .iter()
        .map(|format| format!("<li>{0}: <a href=\"{1}\">{1}</a></li>\n", label(*format), url(*format)))
        .collect();
    let with = if state.access.has_tokens() { ", with your token as the password" } else { "" };
    let body = format!(
        "<h1>@{name}</h1>\n<p>Add one of these URLs to your feed reader{with}:</p>\n<ul>\n{list}</ul>\n\
         <p><a href=\"{}/\">Another channel</a></p>\n",
        escape(&base_url.to_string())
    );
    Ok(respond(html_page(name.as_str(), &links, &body)))
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
         <p>Or write the URL yourself:</p>\n<ul>\n{examples}</ul>\n"
    )
}

fn label(format: Format) -> &'static str {
    match format {
        Format::Rss => "RSS",
        Format::Atom => "Atom",
        Format::Json => "JSON Feed",
    }
}
