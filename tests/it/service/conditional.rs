//! Conditional requests (RFC 9110, section 13).

use super::{RSS, service};
use crate::support::fake_telegram::Answer;
use crate::support::page;

#[test]
fn conditional_get_of_an_unchanged_feed_returns_304() {
    let (_fake, app) = service(&[]);
    let feed = app.get(RSS);
    let etag = feed.header("ETag").unwrap();
    let strong = etag.strip_prefix("W/").unwrap();
    let list = format!("\"x\", {strong} , W/\"y\"");
    let modified = feed.header("Last-Modified").unwrap();
    let (later, earlier) = ("Fri, 01 Jan 2100 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("If-None-Match", etag)], 304),
        (&[("If-None-Match", strong)], 304),
        (&[("If-None-Match", &list)], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "W/\"other\"")], 200),
        (&[("If-None-Match", "")], 200),
        (&[("If-Modified-Since", modified)], 304),
        (&[("If-Modified-Since", later)], 304),
        (&[("If-Modified-Since", earlier)], 200),
        (&[("If-Modified-Since", "yesterday")], 200),
        // If-None-Match takes precedence over If-Modified-Since (RFC 9110, section 13.2.2).
        (&[("If-None-Match", "\"other\""), ("If-Modified-Since", modified)], 200),
        (&[("If-None-Match", etag), ("If-Modified-Since", earlier)], 304),
    ];
    for (headers, status) in cases {
        for method in ["GET", "HEAD"] {
            let with_gzip = [headers, &[("Accept-Encoding", "gzip")][..]].concat();
            for headers in [headers, &with_gzip[..]] {
                let answer = app.ask(method, RSS, headers);
                assert_eq!(answer.status, *status, "{method} {headers:?}");
                for name in ["ETag", "Last-Modified", "Vary"] {
                    assert_eq!(answer.header(name), feed.header(name), "{name} {headers:?}");
                }
                assert!(
                    answer.header("Cache-Control").is_some_and(|value| value.starts_with("public, max-age="))
                );
                assert_eq!(answer.body.is_empty(), *status == 304 || method == "HEAD");
            }
        }
    }
}

#[test]
fn etag_differs_between_formats() {
    let (_fake, app) = service(&[]);
    let etag = app.get(RSS).header("ETag").unwrap().to_owned();
    for other in ["/harbour_news/atom", "/harbour_news/json"] {
        assert_eq!(app.ask("GET", other, &[("If-None-Match", &etag)]).status, 200, "{other}");
    }
}

/// The length of a 304 response would be that of the 200 response (RFC 9110, section 8.6).
#[test]
fn response_without_a_body_has_no_length_of_zero() {
    let (fake, app) = service(&[]);
    fake.on("/s/tidewatch", Answer::page(&page("photo")));
    let feed = app.get("/tidewatch/rss");
    let is_of_a_post = |link: &&str| !link.contains("/0/");
    let picture = feed.text().split("/-/media/").skip(1).find(is_of_a_post).unwrap();
    let picture = format!("/-/media/{}", picture.split(['"', '<']).next().unwrap());
    for target in
        [RSS, "/harbour_news/json?limit=2", "/", "/harbour_news", "/tidewatch", "/harbour_news/101", &picture]
    {
        for method in ["GET", "HEAD"] {
            let answer = app.ask(method, target, &[("If-None-Match", "*")]);
            assert_eq!((answer.status, answer.header("Content-Length")), (304, None), "{method} {target}");
        }
    }
}
