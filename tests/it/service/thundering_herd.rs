//! Concurrent readers and readers that disconnect: one fetch from Telegram serves all.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use super::{PREVIEW, RSS, service};
use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram, Gate};
use crate::support::wait::Monitor;
use crate::support::{http, page};

const READERS: usize = 1000;

#[test]
fn concurrent_cold_requests_share_one_fetch() {
    allow_open_files(4 * READERS);
    let (fake, app) = service(&[]);
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    // The first reader disconnects during its fetch.
    let first = http::send(app.address, "GET", RSS, &[]);
    fake.wait_for(PREVIEW);
    drop(first);
    let n_sent = Arc::<Monitor<usize>>::default();
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let (address, n_sent) = (app.address, Arc::clone(&n_sent));
            let read = move || {
                let target = format!("/harbour_news/{}", ["rss", "atom", "json"][n % 3]);
                let stream = http::send(address, "GET", &target, &[]);
                n_sent.update(|n| *n += 1);
                (n % 3, http::receive(stream, "GET"))
            };
            thread::Builder::new().stack_size(256 << 10).spawn(read).unwrap()
        })
        .collect();
    assert!(n_sent.wait_for(|n| *n == READERS), "only {} requests were sent", n_sent.read(|n| *n));
    gate.open();
    let answers: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let expected = ["rss", "atom", "json"].map(|format| app.get(&format!("/harbour_news/{format}")).body);
    for (format, answer) in &answers {
        assert_eq!(answer.status, 200);
        assert!(answer.body == expected[*format], "the feed is incomplete");
    }
    assert_eq!((answers.len(), fake.count(PREVIEW)), (READERS, 1));
}

/// Starts a service whose first client has disconnected while the refresh waits at the gate.
fn abandoned_request() -> (FakeTelegram, App, Gate) {
    let (fake, app) = service(&[]);
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    let reader = http::send(app.address, "GET", RSS, &[]);
    fake.wait_for(PREVIEW);
    drop(reader);
    (fake, app, gate)
}

#[test]
fn client_disconnect_does_not_cancel_the_refresh() {
    let (fake, app, gate) = abandoned_request();
    // Give the service time to notice the disconnect.
    for _ in 0..10 {
        assert_eq!(app.get("/-/healthz").status, 200);
    }
    let second = http::send(app.address, "GET", RSS, &[]);
    gate.open();
    assert_eq!(http::receive(second, "GET").status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn refresh_without_a_waiting_client_is_cached() {
    let (fake, app, gate) = abandoned_request();
    gate.open();
    app.wait_for_metric("telewire_refreshes_total{outcome=\"ok\"}", 1.0);
    fake.on(PREVIEW, Answer::status(500));
    assert_eq!(app.get(RSS).status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

/// Raises the limit of open files of this process and its children to `n`. The usual limit of 1,024 is too low for a
/// thousand connections.
#[cfg(target_os = "linux")]
fn allow_open_files(n: usize) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    if soft.and_then(|soft| soft.parse::<usize>().ok()).is_some_and(|soft| soft < n) {
        let raise = ["--pid", &std::process::id().to_string(), &format!("--nofile={n}:")];
        let status = Command::new("prlimit").args(raise).stdout(Stdio::null()).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cannot raise the limit of open files to {n}: run `ulimit -n {n}` first"
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn allow_open_files(_: usize) {}
