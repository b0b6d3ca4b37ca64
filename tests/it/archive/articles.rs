//! Articles on Telegraph: what was archived of them stays readable, whatever Telegraph says later.

use std::cell::{Cell, RefCell};
use std::path::Path;

use jiff::SignedDuration;
use serde_json::Value;
use sqlx::Executor;
use telewire::archive::{ExportLine, ExportedArticle};

use super::migrations::with_connection;
use super::{Kind, kinds};
use crate::support::app::{self, App};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram, picture};
use crate::support::wait::wait_until;

const NAME: &str = "knot_pictures";
const ARTICLE: &str = "/getPage/Pictures-06-01?return_content=true";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Returns Telegraph's answer with an article of a word and these pictures.
fn article(fake: &FakeTelegram, word: &str, pictures: &[u32]) -> Answer {
    let picture = |n: &u32| format!(r#"{{"tag":"img","attrs":{{"src":"{}/picture-{n}.jpg"}}}}"#, fake.url());
    let text = format!(r#"{{"tag":"p","children":["{word}"]}}"#);
    let content: Vec<String> = std::iter::once(text).chain(pictures.iter().map(picture)).collect();
    Answer::page(&format!(
        r#"{{"ok":true,"result":{{"title":"Pictures","content":[{}]}}}}"#,
        content.join(",")
    ))
}

/// Returns the lines of the channel's export.
fn export(folder: &Path, kind: &Kind) -> Vec<ExportLine> {
    let export = app::run_in(folder, &[&["archive", "export", NAME][..], &kind.flags()].concat());
    export.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the body of the entry with the article.
fn body(app: &App, limit: u32) -> String {
    let answer = app.get(&format!("/{NAME}/json?full=telegraph&limit={limit}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let feed: Value = serde_json::from_slice(&answer.body).unwrap();
    feed["items"][0]["content_html"].as_str().unwrap().to_owned()
}

/// Returns the paths of the pictures in a body.
fn pictures(body: &str) -> Vec<String> {
    let urls = body.split("<img src=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    urls.map(|url| url[url.find("/-/").unwrap()..].to_owned()).collect()
}

#[test]
fn pictures_of_an_article_load_after_it_changed() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        let mut channel = FakeChannel::with_posts(NAME, 1, "2026-06-01T08:00:00Z".parse().unwrap());
        let text = "See <a href=\"https://telegra.ph/Pictures-06-01\">the pictures</a>";
        channel.posts.get_mut(&1).unwrap().text = text.to_owned();
        fake.add_channel(channel);
        for n in 1..=4 {
            fake.add_file(&format!("/picture-{n}.jpg"), picture(NAME, n));
        }
        let (host, url) = (fake.host(), fake.url());
        let flags = ["--rate", "10000", "--media-key", KEY, "--media-hosts", &host, "--telegraph", &url];
        let flags = [&flags[..], &kind.flags()].concat();
        let loads = |app: &App, path: &str, n: u32| {
            let answer = app.get(path);
            assert_eq!((answer.status, &answer.body), (200, &picture(NAME, n)), "{}: {path}", kind.name);
        };

        fake.on(ARTICLE, article(&fake, "before", &[1, 2, 3]));
        let mut app = App::start_in(app::new_folder(), &fake.url(), &flags);
        let old = pictures(&body(&app, 5));
        assert_eq!(old.len(), 3, "{}", kind.name);

        // The answer changes, but is not asked for again within a day.
        fake.on(ARTICLE, article(&fake, "after", &[3, 4, 1]));
        assert!(body(&app, 6).contains("before"), "{}", kind.name);
        for (path, n) in old.iter().zip(1..) {
            loads(&app, path, n);
        }

        let folder = app.stop();
        with_connection(&kind, &folder, async |connection| {
            connection.execute("UPDATE article SET fetched = 0").await.unwrap();
        });
        app = App::start_in(folder, &fake.url(), &flags);
        let (limit, new) = (Cell::new(10), RefCell::default());
        wait_until("the article is fetched again", || {
            // Each time another URL, whose feed is not cached.
            limit.set(limit.get() % 190 + 1);
            let body = body(&app, limit.get());
            new.replace(pictures(&body));
            body.contains("after")
        });
        let new = new.into_inner();
        assert_eq!((&new[0], &new[2]), (&old[2], &old[0]), "{}: a picture keeps its URL", kind.name);
        for (path, n) in old.iter().zip(1..).chain(new.iter().zip([3, 4, 1])) {
            loads(&app, path, n);
        }

        // The article disappears. What is archived of it stays.
        fake.on(ARTICLE, Answer::page(r#"{"ok":false,"error":"PAGE_NOT_FOUND"}"#));
        let folder = app.stop();
        with_connection(&kind, &folder, async |connection| {
            connection.execute("UPDATE article SET fetched = 0").await.unwrap();
        });
        app = App::start_in(folder, &fake.url(), &flags);
        let n_asked = fake.count(ARTICLE);
        assert!(body(&app, 5).contains("after"), "{}", kind.name);
        wait_until("the article is asked for again", || fake.count(ARTICLE) > n_asked);
        assert_eq!(pictures(&body(&app, 6)), new, "{}", kind.name);
        for (path, n) in old.iter().zip(1..) {
            loads(&app, path, n);
        }
    }
}

#[test]
fn articles_are_exported_and_pruned_with_their_post() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        let start: jiff::Timestamp = "2026-06-01T08:00:00Z".parse().unwrap();
        let mut channel = FakeChannel::with_posts(NAME, 1, start);
        let text = "See <a href=\"https://telegra.ph/Pictures-06-01\">the pictures</a>";
        channel.posts.get_mut(&1).unwrap().text = text.to_owned();
        for n in 1..30 {
            channel.publish(0, start + SignedDuration::from_mins(n));
        }
        fake.on(ARTICLE, article(&fake, "before", &[]));
        channel.page_size = 40;
        fake.add_channel(channel);
        let url = fake.url();
        let flags = [&["--rate", "10000", "--telegraph", &url][..], &kind.flags()].concat();
        let app = App::start(&fake.url(), &flags);
        let answer = app.get(&format!("/{NAME}/json?full=telegraph&limit=40"));
        assert!(answer.text().contains("before"), "{}: {}", kind.name, answer.text());
        let folder = app.stop();
        let exported = export(&folder, &kind);
        let articles = exported.iter().filter_map(|line| match line {
            ExportLine::Post { post, articles, .. } => Some((post.id.get(), articles)),
            _ => None,
        });
        let articles: Vec<_> = articles.filter(|(_, articles)| !articles.is_empty()).collect();
        let [(1, found)] = &articles[..] else { panic!("{}: {articles:?}", kind.name) };
        let [ExportedArticle { number: 0, article, .. }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((article.title.as_str(), article.text.text()), ("Pictures", "before"), "{}", kind.name);
        let written = serde_json::to_string(&exported).unwrap();
        assert_eq!(serde_json::from_str::<Vec<ExportLine>>(&written).unwrap(), exported, "{}", kind.name);
        let prune = ["archive", "prune", "--keep-posts", "20"];
        let pruned = app::run_in(&folder, &[&prune[..], &kind.flags()].concat());
        assert_eq!(pruned.code, 0, "{}: {pruned:?}", kind.name);
        with_connection(&kind, &folder, async |connection| {
            let left = connection.fetch_all("SELECT path FROM article").await.unwrap();
            assert!(left.is_empty(), "{}", kind.name);
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
