//! Streaming of media files: headers, ranges, errors, limits, modes and keys.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use super::{CHANNEL, FAST, KEY, channel, links, service};
use crate::support::app::{App, run_in};
use crate::support::fake_telegram::{Answer, FakeTelegram, Framing, Gate, picture};
use crate::support::http;

fn first_link(app: &App) -> String {
    links(app).first().unwrap().clone()
}

/// Returns the path of the only post's picture on the fake.
fn picture_path() -> String {
    format!("/file/{CHANNEL}-1.jpg?token=0")
}

#[test]
fn ranges_and_conditions_follow_rfc_9110() {
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let app = service(&fake, &[]);
    let (link, whole) = (first_link(&app), picture(CHANNEL, 1));
    let n = whole.len();
    let get = |headers: &[(&str, &str)]| app.ask("GET", &link, headers);
    let answer = get(&[]);
    let etag = answer.header("ETag").unwrap().to_owned();
    assert_eq!((answer.status, answer.body.len()), (200, n));
    for (name, value) in [
        ("Content-Type", "image/jpeg"),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "public, max-age=2592000, immutable"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "default-src 'none'; sandbox"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(
        answer.headers.len(),
        11,
        "only these, Content-Length, ETag, Date, X-Request-Id and Connection: {:?}",
        answer.headers
    );
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=500-", 500, n - 1),
        ("bytes=-7", n - 7, n - 1),
        ("bytes=0-99999", 0, n - 1),
        ("bytes=-99999", 0, n - 1),
    ] {
        let answer = get(&[("Range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.body, &whole[first..=last], "{range}");
        assert_eq!(answer.header("Content-Range"), Some(format!("bytes {first}-{last}/{n}").as_str()));
        assert_eq!(answer.header("ETag"), Some(etag.as_str()));
    }
    for range in ["bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=x-"] {
        assert_eq!(get(&[("Range", range)]).body, whole, "{range} is ignored");
    }
    let answer = get(&[("Range", "bytes=99999-")]);
    assert_eq!((answer.status, answer.header("Content-Range")), (416, Some(format!("bytes */{n}").as_str())));
    for (condition, status) in
        [(etag.as_str(), 206), ("\"other\"", 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200)]
    {
        assert_eq!(get(&[("Range", "bytes=1-2"), ("If-Range", condition)]).status, status, "{condition}");
    }
    let before = fake.paths("/file/").len();
    for (tags, status) in [(etag.as_str(), 304), ("*", 304), ("\"other\"", 200)] {
        assert_eq!(get(&[("If-None-Match", tags)]).status, status, "{tags}");
    }
    assert_eq!(fake.paths("/file/").len(), before + 1, "no request to Telegram for a 304");
    let head = app.ask("HEAD", &link, &[("Range", "bytes=0-1")]);
    assert_eq!((head.status, head.header("Content-Length")), (200, Some(n.to_string().as_str())));
    assert_eq!(app.ask("POST", &link, &[]).status, 405);
}

#[test]
fn file_of_unknown_length_is_streamed() {
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let app = service(&fake, &[]);
    let (link, whole) = (first_link(&app), picture(CHANNEL, 1));
    let chunked = Answer { body: whole.clone(), framing: Framing::Chunked, ..Answer::status(200) };
    fake.on(&picture_path(), chunked);
    for _ in 0..2 {
        let head = app.ask("HEAD", &link, &[]);
        assert_eq!((head.status, head.header("Content-Length")), (200, None), "{head:?}");
        let answer = app.get(&link);
        assert_eq!((answer.status, answer.header("Content-Length")), (200, None));
        assert_eq!(answer.body, whole);
    }
}

#[test]
fn no_header_of_the_reader_reaches_telegram() {
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let app = service(&fake, &[]);
    let sent = [
        ("Cookie", "secret=1"),
        ("X-Forwarded-For", "192.0.2.77"),
        ("Referer", "https://reader.example/"),
        ("Authorization", "Basic c2VjcmV0"),
        ("User-Agent", "Reader/1"),
        ("Accept-Language", "tlh"),
    ];
    fake.on(
        &picture_path(),
        Answer { body: picture(CHANNEL, 1), ..Answer::status(200) }
            .with("Set-Cookie", "stel=1")
            .with("X-Powered-By", "them")
            .with("Content-Type", "text/html"),
    );
    let answer = app.ask("GET", &first_link(&app), &sent);
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("image/jpeg")));
    assert!(answer.header("Set-Cookie").is_none() && answer.header("X-Powered-By").is_none());
    let head = fake.heads(&picture_path()).remove(0).to_ascii_lowercase();
    for (name, value) in sent {
        assert!(!head.contains(&value.to_ascii_lowercase()), "{name}: {head}");
    }
    let names = head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    assert_eq!(names.collect::<Vec<_>>(), ["accept-encoding", "accept", "user-agent", "host"], "{head}");
}

#[test]
fn invalid_and_truncated_files_are_errors() {
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let app = service(&fake, &["--media-max-size", "100KB"]);
    let link = first_link(&app);
    let jpeg = |length: usize| {
        let mut bytes = picture(CHANNEL, 1);
        bytes.resize(length, 7);
        Answer { body: bytes, ..Answer::status(200) }
    };
    let typed =
        |body: &[u8]| Answer { body: body.to_vec(), ..Answer::status(200) }.with("Content-Type", "image/png");
    for (what, answer, status) in [
        ("an HTML page", Answer::page("<html></html>"), 502),
        ("a script with the type of a picture", typed(b"alert(document.cookie)"), 502),
        ("an SVG with the type of a picture", typed(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), 502),
        ("an empty file", typed(b""), 502),
        ("a file that is too large", jpeg(200_000), 502),
        ("a compressed file", jpeg(100).with("Content-Encoding", "gzip"), 502),
        (
            "a range that was not requested",
            Answer { status: 206, ..jpeg(100) }.with("Content-Range", "bytes 0-99/100"),
            502,
        ),
        ("a file that ends with the connection", Answer { framing: Framing::Close, ..jpeg(100) }, 502),
        ("a server error", Answer::status(500), 503),
        ("no response", Answer { framing: Framing::NoResponse, ..Answer::status(200) }, 504),
        ("a redirect to itself", Answer::redirect(&picture_path()), 502),
    ] {
        fake.on(&picture_path(), answer);
        let answer = app.get(&link);
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{what}");
    }
    // The service first requests the beginning to detect the type, and then the range.
    let part = Answer { status: 206, ..jpeg(100) };
    fake.on(&picture_path(), part.with("Content-Range", "bytes 0-511/1000"));
    let answer = app.ask("GET", &link, &[("Range", "bytes=0-511")]);
    assert_eq!(answer.status, 502, "Content-Range and Content-Length differ");
    let whole = jpeg(50_000);
    for (what, answer) in [
        ("a truncated file", Answer { truncate_after: Some(40_000), ..whole.clone() }),
        (
            "a truncated file in chunks",
            Answer { truncate_after: Some(40_000), framing: Framing::Chunked, ..whole },
        ),
        ("a file longer than allowed", Answer { framing: Framing::Chunked, ..jpeg(400_000) }),
    ] {
        fake.on(&picture_path(), answer);
        let mut stream = http::send(app.address, "GET", &link, &[]);
        let mut sent = Vec::new();
        // The connection is reset, or ends without the end of the body.
        let end = stream.read_to_end(&mut sent);
        assert!(sent.starts_with(b"HTTP/1.1 200"), "{what}");
        let text = String::from_utf8_lossy(&sent).to_ascii_lowercase();
        let is_complete = if text.contains("transfer-encoding: chunked") {
            text.ends_with("\r\n0\r\n\r\n")
        } else {
            sent.len() >= 50_000
        };
        assert!(end.is_err() || !is_complete, "{what} looks complete");
        assert!(sent.len() < 210_000, "{what}: {} bytes", sent.len());
    }
    fake.remove_answer(&picture_path());
    assert_eq!(app.get(&link).status, 200);
    fake.on(&picture_path(), Answer::status(429).with("Retry-After", "30"));
    let before = fake.count(&picture_path());
    for _ in 0..20 {
        let answer = app.get(&link);
        assert!(answer.status == 503 && answer.header("Retry-After").is_some(), "{answer:?}");
    }
    assert_eq!(fake.count(&picture_path()), before + 1, "the host is paused");
}

/// The file server sends the beginning and then stalls.
#[test]
fn stalled_file_is_aborted() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = upstream.local_addr().unwrap().to_string();
    let fake = FakeTelegram::start();
    channel(&fake, 1).lock().unwrap().media_base_url = format!("http://{host}");
    let hanging = thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n").unwrap();
        stream.write_all(&picture(CHANNEL, 1)[..500]).unwrap();
        // Wait until the service closes the connection.
        drop(stream.read(&mut head));
    });
    let app = App::start(&fake.url(), &[&FAST[..], &["--media-hosts", &host]].concat());
    let mut stream = http::send(app.address, "GET", &first_link(&app), &[]);
    let mut sent = Vec::new();
    let end = stream.read_to_end(&mut sent);
    assert!(sent.starts_with(b"HTTP/1.1 200") && sent.len() < 5000, "{end:?}");
    hanging.join().unwrap();
}

/// Takes ten seconds: the timeout of a response head.
#[test]
fn file_server_that_does_not_answer_is_asked_once() {
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let app = service(&fake, &[]);
    let link = first_link(&app);
    fake.on(&picture_path(), Answer { gate: Some(Gate::default()), ..Answer::status(200) });
    assert_eq!((app.get(&link).status, fake.count(&picture_path())), (504, 1));
}

#[test]
fn feeds_are_served_while_files_are_stalled() {
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let gate = Gate::default();
    let app = service(&fake, &[]);
    let link = first_link(&app);
    fake.on(
        &picture_path(),
        Answer { gate: Some(gate.clone()), body: picture(CHANNEL, 1), ..Answer::status(200) },
    );
    let waiting: Vec<_> = (0..200).map(|_| http::send(app.address, "GET", &link, &[])).collect();
    fake.wait_for(&picture_path());
    for _ in 0..200 {
        assert_eq!(app.get(&format!("/{CHANNEL}/rss")).status, 200);
    }
    for stream in &waiting {
        stream.shutdown(Shutdown::Both).unwrap();
    }
    gate.open();
}

#[test]
fn redirect_and_direct_mode_link_to_telegram() {
    let fake = FakeTelegram::start();
    let history = channel(&fake, 5);
    let app = service(&fake, &["--media", "redirect"]);
    let links = links(&app);
    let location = |link: &str| {
        let answer = app.get(link);
        assert_eq!((answer.status, answer.header("Cache-Control")), (302, Some("no-store")));
        answer.header("Location").unwrap().to_owned()
    };
    let at = |token: u32| format!("{}/file/{CHANNEL}-1.jpg?token={token}", fake.url());
    let link = links.first().unwrap();
    assert_eq!(location(link), at(0));
    history.lock().unwrap().token += 1;
    drop(app);
    let app = service(&fake, &["--media", "redirect", "--media-refresh", "0s"]);
    assert_eq!(
        app.get(link).header("Location"),
        Some(at(1).as_str()),
        "the URL is older than --media-refresh"
    );
    drop(app);
    let app = service(&fake, &["--media", "direct"]);
    let feed = app.get(&format!("/{CHANNEL}/json"));
    assert!(feed.text().contains(&at(1)) && !feed.text().contains("/-/media/"), "{}", feed.text());
    assert!(feed.header("Last-Modified").is_none() && feed.header("ETag").is_some());
    assert_eq!(app.get(link).status, 302, "signed URLs redirect in direct mode too");
}

#[test]
fn media_keys_are_generated_once_or_configured() {
    use std::os::unix::fs::PermissionsExt;
    let fake = FakeTelegram::start();
    channel(&fake, 1);
    let hosts = ["--media-hosts", &fake.host()];
    let app = App::start(&fake.url(), &hosts);
    let with_generated = first_link(&app);
    let file = app.folder.join("data/media.key");
    let permissions = std::fs::metadata(&file).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    let folder = app.stop();
    let app = App::start_in(folder, &fake.url(), &hosts);
    assert_eq!(first_link(&app), with_generated, "the key is stored");
    let generated = std::fs::read_to_string(&file).unwrap();
    let folder = app.stop();
    let both = format!("{KEY},{}", generated.trim());
    let app = App::start_in(folder, &fake.url(), &[&hosts[..], &["--media-key", &both]].concat());
    let with_configured = first_link(&app);
    assert!(with_configured != with_generated);
    for link in [&with_configured, &with_generated] {
        assert_eq!(app.get(link).status, 200);
    }
    drop(app);
    let app = App::start(&fake.url(), &[&hosts[..], &["--media-key", KEY]].concat());
    assert_eq!((app.get(&with_configured).status, app.get(&with_generated).status), (200, 403));
    assert!(!app.log().iter().any(|line| line.contains(KEY)));
    let folder = app.kill();
    std::fs::write(folder.join("data/media.key"), "half a k").unwrap();
    let refused = run_in(&folder, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, 1, "a new key would invalidate every URL");
    assert!(refused.stderr.contains("media.key: a key must have"), "{}", refused.stderr);
    let refused = run_in(&folder, &["serve", "--media-key", "my-short-key"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("at least 32") && !refused.stderr.contains("my-short-key"),
        "{}",
        refused.stderr
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
