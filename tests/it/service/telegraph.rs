//! `full=telegraph`: articles that posts link to, fetched from a fake Telegraph.

use std::cell::Cell;
use std::fs;

use super::options::json;
use crate::support::app::{self, App};
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing};
use crate::support::wait::wait_until;
use crate::support::{page, root};

const PATH: &str = "Knots-of-the-harbour-06-01";
const ARTICLE: &str = "/getPage/Knots-of-the-harbour-06-01?return_content=true";
const LOST: &str = "/getPage/Lost-06-02?return_content=true";
const FAST: [&str; 8] = ["--rate", "10000", "--burst", "10000", "--fresh-min", "1h", "--fresh-max", "1h"];

/// Returns the fake with a channel that links to an article and to another one that does not exist.
fn fake() -> FakeTelegram {
    let fake = FakeTelegram::start();
    fake.on("/s/knot_stories", Answer::page(&page("telegraph")));
    fake.on(
        ARTICLE,
        Answer::page(&fs::read_to_string(root().join(format!("tests/telegraph/{PATH}.json"))).unwrap()),
    );
    fake.on(LOST, Answer::page(r#"{"ok":false,"error":"PAGE_NOT_FOUND"}"#));
    fake
}

/// Starts a service whose Telegraph is the fake.
fn start(fake: &FakeTelegram, flags: &[&str]) -> App {
    App::start(&fake.url(), &[&FAST[..], &["--telegraph", &fake.url()], flags].concat())
}

/// Returns the body of the entry that links to the article.
fn body(app: &App, query: &str) -> String {
    let feed = json(app, &format!("/knot_stories/json?{query}"));
    let items = feed["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == "https://t.me/knot_stories/41").unwrap();
    item["content_html"].as_str().unwrap().to_owned()
}

#[test]
fn article_of_every_node_type_becomes_the_golden_feeds() {
    let fake = fake();
    let flags = ["--public-url", "https://feeds.example.org", "--media", "direct"];
    let app = start(&fake, &flags);
    for format in ["rss", "atom", "json"] {
        let answer = app.get(&format!("/knot_stories/{format}?full=telegraph"));
        let golden = fs::read(root().join(format!("tests/options/full_telegraph.{format}"))).unwrap();
        assert_eq!(answer.text(), String::from_utf8(golden).unwrap(), "{format}");
    }
    for path in [ARTICLE, LOST] {
        assert_eq!(fake.count(path), 1, "{path} is archived");
    }
    let url = fake.url();
    let app = App::start_in(app.stop(), &url, &[&FAST[..], &["--telegraph", &url], &flags].concat());
    assert_eq!(app.get("/knot_stories/atom?full=telegraph").status, 200);
    assert_eq!(fake.count(ARTICLE), 1, "also after a restart");
}

#[test]
fn articles_are_not_fetched_unless_wanted() {
    let fake = fake();
    let app = start(&fake, &[]);
    assert!(!body(&app, "").contains("bowline"));
    assert_eq!(fake.count(ARTICLE), 0);
}

#[test]
fn article_that_fails_is_left_out_and_tried_again() {
    for answer in [
        Answer::status(500),
        Answer::page("<html>"),
        Answer { framing: Framing::NoResponse, ..Answer::status(200) },
    ] {
        let fake = fake();
        let good = fs::read_to_string(root().join(format!("tests/telegraph/{PATH}.json"))).unwrap();
        fake.on(ARTICLE, answer);
        let app = start(&fake, &[]);
        let without = app.get("/knot_stories/json?full=telegraph");
        assert_eq!(without.header("Cache-Control"), Some("public, max-age=60, must-revalidate"));
        assert!(without.text().contains("Our long read") && !without.text().contains("bowline"));
        fake.on(ARTICLE, Answer::page(&good));
        let limit = Cell::new(1);
        wait_until("the article arrives", || {
            // Each time another URL, whose feed is not cached.
            limit.set(limit.get() % 190 + 2);
            body(&app, &format!("full=telegraph&limit={}", limit.get())).contains("The bowline")
        });
    }
}

/// Readers such as yarr would show an entry twice whose date changes.
#[test]
fn late_article_changes_neither_id_nor_dates() {
    let fake = fake();
    fake.on(ARTICLE, Answer::status(500));
    let app = start(&fake, &[]);
    let dates = |limit: u32| {
        let feed = json(&app, &format!("/knot_stories/json?full=telegraph&limit={limit}"));
        let of = |item: &serde_json::Value| {
            format!("{} {} {}", item["id"], item["date_published"], item["date_modified"])
        };
        feed["items"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let before = dates(9);
    let good = fs::read_to_string(root().join(format!("tests/telegraph/{PATH}.json"))).unwrap();
    fake.on(ARTICLE, Answer::page(&good));
    assert!(body(&app, "full=telegraph&limit=10").contains("The bowline"));
    assert_eq!(dates(13), before);
}

#[test]
fn media_options_apply_to_articles() {
    let fake = fake();
    let app = start(&fake, &[]);
    let proxied = body(&app, "full=telegraph");
    assert!(
        proxied.contains("/-/media/") && proxied.contains("/knot_stories/41/article0_0.jpg"),
        "{proxied}"
    );
    assert!(!proxied.contains("src=\"https://telegra.ph"), "{proxied}");
    for query in ["full=telegraph&media=none", "full=telegraph&hide=media"] {
        let body = body(&app, query);
        assert!(body.contains("The bowline") && !body.contains("<img") && !body.contains("<video"), "{body}");
    }
    assert!(
        body(&app, "full=telegraph&media=direct")
            .contains("src=\"https://telegra.ph/file/invented-quay.jpg\"")
    );
}

#[test]
fn get_writes_articles() {
    let (fake, format) = (fake(), "json");
    let url = fake.url();
    let out = app::run(&[
        "get",
        "knot_stories",
        "--query",
        "full=telegraph",
        "--format",
        format,
        "--upstream",
        &url,
        "--telegraph",
        &url,
        "--public-url",
        "https://feeds.example.org",
    ]);
    let golden = fs::read_to_string(root().join(format!("tests/options/full_telegraph.{format}"))).unwrap();
    assert_eq!((out.code, out.stdout.trim_end(), &*out.stderr), (0, golden.trim_end(), ""));
}
