//! Rolling restarts: three replicas behind Caddy, configured as in `deploy/`, are restarted in turn under load.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::{PREVIEW, RSS};
use crate::support::app::{App, new_folder};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::postgres::Postgres;
use crate::support::wait::wait_until;
use crate::support::{are_installed, http, page, print_note, root};

const REPLICAS: usize = 3;
const RESTARTS: usize = 20;
const READERS: usize = 4;

/// A Caddy process, killed at the end of the test.
struct Caddy(Child);

impl Drop for Caddy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Returns a socket address with a free port.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn rolling_restart_behind_caddy_drops_no_request() {
    if !are_installed(&["caddy"], "rolling_restart_behind_caddy_drops_no_request") {
        return;
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
    let addresses: Vec<String> = (0..REPLICAS).map(|_| free_address().to_string()).collect();
    let start = |address: &str, folder| App::start_at(address, folder, &fake.url(), &flags);
    let mut replicas: Vec<App> = addresses.iter().map(|address| start(address, new_folder())).collect();
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
    assert_eq!(http::ask(site, "GET", "/-/metrics", &[]).status, 404, "Caddy hides the metrics");
    let (is_over, n_answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    // On a busy machine the database may not answer in time; a replica then fetches without the shared archive.
    let mut n_detached = 0;
    let is_detached = |replica: &App| {
        let failures = replica.get("/-/metrics");
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
            let replica = replicas.remove(0);
            let address = replica.address.to_string();
            n_detached += usize::from(is_detached(&replica));
            replicas.push(start(&address, replica.stop()));
            // Wait until the new replica has answered some requests too.
            wait_until(&format!("requests are answered after restart {n}"), || {
                n_answers.load(Ordering::SeqCst) >= before + 50
            });
        }
        is_over.store(true, Ordering::SeqCst);
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    let n = n_answers.load(Ordering::SeqCst);
    print_note(&format!("{RESTARTS} rolling restarts behind Caddy: {n} responses, {} failed", failed.len()));
    assert_eq!(failed, [""; 0]);
    n_detached += replicas.iter().filter(|replica| is_detached(replica)).count();
    let n_fetches = fake.count(PREVIEW);
    assert!(
        (1..=1 + n_detached).contains(&n_fetches),
        "{n_fetches} fetches, with {n_detached} replicas that lost the database"
    );
    fs::remove_dir_all(&folder).unwrap();
}
