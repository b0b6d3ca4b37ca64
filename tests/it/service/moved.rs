//! URLs of other bridges: redirects and access codes.

use std::fs;

use telewire::feed::options::FeedOptions;
use telewire::model::channel::ChannelName;
use url::Url;

use super::{PREVIEW, RSS, service};
use crate::support::http::Response;
use crate::support::{assert_no_failures, root};

pub(super) const TOKEN: &str = "0123456789abcdef";
const OTHER: &str = "an-other-secret-of-mine";
pub(super) const ADMIN: &str = "thesecretoftheadmin";
pub(super) const BASE: &str = "https://feeds.example.org";

/// A URL of another bridge.
pub(super) struct Row {
    pub(super) from: String,
    /// The path and query that it becomes.
    pub(super) to: Option<String>,
    pub(super) moved_from: Option<String>,
}

pub(super) fn rows() -> Vec<Row> {
    let table = fs::read_to_string(root().join("tests/moved/urls.tsv")).unwrap();
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let (from, to) = (columns.next().unwrap(), columns.next().unwrap());
        Row { from, to: Some(to).filter(|to| to != "-"), moved_from: columns.next() }
    };
    lines.map(row).collect()
}

/// Every feed accepts the options of its new URL, which is the one canonical URL.
#[test]
fn every_new_url_is_valid() {
    let mut failures = Vec::new();
    for to in rows().into_iter().filter_map(|row| row.to) {
        let (path, query) = to.split_once('?').unwrap_or((&to, ""));
        let names = path.trim_start_matches('/').split('/').next().unwrap();
        let options = FeedOptions::parse(query).and_then(|options| match ChannelName::new(names) {
            Some(name) => options.of_channel(&name),
            None => Ok(options),
        });
        if let Err(err) = options {
            failures.push(format!("{to}: {err}"));
        }
    }
    assert_no_failures(&failures);
}

/// Returns where the relative `Location` of an answer leads.
fn location(target: &str, answer: &Response) -> String {
    let requested = Url::parse(&format!("http://host{target}")).unwrap();
    let to = requested.join(answer.header("Location").unwrap()).unwrap();
    to.as_str().strip_prefix("http://host").unwrap().to_owned()
}

#[test]
fn every_known_url_redirects_to_its_feed() {
    let (fake, app) = service(&[]);
    let mut failures = Vec::new();
    for Row { from, to, .. } in
        rows().iter().filter(|row| row.moved_from.is_none() && !row.from.starts_with("rsshub:"))
    {
        let url = Url::parse(from).unwrap();
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let answer = app.get(&target);
        let outcome = (answer.status, to.as_ref().map(|_| location(&target, &answer)));
        let is_right = match to {
            Some(to) => {
                outcome == (301, Some(to.clone()))
                    && answer.header("Location").is_some_and(|to| !to.contains(":/") && !to.starts_with('/'))
            }
            None => matches!(answer.status, 400 | 404) && !answer.text().is_empty(),
        };
        if !is_right {
            failures.push(format!("{target} is {outcome:?} instead of {to:?}"));
        }
    }
    assert_no_failures(&failures);
    assert_eq!(fake.count(PREVIEW), 0);
}

#[test]
fn redirect_names_the_parameters_without_a_counterpart() {
    let (_fake, app) = service(&[]);
    let help = |target: &str| app.get(target).header("Link").map(str::to_owned);
    let link = help("/telegram/channel/harbour_news?opencc=s2t&limit=5&tgiv=x").unwrap();
    assert!(link.ends_with("#moving-in>; rel=\"help\"; title=\"no counterpart: opencc, tgiv\""), "{link}");
    let link = help("/rss/harbour_news?exclude_flags=fwd,clown").unwrap();
    assert!(link.ends_with("title=\"no counterpart: exclude_flags.clown\""), "{link}");
    let link = help("/telegram/channel/harbour_news?%22%0D%0ASet-Cookie:a=1").unwrap();
    assert!(link.ends_with("title=\"no counterpart: Set-Cookiea\""), "{link}");
    assert_eq!(help("/telegram/channel/harbour_news?limit=5"), None);
}

#[test]
fn own_feeds_and_pages_are_not_taken_for_those_of_bridges() {
    let (_fake, app) = service(&[]);
    for (target, expected) in [
        ("/rss/harbour_news?limit=5&hide=preview", "/harbour_news/rss?limit=5&hide=preview"),
        ("/json/harbour_news?limit=5", "/harbour_news/json?limit=5"),
        ("/json/rss/", "/json/rss"),
        ("/?channel=harbour_news", "/harbour_news"),
    ] {
        assert_eq!(location(target, &app.get(target)), expected, "{target}");
    }
    for target in ["/?action=display", "/?action=list", "/index.php", "/?action=display&bridge=Telegram"] {
        let answer = app.get(target);
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
    }
}

#[test]
fn token_moves_with_the_feed_and_appears_in_no_redirect_without_it() {
    let (_fake, app) = service(&["--token", &format!("{TOKEN},{OTHER}")]);
    let path = "/telegram/channel/harbour_news";
    let in_path = format!("/-/token/{TOKEN}/harbour_news/rss");
    let bearer = format!("Bearer {TOKEN}");
    let old_key = format!("{path}?key=the-key-of-the-old-server");
    for (target, headers, expected) in [
        (format!("{path}?key={TOKEN}"), vec![], in_path.clone()),
        (format!("{path}?key={TOKEN}&limit=5"), vec![], format!("{in_path}?limit=5")),
        (format!("{path}?token={TOKEN}"), vec![], in_path.clone()),
        (format!("/rss/harbour_news/{TOKEN}"), vec![], in_path.clone()),
        (
            format!("/?action=display&bridge=Telegram&username=harbour_news&format=Mrss&token={TOKEN}"),
            vec![],
            in_path.clone(),
        ),
        (format!("/-/token/{TOKEN}{path}"), vec![], in_path.clone()),
        (format!("/-/token/{TOKEN}{path}?key={OTHER}"), vec![], in_path.clone()),
        (path.to_owned(), vec![("Authorization", bearer.as_str())], RSS.to_owned()),
        (old_key.clone(), vec![("Authorization", bearer.as_str())], RSS.to_owned()),
    ] {
        let answer = app.ask("GET", &target, &headers);
        assert_eq!((answer.status, location(&target, &answer)), (301, expected), "{target}");
        assert_eq!(answer.header("Cache-Control"), Some("private, max-age=86400"), "{target}");
    }
    assert_eq!(app.get(&in_path).status, 200);
    for target in [path, &old_key, "/rss/harbour_news/1234567890", "/telegram/channel/harbour_news?key="] {
        assert_eq!(app.get(target).status, 401, "{target}");
    }
    assert_eq!(app.get(&format!("{RSS}?key={TOKEN}")).status, 401, "key= is for RSSHub's URLs");
}

#[test]
fn access_code_is_answered_in_place() {
    let (_fake, app) = service(&["--token", TOKEN]);
    // The MD5 hashes of the paths and the token.
    let (code, filtered, rules) = (
        "0eb867336fc8031bb6102a4ee524d9e1",
        "88cd46c6026b0969616b2ed9e3c459e5",
        "673f6e90cc170a213622842d81973b06",
    );
    let feed = app.ask("GET", RSS, &[("Authorization", &format!("Bearer {TOKEN}"))]);
    let answer = app.get(&format!("/telegram/channel/harbour_news?code={code}"));
    assert_eq!((answer.status, answer.text()), (200, feed.text()));
    assert!(!answer.text().contains(TOKEN));
    let answer =
        app.get(&format!("/telegram/channel/harbour_news/includeFwd=0&showViaBot=0?code={filtered}&limit=1"));
    assert_eq!((answer.status, answer.text().matches("<item>").count()), (200, 1), "{}", answer.text());
    assert_eq!(app.get(&format!("/api/radar/rules?code={rules}")).status, 200);
    assert_eq!(app.get(&format!("/api/radar/rules?key={TOKEN}")).status, 200);
    for target in [
        format!("/telegram/channel/tidewatch?code={code}"),
        format!("/telegram/channel/harbour_news?code={}", code.chars().rev().collect::<String>()),
        format!("{RSS}?code={code}"),
        "/telegram/channel/harbour_news?code=".to_owned(),
        format!("/api/radar/rules?code={code}"),
        "/api/radar/rules".to_owned(),
    ] {
        assert_eq!(app.get(&target).status, 401, "{target}");
    }
}

/// The extension asks for the rules, fills the target with the names in the page's URL, and opens it here.
#[test]
fn radar_rules_lead_from_a_page_to_its_feed() {
    let (_fake, app) = service(&[]);
    let answer = app.get("/api/radar/rules");
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")));
    let rules: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    let hosts: Vec<&String> = rules.as_object().unwrap().keys().collect();
    assert_eq!(hosts, ["t.me", "telegram.dog", "telegram.me"]);
    let rule = &rules["t.me"]["."][0];
    assert!(rules["t.me"]["_name"].is_string() && rule["title"].is_string() && rule["docs"].is_string());
    assert_eq!(rule["source"], serde_json::json!(["/s/:username", "/:username"]));
    let target = rule["target"].as_str().unwrap().replace(":username", "Harbour_News");
    assert_eq!(location(&target, &app.get(&target)), RSS);
}

#[test]
fn denied_channels_are_not_redirected() {
    let (_fake, app) = service(&["--deny-channels", "tidewatch"]);
    assert_eq!(app.get("/telegram/channel/tidewatch").status, 403);
    assert_eq!(app.get("/telegram/channel/harbour_news").status, 301);
}

/// RSSHub's `key` may be the administrator's token, as `token` may. A redirect would put it into the URL of a feed.
#[test]
fn feed_for_an_administrator_of_another_bridge_is_answered_in_place() {
    let (_fake, app) = service(&["--token", TOKEN, "--admin-token", ADMIN]);
    let feed = app.ask("GET", RSS, &[("Authorization", &format!("Bearer {TOKEN}"))]);
    for target in [
        format!("/telegram/channel/harbour_news?key={ADMIN}"),
        format!("/telegram/channel/harbour_news?token={ADMIN}"),
        format!("/-/token/{ADMIN}/telegram/channel/harbour_news"),
        format!("/rss/harbour_news/{ADMIN}"),
        format!("/?action=display&bridge=Telegram&username=harbour_news&format=Mrss&token={ADMIN}"),
    ] {
        let answer = app.get(&target);
        assert_eq!((answer.status, answer.text()), (200, feed.text()), "{target}");
        assert!(!answer.text().contains(ADMIN), "{target}");
    }
    // The page of a channel may have it in its URL, and keeps it out of the feeds' URLs.
    let page = format!("/?action=display&bridge=Telegram&username=harbour_news&format=Html&token={ADMIN}");
    assert_eq!(location(&page, &app.get(&page)), format!("/-/token/{ADMIN}/harbour_news"));
}
