//! A large file through the service, and feeds while two hundred clients take files slowly.
//!
//! It runs the real binary against a t.me and a file server on this machine. What feeds take with and without the slow
//! clients is timed in turns in one run, so that only the ratio counts. Linux only: memory is read from `/proc`.
//!
//! `cargo bench --bench media`
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

mod service;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use service::{Folder, Service};

const MEGABYTE: u64 = 1_000_000;
const FILE: u64 = 200 * MEGABYTE;
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
    let link = link(service.address);
    let before = service.kilobytes("VmRSS:");
    let watching = AtomicBool::new(true);
    let (sent, most, took) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while watching.load(Ordering::Relaxed) {
                most = most.max(service.kilobytes("VmRSS:"));
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let begun = Instant::now();
        let sent = get(service.address, &link);
        watching.store(false, Ordering::Relaxed);
        (sent, watch.join().expect("a thread that ends"), begun.elapsed())
    });
    assert_eq!(sent, FILE, "the whole file");
    println!(
        "{} MB streamed in {took:.1?}: memory from {before} to at most {most} KB, {} MB more",
        FILE / MEGABYTE,
        (most - before) >> 10
    );
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.extend(time_feeds(service.address));
        let slow = Arc::new(SlowClients::start(service.address, &link));
        beside.extend(time_feeds(service.address));
        slow.end();
    }
    let at = |times: &mut Vec<Duration>, percent: usize| {
        times.sort();
        times[(times.len() - 1) * percent / 100]
    };
    for percent in [50, 99] {
        let (alone, beside) = (at(&mut alone, percent), at(&mut beside, percent));
        println!(
            "a feed, {percent} of 100: {alone:.1?} alone, {beside:.1?} beside {SLOW_CLIENTS} slow clients ({:.2})",
            beside.as_secs_f64() / alone.as_secs_f64()
        );
    }
}

/// Asks for the feed again and again over one connection.
fn time_feeds(address: SocketAddr) -> Vec<Duration> {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
    let mut time = || {
        let begun = Instant::now();
        send(&mut stream, FEED, "");
        let length = head(&mut stream);
        std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink()).expect("a body");
        begun.elapsed()
    };
    (0..REQUESTS).map(|_| time()).collect()
}

/// Asks in one write: what is sent in pieces waits for the other side's word in between.
fn send(stream: &mut BufReader<TcpStream>, path: &str, header: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: feeds.example.org\r\n{header}\r\n");
    stream.get_mut().write_all(request.as_bytes()).expect("a request");
}

/// Reads the head of an answer, which must be a good one, and tells how long its body is.
fn head(stream: &mut BufReader<TcpStream>) -> u64 {
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
    let length = head(&mut stream);
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).expect("a body")
}

/// The path of the video that the feed names.
fn link(address: SocketAddr) -> String {
    let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
    send(&mut stream, FEED, "");
    let length = head(&mut stream);
    let mut feed = String::new();
    stream.take(length).read_to_string(&mut feed).expect("a feed");
    let start = feed.find("/-/media/").expect("a link");
    feed[start..].split('"').next().expect("its end").to_owned()
}

/// Clients at addresses of their own that take 16 KB of the file every tenth of a second.
struct SlowClients {
    is_over: Arc<AtomicBool>,
    threads: std::sync::Mutex<Vec<thread::JoinHandle<()>>>,
}

impl SlowClients {
    /// Returns when each of them has got the beginning.
    fn start(address: SocketAddr, path: &str) -> Self {
        let (is_over, n_begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |n: usize| {
            let (is_over, n_begun, path) = (Arc::clone(&is_over), Arc::clone(&n_begun), path.to_owned());
            let take = move || {
                let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
                let from = format!("198.51.100.{}", n % 250);
                send(&mut stream, &path, &format!("X-Forwarded-For: {from}\r\n"));
                head(&mut stream);
                n_begun.fetch_add(1, Ordering::SeqCst);
                let mut some = [0; 16 << 10];
                while !is_over.load(Ordering::SeqCst) {
                    stream.read_exact(&mut some).expect("some of the file");
                    thread::sleep(Duration::from_millis(100));
                }
            };
            thread::Builder::new().stack_size(128 << 10).spawn(take).expect("a thread")
        };
        let threads = (0..SLOW_CLIENTS).map(client).collect();
        while n_begun.load(Ordering::SeqCst) < SLOW_CLIENTS {
            thread::sleep(Duration::from_millis(5));
        }
        Self { is_over, threads: std::sync::Mutex::new(threads) }
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.lock().expect("nobody panicked").drain(..) {
            thread.join().expect("a thread that ends");
        }
    }
}

/// A t.me with one channel, whose one post has a large video, at the same address.
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

/// Answers until the other side has gone.
fn serve(stream: TcpStream, own: SocketAddr) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut path) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            (stream.read_line(&mut line).ok()? > 0).then_some(())?;
            if let Some(asked) = line.strip_prefix("GET ") {
                asked.split(' ').next()?.clone_into(&mut path);
            }
        }
        let out = stream.get_mut();
        if path.starts_with("/file/") {
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {FILE}\r\n\r\n\0\0\0\x20ftypisom").ok()?;
            std::io::copy(&mut std::io::repeat(7).take(FILE - 12), out).ok()?;
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
