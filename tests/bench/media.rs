//! Memory while a large file is streamed, and the latency of feeds while 200 slow clients download files.
//!
//! It runs the real binary against a fake t.me and file server on this machine. The latency with and without the slow
//! clients is measured alternately in one run: only the ratio is meaningful. Linux only: memory is read from `/proc`.
//!
//! `cargo bench --bench media`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod service;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use service::{Folder, Service};

const MEGABYTE: u64 = 1_000_000;
const FILE_BYTES: u64 = 200 * MEGABYTE;
const SLOW_CLIENTS: usize = 200;
const ROUNDS: usize = 10;
const REQUESTS: usize = 1000;
const FEED: &str = "/bench_pier/rss";

fn main() {
    let upstream = upstream();
    let data = Folder::new("media");
    let service = Service::start(
        &data,
        upstream,
        &["--media-hosts", &upstream.to_string(), "--trusted-proxies", "127.0.0.1"],
    );
    let path = video_path(service.address);
    let before = service.kilobytes("VmRSS:");
    let is_streaming = AtomicBool::new(true);
    let (received, peak, elapsed) = thread::scope(|scope| {
        let monitor = scope.spawn(|| {
            let mut peak = 0;
            while is_streaming.load(Ordering::Relaxed) {
                peak = peak.max(service.kilobytes("VmRSS:"));
                thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        let started = Instant::now();
        let received = get(service.address, &path);
        is_streaming.store(false, Ordering::Relaxed);
        (received, monitor.join().expect("no panic"), started.elapsed())
    });
    assert_eq!(received, FILE_BYTES, "the file is incomplete");
    println!(
        "{} MB streamed in {elapsed:.1?}: memory grew by {} KiB to at most {peak} KiB",
        FILE_BYTES / MEGABYTE,
        peak - before
    );
    let (mut unloaded, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        unloaded.extend(time_feeds(service.address));
        let slow = Arc::new(SlowClients::start(service.address, &path));
        loaded.extend(time_feeds(service.address));
        slow.end();
    }
    let percentile = |times: &mut Vec<Duration>, percent: usize| {
        times.sort();
        times[(times.len() - 1) * percent / 100]
    };
    for percent in [50, 99] {
        let (unloaded, loaded) = (percentile(&mut unloaded, percent), percentile(&mut loaded, percent));
        println!(
            "feed latency, p{percent}: {unloaded:.1?}; with {SLOW_CLIENTS} slow clients: {loaded:.1?} ({:.2} times)",
            loaded.as_secs_f64() / unloaded.as_secs_f64()
        );
    }
}

/// Requests the feed [`REQUESTS`] times over one connection and returns the latencies.
fn time_feeds(address: SocketAddr) -> Vec<Duration> {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
    let mut time = || {
        let started = Instant::now();
        send(&mut stream, FEED, "");
        let length = read_head(&mut stream);
        std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink()).expect("a body");
        started.elapsed()
    };
    (0..REQUESTS).map(|_| time()).collect()
}

/// Sends a request in a single write; several writes would wait for acknowledgements (Nagle's algorithm).
fn send(stream: &mut BufReader<TcpStream>, path: &str, header: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: feeds.example.org\r\n{header}\r\n");
    stream.get_mut().write_all(request.as_bytes()).expect("a request");
}

/// Reads the head of a response with status 200 and returns the length of its body.
fn read_head(stream: &mut BufReader<TcpStream>) -> u64 {
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).expect("a status");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = n.trim().parse().expect("a length");
        }
        line.clear();
        stream.read_line(&mut line).expect("a header");
    }
    length
}

fn get(address: SocketAddr, path: &str) -> u64 {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
    send(&mut stream, path, "");
    let length = read_head(&mut stream);
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).expect("a body")
}

/// Returns the path of the video in the feed.
fn video_path(address: SocketAddr) -> String {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
    send(&mut stream, FEED, "");
    let length = read_head(&mut stream);
    let mut feed = String::new();
    stream.take(length).read_to_string(&mut feed).expect("a feed");
    let start = feed.find("/-/media/").expect("a link");
    feed[start..].split('"').next().expect("the end of the link").to_owned()
}

/// Clients with different IP addresses that each read 16 KiB of the file every 100 ms.
struct SlowClients {
    is_over: Arc<AtomicBool>,
    threads: std::sync::Mutex<Vec<thread::JoinHandle<()>>>,
}

impl SlowClients {
    /// Starts the clients and waits until each has received the response head.
    fn start(address: SocketAddr, path: &str) -> Self {
        let (is_over, n_started) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |n: usize| {
            let (is_over, n_started, path) = (Arc::clone(&is_over), Arc::clone(&n_started), path.to_owned());
            let download = move || {
                let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
                let from = format!("198.51.100.{}", n % 250);
                send(&mut stream, &path, &format!("X-Forwarded-For: {from}\r\n"));
                read_head(&mut stream);
                n_started.fetch_add(1, Ordering::SeqCst);
                let mut chunk = [0; 16 << 10];
                while !is_over.load(Ordering::SeqCst) {
                    stream.read_exact(&mut chunk).expect("a part of the file");
                    thread::sleep(Duration::from_millis(100));
                }
            };
            thread::Builder::new().stack_size(128 << 10).spawn(download).expect("a thread")
        };
        let threads = (0..SLOW_CLIENTS).map(client).collect();
        while n_started.load(Ordering::SeqCst) < SLOW_CLIENTS {
            thread::sleep(Duration::from_millis(5));
        }
        Self { is_over, threads: std::sync::Mutex::new(threads) }
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.lock().expect("no panic").drain(..) {
            thread.join().expect("no panic");
        }
    }
}

/// Starts a fake t.me with one channel, whose only post has a large video on the same server.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, address));
        }
    });
    address
}

/// Answers requests until the client disconnects.
fn serve(stream: TcpStream, own: SocketAddr) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut path) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            (stream.read_line(&mut line).ok()? > 0).then_some(())?;
            if let Some(rest) = line.strip_prefix("GET ") {
                rest.split(' ').next()?.clone_into(&mut path);
            }
        }
        let out = stream.get_mut();
        if path.starts_with("/file/") {
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {FILE_BYTES}\r\n\r\n\0\0\0\x20ftypisom").ok()?;
            std::io::copy(&mut std::io::repeat(7).take(FILE_BYTES - 12), out).ok()?;
        } else {
            let page = page(own);
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len()).ok()?;
        }
    }
}

fn page(own: SocketAddr) -> String {
    format!(
        "<!DOCTYPE html><html><body><div class=\"tgme_channel_info\"><div class=\"tgme_channel_info_header_title\">\
         <span>Bench Pier</span></div><div class=\"tgme_channel_info_header_username\"><a>@bench_pier</a></div></div>\
         <section class=\"tgme_channel_history\"><div class=\"tgme_widget_message\" data-post=\"bench_pier/1\">\
         <a class=\"tgme_widget_message_video_player\" href=\"https://t.me/bench_pier/1\"><div \
         class=\"tgme_widget_message_video_wrap\" style=\"width:640px;padding-top:56%\"><video \
         class=\"tgme_widget_message_video\" src=\"http://{own}/file/large.mp4?token=1\"></video></div>\
         <div class=\"message_video_play\"></div><time class=\"message_video_duration\">1:00</time></a>\
         <div class=\"tgme_widget_message_text js-message_text\">{}</div><a class=\"tgme_widget_message_date\" \
         href=\"https://t.me/bench_pier/1\"><time datetime=\"2026-08-01T10:00:00+00:00\"></time></a></div>\
         </section></body></html>",
        "A large video of the pier. ".repeat(200)
    )
}
