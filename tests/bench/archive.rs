//! An archive of a million posts: its size, the startup time of the service, the latency of a feed with 200 posts, and
//! the time to follow all feed pages of a channel with 100,000 posts.
//!
//! It fills the archive through the library, with texts as long as the average in captured preview pages, and runs the
//! real binary on it. The upstream refuses connections, so every post comes from the archive.
//!
//! `cargo bench --bench archive`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

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

/// Name prefix, number of channels, and posts per channel: a million posts in total.
const CHANNELS: [(&str, u32, u32); 2] = [("large", 1, 100_000), ("small", 90, 10_000)];

/// Posts per merge.
const BATCH_SIZE: usize = 500;

/// The minimum length of a post's text, in bytes.
const TEXT_BYTES: usize = 500;

/// Requests per format.
const REQUESTS: usize = 51;

fn main() {
    let data = Folder::new("archive");
    let n_posts = fill(data.path());
    let file = std::fs::metadata(data.path().join("archive.sqlite")).expect("an archive").len();
    println!("archive: {n_posts} posts, {} MiB, {} bytes per post", file >> 20, file / n_posts);
    let mut starts: Vec<Duration> = (0..5).map(|_| start(&data).1).collect();
    starts.sort();
    println!("startup: {:?} to {:?}", starts[0], starts[4]);
    let (service, _) = start(&data);
    for format in ["rss", "atom", "json"] {
        let mut times: Vec<Duration> = (0..REQUESTS).map(|n| time_feed(service.address, n, format)).collect();
        times.sort();
        println!(
            "200 posts as {format}: median {:?}, maximum {:?}",
            times[REQUESTS / 2],
            times[REQUESTS - 1]
        );
    }
    let started = Instant::now();
    let (n_pages, n_posts) = follow_pages(service.address);
    println!("{n_posts} posts on {n_pages} feed pages: {:?} per page", started.elapsed() / n_pages);
    println!("peak memory: {} MiB", service.kilobytes("VmHWM:") >> 10);
}

/// Fills an archive and returns the number of posts.
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
                for ids in ids.chunks(BATCH_SIZE) {
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

/// Returns a fetched page with one post, from which the others are made.
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

/// Returns random words, different for each post, that compress about as well as natural language.
fn words(id: u32) -> String {
    let mut random = fastrand::Rng::with_seed(id.into());
    let mut text = String::new();
    while text.len() < TEXT_BYTES {
        let length = random.usize(2..9);
        text.extend(
            (0..length)
                .map(|_| b"etaoinshrdlcumwfgypbvk"[random.usize(..22).min(random.usize(..22))] as char),
        );
        text.push(if random.u8(..12) == 0 { '\n' } else { ' ' });
    }
    text
}

/// Returns the latency of a feed. `n` selects a different channel each time, so that nothing is cached.
fn time_feed(service: SocketAddr, n: usize, format: &str) -> Duration {
    let started = Instant::now();
    let (status, body) = get(service, &format!("/small_{n}/{format}?limit=200"));
    let elapsed = started.elapsed();
    assert!(status == 200 && body.contains("/1000"), "status {status}");
    elapsed
}

/// Follows the feed pages of a channel to the last one. Returns the number of pages and posts.
fn follow_pages(service: SocketAddr) -> (u32, usize) {
    let mut target = "/large_0/json?limit=200".to_owned();
    let (mut n_pages, mut n_posts) = (0, 0);
    loop {
        let (status, body) = get(service, &target);
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

fn get(service: SocketAddr, target: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(service).expect("a connection");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    (head[9..12].parse().expect("a status"), body.to_owned())
}

/// Starts the service and waits until it is ready. Returns the startup time too.
fn start(data: &Folder) -> (Service, Duration) {
    let started = Instant::now();
    let service = Service::start(data, SocketAddr::from(([127, 0, 0, 1], 1)), &[]);
    assert_eq!(get(service.address, "/-/readyz").0, 200);
    (service, started.elapsed())
}
