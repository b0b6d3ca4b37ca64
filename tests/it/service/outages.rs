//! Outages of the upstream: cached channels are still served, other channels get an error.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::service;
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing, Gate};
use crate::support::{CHANNEL, assert_no_failures, http, page};

/// Rate limits that no test reaches, and feeds that are always stale.
const UNLIMITED: [&str; 10] =
    ["--rate", "100000", "--burst", "100000", "--in-flight", "8", "--fresh-min", "0s", "--fresh-max", "0s"];

/// The `--in-flight` of these flags.
const IN_FLIGHT: usize = 8;

/// The number of channels that are cached before the outage.
const CHANNELS: usize = 100;

/// Returns a gzip body of 64 KB that decompresses to 64 MiB.
fn bomb() -> Answer {
    Answer::gzip(&"\0".repeat(64 << 20))
}

#[test]
fn cached_channels_survive_every_kind_of_outage() {
    let whole = page("text");
    let cut = |framing| Answer { framing, truncate_after: Some(whole.len() / 2), ..Answer::page(&whole) };
    let slow = Duration::from_millis(200);
    let outages = [
        ("refused", None),
        ("black hole", Some(Answer { gate: Some(Gate::default()), ..Answer::page(&whole) })),
        ("status 429", Some(Answer::status(429).with("Retry-After", "120"))),
        ("status 500", Some(Answer::status(500))),
        ("drip", Some(Answer { byte_interval: Some(slow), ..Answer::page(&whole) })),
        ("truncated", Some(cut(Framing::ContentLength))),
        ("truncated without notice", Some(cut(Framing::Close))),
        ("login page", Some(Answer::page(&page("not_telegram")))),
        ("decompression bomb", Some(bomb())),
        ("garbage", Some(Answer::page("\u{fffd}%PDF-1.7\u{0}\u{1}"))),
        ("redirect to another channel", Some(Answer::redirect("/s/elsewhere"))),
        ("redirect to another site", Some(Answer::redirect("https://login.example/"))),
        ("page of an unknown name", Some(Answer::page(&page("landing_nobody")))),
    ];
    // At the same time, because most of them wait for timeouts.
    let faults: Vec<_> = thread::scope(|scope| {
        let whole = &whole;
        let play = |(outage, answer)| scope.spawn(move || fault_in_outage(outage, answer, whole));
        let outages = outages.map(play);
        outages.into_iter().filter_map(|outage| outage.join().unwrap()).collect()
    });
    assert_no_failures(&faults);
}

/// Reads channels before and during an outage. Returns what is wrong: a reader's answer differs, or Telegram is asked too
/// often. No answer means that nothing listens.
fn fault_in_outage(outage: &str, answer: Option<Answer>, whole: &str) -> Option<String> {
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &UNLIMITED);
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("channel_{n}")).collect();
    let before: Vec<_> = names
        .iter()
        .map(|name| {
            fake.on(&format!("/s/{name}"), Answer::page(&whole.replace(CHANNEL, name)));
            app.get(&format!("/{name}/rss"))
        })
        .collect();
    let n_requests = fake.times().len();
    // A failed channel is retried later, and a 429 opens the breaker.
    let max_requests = if outage == "status 429" { IN_FLIGHT } else { CHANNELS };
    match answer {
        Some(answer) => fake.override_all(answer),
        None => fake.shut_down(),
    }
    let failed = (0..3 * CHANNELS).find(|n| {
        let (name, before) = (&names[n % CHANNELS], &before[n % CHANNELS]);
        let after = app.get(&format!("/{name}/rss"));
        before.status != 200 || after.status != 200 || after.body != before.body
    });
    if let Some(n) = failed {
        return Some(format!("{outage}: request {n} failed"));
    }
    let n_requests = fake.times().len() - n_requests;
    (n_requests > max_requests).then(|| format!("{outage}: {n_requests} requests reached the upstream"))
}

/// Takes eight seconds: the time that a request waits for the refresh and for older posts together.
#[test]
fn feed_with_older_posts_is_served_while_telegram_hangs() {
    let fake = FakeTelegram::start();
    fake.add_channel(FakeChannel::with_posts("old_harbour", 100, Timestamp::UNIX_EPOCH));
    let app = App::start(&fake.url(), &UNLIMITED);
    assert_eq!(app.get("/old_harbour/rss").status, 200);
    fake.override_all(Answer { gate: Some(Gate::default()), ..Answer::page("") });
    let feed = app.get("/old_harbour/rss?limit=100");
    assert_eq!((feed.status, feed.text().matches("<item>").count()), (200, 20), "{}", feed.text());
}

/// Takes nine seconds: the timeouts of two upstreams while a third one is left.
#[test]
fn failover_reaches_the_third_upstream_in_time() {
    let fakes = [FakeTelegram::start(), FakeTelegram::start(), FakeTelegram::start()];
    for silent in &fakes[..2] {
        silent.override_all(Answer { gate: Some(Gate::default()), ..Answer::page("") });
    }
    fakes[2].on("/s/harbour_news", Answer::page(&page("text")));
    let app = App::start(&fakes.each_ref().map(FakeTelegram::url).join(","), &[]);
    assert_eq!(app.get("/harbour_news/rss").status, 200);
}

#[test]
fn wrong_answer_of_the_first_upstream_is_not_believed_while_another_has_the_page() {
    for (fault, answer) in [
        ("a block page", Answer::page(&page("not_telegram"))),
        ("a redirect to another site", Answer::redirect("https://blocked.example/")),
        ("status 403", Answer::status(403)),
        ("status 404", Answer::status(404)),
        ("status 451", Answer::status(451)),
    ] {
        let fakes = [FakeTelegram::start(), FakeTelegram::start()];
        fakes[0].override_all(answer);
        fakes[1].on("/s/harbour_news", Answer::page(&page("text")));
        let app = App::start(&fakes.each_ref().map(FakeTelegram::url).join(","), &[]);
        let feed = app.get("/harbour_news/rss");
        assert_eq!(feed.status, 200, "{fault}: {}", feed.text());
        assert_eq!(fakes.each_ref().map(|fake| fake.count("/s/harbour_news")), [1, 1], "{fault}");
        fakes[1].override_all(Answer::status(403));
        assert_eq!(app.get("/another_one/rss").status, 502, "{fault}: everywhere");
    }
}

#[test]
fn truncated_page_is_rejected_at_every_length() {
    let whole = page("text");
    let framed: [(&str, Answer); 4] = [
        ("content length", Answer::page(&whole)),
        ("chunked", Answer { framing: Framing::Chunked, ..Answer::page(&whole) }),
        ("until close", Answer { framing: Framing::Close, ..Answer::page(&whole) }),
        ("gzip", Answer { framing: Framing::Close, ..Answer::gzip(&whole) }),
    ];
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &UNLIMITED);
    let mut faults = Vec::new();
    let mut n = 0;
    for (framing, answer) in framed {
        for cut in (0..answer.body.len() - 8).step_by(if framing == "gzip" { 256 } else { 1024 }) {
            n += 1;
            fake.on(&format!("/s/whole_{n}"), Answer::page(&whole.replace(CHANNEL, &format!("whole_{n}"))));
            // This name has the length of the channel's own, so the page keeps its length.
            let cut_name = format!("cut_at_{n:05}");
            let cut_page = whole.replace(CHANNEL, &cut_name);
            let body = if framing == "gzip" { Answer::gzip(&cut_page).body } else { cut_page.into() };
            fake.on(&format!("/s/{cut_name}"), Answer { truncate_after: Some(cut), body, ..answer.clone() });
            let status = app.get(&format!("/{cut_name}/atom")).status;
            if status != 502 {
                faults.push(format!("{framing}, truncated after {cut} bytes: status {status}"));
            }
            // A complete answer in between keeps the breaker closed.
            assert_eq!(app.get(&format!("/whole_{n}/atom")).status, 200);
        }
    }
    assert!(n > 50, "only {n} lengths");
    assert_no_failures(&faults);
}

#[test]
fn decompression_bomb_is_rejected_within_the_memory_limit() {
    let (fake, app) = service(&UNLIMITED);
    assert_eq!(app.get("/harbour_news/rss").status, 200);
    let before = app.peak_memory();
    let chunked = Answer { framing: Framing::Chunked, ..Answer::page(&" ".repeat(16 << 20)) };
    for (name, answer) in [("gzip_bomb", bomb()), ("chunk_bomb", chunked)] {
        fake.on(&format!("/s/{name}"), answer);
        let answer = app.get(&format!("/{name}/rss"));
        assert_eq!(answer.status, 502, "{name}");
        assert!(answer.text().contains("more than 4 MiB"), "{name}: {}", answer.text());
    }
    if let (Some(before), Some(after)) = (before, app.peak_memory()) {
        assert!(after - before < 32 << 20, "memory grew by {} MiB", (after - before) >> 20);
    }
}

#[test]
fn encoding_that_was_not_requested_is_rejected() {
    let (fake, app) = service(&UNLIMITED);
    fake.on("/s/encoded_one", Answer::page(&page("text")).with("Content-Encoding", "br"));
    let answer = app.get("/encoded_one/rss");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("content encoding \"br\" was not requested"), "{}", answer.text());
}

#[test]
fn false_content_length_is_rejected() {
    let (fake, app) = service(&UNLIMITED);
    let answer = Answer { framing: Framing::Close, ..Answer::page(&page("text")) };
    fake.on("/s/lying_one", answer.with("Content-Length", "9223372036854775807"));
    assert_eq!(app.get("/lying_one/rss").status, 502);
}

/// Takes ten seconds: the timeout of a page.
#[test]
fn slow_drip_times_out_without_delaying_other_channels() {
    let (fake, app) = service(&[]);
    assert_eq!(app.get("/harbour_news/rss").status, 200);
    let slow = Duration::from_millis(100);
    fake.on("/s/dripping", Answer { byte_interval: Some(slow), ..Answer::page(&page("text")) });
    let dripping = http::send(app.address, "GET", "/dripping/rss", &[]);
    fake.wait_for("/s/dripping");
    fake.on("/s/other_one", Answer::page(&page("text").replace(CHANNEL, "other_one")));
    assert_eq!((app.get("/harbour_news/rss").status, app.get("/other_one/rss").status), (200, 200));
    let answer = http::receive(dripping, "GET");
    assert_eq!(answer.status, 504);
    assert!(answer.header("Retry-After").is_some());
}

#[test]
fn self_signed_certificate_is_rejected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let server = thread::spawn(move || -> io::Result<usize> {
        let (stream, _) = listener.accept()?;
        let connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let n_read = stream.read(&mut [0; 64]);
        stream.flush()?;
        n_read
    });
    let app = App::start(&url, &[]);
    let answer = app.get("/harbour_news/rss");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("certificate"), "{}", answer.text());
    assert!(server.join().unwrap().is_err(), "a request was sent over an untrusted connection");
}
