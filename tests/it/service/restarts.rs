//! Three copies behind Caddy, as `deploy/` sets them up, restarted one after the other while people read.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{PREVIEW, RSS};
use crate::support::app::{App, new_folder};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::postgres::Postgres;
use crate::support::wait::wait_until;
use crate::support::{http, page, print_note, root};

const COPIES: usize = 3;
const RESTARTS: usize = 20;
const READERS: usize = 4;

/// Ends with the test.
struct Caddy(Child);

impl Drop for Caddy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An address that is free at this moment.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn twenty_restarts_fail_no_answer() {
    if !Path::new("/usr/bin/caddy").exists() {
        return print_note("caddy is not here, so it is not checked that restarts behind it fail no answer");
    }
    let Some(postgres) = Postgres::shared() else { return };
    let fake = FakeTelegram::start();
    fake.on(PREVIEW, Answer::page(&page("text")));
    let database = postgres.database();
    let flags = [
        "--database",
        &database,
        "--public-url",
        "https://feeds.example.org",
        "--trusted-proxies",
        "127.0.0.1",
    ];
    let addresses: Vec<String> = (0..COPIES).map(|_| free_address().to_string()).collect();
    let start = |address: &str, folder| App::start_at(address, folder, &fake.url(), &flags);
    let mut copies: Vec<App> = addresses.iter().map(|address| start(address, new_folder())).collect();
    let site = free_address();
    let folder = new_folder();
    let caddyfile = format!(
        "{{\n\tadmin off\n\tauto_https off\n}}\nimport {}\n",
        root().join("deploy/Caddyfile").display()
    );
    fs::write(folder.join("Caddyfile"), caddyfile).unwrap();
    let caddy = Command::new("/usr/bin/caddy")
        .args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"])
        .env("SITE", format!("http://{site}"))
        .env("TELEWIRE", addresses.join(" "))
        .env("HOME", &folder)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _caddy = Caddy(caddy);
    wait_until("caddy listens", || TcpStream::connect(site).is_ok());
    assert_eq!(http::ask(site, "GET", "/-/metrics", &[]).status, 404, "not for everybody");
    let (is_over, n_answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    // A copy that gets no answer from the database in time, as on a busy machine, reads for itself.
    let mut n_alone = 0;
    let is_alone = |copy: &App| {
        let failures = copy.get("/-/metrics");
        failures.text().lines().any(|line| line.starts_with("telewire_archive_failures_total{"))
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let read = || {
            let mut failed = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let answer = http::ask(site, "GET", RSS, &[]);
                n_answers.fetch_add(1, Ordering::SeqCst);
                if answer.status != 200 {
                    failed.push(format!("{answer:?}"));
                }
            }
            failed
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        for n in 0..RESTARTS {
            let before = n_answers.load(Ordering::SeqCst);
            let copy = copies.remove(0);
            let address = copy.address.to_string();
            n_alone += usize::from(is_alone(&copy));
            copies.push(start(&address, copy.stop()));
            // Some are answered by the new one, too.
            wait_until(&format!("answers after {n} restarts"), || {
                n_answers.load(Ordering::SeqCst) >= before + 50
            });
        }
        is_over.store(true, Ordering::SeqCst);
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    let n = n_answers.load(Ordering::SeqCst);
    print_note(&format!("{RESTARTS} restarts behind caddy: {n} answers, {} failed", failed.len()));
    assert_eq!(failed, [""; 0]);
    n_alone += copies.iter().filter(|copy| is_alone(copy)).count();
    let n_reads = fake.count(PREVIEW);
    assert!(
        (1..=1 + n_alone).contains(&n_reads),
        "read {n_reads} times, by {n_alone} copies for themselves alone"
    );
    fs::remove_dir_all(&folder).unwrap();
}
