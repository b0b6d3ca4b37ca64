//! Golden tests: every preview page in `tests/pages` becomes the feeds next to it.
//!
//! The expected feeds of `NAME.html` are `NAME.rss`, `NAME.atom` and `NAME.json`, byte for byte; `NAME.check` is the
//! report of `telewire check`. For a preview page without posts, `NAME.error` is the error message. After an intended
//! change, run `TELEWIRE_BLESS=1 cargo test --test it pages` and review `git diff tests/pages`.

use std::fs;

use telewire::feed::{self, Format};
use telewire::model::post::Snapshot;
use telewire::telegram::page::{self, PageSource};

use crate::support::app::{self, Output};
use crate::support::{assert_no_failures, golden, page, page_names, pages_folder, reader};

#[test]
fn every_page_becomes_its_golden_feeds() {
    let names = page_names(&pages_folder());
    let mut differences: Vec<String> = names.iter().flat_map(|name| differences(name)).collect();
    if !differences.is_empty() {
        differences.push(format!("To accept all changes, run again with {}=1.", golden::BLESS));
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
fn every_format_is_read_back_equal() {
    let names = page_names(&pages_folder());
    let failure = |name: &String| {
        let failure = reader::read_back(&snapshot(name)?).err()?;
        Some(format!("{name}: {failure}"))
    };
    assert_no_failures(&names.iter().filter_map(failure).collect::<Vec<_>>());
}

#[test]
fn entry_ids_are_those_of_rsshub_and_rss_bridge() {
    let ids = |name: &String| {
        Some(reader::compare_ids(&snapshot(name)?, &page(name)).map_err(|err| format!("{name}: {err}")))
    };
    let (same, failures): (Vec<_>, Vec<_>) =
        page_names(&pages_folder()).iter().filter_map(ids).partition(Result::is_ok);
    assert_no_failures(&failures.into_iter().filter_map(Result::err).collect::<Vec<_>>());
    assert!(same.into_iter().flatten().sum::<usize>() > 0);
}

/// No golden files are left over from a preview page that was renamed or that lost its posts.
#[test]
fn every_golden_file_belongs_to_a_page() {
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
