//! The time from preview page to feed, relative to the time that scraper takes to parse the HTML of the same page.
//!
//! Both are measured alternately in one run, because only the ratio is meaningful on a shared machine. Uses the
//! captured pages in `../shared/pages` if available, otherwise those in `tests/pages`.
//!
//! `cargo bench --bench page_to_feed`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telewire::feed::context::FeedContext;
use telewire::feed::{self, Format};
use telewire::media::signed_url::{MediaKeys, MediaLinker};
use telewire::telegram::page::{self, PageSource};
use telewire::telegram::url::MEDIA_HOSTS;

const ROUNDS: usize = 40;

fn main() {
    let pages = pages();
    println!(
        "{} pages, {} KiB; baseline: the HTML parser alone = 1",
        pages.len(),
        pages.iter().map(String::len).sum::<usize>() >> 10
    );
    for format in Format::ALL {
        let ratio = ratio(&pages, |page| to_feed(page, &[format]));
        println!("page to {}: {ratio:.2}", format.name());
    }
    println!("page to all formats: {:.2}", ratio(&pages, |page| to_feed(page, &Format::ALL)));
}

/// Returns the preview pages that have posts.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder =
        [root.join("../shared/pages"), root.join("tests/pages")].into_iter().find(|folder| folder.is_dir());
    let files = std::fs::read_dir(folder.expect("a folder with pages")).expect("a readable folder");
    let pages = files.map(|file| std::fs::read(file.expect("a file").path()).expect("a readable file"));
    let is_preview = |page: &String| {
        page.contains("tgme_channel_info") && page::parse(page, PageSource::Saved(None)).is_ok()
    };
    pages.map(|page| String::from_utf8_lossy(&page).into_owned()).filter(is_preview).collect()
}

/// Returns a linker for signed URLs, the default.
fn linker() -> MediaLinker {
    let keys: MediaKeys = "0123456789abcdef0123456789abcdef".parse().expect("a key");
    MediaLinker {
        hosts: MEDIA_HOSTS.parse().expect("a valid default"),
        proxy: Some(("https://feeds.example.org".to_owned(), Arc::new(keys))),
        redirects: false,
    }
}

fn to_feed(page: &str, formats: &[Format]) {
    let context = FeedContext {
        url: "https://feeds.example.org/channel/rss".to_owned(),
        media: linker(),
        ..FeedContext::default()
    };
    let page = page::parse(page, PageSource::Saved(None)).expect("a page with posts");
    let feed = feed::build(&page.snapshot.into(), &context);
    for format in formats {
        black_box(feed::render(&feed, *format));
    }
}

/// Returns the median ratio of the duration of `work` to that of the HTML parser alone.
fn ratio(pages: &[String], work: impl Fn(&str)) -> f64 {
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let baseline = time(pages, |page| drop(black_box(scraper::Html::parse_document(page))));
            time(pages, &work).as_secs_f64() / baseline.as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}

fn time(pages: &[String], work: impl Fn(&str)) -> Duration {
    let start = Instant::now();
    for page in pages {
        work(page);
    }
    start.elapsed()
}
