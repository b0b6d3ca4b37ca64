//! An upstream that fails in every way there is: channels that were read once go on, others get a plain refusal.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::service;
use crate::support::app::App;
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing, Gate};
use crate::support::{CHANNEL, assert_no_failures, http, page};

/// Fast enough that a test does not wait for its turn, and never fresh.
const HASTY: [&str; 10] =
    ["--rate", "100000", "--burst", "100000", "--in-flight", "8", "--fresh-min", "0s", "--fresh-max", "0s"];

/// As many requests as these flags let be under way.
const IN_FLIGHT: usize = 8;

/// Channels that are read before the outage.
const CHANNELS: usize = 100;

/// Zeros beyond what a page may have, in the few bytes that they take when compressed.
fn bomb() -> Answer {
    Answer::gzip(&"\0".repeat(64 << 20))
}

#[test]
fn a_hundred_channels_go_on_through_every_kind_of_outage() {
    let whole = page("text");
    let cut = |framing| Answer { framing, truncate_after: Some(whole.len() / 2), ..Answer::page(&whole) };
    let slow = Duration::from_millis(200);
    let outages = [
        ("refused", None),
        ("black hole", Some(Answer { gate: Some(Gate::default()), ..Answer::page(&whole) })),
        ("status 429", Some(Answer::status(429).with("Retry-After", "120"))),
        ("status 500", Some(Answer::status(500))),
        ("drip", Some(Answer { byte_interval: Some(slow), ..Answer::page(&whole) })),
        ("cut", Some(cut(Framing::ContentLength))),
        ("cut in silence", Some(cut(Framing::Close))),
        ("log-in page", Some(Answer::page(&page("not_telegram")))),
        ("bomb", Some(bomb())),
        ("garbage", Some(Answer::page("\u{fffd}%PDF-1.7\u{0}\u{1}"))),
        ("in circles", Some(Answer::redirect("/s/elsewhere"))),
        ("elsewhere", Some(Answer::redirect("https://login.example/"))),
        ("nobody", Some(Answer::page(&page("landing_nobody")))),
    ];
    let faults = outages.into_iter().filter_map(|(outage, answer)| {
        let fake = FakeTelegram::start();
        let app = App::start(&fake.url(), &HASTY);
        let names: Vec<String> = (0..CHANNELS).map(|n| format!("channel_{n}")).collect();
        let before: Vec<_> = names
            .iter()
            .map(|name| {
                fake.on(&format!("/s/{name}"), Answer::page(&whole.replace(CHANNEL, name)));
                app.get(&format!("/{name}/rss"))
            })
            .collect();
        let n_asked = fake.times().len();
        // A channel that has failed is not asked for again at once, and an upstream that refuses is left alone.
        let most = if outage == "status 429" { IN_FLIGHT } else { CHANNELS };
        match answer {
            Some(answer) => fake.override_all(answer),
            None => fake.shut_down(),
        }
        let failed = (0..3 * CHANNELS).find(|n| {
            let (name, before) = (&names[n % CHANNELS], &before[n % CHANNELS]);
            let after = app.get(&format!("/{name}/rss"));
            before.status != 200 || after.status != 200 || after.body != before.body
        });
        let n_asked = fake.times().len() - n_asked;
        failed
            .map(|n| format!("{outage}: request {n} failed"))
            .or_else(|| (n_asked > most).then(|| format!("{outage}: asked {n_asked} times")))
    });
    assert_no_failures(&faults.collect::<Vec<_>>());
}

/// Takes as long as two upstreams are waited for while there is a third, nine seconds.
#[test]
fn upstreams_that_do_not_answer_leave_time_for_one_that_does() {
    let fakes = [FakeTelegram::start(), FakeTelegram::start(), FakeTelegram::start()];
    for silent in &fakes[..2] {
        silent.override_all(Answer { gate: Some(Gate::default()), ..Answer::page("") });
    }
    fakes[2].on("/s/harbour_news", Answer::page(&page("text")));
    let app = App::start(&fakes.each_ref().map(FakeTelegram::url).join(","), &[]);
    assert_eq!(app.get("/harbour_news/rss").status, 200);
}

#[test]
fn a_page_that_is_cut_anywhere_is_never_taken_for_a_whole_one() {
    let whole = page("text");
    let framed: [(&str, Answer); 4] = [
        ("with its length", Answer::page(&whole)),
        ("in chunks", Answer { framing: Framing::Chunked, ..Answer::page(&whole) }),
        ("to the end of the connection", Answer { framing: Framing::Close, ..Answer::page(&whole) }),
        ("compressed", Answer { framing: Framing::Close, ..Answer::gzip(&whole) }),
    ];
    let fake = FakeTelegram::start();
    let app = App::start(&fake.url(), &HASTY);
    let mut faults = Vec::new();
    let mut n = 0;
    for (framing, answer) in framed {
        for cut in (0..answer.body.len() - 8).step_by(if framing == "compressed" { 256 } else { 1024 }) {
            n += 1;
            fake.on(&format!("/s/whole_{n}"), Answer::page(&whole.replace(CHANNEL, &format!("whole_{n}"))));
            // As long as the channel's own name, so that the page is too.
            let cut_name = format!("cut_at_{n:05}");
            let cut_page = whole.replace(CHANNEL, &cut_name);
            let body = if framing == "compressed" { Answer::gzip(&cut_page).body } else { cut_page.into() };
            fake.on(&format!("/s/{cut_name}"), Answer { truncate_after: Some(cut), body, ..answer.clone() });
            let status = app.get(&format!("/{cut_name}/atom")).status;
            if status != 502 {
                faults.push(format!("cut at {cut}, sent {framing}: {status}"));
            }
            // An answer that is whole, so that the upstream is not left alone for its failures.
            assert_eq!(app.get(&format!("/whole_{n}/atom")).status, 200);
        }
    }
    assert!(n > 50, "{n} cuts");
    assert_no_failures(&faults);
}

#[test]
fn what_is_compressed_beyond_measure_takes_no_memory() {
    let (fake, app) = service(&HASTY);
    assert_eq!(app.get("/harbour_news/rss").status, 200);
    let before = app.peak_memory();
    let mut brotli = Vec::new();
    let zeros = vec![0; 256 << 20];
    brotli::BrotliCompress(&mut zeros.as_slice(), &mut brotli, &brotli::enc::BrotliEncoderParams::default())
        .unwrap();
    let brotli = Answer { body: brotli, ..Answer::page("") }.with("Content-Encoding", "br");
    let chunked = Answer { framing: Framing::Chunked, ..Answer::page(&" ".repeat(16 << 20)) };
    for (name, answer) in [("gzip_bomb", bomb()), ("brotli_bomb", brotli), ("chunk_bomb", chunked)] {
        fake.on(&format!("/s/{name}"), answer);
        let answer = app.get(&format!("/{name}/rss"));
        assert_eq!(answer.status, 502, "{name}");
        assert!(answer.text().contains("more than 4 MiB"), "{name}: {}", answer.text());
    }
    if let (Some(before), Some(after)) = (before, app.peak_memory()) {
        assert!(after - before < 32 << 20, "{} MB more", (after - before) >> 20);
    }
}

#[test]
fn a_length_that_is_a_lie_is_not_believed() {
    let (fake, app) = service(&HASTY);
    let lie = Answer { framing: Framing::Close, ..Answer::page(&page("text")) };
    fake.on("/s/lying_one", lie.with("Content-Length", "9223372036854775807"));
    assert_eq!(app.get("/lying_one/rss").status, 502);
}

/// Takes as long as the program waits for a whole page, ten seconds.
#[test]
fn an_answer_that_drips_ends_in_time_and_delays_nobody() {
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
fn an_upstream_with_a_certificate_of_its_own_making_is_not_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let server = thread::spawn(move || -> io::Result<usize> {
        let (stream, _) = listener.accept()?;
        let connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let asked = stream.read(&mut [0; 64]);
        stream.flush()?;
        asked
    });
    let app = App::start(&url, &[]);
    let answer = app.get("/harbour_news/rss");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("certificate"), "{}", answer.text());
    assert!(server.join().unwrap().is_err(), "no request was made over a connection that cannot be trusted");
}
