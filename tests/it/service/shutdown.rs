//! A stop that nobody notices: what is under way is finished.

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

/// For so long a service waits for the head of a request, while it runs.
const DEADLINE_OF_A_HEAD: Duration = Duration::from_secs(10);

#[test]
fn a_request_under_way_is_finished_before_the_program_ends() {
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
fn a_program_that_says_it_serves_can_be_stopped_in_the_next_moment() {
    let start_and_stop = || {
        let (_fake, mut app) = service(&[]);
        app.terminate();
        assert_eq!(app.exit_code(), Some(0));
    };
    // Many at a time: the fewer cores are free, the longer a program stands between its words and its next step.
    thread::scope(|scope| (0..40).for_each(|_| drop(scope.spawn(start_and_stop))));
}

#[test]
fn a_program_that_is_still_starting_can_be_stopped() {
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://telewire@{}/telewire", database.local_addr().unwrap());
    let folder = app::new_folder();
    let mut app = App::launch("127.0.0.1:0", folder, "http://127.0.0.1:1", &["--database", &url]);
    let waits_in_vain = database.accept().unwrap();
    app.terminate();
    assert_eq!(app.exit_code(), Some(0));
    drop(waits_in_vain);
}

#[test]
fn whoever_asks_for_nothing_keeps_no_program_from_ending() {
    let (_fake, mut app) = service(&[]);
    let kept = http::send(app.address, "GET", "/-/healthz", &[("Connection", "keep-alive")]);
    let silent = TcpStream::connect(app.address).unwrap();
    let mut slow = TcpStream::connect(app.address).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    assert_eq!(app.get("/-/healthz").status, 200, "those have been accepted before");
    let begun = Instant::now();
    app.terminate();
    assert_eq!(app.exit_code(), Some(0));
    assert!(begun.elapsed() < DEADLINE_OF_A_HEAD, "after {:?}", begun.elapsed());
    drop((kept, silent, slow));
}
