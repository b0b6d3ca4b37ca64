//! Pages for people: how to use the service, the addresses of a channel, and errors.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::App;
use super::error::Error;
use super::server::Peer;
use crate::config::PublicUrl;
use crate::feed::Format;
use crate::telegram::address;

/// What the form on the home page sends.
#[derive(Deserialize)]
pub(super) struct Form {
    channel: Option<String>,
}

/// `/`: type a channel, get its feeds.
pub(super) async fn home(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Query(form): Query<Form>,
    headers: HeaderMap,
) -> Response {
    let base = app.base(&headers, peer);
    match form.channel.filter(|typed| !typed.trim().is_empty()) {
        Some(typed) => channel(&app, &base, &typed).unwrap_or_else(|err| err.answer(&headers)),
        None => html(page("telewire", "", &usage(&base.to_string()))),
    }
}

/// `/{channel}`: the addresses of a channel's feeds, for people and for readers that look for them.
pub(super) fn channel(app: &App, base: &PublicUrl, typed: &str) -> Result<Response, Error> {
    let name = app.channel(typed)?;
    let url = |format: Format| escape(&format!("{base}/{name}/{}", format.name()));
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
    let with = if app.needs_token() { ", with your token as the password" } else { "" };
    let body = format!(
        "<h1>@{name}</h1>\n<p>Give one of these addresses to your feed reader{with}:</p>\n<ul>\n{list}</ul>\n\
         <p><a href=\"{}/\">Another channel</a></p>\n",
        escape(&base.to_string())
    );
    Ok(html(page(name.as_str(), &links, &body)))
}

fn usage(base: &str) -> String {
    let base = escape(base);
    let (me, example) = (address::channel_url("NAME"), "telegram");
    let examples: String = Format::ALL
        .iter()
        .map(|format| {
            format!("<li><code>{base}/{example}/{}</code> ({})</li>\n", format.name(), label(*format))
        })
        .collect();
    format!(
        "<h1>telewire</h1>\n<p>Follow public Telegram channels in a feed reader.</p>\n\
         <form method=\"get\">\n\
         <p><label>Channel: <input name=\"channel\" placeholder=\"name, @name or {me}\" size=\"40\" autofocus>\
         </label> <button>Show its feeds</button></p>\n</form>\n\
         <p>Or write the address yourself:</p>\n<ul>\n{examples}</ul>\n"
    )
}

/// A page that says what went wrong.
pub(super) fn error(status: u16, sentence: &str) -> String {
    page(&format!("{status}"), "", &format!("<h1>{status}</h1>\n<p>{}</p>\n", escape(sentence)))
}

fn page(title: &str, head: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n{head}</head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

pub(super) fn html(page: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; form-action 'self'")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, page).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn label(format: Format) -> &'static str {
    match format {
        Format::Rss => "RSS",
        Format::Atom => "Atom",
        Format::Json => "JSON Feed",
    }
}
