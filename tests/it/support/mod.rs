//! What the tests stand on: the program under test, the fake t.me it asks, the readers that ask it.

pub(crate) mod app;
pub(crate) mod fake_channel;
pub(crate) mod fake_dns;
pub(crate) mod fake_telegram;
pub(crate) mod golden;
pub(crate) mod http;
pub(crate) mod postgres;
pub(crate) mod reader;
pub(crate) mod wait;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The channel of [`page("text")`](page), for tests to which any channel will do.
pub(crate) const CHANNEL: &str = "harbour_news";

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of pages with invented content.
pub(crate) fn pages_folder() -> PathBuf {
    root().join("tests/pages")
}

/// The names, without `.html`, of the pages in a folder, in order.
pub(crate) fn page_names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = files.filter_map(|name| Some(name.strip_suffix(".html")?.to_owned())).collect();
    names.sort();
    names
}

/// A page of `tests/pages`, by its name without `.html`.
pub(crate) fn page(name: &str) -> String {
    fs::read_to_string(pages_folder().join(name).with_extension("html")).unwrap()
}

/// Fails with all that was found, if something was: a test of many cases names every one that is wrong.
pub(crate) fn assert_no_failures(failures: &[String]) {
    assert!(failures.is_empty(), "\n\n{}\n", failures.join("\n\n"));
}

/// Says something beside the outcome of a test; what is printed by the usual macros is shown of failed tests only.
pub(crate) fn print_note(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
