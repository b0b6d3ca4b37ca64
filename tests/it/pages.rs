//! Every page in `tests/pages` becomes the feeds that lie beside it.
//!
//! Beside `NAME.html` lie `NAME.rss`, `NAME.atom`, `NAME.json`, byte by byte, and `NAME.check`, the report of
//! `telewire check`; or, for a page without posts, `NAME.error` with what is said instead. After a change that is
//! meant: `TELEWIRE_BLESS=1 cargo test --test it pages`, then look at `git diff tests/pages`.

use std::fs;

use telewire::feed::{self, Format};
use telewire::model::post::Snapshot;
use telewire::telegram::page::{self, PageSource};

use crate::support::app::{self, Output};
use crate::support::{assert_no_failures, golden, page, page_names, pages_folder, reader};

#[test]
fn every_page_becomes_the_feeds_beside_it() {
    let names = page_names(&pages_folder());
    let mut differences: Vec<String> = names.iter().flat_map(|name| differences(name)).collect();
    if !differences.is_empty() {
        differences.push(format!("To accept all that changed, run again with {}=1.", golden::BLESS));
    }
    assert_no_failures(&differences);
}

fn differences(name: &str) -> Vec<String> {
    let mut outcomes = Vec::new();
    let report = command_report(&app::run(&["check", "--page", &format!("{name}.html")]));
    let mut compare = |kind: &str, actual: &[u8]| {
        outcomes.push(golden::compare(&pages_folder().join(format!("{name}.{kind}")), actual));
    };
    if let Some(snapshot) = snapshot(name) {
        for format in Format::ALL {
            compare(format.name(), &feed::render(&reader::feed(&snapshot, format), format));
        }
        compare("check", report.as_bytes());
    } else {
        compare("error", report.as_bytes());
    }
    outcomes.into_iter().filter_map(Result::err).collect()
}

#[test]
fn every_format_tells_readers_the_same() {
    let names = page_names(&pages_folder());
    let failure = |name: &String| {
        let failure = reader::read_back(&snapshot(name)?).err()?;
        Some(format!("{name}: {failure}"))
    };
    assert_no_failures(&names.iter().filter_map(failure).collect::<Vec<_>>());
}

/// A page that was renamed, or has lost its posts, leaves none of its files behind.
#[test]
fn every_file_beside_the_pages_belongs_to_one() {
    let mut expected: Vec<String> = Vec::new();
    for name in page_names(&pages_folder()) {
        let kinds: &[&str] = if snapshot(&name).is_some() {
            &["html", "rss", "atom", "json", "check"]
        } else {
            &["html", "error"]
        };
        expected.extend(kinds.iter().map(|kind| format!("{name}.{kind}")));
    }
    let files = fs::read_dir(pages_folder()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_no_failures(&names.filter(|name| !expected.contains(name)).collect::<Vec<_>>());
}

fn snapshot(name: &str) -> Option<Snapshot> {
    page::parse(&page(name), PageSource::Saved(None)).ok().map(|page| page.snapshot)
}

fn command_report(output: &Output) -> String {
    format!("{}{}exit code {}\n", output.stdout, output.stderr, output.code)
}
