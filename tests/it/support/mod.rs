//! The test harness: the program under test, a fake Telegram, an HTTP client and a feed reader.

pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod disk;
pub(crate) mod fake_channel;
pub(crate) mod fake_dns;
pub(crate) mod fake_proxy;
pub(crate) mod fake_telegram;
pub(crate) mod golden;
pub(crate) mod gradient;
pub(crate) mod hostile_pages;
pub(crate) mod http;
pub(crate) mod namespace;
pub(crate) mod postgres;
pub(crate) mod reader;
pub(crate) mod wait;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// The channel of [`page("text")`](page), used where the choice of channel does not matter.
pub(crate) const CHANNEL: &str = "harbour_news";

/// Returns the root directory of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the directory of the preview pages with invented content.
pub(crate) fn pages_folder() -> PathBuf {
    root().join("tests/pages")
}

/// Returns the sorted names, without `.html`, of the pages in a directory.
pub(crate) fn page_names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = files.filter_map(|name| Some(name.strip_suffix(".html")?.to_owned())).collect();
    names.sort();
    names
}

/// Returns a page of `tests/pages` by its name without `.html`.
pub(crate) fn page(name: &str) -> String {
    fs::read_to_string(pages_folder().join(name).with_extension("html")).unwrap()
}

/// Panics with all failures if there are any, so that a test of many cases lists each one that failed.
pub(crate) fn assert_no_failures(failures: &[String]) {
    assert!(failures.is_empty(), "\n\n{}\n", failures.join("\n\n"));
}

/// Returns the time of the program's clock.
#[expect(clippy::disallowed_methods, reason = "the program's clock is the test's")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Prints a line to standard error. The test harness captures the output of `eprintln!`, but not this.
pub(crate) fn print_note(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Reports that a program is missing, so that these tests are skipped. In the gate, which installs all programs, they fail.
#[expect(clippy::disallowed_methods, reason = "the variable is set by `.ci/test`")]
pub(crate) fn skip_without(program: &str, tests: &str) {
    assert!(std::env::var_os("TELEWIRE_REQUIRE_ALL").is_none(), "{tests}: {program} is not installed");
    print_note(&format!("{tests}: skipped, because {program} is not installed"));
}

/// Returns whether the programs are installed. If one is missing, reports that the test is skipped.
pub(crate) fn are_installed(programs: &[&str], test: &str) -> bool {
    let is_installed = |program: &str| {
        ["/usr/bin", "/usr/local/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
    };
    let missing = programs.iter().find(|program| !is_installed(program));
    if let Some(program) = missing {
        skip_without(program, test);
    }
    missing.is_none()
}
