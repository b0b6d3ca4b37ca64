//! Graceful shutdown: requests in flight are finished.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{PREVIEW, RSS, service};
use crate::support::app::{self, App};
use crate::support::fake_telegram::{Answer, Gate};
use crate::support::http;
use crate::support::page;
use crate::support::wait::wait_until;

/// How long the service waits for the head of a request while it is not shutting down.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn sigterm_drains_requests_in_flight() {
    let (fake, mut app) = service(&[]);
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    assert_eq!(app.get("/-/readyz").status, 200);
    let address = app.address;
    let reader = thread::spawn(move || http::ask(address, "GET", RSS, &[]));
    fake.wait_for(PREVIEW);
    app.terminate();
    wait_until("the service drains", || app.get("/-/readyz").status == 503);
    assert_eq!(app.get("/-/healthz").status, 200);
    gate.open();
    assert_eq!(reader.join().unwrap().status, 200);
    assert_eq!(app.exit_code(), Some(0));
}

#[test]
fn sigterm_right_after_start_exits_cleanly() {
    let start_and_stop = || {
        let (_fake, mut app) = service(&[]);
        app.terminate();
        assert_eq!(app.exit_code(), Some(0));
    };
    // Many at a time: a busy machine widens the gap between the log line and the signal handler.
    thread::scope(|scope| (0..40).for_each(|_| drop(scope.spawn(start_and_stop))));
}

#[test]
fn sigterm_during_startup_exits_cleanly() {
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://telewire@{}/telewire", database.local_addr().unwrap());
    let folder = app::new_folder();
    let mut app = App::launch("127.0.0.1:0", folder, "http://127.0.0.1:1", &["--database", &url]);
    let unanswered = database.accept().unwrap();
    app.terminate();
    assert_eq!(app.exit_code(), Some(0));
    drop(unanswered);
}

#[test]
fn idle_connections_do_not_delay_shutdown() {
    let (_fake, mut app) = service(&[]);
    let kept = http::send(app.address, "GET", "/-/healthz", &[("Connection", "keep-alive")]);
    let silent = TcpStream::connect(app.address).unwrap();
    let mut slow = TcpStream::connect(app.address).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    assert_eq!(app.get("/-/healthz").status, 200, "the earlier connections are accepted");
    let begun = Instant::now();
    app.terminate();
    assert_eq!(app.exit_code(), Some(0));
    assert!(begun.elapsed() < HEADER_READ_TIMEOUT, "shutdown took {:?}", begun.elapsed());
    drop((kept, silent, slow));
}
