//! One hostile page must not hurt the readers of other channels: whatever a page contains, reading it takes limited work
//! and memory, and so do the feeds, the archive and the log.

use std::time::Duration;

use jiff::Timestamp;
use telewire::archive::{self, Archive, ArchiveError, Caller, FetchedPage, PageScope};
use telewire::channels::to_archive;
use telewire::feed::context::FeedContext;
use telewire::feed::{self, Format};
use telewire::model::channel::ChannelName;
use telewire::model::paging::{FeedPageRequest, MAX_PAGE_BYTES, MAX_POST_BYTES};
use telewire::model::post::{Post, PostId, Snapshot};
use telewire::telegram::error::PageError;
use telewire::telegram::page::{self, PageSource, PreviewPage};

use crate::support::app::App;
use crate::support::assert_no_failures;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::hostile_pages::{self, message};

/// The largest page that is fetched.
const CAP: usize = 4 << 20;

fn parse(html: &str) -> Result<PreviewPage, PageError> {
    page::parse(html, PageSource::Saved(None))
}

/// Returns the size of the largest feed of a page.
fn feed_size(snapshot: &Snapshot) -> usize {
    let feed = feed::build(&snapshot.clone().into(), &FeedContext::default());
    Format::ALL.iter().map(|format| feed::render(&feed, *format).len()).max().unwrap()
}

/// Returns what is wrong with the posts of a page: they may be larger than the page only by the names of their fields.
fn fault(name: &str, html: &str) -> Option<String> {
    let posts = parse(html).ok()?.snapshot.posts;
    let size: usize = posts.iter().map(Post::json_len).sum();
    let is_fine = posts.len() <= 100 && size <= MAX_PAGE_BYTES && size <= 8 * html.len() + 1024 * posts.len();
    (!is_fine).then(|| format!("{name}: {} bytes became {} posts of {size} bytes", html.len(), posts.len()))
}

/// Returns a generated page by its name.
fn generated(name: &str, bytes: usize) -> String {
    let mut generators = hostile_pages::all().into_iter();
    generators.find(|page| page.name == name).unwrap_or_else(|| panic!("no page {name}")).html(bytes)
}

#[test]
fn generated_pages_are_refused_or_become_posts_of_their_size() {
    let generators = hostile_pages::all();
    assert!(generators.len() >= 100);
    // The benchmark reads all of them, at the byte cap.
    let some = generators.iter().step_by(5);
    let faults = some.filter_map(|page| fault(&page.name, &page.html(32 << 10)));
    assert_no_failures(&faults.collect::<Vec<_>>());
}

/// Each part was once read with the parts inside it, so that pages of this kind took gigabytes.
#[test]
fn parts_inside_their_own_kind_are_read_once() {
    for kind in ["message", "option", "button", "reaction", "note of a game", "text", "description"] {
        for bytes in [326 << 10, CAP] {
            let name = format!("{kind} in {kind}, deep");
            assert_eq!(fault(&name, &generated(&name, bytes)), None);
        }
    }
}

#[test]
fn feeds_of_the_largest_pages_are_at_most_twice_as_large() {
    for name in [
        "different messages with the largest texts",
        "different hashtags",
        "\"<b>x</b>\" in text",
        "\"\\\"\" in text",
        "\"&\" in quote",
        "photo in wrapper, wide",
        "document in wrapper, wide",
        "unknown part in wrapper, wide",
    ] {
        let html = generated(name, CAP);
        let size = parse(&html).map_or(0, |page| feed_size(&page.snapshot));
        assert!(size <= 2 * html.len(), "{name}: {} bytes became {size}", html.len());
    }
}

/// These pages once took seconds to minutes.
#[test]
fn pages_with_endless_work_are_refused() {
    for name in [
        "\"<html a b c>\" in list",
        "different attributes of html",
        "different attributes of body",
        "different attributes of a tag",
        "different short attributes",
        "different formatting elements left open",
        "\"</x>\" in open",
        "\"<\" in text",
        "date in date, deep",
    ] {
        assert_eq!(parse(&generated(name, CAP)).err(), Some(PageError::DomLimitExceeded), "{name}");
    }
}

#[test]
fn messages_inside_messages_are_posts_of_their_own() {
    let text = |n: usize| format!("{}<div class=\"tgme_widget_message_text\">text {n}</div>", message(n));
    // The end tags of the messages are missing.
    let html = hostile_pages::page(&(1..=5).map(text).collect::<String>());
    let posts = parse(&html).unwrap().snapshot.posts;
    let texts: Vec<_> = posts.iter().map(|post| (post.id.get(), post.text.text())).collect();
    assert_eq!(texts, [(1, "text 1"), (2, "text 2"), (3, "text 3"), (4, "text 4"), (5, "text 5")]);
}

#[test]
fn only_the_newest_of_many_messages_are_read() {
    let text = |n: usize| format!("{}<div class=\"tgme_widget_message_text\">x</div></div>", message(n));
    let page = parse(&hostile_pages::page(&(1..=300).map(text).collect::<String>())).unwrap();
    let ids: Vec<_> = page.snapshot.posts.iter().map(|post| post.id.get()).collect();
    assert_eq!(ids, (201..=300).collect::<Vec<_>>());
    // The others are on the next older page.
    assert_eq!(page.older.unwrap().get(), 201);
    assert!(page.snapshot.has_older);
}

#[test]
fn post_beyond_the_size_limit_is_skipped() {
    let text =
        |n, text: &str| format!("{}<div class=\"tgme_widget_message_text\">{text}</div></div>", message(n));
    let page = parse(&hostile_pages::page(&(text(1, &"x".repeat(300 << 10)) + &text(2, "y")))).unwrap();
    assert_eq!(page.skipped.len(), 1);
    assert_eq!(page.snapshot.posts.len(), 1);
}

/// The service refuses such a page once, then remembers the failure, and reads other channels as before.
#[test]
fn page_with_endless_work_is_remembered_and_does_not_pause_the_upstream() {
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &["--burst", "100"]);
    let names: Vec<String> = (0..6).map(|n| format!("hostile_{n}")).collect();
    let units = ["<html a b c>", "<b>", "</x>", "<", "&amp;", "<p a b c d e f>"];
    for (name, unit) in names.iter().zip(units) {
        let html = format!("<!DOCTYPE html><html>{}</html>", unit.repeat(CAP / unit.len() - 10));
        fake.on(&format!("/s/{name}"), Answer::page(&html));
    }
    for _ in 0..3 {
        for name in &names {
            assert_eq!(app.get(&format!("/{name}/rss")).status, 502);
        }
    }
    for name in &names {
        assert_eq!(fake.count(&format!("/s/{name}")), 1, "{name}");
    }
    fake.on("/s/harbour_news", Answer::page(&crate::support::page("text")));
    assert_eq!(app.get("/harbour_news/rss").status, 200);
}

#[test]
fn unknown_parts_are_logged_once_per_kind() {
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &[]);
    let part = |n: usize| format!("<div class=\"kind_{}\">x</div>", n % 3);
    let html =
        hostile_pages::page(&format!("{}{}</div>", message(1), (0..900).map(part).collect::<String>()));
    fake.on("/s/hostile", Answer::page(&html));
    assert_eq!(app.get("/hostile/rss").status, 200);
    let n_lines = app.log().iter().filter(|line| line.contains("kind_")).count();
    assert_eq!(n_lines, 3);
}

/// Returns a page of posts with these ids and a text of `len` bytes.
fn archivable(ids: impl Iterator<Item = usize>, len: usize) -> FetchedPage {
    let post = |id| {
        format!("{}<div class=\"tgme_widget_message_text\">{}</div></div>", message(id), "x".repeat(len))
    };
    to_archive(parse(&hostile_pages::page(&ids.map(post).collect::<String>())).unwrap())
}

async fn merge(archive: &Archive, page: FetchedPage) -> Result<(), ArchiveError> {
    let name = ChannelName::new("hostile").unwrap();
    archive
        .merge(&name, page.into(), PageScope::Newest, Timestamp::UNIX_EPOCH, Duration::ZERO)
        .await
        .map(drop)
}

#[tokio::test]
async fn archive_returns_no_more_posts_than_fit_into_memory() {
    let archive = Archive::in_memory(1 << 30).await.unwrap();
    let len = MAX_POST_BYTES - 2048;
    for first in (1..=40).step_by(8) {
        merge(&archive, archivable(first..first + 8, len)).await.unwrap();
    }
    let name = ChannelName::new("hostile").unwrap();
    let first_page = archive.load(&name, Caller::Refresh).await.unwrap().unwrap().snapshot;
    let request = FeedPageRequest { before: None, limit: Some(40) };
    let long_page = archive.feed_page(&name, request, Caller::Refresh).await.unwrap().unwrap();
    for snapshot in [first_page, long_page.snapshot.unwrap()] {
        let size: usize = snapshot.posts.iter().map(Post::json_len).sum();
        assert!((MAX_PAGE_BYTES / 2..=MAX_PAGE_BYTES + MAX_POST_BYTES).contains(&size), "{size}");
        assert_eq!(snapshot.posts.last().unwrap().id.get(), 40);
        assert!(snapshot.has_older);
    }
}

#[tokio::test]
async fn page_that_spans_the_whole_archive_is_merged_in_steps() {
    let archive = Archive::in_memory(1 << 30).await.unwrap();
    for first in (1..=12_000).step_by(100) {
        merge(&archive, archivable(first..first + 100, 9)).await.unwrap();
    }
    let name = ChannelName::new("hostile").unwrap();
    let request = FeedPageRequest { before: PostId::new(12_000), limit: Some(1) };
    let mut next_older = Vec::new();
    for second in 1..=6 {
        let (page, seen) = (archivable([1, 12_000].into_iter(), 9), Timestamp::from_second(second).unwrap());
        archive.merge(&name, page.into(), PageScope::Newest, seen, Duration::ZERO).await.unwrap();
        let page = archive.feed_page(&name, request, Caller::Refresh).await.unwrap().unwrap();
        next_older.push(page.snapshot.unwrap().posts[0].id.get());
    }
    // A post is gone after two pages that lack it, and each page counts 5,000 posts: of the others, the newest ones last.
    assert_eq!(next_older, [11_999, 11_989, 11_989, 11_989, 11_989, 1]);
}

#[test]
fn slow_archive_does_not_lift_the_limit_of_posts() {
    let page = |first| archivable(first..first + 300, 9);
    let mut known = None;
    for first in [1, 301, 601] {
        let snapshot = archive::merge_without_archive(known, &page(first), Timestamp::UNIX_EPOCH);
        assert!(snapshot.posts.len() <= 200 && snapshot.has_older);
        known = Some(snapshot);
    }
    assert_eq!(known.unwrap().posts.len(), 200);
}
