//! Canonical URLs: one path and one query per feed, so that readers do not subscribe to the same feed several times.
//!
//! The canonical path has the channel's name in lower case. Other spellings are redirected; queries are normalized without
//! a redirect, by [`FeedOptions`](crate::feed::options::FeedOptions).

use std::slice;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::feed::Format;
use crate::model::channel::ChannelName;
use crate::model::post::PostId;

/// The most channels of one feed.
pub(super) const MAX_CHANNELS: usize = 50;

/// The maximum number of feeds in a list of subscriptions.
pub(super) const MAX_LISTED: usize = 500;

/// Returns the path of a post's page.
pub(super) fn path_of_post(name: &ChannelName, id: PostId) -> String {
    format!("{}/{id}", path(name, None))
}

/// Splits a decoded path into what stands for the channel and the format of a feed: `durov/rss`, `durov.rss`, `rss/durov`.
/// `None` if the path does not end or start with a format.
pub(super) fn split_format(path: &str) -> Option<(&str, Format)> {
    let path = path.trim_matches('/');
    let at_end = |separator| {
        let (typed, name) = path.rsplit_once(separator)?;
        Some((typed, Format::from_name(name)?))
    };
    let at_start = || {
        let (name, typed) = path.split_once('/')?;
        Some((typed, Format::from_name(name)?))
    };
    at_end('/').or_else(|| at_end('.')).or_else(at_start)
}

/// Parameters that other sites add to links, besides those that begin with `utm_`.
const TRACKING: [&str; 11] =
    ["fbclid", "gclid", "dclid", "msclkid", "yclid", "ysclid", "twclid", "igshid", "mc_cid", "mc_eid", "ref"];

/// Returns whether a query says nothing: it is empty, or has only parameters that other sites add to links.
pub(super) fn is_only_tracking(query: &str) -> bool {
    let mut names = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    names.all(|name| name.starts_with("utm_") || TRACKING.contains(&&*name))
}

/// Returns the canonical path of a feed, or of a channel's page.
pub(crate) fn path(name: &ChannelName, format: Option<Format>) -> String {
    path_of_all(slice::from_ref(name), format)
}

/// Returns the canonical path of a feed of channels, or of their page. The names are [sorted].
pub(super) fn path_of_all(names: &[ChannelName], format: Option<Format>) -> String {
    let names: Vec<String> = names.iter().map(|name| name.as_str().to_ascii_lowercase()).collect();
    let names = names.join(",");
    format.map_or_else(|| format!("/{names}"), |format| format!("/{names}/{}", format.name()))
}

/// Sorts names without regard to case, and removes duplicates.
pub(super) fn sorted(mut names: Vec<ChannelName>) -> Vec<ChannelName> {
    names.sort_by_cached_key(|name| name.as_str().to_ascii_lowercase());
    names.dedup();
    names
}

/// Returns a permanent redirect from one path to another. `Location` is relative, so that a token in the path and the path
/// of the base URL are kept.
pub(super) fn redirect(from: &str, to: &str, query: Option<&str>) -> Response {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    response(StatusCode::MOVED_PERMANENTLY, "public, max-age=86400", &(relative(from, to) + &query))
}

/// Returns a redirect from one path to a page.
pub(super) fn see_other(from: &str, to: &str) -> Response {
    response(StatusCode::SEE_OTHER, "no-store", &relative(from, to))
}

fn relative(from: &str, to: &str) -> String {
    let n_up = from.matches('/').count().saturating_sub(1);
    "../".repeat(n_up) + to.trim_start_matches('/')
}

/// Characters that a URL cannot have. Queries are passed on as they were typed or sent.
const NOT_IN_URLS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

fn response(status: StatusCode, cache_control: &'static str, location: &str) -> Response {
    let location = utf8_percent_encode(location, NOT_IN_URLS).to_string();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    response.headers_mut().extend(HeaderValue::try_from(location).map(|location| (LOCATION, location)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_paths_are_recognized_in_every_spelling() {
        for path in ["durov/rss", "durov/rss/", "/durov/rss", "durov.rss", "rss/durov", "//durov/rss"] {
            assert_eq!(split_format(path), Some(("durov", Format::Rss)), "{path}");
        }
        assert_eq!(split_format("t.me/durov/json"), Some(("t.me/durov", Format::Json)));
        assert_eq!(split_format("t.me/durov.atom"), Some(("t.me/durov", Format::Atom)));
        for path in ["durov", "durov/xml", "durov.xml", "t.me/durov", "rss", ""] {
            assert_eq!(split_format(path), None, "{path}");
        }
    }

    #[test]
    fn redirects_are_relative() {
        for (from, location) in [
            ("/Durov/rss", "../durov/rss"),
            ("/durov.rss", "durov/rss"),
            ("/durov/rss/", "../../durov/rss"),
            ("//durov/rss", "../../durov/rss"),
        ] {
            let response = redirect(from, "/durov/rss", None);
            assert_eq!(response.headers()[LOCATION], location, "{from}");
        }
        let response = redirect("/Durov/rss", "/durov/rss", Some("limit=5"));
        assert_eq!(response.headers()[LOCATION], "../durov/rss?limit=5");
        let response = see_other("/", "durov?match=\"a\u{1}ы\" b%20c");
        assert_eq!(response.headers()[LOCATION], "durov?match=%22a%01%D1%8B%22%20b%20c");
    }
}
