//! An archive of a million posts: how large it is, how soon the service is ready on it, how long a feed of 200 posts
//! takes, and whether a channel of 100,000 posts has pages to its end.
//!
//! It runs the real binary on a file that it fills through the library, with posts whose text is as long as the
//! average of captured pages. The upstream refuses, so everything comes from the archive.
//!
//! `cargo bench --bench archive`
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

mod service;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use telewire::archive::{Archive, FetchedPage, PageScope};
use telewire::channels::to_archive;
use telewire::model::channel::ChannelName;
use telewire::model::post::{Post, PostId};
use telewire::model::rich_text::RichText;
use telewire::telegram::page::{self, PageSource};

use service::{Folder, Service};

/// Channels, and how many posts each of them has: a million altogether.
const CHANNELS: [(&str, u32, u32); 2] = [("large", 1, 100_000), ("small", 90, 10_000)];

/// Posts that are merged at a time.
const BATCH: usize = 500;

/// Characters of a post's text, on average.
const TEXT: usize = 500;

/// Feeds that are asked for, of which the median counts.
const FEEDS: usize = 51;

fn main() {
    let data = Folder::new("archive");
    let n_posts = fill(data.path());
    let file = std::fs::metadata(data.path().join("archive.sqlite")).expect("an archive").len();
    println!("{n_posts} posts take {} MB, {} bytes each", file >> 20, file / n_posts);
    let mut starts: Vec<Duration> = (0..5).map(|_| start(&data).1).collect();
    starts.sort();
    println!("ready after {:?} to {:?}", starts[0], starts[4]);
    let (service, _) = start(&data);
    for format in ["rss", "atom", "json"] {
        let mut times: Vec<Duration> = (0..FEEDS).map(|n| feed(service.address, n, format)).collect();
        times.sort();
        println!("a feed of 200 posts as {format}: {:?}, at most {:?}", times[FEEDS / 2], times[FEEDS - 1]);
    }
    let begun = Instant::now();
    let (n_pages, n_posts) = walk(service.address);
    println!("{n_posts} posts of one channel on {n_pages} pages, {:?} a page", begun.elapsed() / n_pages);
    println!("it took at most {} MB of memory", service.kilobytes("VmHWM:") >> 10);
}

/// Fills an archive, and says with how many posts.
fn fill(data: &Path) -> u64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let archive = Archive::open_for_service(data).await.expect("an archive");
        let mut n_posts = 0;
        for (kind, n_channels, size) in CHANNELS {
            for n in 0..n_channels {
                let name = format!("{kind}_{n}");
                let template = template(&name);
                let ids: Vec<u32> = (1..=size).collect();
                for ids in ids.chunks(BATCH) {
                    let page = page_of(&template, ids);
                    let name = ChannelName::new(&name).expect("a name");
                    let now = "2026-11-01T00:00:00Z".parse().expect("a time");
                    let merged =
                        archive.merge(&name, Arc::new(page), PageScope::Newest, now, Duration::from_hours(1));
                    merged.await.expect("a merge");
                    n_posts += ids.len() as u64;
                }
            }
        }
        archive.close().await;
        n_posts
    })
}

/// A page with one post, to make others from.
fn template(name: &str) -> FetchedPage {
    let html = include_str!("../pages/text.html").replace("harbour_news", name);
    let mut page = to_archive(page::parse(&html, PageSource::Saved(None)).expect("a page with posts"));
    page.snapshot.posts.truncate(1);
    page.older = None;
    page
}

fn page_of(template: &FetchedPage, ids: &[u32]) -> FetchedPage {
    let start: Timestamp = "2020-01-01T00:00:00Z".parse().expect("a time");
    let post = |id: &u32| Post {
        id: PostId::new(*id).expect("an id"),
        permalink: format!("https://t.me/{}/{id}", template.snapshot.channel.name),
        published: start + SignedDuration::from_mins(i64::from(*id) * 30),
        text: RichText::from(words(*id).as_str()),
        ..template.snapshot.posts[0].clone()
    };
    let mut page = template.clone();
    page.snapshot.posts = ids.iter().map(post).collect();
    page
}

/// Words that are others in each post, as hard to compress as a language.
fn words(id: u32) -> String {
    let mut random = fastrand::Rng::with_seed(id.into());
    let mut text = String::new();
    while text.len() < TEXT {
        let length = random.usize(2..9);
        text.extend(
            (0..length)
                .map(|_| b"etaoinshrdlcumwfgypbvk"[random.usize(..22).min(random.usize(..22))] as char),
        );
        text.push(if random.u8(..12) == 0 { '\n' } else { ' ' });
    }
    text
}

/// The time that a feed takes; each time another channel's, so that nothing is in memory.
fn feed(service: SocketAddr, n: usize, format: &str) -> Duration {
    let begun = Instant::now();
    let (status, body) = ask(service, &format!("/small_{n}/{format}?limit=200"));
    let taken = begun.elapsed();
    assert!(status == 200 && body.contains("/1000"), "a feed: {status}");
    taken
}

/// Follows a channel's pages to the last, and says how many there were, and posts on them.
fn walk(service: SocketAddr) -> (u32, usize) {
    let mut target = "/large_0/json?limit=200".to_owned();
    let (mut n_pages, mut n_posts) = (0, 0);
    loop {
        let (status, body) = ask(service, &target);
        assert_eq!(status, 200, "{target}");
        let feed: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        n_pages += 1;
        n_posts += feed["items"].as_array().expect("items").len();
        match feed["next_url"].as_str().and_then(|url| url.split_once("/large_0")) {
            Some((_, rest)) => target = format!("/large_0{rest}"),
            None => return (n_pages, n_posts),
        }
    }
}

fn ask(service: SocketAddr, target: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(service).expect("a connection");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

/// Starts the service, whose upstream refuses, and says how long that took until it was ready.
fn start(data: &Folder) -> (Service, Duration) {
    let begun = Instant::now();
    let service = Service::start(data, SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    assert_eq!(ask(service.address, "/-/readyz").0, 200);
    (service, begun.elapsed())
}
