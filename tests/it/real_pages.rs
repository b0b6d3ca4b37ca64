//! Captured preview pages, if available. They contain other people's posts, so they are not in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use telewire::telegram::error::PageError;
use telewire::telegram::page::{self, PageSource};

use crate::support::{app, assert_no_failures, page_names, print_note, reader, root};

/// The captured HTML pages without posts, by the start of their file names, and the expected errors.
const WITHOUT_POSTS: [(&str, PageError); 9] = [
    ("BotFather-landing-bot", PageError::Bot),
    // These two link to a preview, so a redirect to them does not mean that there is none.
    ("durov-landing", PageError::RateLimited),
    ("lolz_guru-landing", PageError::RateLimited),
    ("nikolai-landing", PageError::User),
    ("python-landing", PageError::Group),
    ("so8YUpEsL4BkZGQy-landing", PageError::Invite),
    ("tchantest-msg-no_posts_found", PageError::RateLimited),
    ("teslahunt-15513-postpage", PageError::SinglePost),
    ("zzq9x7v2knot44-landing", PageError::NotFound),
];

/// An editor added spaces to the tags of this preview page, so some of its markup is unknown.
const EDITED: &str = "K1inUSA-embed2018-TextReplyPost";

#[test]
fn captured_pages_are_parsed_completely() {
    let folder = root().join("../shared/pages");
    if !folder.exists() {
        return print_note(
            "captured_pages_are_parsed_completely: skipped, because ../shared/pages does not exist",
        );
    }
    assert_no_failures(
        &page_names(&folder).iter().filter_map(|name| failure(&folder, name)).collect::<Vec<_>>(),
    );
}

fn failure(folder: &Path, name: &str) -> Option<String> {
    let path: PathBuf = folder.join(name).with_extension("html");
    let html = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    let expected = WITHOUT_POSTS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, error)| error);
    let page = match (page::parse(&html, PageSource::Saved(None)), expected) {
        (Err(error), Some(expected)) if error == *expected => return None,
        (Ok(page), None) => page,
        (outcome, expected) => {
            let outcome = outcome.map(|page| page.snapshot.posts.len());
            return Some(format!("{name}: {outcome:?} instead of {expected:?}"));
        }
    };
    if !page.skipped.is_empty() {
        return Some(format!("{name}: skipped {:?}", page.skipped));
    }
    let check = app::run(&["check", "--page", path.to_str().unwrap()]);
    if check.code != 0 && name != EDITED {
        return Some(format!("{name}: {}{}", check.stdout, check.stderr));
    }
    // The other bridges read channels' pages, not those of single posts.
    if name.ends_with("-s")
        && let Err(difference) = reader::compare_ids(&page.snapshot, &html)
    {
        return Some(format!("{name}: {difference}"));
    }
    reader::read_back(&page.snapshot).err().map(|difference| format!("{name}: {difference}"))
}
