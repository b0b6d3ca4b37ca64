//! Requests per second for a cached feed, relative to a minimal axum handler that returns the same bytes, and for one with
//! options, relative to one without.
//!
//! Both servers run in this process and get requests alternately from the same clients over loopback: only the ratio is
//! meaningful.
//!
//! `cargo bench --bench serving`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::cast_precision_loss, reason = "numbers of requests")]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use clap::Parser;
use telewire::config::{Cli, Config};
use telewire::metrics::Metrics;
use telewire::service::Service;

const CLIENTS: usize = 16;
const ROUNDS: usize = 9;
const ROUND_DURATION: Duration = Duration::from_millis(700);
const PAGE: &str = include_str!("../pages/text.html");
const PATH: &str = "/harbour_news/rss";
/// A feed with options and as many entries.
const OPTIONS: &str =
    "/harbour_news/rss?limit=20&exclude=casino&without=forward,ad&hide=preview,via&title=line";

#[tokio::main]
async fn main() {
    let service = start_service(start_upstream()).await;
    let (head, body) = tokio::task::spawn_blocking(move || ask(service, PATH, "")).await.expect("a response");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an ETag").to_owned();
    println!("{} bytes, {CLIENTS} connections; baseline: a minimal axum handler = 1", body.len());
    let baseline = start_baseline(body).await;
    for (case, header) in
        [("cached feed", String::new()), ("not modified", format!("If-None-Match: {etag}\r\n"))]
    {
        let ratio = tokio::task::spawn_blocking(move || ratio((service, PATH), (baseline, PATH), &header))
            .await
            .expect("a ratio");
        println!("{case}: {:.2} times {:.0} requests per second", ratio.0, ratio.1);
    }
    let ratio = move || {
        ask(service, OPTIONS, "");
        ratio((service, OPTIONS), (service, PATH), "")
    };
    let ratio = tokio::task::spawn_blocking(ratio).await.expect("a ratio");
    println!(
        "cached feed with options: {:.2} times that without, {:.0} requests per second",
        ratio.0, ratio.1
    );
}

/// Starts the service as the command line does, with its own accept loop and middleware.
async fn start_service(upstream: SocketAddr) -> SocketAddr {
    let (upstream, key) = (format!("http://{upstream}"), "0123456789abcdef0123456789abcdef");
    let flags = ["--listen", "127.0.0.1:0", "--upstream", &upstream, "--no-archive", "--media-key", key];
    let args = Cli::parse_from([&["telewire"], &flags[..]].concat()).serve;
    let config = Config::try_from(args).expect("valid flags");
    let metrics = Arc::new(Metrics::install().expect("no other recorder"));
    let service = Service::start(config, metrics).await.expect("a service");
    let address = service.address();
    tokio::spawn(service.serve(futures_util::stream::pending()));
    address
}

async fn start_baseline(body: Vec<u8>) -> SocketAddr {
    let body = Bytes::from(body);
    let handler = get(async move || ([(CONTENT_TYPE, "application/rss+xml; charset=utf-8")], body));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().route(PATH, handler)).await });
    address
}

/// Starts a fake t.me with one preview page.
fn start_upstream() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            drop(stream.read(&mut head));
            let response = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
                PAGE.len()
            );
            drop(stream.write_all(response.as_bytes()));
        }
    });
    address
}

/// Returns the median ratio, and the baseline's requests per second in that round.
fn ratio(
    measured: (SocketAddr, &'static str),
    baseline: (SocketAddr, &'static str),
    header: &str,
) -> (f64, f64) {
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let baseline_rate = rate(baseline, "");
            (rate(measured, header) / baseline_rate, baseline_rate)
        })
        .collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    rounds[ROUNDS / 2]
}

/// Returns the requests per second in one round.
fn rate((address, path): (SocketAddr, &'static str), header: &str) -> f64 {
    let (stop, n_answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, n_answered, header) = (Arc::clone(&stop), Arc::clone(&n_answered), header.to_owned());
            std::thread::spawn(move || {
                let mut connection = Connection::new(address);
                while !stop.load(Ordering::Relaxed) {
                    connection.ask(path, &header);
                    n_answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    std::thread::sleep(ROUND_DURATION / 7);
    let (start, n) = (Instant::now(), n_answered.load(Ordering::Relaxed));
    std::thread::sleep(ROUND_DURATION);
    let rate = (n_answered.load(Ordering::Relaxed) - n) as f64 / start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no panic");
    }
    rate
}

fn ask(address: SocketAddr, path: &str, header: &str) -> (String, Vec<u8>) {
    Connection::new(address).ask(path, header)
}

/// A keep-alive connection.
struct Connection {
    stream: std::net::TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(address: SocketAddr) -> Self {
        let stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: vec![0; 256 << 10] }
    }

    fn ask(&mut self, path: &str, header: &str) -> (String, Vec<u8>) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: feeds.example.org\r\n{header}\r\n");
        self.stream.write_all(request.as_bytes()).expect("a request");
        let mut n = 0;
        loop {
            n += self.stream.read(&mut self.buffer[n..]).expect("a response");
            let Some(end) = self.buffer[..n].windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = end + 4 + length.and_then(|length| length.parse().ok()).unwrap_or(0);
            while n < whole {
                n += self.stream.read(&mut self.buffer[n..]).expect("the rest");
            }
            return (head, self.buffer[end + 4..whole].to_vec());
        }
    }
}
