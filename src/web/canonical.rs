//! Canonical URLs: one path and one query per feed, so that readers do not subscribe to the same feed several times.
//!
//! The canonical path has the channel's name in lower case. Other spellings are redirected; queries are normalized without
//! a redirect.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::error::Error;
use crate::feed::Format;
use crate::model::channel::ChannelName;
use crate::model::paging::{FeedPageRequest, MAX_POSTS_PER_PAGE};
use crate::model::post::PostId;

/// The query parameters of a feed.
const PARAMETERS: [&str; 2] = ["before", "limit"];

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

/// Returns the canonical path of a feed, or of a channel's page.
pub(crate) fn path(name: &ChannelName, format: Option<Format>) -> String {
    let name = name.as_str().to_ascii_lowercase();
    format.map_or_else(|| format!("/{name}"), |format| format!("/{name}/{}", format.name()))
}

/// Returns a permanent redirect from one path to another. `Location` is relative, so that a token in the path and the path
/// of the base URL are kept.
pub(super) fn redirect(from: &str, to: &str, query: Option<&str>) -> Response {
    let n_up = from.matches('/').count().saturating_sub(1);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("{}{}{query}", "../".repeat(n_up), to.trim_start_matches('/'));
    response(StatusCode::MOVED_PERMANENTLY, "public, max-age=86400", location)
}

/// Returns a redirect from the first level of paths to a page.
pub(super) fn see_other(to: &str) -> Response {
    response(StatusCode::SEE_OTHER, "no-store", to.trim_start_matches('/').to_owned())
}

fn response(status: StatusCode, cache_control: &'static str, location: String) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    response.headers_mut().extend(HeaderValue::try_from(location).map(|location| (LOCATION, location)));
    response
}

/// Parses the query of a feed. Unknown parameters are ignored, because readers and trackers add their own and some readers
/// stop polling after a 400; only a misspelled parameter of ours is an error.
///
/// # Errors
///
/// [`Error::UnknownParameter`], [`Error::Limit`] or [`Error::Before`].
pub(super) fn parse_query(query: &str) -> Result<FeedPageRequest, Error> {
    let mut request = FeedPageRequest::default();
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "limit" => request.limit = Some(parse_limit(&value).ok_or(Error::Limit)?),
            "before" => {
                request.before = Some(value.parse().ok().and_then(PostId::new).ok_or(Error::Before)?);
            }
            other => {
                if let Some(meant) = PARAMETERS.iter().find(|parameter| is_misspelled(other, parameter)) {
                    return Err(Error::UnknownParameter(other.to_owned(), meant));
                }
            }
        }
    }
    Ok(request)
}

/// Returns the canonical query of a request, without the question mark; empty for the first page.
pub(super) fn query(request: FeedPageRequest) -> String {
    let before = request.before.map(|before| format!("before={before}"));
    let limit = request.limit.map(|limit| format!("limit={limit}"));
    before.into_iter().chain(limit).collect::<Vec<_>>().join("&")
}

/// Parses a positive number of posts and clamps it to the maximum.
fn parse_limit(text: &str) -> Option<u8> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))?;
    (limit > 0).then(|| u8::try_from(limit).unwrap_or(u8::MAX).min(MAX_POSTS_PER_PAGE))
}

/// Returns whether a key is a parameter with other case, or one character wrong, missing, added or swapped.
fn is_misspelled(key: &str, parameter: &str) -> bool {
    if key.eq_ignore_ascii_case(parameter) {
        return true;
    }
    let (key, parameter) = (key.as_bytes(), parameter.as_bytes());
    let same_start = key.iter().zip(parameter).take_while(|(a, b)| a == b).count();
    let (key, parameter) = (&key[same_start..], &parameter[same_start..]);
    match (key, parameter) {
        ([_, key @ ..], [_, parameter @ ..]) if key == parameter => true,
        ([_, rest @ ..], parameter) if rest == parameter => true,
        (key, [_, rest @ ..]) if key == rest => true,
        ([a, b, key @ ..], [c, d, parameter @ ..]) => a == d && b == c && key == parameter,
        _ => false,
    }
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
    }

    #[test]
    fn queries_are_normalized() {
        for (text, canonical) in [
            ("limit=50&before=9", "before=9&limit=50"),
            ("limit=500", "limit=200"),
            ("limit=99999999999999999999999", "limit=200"),
            ("_=123&utm_source=reader", ""),
            ("limit=5&limit=6", "limit=6"),
            ("", ""),
        ] {
            assert_eq!(query(parse_query(text).unwrap()), canonical, "{text}");
        }
        for misspelled in ["limt=5", "Limit=5", "limits=5", "lmiit=5", "befor=5", "befire=5"] {
            assert!(matches!(parse_query(misspelled), Err(Error::UnknownParameter(..))), "{misspelled}");
        }
        for invalid in ["limit=0", "limit=x", "limit=", "limit=-1", "before=0", "before=x"] {
            assert!(parse_query(invalid).is_err(), "{invalid}");
        }
    }
}
