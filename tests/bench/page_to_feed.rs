//! A page's way to each feed, against the bare parse of the same page.
//!
//! Both are timed in turns, round after round in one run: on a machine that others use too, only their ratio means
//! something. It uses the captured pages in `../shared/pages` where they are, else the invented ones.
//!
//! `cargo bench --bench page_to_feed`
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telewire::feed::options::FeedOptions;
use telewire::feed::{self, Format};
use telewire::media::signed_url::{MediaKeys, MediaLinker};
use telewire::telegram::page::{self, PageSource};
use telewire::telegram::url::MEDIA_HOSTS;

const ROUNDS: usize = 40;

fn main() {
    let pages = pages();
    println!(
        "{} pages, {} KB; time of the bare parse = 1",
        pages.len(),
        pages.iter().map(String::len).sum::<usize>() >> 10
    );
    for format in Format::ALL {
        let ratio = ratio(&pages, |page| to_feed(page, &[format]));
        println!("page to {}: {ratio:.2}", format.name());
    }
    println!("page to all three: {:.2}", ratio(&pages, |page| to_feed(page, &Format::ALL)));
}

/// The preview pages of channels.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder =
        [root.join("../shared/pages"), root.join("tests/pages")].into_iter().find(|folder| folder.is_dir());
    let files = std::fs::read_dir(folder.expect("a folder with pages")).expect("it can be read");
    let pages = files.map(|file| std::fs::read(file.expect("a file").path()).expect("it can be read"));
    let is_preview = |page: &String| {
        page.contains("tgme_channel_info") && page::parse(page, PageSource::Saved(None)).is_ok()
    };
    pages.map(|page| String::from_utf8_lossy(&page).into_owned()).filter(is_preview).collect()
}

/// Files under addresses of the service's own, as by default.
fn links() -> MediaLinker {
    let keys: MediaKeys = "0123456789abcdef0123456789abcdef".parse().expect("a key");
    MediaLinker {
        hosts: MEDIA_HOSTS.parse().expect("the default list is good"),
        proxy: Some(("https://feeds.example.org".to_owned(), Arc::new(keys))),
    }
}

fn to_feed(page: &str, formats: &[Format]) {
    let options = FeedOptions {
        self_url: "https://feeds.example.org/channel/rss".to_owned(),
        media: links(),
        ..FeedOptions::default()
    };
    let page = page::parse(page, PageSource::Saved(None)).expect("a page with posts");
    let feed = feed::build(&page.snapshot, &options);
    for format in formats {
        black_box(feed::render(&feed, *format));
    }
}

/// The median over all rounds of how many times longer `work` takes than the bare parse.
fn ratio(pages: &[String], work: impl Fn(&str)) -> f64 {
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let bare = time(pages, |page| drop(black_box(scraper::Html::parse_document(page))));
            time(pages, &work).as_secs_f64() / bare.as_secs_f64()
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
