//! A fake t.me: real sockets on a port of its own, and answers by script.
//!
//! An [`Answer`] is data: what is sent, how it is framed, where it breaks off, what it waits for. One loop serves
//! every connection by it. Its threads end with the test program.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::fake_channel::FakeChannel;
use super::wait::Monitor;

/// What is answered to a request.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
    /// The connection ends after so many bytes of the body.
    pub(crate) truncate_after: Option<usize>,
    /// Nothing is sent before this opens.
    pub(crate) gate: Option<Gate>,
    /// The body is sent a byte at a time, with so long between two.
    pub(crate) byte_interval: Option<Duration>,
}

/// How the other side learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    ContentLength,
    Chunked,
    /// By the end of the connection: a body that is cut looks like a whole one.
    Close,
    /// There is no answer: the connection ends.
    NoResponse,
}

impl Answer {
    /// A page.
    pub(crate) fn page(html: &str) -> Self {
        let html_type = "text/html; charset=utf-8";
        Self { body: html.into(), ..Self::status(200) }.with("Content-Type", html_type)
    }

    /// A page whose body is compressed.
    pub(crate) fn gzip(html: &str) -> Self {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(html.as_bytes()).unwrap();
        Self { body: gzip.finish().unwrap(), ..Self::page("") }.with("Content-Encoding", "gzip")
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file, or the part of it that the head of a request asks for.
    pub(crate) fn file(bytes: &[u8], request: &str) -> Self {
        let range = request
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let Some(range) = range else { return Self { body: bytes.to_vec(), ..Self::status(200) } };
        let (first, last) = range.split_once('-').unwrap();
        let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), last) => (first, last.map_or(bytes.len(), |last| last + 1).min(bytes.len())),
            (Err(_), Ok(n)) => (bytes.len().saturating_sub(n), bytes.len()),
            (Err(_), Err(_)) => (0, bytes.len()),
        };
        if first >= last {
            return Self::status(416).with("Content-Range", &format!("bytes */{}", bytes.len()));
        }
        let answer = Self { body: bytes[first..last].to_vec(), ..Self::status(206) };
        answer.with("Content-Range", &format!("bytes {first}-{}/{}", last - 1, bytes.len()))
    }

    /// A status with an empty body.
    pub(crate) fn status(status: u16) -> Self {
        let framing = Framing::ContentLength;
        Self {
            status,
            headers: vec![],
            body: vec![],
            framing,
            truncate_after: None,
            gate: None,
            byte_interval: None,
        }
    }

    /// A redirect.
    pub(crate) fn redirect(location: &str) -> Self {
        Self::status(302).with("Location", location)
    }
}

/// Holds answers back until a test lets them go.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Monitor<bool>>);

impl Gate {
    /// Lets everything through from now on.
    pub(crate) fn open(&self) {
        self.0.update(|is_open| *is_open = true);
    }

    fn pass(&self) -> bool {
        self.0.wait_for(|is_open| *is_open)
    }
}

pub(crate) struct FakeTelegram {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<HashMap<String, Answer>>,
    /// Channels with a history, whose pages are made when they are asked for.
    channels: Mutex<HashMap<String, Arc<Mutex<FakeChannel>>>>,
    /// Files by their paths, of which parts can be had.
    files: Mutex<HashMap<String, Arc<[u8]>>>,
    /// The answer to everything, whatever the script says.
    override_answer: Mutex<Option<Answer>>,
    /// Connections are refused.
    is_offline: AtomicBool,
    requests: Monitor<Vec<Request>>,
}

struct Request {
    at: Instant,
    /// With the query, if there is one.
    path: String,
    head: String,
}

impl FakeTelegram {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&accepting);
                if shared.is_offline.load(Ordering::SeqCst) {
                    break;
                }
                // An error says that the other side went away, which some tests make it do.
                thread::spawn(move || serve(&stream?, &shared));
            }
        });
        Self { address, shared }
    }

    /// Its base address, for `--upstream`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Scripts the answer to requests for a path, in place of the one before.
    pub(crate) fn on(&self, path: &str, answer: Answer) {
        self.shared.script.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Has a file.
    pub(crate) fn add_file(&self, path: &str, bytes: Vec<u8>) {
        self.shared.files.lock().unwrap().insert(path.to_owned(), bytes.into());
    }

    /// Takes the answer to a path out of the script.
    pub(crate) fn remove_answer(&self, path: &str) {
        self.shared.script.lock().unwrap().remove(path);
    }

    /// Has a channel, whose history is the caller's to change.
    pub(crate) fn add_channel(&self, history: FakeChannel) -> Arc<Mutex<FakeChannel>> {
        let (name, history) = (history.name.clone(), Arc::new(Mutex::new(history)));
        self.shared.channels.lock().unwrap().insert(name, Arc::clone(&history));
        history
    }

    /// Its host and port, for `--media-hosts`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Requests for paths that begin so.
    pub(crate) fn paths(&self, start: &str) -> Vec<String> {
        let of = |requests: &Vec<Request>| {
            let paths = requests.iter().map(|request| request.path.clone());
            paths.filter(|path| path.starts_with(start)).collect()
        };
        self.shared.requests.read(of)
    }

    /// Follows the script again.
    pub(crate) fn clear_override(&self) {
        *self.shared.override_answer.lock().unwrap() = None;
    }

    /// Answers everything so from now on, whatever the script says.
    pub(crate) fn override_all(&self, answer: Answer) {
        *self.shared.override_answer.lock().unwrap() = Some(answer);
    }

    /// Refuses connections from now on, and ends those it has.
    pub(crate) fn shut_down(&self) {
        self.shared.is_offline.store(true, Ordering::SeqCst);
        // The loop that accepts connections sees it when the next one comes.
        drop(TcpStream::connect(self.address));
    }

    /// When each request came, in their order.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.shared.requests.read(|requests| requests.iter().map(|request| request.at).collect())
    }

    /// How many requests for the path have come.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.heads(path).len()
    }

    /// The heads of the requests for the path, as they came over the wire.
    pub(crate) fn heads(&self, path: &str) -> Vec<String> {
        let of_path = |requests: &Vec<Request>| -> Vec<String> {
            requests
                .iter()
                .filter(|request| request.path == path)
                .map(|request| request.head.clone())
                .collect()
        };
        self.shared.requests.read(of_path)
    }

    /// Waits for the first request for the path.
    pub(crate) fn wait_for(&self, path: &str) {
        let came = self.shared.requests.wait_for(|all| all.iter().any(|request| request.path == path));
        assert!(came, "the fake t.me was never asked for {path}");
    }
}

/// Answers the requests of one connection until one of both sides ends it.
fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut requests = BufReader::new(stream);
    while let Some(request) = read_request(&mut requests)? {
        if shared.is_offline.load(Ordering::SeqCst) {
            break;
        }
        let answer = shared.override_answer.lock().unwrap().clone();
        let answer = answer.or_else(|| shared.script.lock().unwrap().get(&request.path).cloned());
        let answer = answer.or_else(|| page_of_channel(shared, &request.path));
        let answer = answer.or_else(|| file_of_channel(shared, &request));
        let file = || shared.files.lock().unwrap().get(&request.path).cloned();
        let answer = answer.or_else(|| Some(Answer::file(&file()?, &request.head)));
        shared.requests.update(|requests| requests.push(request));
        let answer = answer.unwrap_or_else(|| Answer::status(500));
        if answer.gate.as_ref().is_some_and(|gate| !gate.pass()) {
            break;
        }
        if answer.framing == Framing::NoResponse {
            break;
        }
        write_answer(stream, &answer)?;
        if answer.truncate_after.is_some() || answer.framing == Framing::Close {
            break;
        }
    }
    Ok(())
}

/// `/s/NAME`, `/s/NAME?before=ID` and `/NAME/ID` of a channel with a history.
fn page_of_channel(shared: &Shared, path: &str) -> Option<Answer> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (first, second) = path.trim_start_matches('/').split_once('/')?;
    let channels = shared.channels.lock().unwrap();
    if first == "s" {
        let before = query.strip_prefix("before=").and_then(|id| id.parse().ok());
        return Some(Answer::page(&channels.get(second)?.lock().unwrap().preview_page(before)));
    }
    Some(Answer::page(&channels.get(first)?.lock().unwrap().post_page(second.parse().ok()?)))
}

/// `/file/NAME-ITEM.jpg?token=N` of a channel with a history, or the part of it that is asked for.
fn file_of_channel(shared: &Shared, request: &Request) -> Option<Answer> {
    let (name, rest) = request.path.strip_prefix("/file/")?.split_once('-')?;
    let (item, token) = rest.split_once(".jpg?token=")?;
    let token_now = shared.channels.lock().unwrap().get(name)?.lock().unwrap().token;
    if token.parse() != Ok(token_now) {
        return Some(Answer::status(404));
    }
    Some(Answer::file(&picture(name, item.parse().ok()?), &request.head))
}

/// A picture, as far as its first bytes tell; every one is another.
pub(crate) fn picture(channel: &str, item: u32) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0".to_vec();
    bytes.extend(format!("{channel} {item} ").bytes().cycle().take(1000 + usize::try_from(item).unwrap()));
    bytes
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Some(Request { at: Instant::now(), path, head }))
}

fn write_answer(mut stream: &TcpStream, answer: &Answer) -> io::Result<()> {
    let sent = &answer.body[..answer.truncate_after.unwrap_or(answer.body.len())];
    let mut wire = Vec::with_capacity(sent.len() + 1024);
    write!(wire, "HTTP/1.1 {} Scripted\r\n", answer.status)?;
    for (name, value) in &answer.headers {
        write!(wire, "{name}: {value}\r\n")?;
    }
    match answer.framing {
        Framing::ContentLength => write!(wire, "Content-Length: {}\r\n\r\n", answer.body.len())?,
        Framing::Chunked => write!(wire, "Transfer-Encoding: chunked\r\n\r\n")?,
        Framing::Close | Framing::NoResponse => write!(wire, "Connection: close\r\n\r\n")?,
    }
    if let Some(pause) = answer.byte_interval {
        stream.write_all(&wire)?;
        for byte in sent {
            stream.write_all(&[*byte])?;
            thread::sleep(pause);
        }
        return Ok(());
    }
    if answer.framing == Framing::Chunked {
        for chunk in sent.chunks(4096) {
            write!(wire, "{:x}\r\n", chunk.len())?;
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        if answer.truncate_after.is_none() {
            wire.extend_from_slice(b"0\r\n\r\n");
        }
    } else {
        wire.extend_from_slice(sent);
    }
    stream.write_all(&wire)
}
