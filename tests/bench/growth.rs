//! The cost of a refresh, a feed and the scheduler with 100, 10,000 and 100,000 archived and followed channels of ten posts: a
//! cost per channel or request that grows with their number is a fault.
//!
//! It fills an archive through the library and runs the real binary on it. Every channel has a reader that is expected
//! within the next five minutes, which is as much work for the scheduler as twelve times as many hourly readers. Linux
//! only: memory and CPU time are read from `/proc`.
//!
//! `cargo bench --bench growth`, or with a smaller number: `cargo bench --bench growth -- 10000`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod service;
mod upstream;

use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use telewire::archive::{Archive, ExpectedVisit, FetchedPage, PageScope};
use telewire::channels::to_archive;
use telewire::model::channel::ChannelName;
use telewire::telegram::page::{self, PageSource};

use service::{Folder, Service};

/// Archived and followed channels.
const CHANNELS: [u32; 3] = [100, 10_000, 100_000];

/// Posts of each channel: a million of the largest number of channels.
const POSTS: usize = 10;

/// Channels that are read for the first time, and archived ones that are asked for.
const SAMPLE: u32 = 2_000;

/// How long the scheduler is watched while nothing has to be refreshed.
const WATCH: Duration = Duration::from_secs(20);

/// When the first and the last visits are due after the start of the service: later than the refreshes have to begin during
/// the benchmark, and within the five minutes that the scheduler looks ahead.
const FIRST_VISIT: SignedDuration = SignedDuration::from_secs(240);
const LAST_VISIT: SignedDuration = SignedDuration::from_secs(290);

/// The costs with a number of channels.
struct Costs {
    /// CPU time, in microseconds.
    refresh: f64,
    archived_feed: f64,
    cached_feed: f64,
    /// CPU time per second and channel, in nanoseconds.
    scheduler: f64,
    /// Memory per channel, in bytes.
    followed: f64,
    cached: f64,
}

fn main() {
    let most = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(u32::MAX);
    let upstream = upstream::start(POSTS);
    let idle = measure(0, upstream);
    println!(
        "channels | refresh | feed from the archive | cached feed | scheduler | followed | cached | measured in"
    );
    for n_channels in CHANNELS.into_iter().filter(|n| *n <= most) {
        let started = Instant::now();
        let Costs { refresh, archived_feed, cached_feed, scheduler, followed, cached } =
            costs(n_channels, upstream, &idle);
        println!(
            "{n_channels:>8} | {refresh:.0} us | {archived_feed:.0} us | {cached_feed:.0} us | {scheduler:.0} ns/s per channel \
             | {followed:.0} bytes per channel | {cached:.0} bytes per channel | {:.0?}",
            started.elapsed()
        );
    }
}

/// A measurement: CPU time in seconds, memory in KiB.
struct Measured {
    scheduler: f64,
    refresh: f64,
    archived_feed: f64,
    cached_feed: f64,
    followed: u64,
    refreshed: u64,
    cached: u64,
}

fn costs(n_channels: u32, upstream: SocketAddr, idle: &Measured) -> Costs {
    let measured = measure(n_channels, upstream);
    let (n, sample) = (f64::from(n_channels), f64::from(SAMPLE));
    let n_cached = f64::from(SAMPLE.min(n_channels));
    let bytes =
        |from: u64, to: u64| f64::from(u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX)) * 1024.0;
    Costs {
        refresh: measured.refresh / sample * 1e6,
        archived_feed: measured.archived_feed / n_cached * 1e6,
        cached_feed: measured.cached_feed / sample * 1e6,
        scheduler: (measured.scheduler - idle.scheduler) / WATCH.as_secs_f64() / n * 1e9,
        followed: bytes(idle.followed, measured.followed) / n,
        cached: bytes(measured.refreshed, measured.cached) / n_cached,
    }
}

/// Runs the service with this number of archived and followed channels.
fn measure(n_channels: u32, upstream: SocketAddr) -> Measured {
    let data = Folder::new("growth");
    fill(data.path(), n_channels);
    let flags = ["--rate", "1000000", "--burst", "1000000", "--in-flight", "64", "--cache-size", "512MiB"];
    let service = Service::start(&data, upstream, &flags);
    let cpu = |work: &dyn Fn()| {
        let before = cpu_seconds(&service);
        work();
        cpu_seconds(&service) - before
    };
    let memory = || service.kilobytes("VmRSS:");
    // The visits are restored first.
    thread::sleep(Duration::from_secs(3));
    let followed = memory();
    let scheduler = cpu(&|| thread::sleep(WATCH));
    let refresh = cpu(&|| get_all(service.address, "channel_new_", SAMPLE, SAMPLE));
    let refreshed = memory();
    let n = SAMPLE.min(n_channels);
    let archived_feed = cpu(&|| get_all(service.address, "channel_", n, n));
    let cached = memory();
    let cached_feed = cpu(&|| get_all(service.address, "channel_", n, SAMPLE));
    Measured { scheduler, refresh, archived_feed, cached_feed, followed, refreshed, cached }
}

/// Returns the CPU time that the service has used, in seconds.
fn cpu_seconds(service: &Service) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.child.id())).expect("/proc");
    let (_, fields) = stat.rsplit_once(')').expect("the program's name");
    // User and system time, counted from the state, which follows the name.
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / TICKS_PER_SECOND
}

/// Requests feeds of the first `n_channels` channels of this name, in turn.
fn get_all(address: SocketAddr, prefix: &str, n_channels: u32, n_requests: u32) {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
    for n in (0..n_requests).map(|n| n % n_channels.max(1)).take_while(|_| n_channels > 0) {
        assert_eq!(upstream::get(&mut stream, &format!("/{prefix}{n}/rss")), 200, "{prefix}{n}");
    }
}

/// Fills an archive with channels that were just read, and whose readers come soon.
fn fill(data: &Path, n_channels: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let archive = Archive::open_for_service(data).await.expect("an archive");
        let templates: Vec<FetchedPage> = (0..50).map(|n| template(&format!("channel_{n}"))).collect();
        let names = (0..n_channels).map(|n| ChannelName::new(&format!("channel_{n}")).expect("a name"));
        let names: Vec<ChannelName> = names.collect();
        for (name, template) in names.iter().zip(templates.iter().cycle()) {
            let page = Arc::new(renamed(template.clone(), name));
            let merged =
                archive.merge(name, page, PageScope::Newest, telewire::clock::now(), Duration::from_hours(1));
            merged.await.expect("a merge");
        }
        let first = telewire::clock::now() + FIRST_VISIT;
        let visit = |n: u32| {
            let after = (LAST_VISIT - FIRST_VISIT).mul_f64(f64::from(n) / f64::from(n_channels));
            vec![ExpectedVisit { due: first + after, interval: SignedDuration::from_hours(1) }]
        };
        let visits: Vec<_> = names.into_iter().zip((0..).map(visit)).collect();
        archive.store_expected_visits(&visits).await.expect("a write");
        archive.close().await;
    });
}

fn template(name: &str) -> FetchedPage {
    let html = upstream::page(name, POSTS);
    to_archive(page::parse(&html, PageSource::Saved(None)).expect("a page with posts"))
}

fn renamed(mut page: FetchedPage, name: &ChannelName) -> FetchedPage {
    page.snapshot.channel.name = name.clone();
    for post in &mut page.snapshot.posts {
        post.permalink = format!("https://t.me/{name}/{}", post.id.get());
    }
    page
}
