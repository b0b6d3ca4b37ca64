//! The number of connections, in all and per client.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use super::{PREVIEW, RSS, service};
use crate::support::app::{App, new_folder};
use crate::support::fake_telegram::{Answer, FakeTelegram, Gate};
use crate::support::wait::WAIT_TIMEOUT;
use crate::support::{http, namespace, page};

/// Connects without sending a request.
fn connect_silently(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    stream
}

/// Waits until the service has closed a connection.
fn wait_until_closed(mut stream: &TcpStream) {
    // An error would be a reset, which closes it too, or a timeout.
    let ended = stream.read(&mut [0]);
    assert!(
        !ended.is_err_and(|err| err.kind() == std::io::ErrorKind::WouldBlock),
        "it was not closed in time"
    );
}

/// Returns whether a connection is still open.
fn is_open(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|err| err.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn silent_connections_near_the_limit_are_closed_oldest_first() {
    let fake = FakeTelegram::start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    // 512 files are reserved, so there may be 40 connections.
    let app = App::start_with_open_files(552, &fake.url(), &["--metrics-listen", "127.0.0.1:0"]);
    let metrics = app.wait_for_listener("/-/metrics");
    let silent: Vec<_> = (0..300).map(|_| connect_silently(app.address)).collect();
    let scraper: Vec<_> = (0..300).map(|_| connect_silently(metrics)).collect();
    assert_eq!(app.get(RSS).status, 200);
    assert_eq!(http::ask(metrics, "GET", "/-/metrics", &[]).status, 200);
    silent[..260].iter().chain(&scraper[..284]).for_each(wait_until_closed);
    assert!(is_open(&silent[299]) && is_open(&scraper[299]), "new connections get time for a request");
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const NAME: &str = "service::connections::client_with_64_connections_leaves_the_others_to_other_clients";

/// A connection to an address of this machine comes from that address.
#[test]
fn client_with_64_connections_leaves_the_others_to_other_clients() {
    if !namespace::has_addresses(&[CLIENT, OTHER], NAME) {
        return;
    }
    let fake = FakeTelegram::start();
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    let app = App::start_at("0.0.0.0:0", new_folder(), &fake.url(), &[]);
    let of = |ip: Ipv4Addr| SocketAddr::from((ip, app.address.port()));
    let silent: Vec<_> = (0..70).map(|_| connect_silently(of(CLIENT))).collect();
    silent[..6].iter().for_each(wait_until_closed);
    assert!(silent[6..].iter().all(is_open));
    let waiting: Vec<_> = (0..64).map(|_| http::send(of(CLIENT), "GET", RSS, &[])).collect();
    silent[6..].iter().for_each(wait_until_closed);
    fake.wait_for(PREVIEW);
    assert_eq!(http::ask(of(OTHER), "GET", "/-/healthz", &[]).status, 200);
    gate.open();
    for stream in waiting {
        assert_eq!(http::receive(stream, "GET").status, 200);
    }
    assert_eq!(http::ask(of(CLIENT), "GET", "/-/healthz", &[]).status, 200);
}

/// Requests over loopback or through a trusted proxy are of many clients.
#[test]
fn connections_from_this_machine_are_not_counted_per_client() {
    let (_fake, app) = service(&[]);
    let silent: Vec<_> = (0..200).map(|_| connect_silently(app.address)).collect();
    assert_eq!(app.get(RSS).status, 200);
    assert!(silent.iter().all(is_open));
}
