//! Many readers at once, and readers that go away: Telegram is asked once, and everyone else gets the feed.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use super::{PREVIEW, RSS, service};
use crate::support::fake_telegram::{Answer, Gate};
use crate::support::wait::Monitor;
use crate::support::{http, page};

const READERS: usize = 1000;

#[test]
fn a_thousand_readers_at_once_cost_one_request() {
    allow_open_files(4 * READERS);
    let (fake, app) = service(&[]);
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    // The first one goes away while Telegram is being asked for it.
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
    assert!(n_sent.wait_for(|n| *n == READERS), "only {} requests could be sent", n_sent.read(|n| *n));
    gate.open();
    let answers: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let expected = ["rss", "atom", "json"].map(|format| app.get(&format!("/harbour_news/{format}")).body);
    for (format, answer) in &answers {
        assert_eq!(answer.status, 200);
        assert!(answer.body == expected[*format], "a whole feed");
    }
    assert_eq!((answers.len(), fake.count(PREVIEW)), (READERS, 1));
}

#[test]
fn a_reader_that_hangs_up_does_not_end_the_refresh() {
    let (fake, app) = service(&[]);
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    let first = http::send(app.address, "GET", RSS, &[]);
    fake.wait_for(PREVIEW);
    drop(first);
    // Whatever the service does about a reader that is gone, it has had the time to do.
    for _ in 0..10 {
        assert_eq!(app.get("/-/healthz").status, 200);
    }
    let second = http::send(app.address, "GET", RSS, &[]);
    gate.open();
    assert_eq!(http::receive(second, "GET").status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

#[test]
fn a_refresh_that_nobody_waits_for_is_kept() {
    let (fake, app) = service(&[]);
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    let reader = http::send(app.address, "GET", RSS, &[]);
    fake.wait_for(PREVIEW);
    drop(reader);
    gate.open();
    app.wait_for_metric("telewire_refreshes_total{outcome=\"ok\"}", 1.0);
    fake.on(PREVIEW, Answer::status(500));
    assert_eq!(app.get(RSS).status, 200);
    assert_eq!(fake.count(PREVIEW), 1);
}

/// Lets this program, and the service it starts, have so many open files, if they may not already: a thousand
/// connections need as many, and that is the usual limit.
#[cfg(target_os = "linux")]
fn allow_open_files(n: usize) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    if soft.and_then(|soft| soft.parse::<usize>().ok()).is_some_and(|soft| soft < n) {
        let raise = ["--pid", &std::process::id().to_string(), &format!("--nofile={n}:")];
        let status = Command::new("prlimit").args(raise).stdout(Stdio::null()).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "raise the limit of open files to {n}: ulimit -n {n}"
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn allow_open_files(_: usize) {}
