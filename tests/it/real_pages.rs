//! Captured pages of Telegram, where they are at hand: other people's posts, so they are no part of the project.

use std::fs;
use std::path::{Path, PathBuf};

use telewire::telegram::error::PageError;
use telewire::telegram::page::{self, PageSource};

use crate::support::{app, assert_no_failures, page_names, print_note, reader, root};

/// The captured pages that show no posts, by how their names begin, and what each means.
const WITHOUT_POSTS: [(&str, PageError); 9] = [
    ("BotFather-landing-bot", PageError::Bot),
    // These two offer a preview: being sent to them is an untrue answer.
    ("durov-landing", PageError::RateLimited),
    ("lolz_guru-landing", PageError::RateLimited),
    ("nikolai-landing", PageError::User),
    ("python-landing", PageError::Group),
    ("so8YUpEsL4BkZGQy-landing", PageError::Invite),
    ("tchantest-msg-no_posts_found", PageError::RateLimited),
    ("teslahunt-15513-postpage", PageError::SinglePost),
    ("zzq9x7v2knot44-landing", PageError::NotFound),
];

/// Spaces put into its tags by an editor became text, so not everything on it is understood.
const SPOILED: &str = "K1inUSA-embed2018-TextReplyPost";

#[test]
fn captured_pages_are_read_whole() {
    let folder = root().join("../shared/pages");
    if !folder.exists() {
        print_note("real pages: ../shared/pages is not here, so the captured pages are not checked");
        return;
    }
    assert_no_failures(
        &page_names(&folder).iter().filter_map(|name| failure(&folder, name)).collect::<Vec<_>>(),
    );
}

fn failure(folder: &Path, name: &str) -> Option<String> {
    let path: PathBuf = folder.join(name).with_extension("html");
    let html = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    let expected = WITHOUT_POSTS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, why)| why);
    let page = match (page::parse(&html, PageSource::Saved(None)), expected) {
        (Err(why), Some(expected)) if why == *expected => return None,
        (Ok(page), None) => page,
        (outcome, expected) => {
            let outcome = outcome.map(|page| page.snapshot.posts.len());
            return Some(format!("{name}: {outcome:?} in place of {expected:?}"));
        }
    };
    if !page.skipped.is_empty() {
        return Some(format!("{name}: skipped {:?}", page.skipped));
    }
    let check = app::run(&["check", "--page", path.to_str().unwrap()]);
    if check.code != 0 && name != SPOILED {
        return Some(format!("{name}: {}{}", check.stdout, check.stderr));
    }
    reader::read_back(&page.snapshot).err().map(|difference| format!("{name}: {difference}"))
}
