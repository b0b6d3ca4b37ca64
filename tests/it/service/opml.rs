//! Lists of subscriptions: conversion of lists from other bridges, and lists of this service.

use std::fs;
use std::io::Write;

use opml::{OPML, Outline};

use super::moved::{ADMIN, BASE, Row, TOKEN, rows};
use super::{RSS, service};
use crate::support::app::{App, new_folder, run, run_in};
use crate::support::assert_no_failures;
use crate::support::fake_telegram::FakeTelegram;
use crate::support::http::{self, Response};

/// Returns a list of subscriptions as a feed reader exports it, with the reader's own attributes.
fn list(urls: impl IntoIterator<Item = String>) -> String {
    let outline = |(n, url): (usize, String)| {
        let url = url.replace('&', "&amp;").replace('"', "&quot;");
        format!(
            "\t\t<outline frss:opened=\"{n}\" type='rss' text=\"Feed {n}\" xmlUrl=\"{url}\" htmlUrl=\"https://x.example/{n}\"/>\r\n"
        )
    };
    let outlines: String = urls.into_iter().enumerate().map(outline).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<opml version=\"2.0\" xmlns:frss=\"https://freshrss.org/opml\">\r\n\
         <head><title>Mine</title></head><body>\r\n\t<outline text=\"News &amp; Co\">\r\n{outlines}\t</outline>\r\n</body></opml>\r\n"
    )
}

fn feed_urls(list: &str) -> Vec<String> {
    let list = OPML::from_str(list).unwrap();
    let urls = |outline: Outline| outline.outlines.into_iter().map(|feed| feed.xml_url.unwrap());
    list.body.outlines.into_iter().flat_map(urls).collect()
}

#[test]
fn list_of_500_feeds_from_all_sources_is_converted() {
    let rows: Vec<Row> = rows().into_iter().filter(|row| row.moved_from.is_none()).collect();
    let urls = (0..500).map(|n| rows[n % rows.len()].from.clone());
    let expected = (0..500).map(|n| match &rows[n % rows.len()] {
        Row { to: Some(to), .. } => format!("{BASE}{to}"),
        Row { from, .. } => from.clone(),
    });
    let (before, after) = (list(urls), list(expected));
    let folder = new_folder();
    fs::write(folder.join("mine.opml"), &before).unwrap();
    let output = run_in(&folder, &["opml", "convert", "mine.opml", "--public-url", BASE]);
    assert_eq!((output.code, output.stdout.as_str()), (0, after.as_str()), "{}", output.stderr);
    assert_eq!(feed_urls(&output.stdout).len(), 500);
    let n = feed_urls(&output.stdout).iter().filter(|url| url.starts_with(BASE)).count();
    assert!(output.stderr.starts_with(&format!("converted {n} of 500 feeds\n")), "{}", output.stderr);
    assert!(output.stderr.contains("opencc has no counterpart, in "), "{}", output.stderr);
    assert!(output.stderr.contains(
        "not converted: https://h.example/telegram/channel/harbour_news?format=ums: unknown format"
    ));
    let (_fake, app) = service(&["--public-url", BASE]);
    let answer = post(&app, "/-/opml", &[("opml", &before)]);
    assert_eq!((answer.status, answer.text()), (200, after.as_str()));
    assert!(answer.header("Link").is_some_and(|link| link.contains("opencc")), "{:?}", answer.headers);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn named_bridges_keep_their_ids_in_converted_lists() {
    let folder = new_folder();
    let (_fake, app) = service(&["--public-url", BASE]);
    let mut failures = Vec::new();
    for Row { from, to, moved_from } in rows() {
        let Some(moved_from) = moved_from else { continue };
        let before = list([from.clone()]);
        fs::write(folder.join("mine.opml"), &before).unwrap();
        let output = run_in(
            &folder,
            &["opml", "convert", "mine.opml", "--public-url", BASE, "--moved-from", &moved_from],
        );
        let expected = list([to.map_or(from.clone(), |to| format!("{BASE}{to}"))]);
        let answer = post(&app, "/-/opml", &[("moved-from", &moved_from), ("opml", &before)]);
        if output.stdout != expected || answer.text() != expected {
            failures.push(format!("{from}: {output:?}\n{}", answer.text()));
        }
    }
    assert_no_failures(&failures);
    fs::remove_dir_all(folder).unwrap();
}

/// A feed that this service would refuse keeps working where it is.
#[test]
fn feeds_of_channels_that_are_not_served_stay_at_their_bridge() {
    let (_fake, app) = service(&["--public-url", BASE, "--allow-channels", "harbour_*"]);
    let bridge = "https://h.example/telegram/channel";
    let before = list([format!("{bridge}/tidewatch"), format!("{bridge}/harbour_news")]);
    let answer = post(&app, "/-/opml", &[("opml", &before)]);
    let expected = [format!("{bridge}/tidewatch"), format!("{BASE}/harbour_news/rss")];
    assert_eq!((answer.status, feed_urls(answer.text())), (200, expected.to_vec()));
}

/// Sends a form as a browser does.
fn post(app: &App, target: &str, fields: &[(&str, &str)]) -> Response {
    post_with(app, target, fields, &[])
}

/// Sends a form as a browser does, with these headers.
pub(super) fn post_with(
    app: &App,
    target: &str,
    fields: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> Response {
    let field = |(name, value): &(&str, &str)| {
        format!(
            "--limit\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n{value}\r\n"
        )
    };
    let body = fields.iter().map(field).collect::<String>() + "--limit--\r\n";
    let length = body.len().to_string();
    let form = [("Content-Type", "multipart/form-data; boundary=limit"), ("Content-Length", &length)];
    let mut stream = http::send(app.address, "POST", target, &[&form, headers].concat());
    // The service may answer before it has read everything.
    drop(stream.write_all(body.as_bytes()));
    http::receive(stream, "POST")
}

#[test]
fn invalid_and_hostile_forms_are_refused() {
    let (_fake, app) = service(&[]);
    let bomb = "<!DOCTYPE o [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><opml><outline text=\"&b;\"/></opml>";
    let deep = "<opml>".to_owned() + &"<outline>".repeat(50_000);
    let large = "<opml>".to_owned() + &" ".repeat(5 << 20);
    for (fields, status, sentence) in [
        (vec![("opml", bomb)], 400, "entities"),
        (vec![("opml", deep.as_str())], 400, "levels"),
        (vec![("opml", large.as_str())], 413, "larger than 4 MiB"),
        (vec![("opml", "<opml><outline xmlUrl=\"rsshub://tele")], 400, "damaged"),
        (vec![("opml", "not a list")], 400, "not an OPML file"),
        (vec![("opml", "<opml/>"), ("moved-from", "nobody")], 400, "must be one of"),
        (vec![("other", "<opml/>")], 400, "Missing file"),
    ] {
        let answer = post(&app, "/-/opml", &fields);
        assert_eq!(answer.status, status, "{sentence}: {}", answer.text());
        assert!(answer.text().contains(sentence), "{sentence}: {}", answer.text());
    }
    let plain = app.ask("POST", "/-/opml", &[("Content-Length", "0")]);
    assert_eq!(plain.status, 400, "{}", plain.text());
    assert!(
        app.get("/").text().contains("method=\"post\" action=\"-/opml\" enctype=\"multipart/form-data\"")
    );
}

#[test]
fn list_has_the_given_channels_with_their_titles() {
    let (_fake, app) = service(&["--public-url", BASE]);
    assert_eq!(app.get(RSS).status, 200);
    let answer = app.get("/-/opml?channels=Harbour_News,t.me/s/tidewatch&channels=quay_side&format=atom");
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("text/x-opml; charset=utf-8")));
    assert_eq!(answer.header("Content-Disposition"), Some("attachment; filename=\"telewire.opml\""));
    let list = OPML::from_str(answer.text()).unwrap();
    let feeds: Vec<(&str, &str, &str)> = list
        .body
        .outlines
        .iter()
        .map(|feed| (feed.text.as_str(), feed.xml_url.as_deref().unwrap(), feed.html_url.as_deref().unwrap()))
        .collect();
    let expected = [
        ("Harbour News", "https://feeds.example.org/harbour_news/atom", "https://t.me/Harbour_News"),
        ("tidewatch", "https://feeds.example.org/tidewatch/atom", "https://t.me/tidewatch"),
        ("quay_side", "https://feeds.example.org/quay_side/atom", "https://t.me/quay_side"),
    ];
    assert_eq!(feeds, expected);
    for (target, sentence) in [
        ("/-/opml", "Missing `channels`"),
        ("/-/opml?channels=,", "Missing `channels`"),
        ("/-/opml?channels=x", "is not a channel"),
        ("/-/opml?channels=tidewatch&format=xml", "Unknown format \"xml\""),
    ] {
        let answer = app.get(target);
        assert!(answer.status == 400 && answer.text().contains(sentence), "{target}: {}", answer.text());
    }
    let from_command = run(&["opml", "--channels", "tidewatch", "--format", "json", "--public-url", BASE]);
    assert!(from_command.stdout.contains("https://feeds.example.org/tidewatch/json"), "{from_command:?}");
}

#[test]
fn list_names_each_feed_once_and_500_at_most() {
    let (_fake, app) = service(&["--public-url", BASE]);
    assert_eq!(app.get(RSS).status, 200);
    let query = "channels=tidewatch,Harbour_News,harbour_news&combined=a_pier,b_pier&combined=b_pier,A_pier";
    let answer = app.get(&format!("/-/opml?{query}&channels=tidewatch"));
    let urls =
        ["tidewatch/rss", "harbour_news/rss", "a_pier,b_pier/rss"].map(|feed| format!("{BASE}/{feed}"));
    assert_eq!(feed_urls_of(&answer), urls);
    assert!(answer.text().contains("\"Harbour News\""), "{}", answer.text());
    let list = |n| (0..n).map(|n| format!("pier_{n}")).collect::<Vec<_>>().join(",");
    let answer = app.get(&format!("/-/opml?channels={}", list(500)));
    assert_eq!((answer.status, feed_urls_of(&answer).len()), (200, 500));
    let answer = app.get(&format!("/-/opml?channels={}&combined=tidewatch", list(500)));
    assert!(answer.status == 400 && answer.text().contains("A list of 501 feeds"), "{}", answer.text());
}

/// As in feeds of several channels, a channel that is not served does not fail the others.
#[test]
fn list_notes_the_channels_that_are_not_served() {
    let (_fake, app) = service(&["--public-url", BASE, "--deny-channels", "tide*,quay_side"]);
    let comment = "<!-- Cannot be read: @tidewatch, @quay_side. -->";
    for (query, feeds) in [
        ("channels=tidewatch,harbour_news,quay_side", vec!["harbour_news"]),
        ("channels=tidewatch,quay_side&combined=harbour_news,pier_talk", vec!["harbour_news,pier_talk"]),
        ("combined=tidewatch&channels=quay_side,harbour_news", vec!["harbour_news"]),
    ] {
        let answer = app.get(&format!("/-/opml?{query}"));
        let feeds: Vec<String> = feeds.into_iter().map(|names| format!("{BASE}/{names}/rss")).collect();
        assert_eq!((answer.status, feed_urls_of(&answer)), (200, feeds), "{query}");
        assert!(answer.text().contains(comment), "{query}: {}", answer.text());
    }
    // The group's own feed names the channel that is left out of it.
    let served = app.get("/-/opml?combined=harbour_news,tidewatch");
    assert!(served.status == 200 && !served.text().contains("<!--"), "{}", served.text());
    for (query, start) in [
        ("channels=tidewatch", "The channel tidewatch is not allowed"),
        ("channels=tidewatch,quay_side", "None of these channels can be read: tidewatch (the channel"),
        ("combined=tidewatch,quay_side", "None of these channels can be read: quay_side (the channel"),
    ] {
        let answer = app.get(&format!("/-/opml?{query}"));
        assert!(answer.status == 403 && answer.text().starts_with(start), "{query}: {}", answer.text());
    }
}

#[test]
fn list_of_all_channels_is_for_the_administrator() {
    let (_fake, app) = service(&["--token", TOKEN, "--admin-token", ADMIN, "--public-url", BASE]);
    let ask =
        |token: &str, target: &str| app.ask("GET", target, &[("Authorization", &format!("Bearer {token}"))]);
    assert_eq!(ask(ADMIN, RSS).status, 200, "the admin token is also a reader's");
    let all = ask(ADMIN, "/-/opml");
    let own = format!("{BASE}{RSS}");
    assert_eq!((all.status, feed_urls_of(&all)), (200, vec![own.clone()]));
    assert_eq!(ask(TOKEN, "/-/opml").status, 400);
    assert_eq!(app.get("/-/opml").status, 401);
    assert_eq!(ask("not-one-of-the-tokens", "/-/opml").status, 401);
    // A token in the URL is in the URLs of the feeds, so that a reader can use them; the administrator's is not.
    let with_token = format!("{BASE}/-/token/{TOKEN}{RSS}");
    for (target, expected) in [
        (format!("/-/token/{TOKEN}/-/opml?channels=harbour_news"), &with_token),
        (format!("/-/opml?channels=harbour_news&token={TOKEN}"), &with_token),
        (format!("/-/token/{ADMIN}/-/opml"), &own),
        (format!("/-/opml?token={ADMIN}"), &own),
    ] {
        assert_eq!(feed_urls_of(&app.get(&target)), [expected.as_str()], "{target}");
    }
    let converted = post(
        &app,
        &format!("/-/token/{TOKEN}/-/opml"),
        &[("opml", &list(["rsshub://telegram/channel/harbour_news".to_owned()]))],
    );
    assert_eq!(feed_urls(converted.text()), [with_token]);
    assert_eq!(app.get(&format!("/-/token/{TOKEN}/-/metrics")).status, 401);
    let folder = app.stop();
    let from_command = run_in(&folder, &["opml", "--public-url", BASE]);
    assert!(from_command.stdout.contains(&own), "{from_command:?}");
    let no_tokens = service(&["--admin-token", ADMIN]);
    assert_eq!(no_tokens.1.get("/-/opml").status, 400);
    assert_eq!(no_tokens.1.get(&format!("/-/opml?token={ADMIN}")).status, 200);
}

fn feed_urls_of(answer: &Response) -> Vec<String> {
    let list = OPML::from_str(answer.text()).unwrap();
    list.body.outlines.into_iter().map(|feed| feed.xml_url.unwrap()).collect()
}

/// Lists have feeds of several channels and bundles too, and an administrator's list has all bundles.
#[test]
fn lists_name_feeds_of_several_channels() {
    let folder = new_folder();
    fs::write(
        folder.join("telewire.toml"),
        "[bundle.news]\ntitle = \"The News\"\nchannels = [\"tidewatch\"]\n",
    )
    .unwrap();
    let fake = FakeTelegram::start();
    let flags = ["--config", "telewire.toml", "--public-url", BASE, "--token", TOKEN, "--admin-token", ADMIN];
    let app = App::start_in(folder, &fake.url(), &flags);
    let outlines = |target: &str| {
        let answer = app.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let list = OPML::from_str(answer.text()).unwrap();
        let outline = |outline: Outline| (outline.text, outline.xml_url.unwrap(), outline.html_url.unwrap());
        list.body.outlines.into_iter().map(outline).collect::<Vec<_>>()
    };
    let listed = outlines(&format!(
        "/-/token/{TOKEN}/-/opml?channels=quay_side&combined=tidewatch,Harbour_News&bundles=news&format=atom"
    ));
    let base = format!("{BASE}/-/token/{TOKEN}");
    let entry = |title: &str, feed: &str, page: String| (title.to_owned(), format!("{base}{feed}"), page);
    let expected = [
        entry("quay_side", "/quay_side/atom", "https://t.me/quay_side".to_owned()),
        entry(
            "Harbour_News, tidewatch",
            "/harbour_news,tidewatch/atom",
            format!("{base}/harbour_news,tidewatch"),
        ),
        entry("The News", "/-/bundle/news/atom", format!("{base}/-/bundle/news")),
    ];
    assert_eq!(listed, expected);
    let all = outlines(&format!("/-/opml?token={ADMIN}"));
    assert_eq!(
        all,
        [("The News".to_owned(), format!("{BASE}/-/bundle/news/rss"), format!("{BASE}/-/bundle/news"))]
    );
    let unknown = app.get(&format!("/-/opml?bundles=sports&token={TOKEN}"));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let other = app.ask("PUT", &format!("/-/opml?token={TOKEN}"), &[("Content-Length", "0")]);
    assert_eq!((other.status, other.header("Allow")), (405, Some("GET, HEAD, POST")));
}
