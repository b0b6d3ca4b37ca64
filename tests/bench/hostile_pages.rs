//! The cost of hostile pages at the byte cap: the CPU time and memory of reading each one and of its feed, and the time that
//! other channels wait while six of the worst are refreshed without pause.
//!
//! Each page is read in its own process, whose peak memory is the page's. Linux only: CPU time and memory are read from
//! `/proc`.
//!
//! `cargo bench --bench hostile_pages`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::cast_precision_loss, reason = "the numbers are small")]

#[path = "../it/support/hostile_pages.rs"]
mod hostile_pages;
mod service;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hostile_pages::message;
use service::{Folder, Service};
use telewire::feed::context::FeedContext;
use telewire::feed::{self, Format};
use telewire::telegram::page::{self, PageSource};

const CAP: usize = 4 << 20;
const COLD_CHANNELS: usize = 60;

fn main() {
    if let Some(index) = env::args().nth(1).and_then(|index| index.parse().ok()) {
        return measure(index);
    }
    let mut costs: Vec<Cost> = (0..hostile_pages::all().len()).map(cost).collect();
    println!(
        "{} pages of {} MiB, {} of them read",
        costs.len(),
        CAP >> 20,
        costs.iter().filter(|c| c.is_read).count()
    );
    let columns: [(&str, Column); 4] = [
        ("CPU to read, ms", |cost| cost.read_ms),
        ("CPU to read and render, ms", |cost| cost.read_ms + cost.render_ms),
        ("memory, MiB", |cost| cost.mebibytes),
        ("feed / page", |cost| cost.ratio),
    ];
    for (column, key) in columns {
        costs.sort_by(|a, b| key(b).total_cmp(&key(a)));
        println!("worst by {column}:");
        costs.iter().take(5).for_each(|cost| println!("  {:8.2}  {}", key(cost), cost.name));
    }
    costs.sort_by(|a, b| (b.read_ms + b.render_ms).total_cmp(&(a.read_ms + a.render_ms)));
    let read = costs.iter().filter(|cost| cost.is_read).take(3);
    let refused = costs.iter().filter(|cost| !cost.is_read).take(3);
    under_attack(read.chain(refused).map(|cost| cost.index).collect());
}

/// Returns one of the numbers.
type Column = fn(&Cost) -> f64;

struct Cost {
    index: usize,
    name: String,
    is_read: bool,
    read_ms: f64,
    render_ms: f64,
    mebibytes: f64,
    ratio: f64,
}

/// Reads a page in its own process.
fn cost(index: usize) -> Cost {
    let program = env::current_exe().expect("a path");
    let output = Command::new(program).arg(index.to_string()).output().expect("a process");
    let text = String::from_utf8(output.stdout).expect("text");
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let name = hostile_pages::all().swap_remove(index).name;
    let [is_read, read_ms, render_ms, mebibytes, ratio] = numbers[..] else {
        panic!("{name}: the process failed")
    };
    Cost { index, name, is_read: is_read > 0.0, read_ms, render_ms, mebibytes, ratio }
}

/// Prints what a page costs.
fn measure(index: usize) {
    let html = hostile_pages::all()[index].html(CAP);
    fs::write("/proc/self/clear_refs", "5").expect("a reset of the peak");
    let (idle, start) = (kilobytes("VmRSS:"), cpu_ms());
    let page = page::parse(&html, PageSource::Saved(None));
    let read_ms = cpu_ms() - start;
    let size = page.as_ref().map_or(0, |page| {
        let feed = feed::build(&page.snapshot.clone().into(), &FeedContext::default());
        Format::ALL.iter().map(|format| feed::render(&feed, *format).len()).max().unwrap_or_default()
    });
    let render_ms = cpu_ms() - start - read_ms;
    let mebibytes = (kilobytes("VmHWM:") - idle) / 1024.0;
    let is_read = u8::from(page.is_ok());
    println!("{is_read} {read_ms} {render_ms} {mebibytes} {}", size as f64 / html.len() as f64);
}

/// Returns the CPU time of this process, in milliseconds.
fn cpu_ms() -> f64 {
    let times = fs::read_to_string("/proc/self/schedstat").expect("/proc");
    times.split(' ').next().and_then(|time| time.parse::<f64>().ok()).expect("a number") / 1e6
}

fn kilobytes(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    value.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Measures how long new channels wait, alone and while channels with these pages are refreshed without pause.
fn under_attack(indexes: Vec<usize>) {
    let n_hostile = indexes.len();
    let pages =
        indexes.into_iter().map(|index| hostile_pages::all()[index].html(CAP - (512 << 10))).collect();
    let data = Folder::new("hostile-pages");
    let flags = [
        "--rate",
        "100000",
        "--burst",
        "100000",
        "--client-rate",
        "0",
        "--fresh-min",
        "0s",
        "--fresh-max",
        "0s",
    ];
    let service = Service::start(&data, upstream(pages), &flags);
    let idle = service.kilobytes("VmRSS:");
    let alone = cold(service.address, 0);
    let (stop, n_requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..n_hostile)
        .map(|n| {
            let (stop, n_requests, address) = (Arc::clone(&stop), Arc::clone(&n_requests), service.address);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    get(address, &format!("/hostile_{n}/rss"));
                    n_requests.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_secs(2));
    let attacked = cold(service.address, COLD_CHANNELS);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no panic");
    }
    let median = |times: &[Duration]| times[times.len() / 2].as_secs_f64() * 1e3;
    println!(
        "{n_hostile} hostile channels, {} requests: a new channel takes {:.1} ms instead of {:.1} ms (median), at most {:.1} ms; \
         memory {} MiB above idle at its peak, {} MiB at the end",
        n_requests.load(Ordering::Relaxed),
        median(&attacked),
        median(&alone),
        attacked.last().map_or(0.0, Duration::as_secs_f64) * 1e3,
        (service.kilobytes("VmHWM:") - idle) >> 10,
        service.kilobytes("VmRSS:").saturating_sub(idle) >> 10,
    );
}

/// Requests new channels, and returns the sorted durations.
fn cold(address: SocketAddr, first: usize) -> Vec<Duration> {
    let mut times: Vec<_> = (first..first + COLD_CHANNELS)
        .map(|n| {
            let start = Instant::now();
            assert_eq!(get(address, &format!("/cold_{n}/rss")), 200, "a new channel is read");
            start.elapsed()
        })
        .collect();
    times.sort();
    times
}

/// Requests a path on a new connection, and returns the status.
fn get(address: SocketAddr, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: feeds.example.org\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("a response");
    String::from_utf8_lossy(&response[9..12]).parse().expect("a status")
}

/// Starts a fake t.me: `hostile_N` has one of the pages, every other channel 20 posts of usual size.
fn upstream(hostile: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let hostile = Arc::new(hostile);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let hostile = Arc::clone(&hostile);
            thread::spawn(move || serve(BufReader::new(stream), &hostile));
        }
    });
    address
}

fn serve(mut stream: BufReader<TcpStream>, hostile: &[String]) {
    let mut path = String::new();
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
        if let Some(rest) = line.strip_prefix("GET ") {
            rest.split([' ', '?']).next().unwrap_or_default().clone_into(&mut path);
        }
        if line == "\r\n" {
            let name = path.trim_start_matches("/s/");
            let page = match name.strip_prefix("hostile_").and_then(|n| n.parse::<usize>().ok()) {
                Some(n) => hostile[n].replace("hostile", name),
                None => usual_page().replace("hostile", name),
            };
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
            if stream.get_mut().write_all(response.as_bytes()).is_err() {
                return;
            }
        }
        line.clear();
    }
}

fn usual_page() -> String {
    let post = |id| {
        let text = "A sentence about the weather in the harbour. ".repeat(15);
        format!(
            "{}<div class=\"tgme_widget_message_text\">{text}</div>{}</div>",
            message(id),
            "<span></span>".repeat(100)
        )
    };
    hostile_pages::page(&(1..=20).map(post).collect::<String>())
}
