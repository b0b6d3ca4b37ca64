//! Golden tests of feed options: every case in `tests/options/cases.txt` becomes the feeds next to it.

use std::fs;
use std::path::PathBuf;

use telewire::feed::context::FeedContext;
use telewire::feed::filter::Filter;
use telewire::feed::options::{FeedOptions, Full};
use telewire::feed::select::Scan;
use telewire::feed::{self, Feed, Format};
use telewire::model::article::LinkedArticle;
use telewire::model::post::Post;
use telewire::telegram::page::{self, PageSource};
use telewire::telegram::telegraph;

use crate::support::{assert_no_failures, golden, page, reader, root};

/// The time of every case, which options about the age of posts compare.
const NOW: &str = "2026-06-04T00:00:00Z";

struct Case {
    name: String,
    page: String,
    query: String,
}

fn folder() -> PathBuf {
    root().join("tests/options")
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(folder().join("cases.txt")).unwrap();
    let case = |line: &str| {
        let [name, page, query] =
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        Case { name, page, query }
    };
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(case).collect()
}

fn feed_of(case: &Case, format: Format) -> Feed {
    let options = FeedOptions::parse(&case.query).unwrap();
    let snapshot = page::parse(&page(&case.page), PageSource::Saved(None)).unwrap().snapshot;
    let mut scan = Scan::new(options.clone(), Filter::new(&options).unwrap(), NOW.parse().unwrap());
    scan.look_at(&snapshot.channel, snapshot.posts, snapshot.has_older);
    let url = format!("https://feeds.example.org/{}/{}", snapshot.channel.name, format.name());
    let context = FeedContext { url, media: reader::direct(), options, ..FeedContext::default() };
    let mut selection = scan.finish(snapshot.channel);
    if context.options.full == Full::Telegraph {
        selection.articles = selection.posts.iter().map(|post| (post.id, articles_of(post))).collect();
    }
    feed::build(&selection, &context)
}

/// Returns the articles of a post, from Telegraph's answers in `tests/telegraph`.
fn articles_of(post: &Post) -> Vec<LinkedArticle> {
    let paths = telegraph::article_paths(post).into_iter().enumerate();
    let articles = paths.filter_map(|(number, path)| {
        let json = fs::read_to_string(root().join(format!("tests/telegraph/{path}.json"))).ok()?;
        Some(LinkedArticle { number, article: telegraph::parse(&json, &path).unwrap()? })
    });
    articles.collect()
}

#[test]
fn every_case_becomes_its_golden_feeds() {
    let mut differences = Vec::new();
    for case in cases() {
        for format in Format::ALL {
            let file = folder().join(format!("{}.{}", case.name, format.name()));
            let bytes = feed::render(&feed_of(&case, format), format);
            differences.extend(golden::compare(&file, &bytes).err());
            if let Err(err) = feed_rs::parser::parse(bytes.as_slice()) {
                differences.push(format!("{} is not a valid {format:?} feed: {err}", case.name));
            }
        }
    }
    assert_no_failures(&differences);
}

#[test]
fn every_option_and_golden_file_belongs_to_a_case() {
    let cases = cases();
    let is_used = |name: &str| {
        cases.iter().any(|case| case.query.split('&').any(|pair| pair.split('=').next() == Some(name)))
    };
    // A case has one channel, which `dedupe` has no effect on.
    let names = feed::options::OPTIONS.iter().map(|option| option.name).filter(|name| *name != "dedupe");
    let mut failures: Vec<String> =
        names.filter(|name| !is_used(name)).map(|name| format!("no case has {name}=")).collect();
    for file in fs::read_dir(folder()).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let (stem, _) = file.split_once('.').unwrap();
        if file != "cases.txt" && !cases.iter().any(|case| case.name == stem) {
            failures.push(format!("{file} belongs to no case"));
        }
    }
    assert_no_failures(&failures);
}

/// `link=`, `title=` and the other options of the shape must not bring posts back that a reader has seen.
#[test]
fn only_the_option_for_ids_changes_ids() {
    for case in cases().iter().filter(|case| !case.query.contains("ids=")) {
        let feed = feed_of(case, Format::Atom);
        for entry in &feed.entries {
            assert!(entry.id.starts_with("https://t.me/") && !entry.id.contains("/s/"), "{}", case.name);
        }
    }
}
