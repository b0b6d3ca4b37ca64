//! Memory of the service with 10,000 channels of 20 posts each in the cache, before and after requests for a million
//! channels that do not exist.
//!
//! It runs the real binary against a fake t.me with a preview page for each channel. A post has a text of about 700
//! bytes and a picture, like the average in captured pages. Linux only: memory is read from `/proc`.
//!
//! `cargo bench --bench memory`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

mod service;
mod upstream;

use std::io::BufReader;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use service::{Folder, Service};
use upstream::get;

const CHANNELS: usize = 10_000;
const POSTS: usize = 20;
const MISSING_CHANNELS: usize = 1_000_000;
const CLIENTS: usize = 16;

fn main() {
    let upstream = upstream::start(POSTS);
    let flags = ["--rate", "1000000", "--burst", "1000000", "--in-flight", "64", "--cache-size", "128MiB"];
    let data = Folder::new("memory");
    let service = Service::start(&data, upstream, &flags);
    let (current, peak) = (|| service.kilobytes("VmRSS:") >> 10, || service.kilobytes("VmHWM:") >> 10);
    println!("idle: {} MiB", current());
    let n = get_all(service.address, CHANNELS, "channel_");
    println!("after {n} of {CHANNELS} channels: {} MiB", current());
    get_all(service.address, MISSING_CHANNELS, "missing_");
    println!("after {MISSING_CHANNELS} missing channels: {} MiB", current());
    let n = get_all(service.address, CHANNELS, "channel_");
    println!("after {n} of {CHANNELS} channels again: {} MiB, peak {} MiB", current(), peak());
}

/// Requests the feeds of `n` channels and returns the number of responses with status 200.
fn get_all(address: SocketAddr, n: usize, prefix: &'static str) -> usize {
    let clients = (0..CLIENTS).map(|client| {
        thread::spawn(move || {
            let mut stream = BufReader::new(TcpStream::connect(address).expect("a connection"));
            let get = |i: usize| get(&mut stream, &format!("/{prefix}{i}/rss"));
            (client..n).step_by(CLIENTS).map(get).filter(|status| *status == 200).count()
        })
    });
    clients.collect::<Vec<_>>().into_iter().map(|client| client.join().expect("no panic")).sum()
}
