//! SSRF protection: forged URLs and URLs of internal hosts cause no request.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{CHANNEL, FAST, channel, links, service};
use crate::support::app::App;
use crate::support::assert_no_failures;
use crate::support::fake_dns::{self, RecordType};
use crate::support::fake_telegram::{Answer, FakeTelegram};

/// A listener that counts connections.
pub(super) struct Canary {
    port: u16,
    n_connections: Arc<AtomicUsize>,
}

impl Canary {
    /// Listens on every address of this machine.
    fn start() -> Self {
        Self::at(TcpListener::bind("[::]:0").unwrap())
    }

    /// Counts the connections of a listener.
    pub(super) fn at(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let n_connections = Arc::<AtomicUsize>::default();
        let counting = Arc::clone(&n_connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                counting.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Self { port, n_connections }
    }

    /// Returns the number of connections so far.
    pub(super) fn n_connections(&self) -> usize {
        self.n_connections.load(Ordering::SeqCst)
    }

    /// Returns URLs of this listener and of other internal hosts, in spellings that a check may overlook.
    fn spellings(&self) -> Vec<String> {
        let hosts = [
            "127.0.0.1",
            "127.0.0.2",
            "127.1",
            "127.0.1",
            "127.255.255.254",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0x7f.0.0.1",
            "0x7f.0x0.0x0.0x1",
            "017700000001",
            "0177.0.0.1",
            "0177.1",
            "0000177.0.0.1",
            "127.0.0.1.",
            "0.0.0.0",
            "0",
            "0.0",
            "00000000",
            "0x0",
            "[::]",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd00::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[::ffff:0:127.0.0.1]",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "0xA9FEA9FE",
            "2852039166",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "localhost.localdomain",
            "ip6-localhost",
            "ip6-loopback",
            "%31%32%37.0.0.1",
            "①②⑦.⓪.⓪.①",
            "127。0。0。1",
            "cdn4.telesco.pe@127.0.0.1",
            "cdn4.telesco.pe:x@127.0.0.1",
            "127.0.0.1#@cdn4.telesco.pe",
            "127.0.0.1%23@cdn4.telesco.pe",
            "cdn4.telesco.pe.127.0.0.1",
            "telesco.pe%2eevil.example@127.0.0.1",
            "127.0.0.1\\@cdn4.telesco.pe",
            "loc%61lhost",
        ];
        assert!(hosts.len() >= 60);
        hosts
            .iter()
            .flat_map(|host| ["http", "https"].map(|scheme| with_port(scheme, host, self.port)))
            .collect()
    }
}

/// Returns a URL with the port directly after the real host, before a `#` or `\` that only looks like a part of it.
fn with_port(scheme: &str, host: &str, port: u16) -> String {
    match host.split_once(['#', '\\']) {
        Some((host, rest)) => {
            format!("{scheme}://{host}:{port}{}{rest}/x.jpg", if rest.starts_with('@') { "\\" } else { "" })
        }
        None => format!("{scheme}://{host}:{port}/x.jpg"),
    }
}

#[test]
fn forged_url_is_rejected_without_a_request() {
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let app = service(&fake, &[]);
    let link = links(&app).first().unwrap().clone();
    let before = fake.paths("/").len();
    let mut wrong = Vec::new();
    let mut try_one = |target: String| {
        let answer = app.get(&target);
        if ![400, 403, 404].contains(&answer.status) {
            wrong.push(format!("{target}: {}", answer.status));
        }
    };
    for at in 1..link.len() {
        for byte in [b'0', b'A', b'_', b'/'] {
            let mut bytes = link.clone().into_bytes();
            if bytes[at] != byte {
                bytes[at] = byte;
                try_one(String::from_utf8(bytes).unwrap());
            }
        }
    }
    for suffix in
        ["?", "?x=1", "?lang=", "?lang=xx", "?lang=ru&x=1", "?redirect&lang=ru", "/", "/..", "%00", ";x"]
    {
        try_one(format!("{link}{suffix}"));
    }
    try_one(link.replace("tide_pictures", "%74ide_pictures"));
    try_one(link.replace("tide_pictures", "Tide_pictures"));
    assert_no_failures(&wrong);
    assert_eq!(fake.paths("/").len(), before);
    assert_eq!(app.get(&link).status, 200);
}

/// The internal URL is in a post, or is the target of a file server's redirect.
#[test]
fn internal_urls_and_redirects_are_refused() {
    let canary = Canary::start();
    let fake = FakeTelegram::start();
    let history = channel(&fake, 1);
    let app = service(&fake, &["--fresh-min", "0s", "--fresh-max", "0s"]);
    let link = links(&app).first().unwrap().clone();
    let file = format!("/file/{CHANNEL}-1.jpg?token=0");
    for internal in canary.spellings() {
        fake.on(&file, Answer::redirect(&internal));
        let answer = app.get(&link);
        assert!([404, 502, 504].contains(&answer.status), "{internal}: {answer:?}");
    }
    for internal in canary.spellings() {
        history.lock().unwrap().media_base_url = internal.trim_end_matches("/x.jpg").to_owned();
        app.refresh(&fake, CHANNEL);
        let feed = app.get(&format!("/{CHANNEL}/json"));
        assert!(!feed.text().contains("\"attachments\""), "{internal} must not be embedded: {}", feed.text());
        // The URL that was signed before leads to the file that the post shows now.
        let answer = app.get(&link);
        assert!([404, 502, 504].contains(&answer.status), "{internal}: {answer:?}");
    }
    assert_eq!(canary.n_connections(), 0);
}

/// A name server resolves subdomains of an allowed host to every kind of internal address.
#[test]
fn names_with_internal_addresses_are_refused() {
    let canary = Canary::start();
    let answered = Arc::<Mutex<BTreeSet<IpAddr>>>::default();
    let answering = Arc::clone(&answered);
    let server = fake_dns::serve(move |name, kind| {
        let n: usize = name.strip_suffix(".cdn.example").unwrap()[1..].parse().unwrap();
        let ip: IpAddr = INTERNAL[n].parse().unwrap();
        if ip.is_ipv4() == (kind == RecordType::A) {
            answering.lock().unwrap().insert(ip);
        }
        vec![ip]
    });
    let fake = FakeTelegram::start();
    let history = channel(&fake, 1);
    let hosts = format!("{},cdn.example:{}", fake.host(), canary.port);
    let flags =
        ["--media-hosts", &hosts, "--dns", &server.to_string(), "--fresh-min", "0s", "--fresh-max", "0s"];
    let app = App::start(&fake.url(), &[&FAST[..], &flags].concat());
    let link = links(&app).first().unwrap().clone();
    for (n, ip) in INTERNAL.iter().enumerate() {
        history.lock().unwrap().media_base_url = format!("https://n{n}.cdn.example:{}", canary.port);
        app.refresh(&fake, CHANNEL);
        let answer = app.get(&link);
        assert_eq!(answer.status, 504, "{ip}: {answer:?}");
    }
    assert_eq!(answered.lock().unwrap().len(), INTERNAL.len());
    assert_eq!(canary.n_connections(), 0);
}

/// Internal addresses of every range.
const INTERNAL: [&str; 60] = [
    "127.0.0.1",
    "127.0.0.2",
    "127.0.1.1",
    "127.1.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.1",
    "192.0.0.171",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.254",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:192.168.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "2001:10::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:c0a8:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fdff:ffff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff00::1",
    "ff02::1",
    "ff0e::1",
];
