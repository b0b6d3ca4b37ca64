//! A fake t.me on a real socket, with scripted answers.
//!
//! An [`Answer`] is plain data: the body, its framing, where it is truncated, when it is sent. One loop serves every
//! connection. The threads end with the test program.

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

/// A scripted answer to a request.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
    /// The number of bytes of the body after which the connection is closed.
    pub(crate) truncate_after: Option<usize>,
    /// Holds the answer back until the gate is open.
    pub(crate) gate: Option<Gate>,
    /// Sends the body byte by byte, with this pause after each.
    pub(crate) byte_interval: Option<Duration>,
}

/// How the end of the body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    ContentLength,
    Chunked,
    /// By closing the connection, so that a truncated body looks complete.
    Close,
    /// Closes the connection without an answer.
    NoResponse,
}

impl Answer {
    /// Returns an HTML page.
    pub(crate) fn page(html: &str) -> Self {
        let html_type = "text/html; charset=utf-8";
        Self { body: html.into(), ..Self::status(200) }.with("Content-Type", html_type)
    }

    /// Returns an HTML page with a gzip body.
    pub(crate) fn gzip(html: &str) -> Self {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(html.as_bytes()).unwrap();
        Self { body: gzip.finish().unwrap(), ..Self::page("") }.with("Content-Encoding", "gzip")
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns a file, or the byte range that a request head asks for.
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

    /// Returns a status with an empty body.
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

    /// Returns a redirect (302).
    pub(crate) fn redirect(location: &str) -> Self {
        Self::status(302).with("Location", location)
    }
}

/// Holds answers back until a test opens it.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Monitor<bool>>);

impl Gate {
    /// Releases all answers that wait, and all later ones.
    pub(crate) fn open(&self) {
        self.0.update(|is_open| *is_open = true);
    }

    /// Waits until the gate is open. `false` after the timeout.
    fn pass(&self) -> bool {
        self.0.wait_for(|is_open| *is_open)
    }
}

/// A fake t.me and file server on a port of 127.0.0.1.
pub(crate) struct FakeTelegram {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Returns the answer to a request for a path and query.
type Fallback = Box<dyn Fn(&str) -> Answer + Send>;

#[derive(Default)]
struct Shared {
    /// Answers by path and query.
    script: Mutex<HashMap<String, Answer>>,
    /// Channels by name, whose pages are rendered on request.
    channels: Mutex<HashMap<String, Arc<Mutex<FakeChannel>>>>,
    /// Files by path, served with range requests.
    files: Mutex<HashMap<String, Arc<[u8]>>>,
    /// Answers requests for unknown paths.
    fallback: Mutex<Option<Fallback>>,
    /// Replaces every other answer.
    override_answer: Mutex<Option<Answer>>,
    /// New connections are refused.
    is_offline: AtomicBool,
    requests: Monitor<Vec<Request>>,
}

struct Request {
    at: Instant,
    /// The path with its query.
    path: String,
    head: String,
}

impl FakeTelegram {
    /// Starts the server on a free port.
    pub(crate) fn start() -> Self {
        Self::start_on(0).unwrap()
    }

    /// Starts the server on a port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the port is in use.
    pub(crate) fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&accepting);
                if shared.is_offline.load(Ordering::SeqCst) {
                    break;
                }
                // An error means that the client disconnected, which some tests intend.
                thread::spawn(move || serve(&stream?, &shared));
            }
        });
        Ok(Self { address, shared })
    }

    /// Returns the base URL, for `--upstream`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the answer to requests for a path and query.
    pub(crate) fn on(&self, path: &str, answer: Answer) {
        self.shared.script.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Adds a file.
    pub(crate) fn add_file(&self, path: &str, bytes: Vec<u8>) {
        self.shared.files.lock().unwrap().insert(path.to_owned(), bytes.into());
    }

    /// Removes the answer that [`on`](Self::on) has set for a path.
    pub(crate) fn remove_answer(&self, path: &str) {
        self.shared.script.lock().unwrap().remove(path);
    }

    /// Adds a channel, and returns it so that the test can change it.
    pub(crate) fn add_channel(&self, channel: FakeChannel) -> Arc<Mutex<FakeChannel>> {
        let (name, channel) = (channel.name.clone(), Arc::new(Mutex::new(channel)));
        self.shared.channels.lock().unwrap().insert(name, Arc::clone(&channel));
        channel
    }

    /// Sets the answers to requests for unknown paths. The default is status 500.
    pub(crate) fn set_fallback(&self, fallback: impl Fn(&str) -> Answer + Send + 'static) {
        *self.shared.fallback.lock().unwrap() = Some(Box::new(fallback));
    }

    /// Returns the host and port, for `--media-hosts`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns the requested paths that start with `prefix`, in order of arrival.
    pub(crate) fn paths(&self, prefix: &str) -> Vec<String> {
        let of = |requests: &Vec<Request>| {
            let paths = requests.iter().map(|request| request.path.clone());
            paths.filter(|path| path.starts_with(prefix)).collect()
        };
        self.shared.requests.read(of)
    }

    /// Ends [`override_all`](Self::override_all).
    pub(crate) fn clear_override(&self) {
        *self.shared.override_answer.lock().unwrap() = None;
    }

    /// Sends this answer to every request from now on.
    pub(crate) fn override_all(&self, answer: Answer) {
        *self.shared.override_answer.lock().unwrap() = Some(answer);
    }

    /// Refuses new connections, and closes existing ones at their next request.
    pub(crate) fn shut_down(&self) {
        self.shared.is_offline.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then ends.
        drop(TcpStream::connect(self.address));
    }

    /// Returns the times of all requests, in order of arrival.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.shared.requests.read(|requests| requests.iter().map(|request| request.at).collect())
    }

    /// Returns the number of requests for a path.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.heads(path).len()
    }

    /// Returns the raw heads of the requests for a path.
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

    /// Waits for the first request for a path.
    pub(crate) fn wait_for(&self, path: &str) {
        let came = self.shared.requests.wait_for(|all| all.iter().any(|request| request.path == path));
        assert!(came, "timed out waiting for a request for {path}");
    }
}

/// Answers the requests of a connection until one side closes it.
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
        let fallback = || Some(shared.fallback.lock().unwrap().as_ref()?(&request.path));
        let answer = answer.or_else(fallback);
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

/// Returns the page of an added channel: `/s/NAME`, `/s/NAME?before=ID`, `/s/NAME?q=TEXT`, `/NAME/ID` or
/// `/NAME/ID?embed=1`.
fn page_of_channel(shared: &Shared, path: &str) -> Option<Answer> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (first, second) = path.trim_start_matches('/').split_once('/')?;
    let channels = shared.channels.lock().unwrap();
    if first == "s" {
        if let Some((_, text)) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "q") {
            return Some(Answer::page(&channels.get(second)?.lock().unwrap().search_page(&text)));
        }
        let before = query.strip_prefix("before=").and_then(|id| id.parse().ok());
        return Some(Answer::page(&channels.get(second)?.lock().unwrap().preview_page(before)));
    }
    let (channel, id) = (channels.get(first)?.lock().unwrap(), second.parse().ok()?);
    Some(Answer::page(&if query.starts_with("embed") { channel.widget(id) } else { channel.post_page(id) }))
}

/// Returns a picture or voice message of an added channel, or a range of it: `/file/NAME-ITEM.jpg?token=N`, or `.ogg`. An
/// expired token gets status 404.
fn file_of_channel(shared: &Shared, request: &Request) -> Option<Answer> {
    let (name, rest) = request.path.strip_prefix("/file/")?.split_once('-')?;
    let (item, rest) = rest.split_once('.')?;
    let (kind, token) = rest.split_once("?token=")?;
    let token_now = shared.channels.lock().unwrap().get(name)?.lock().unwrap().token;
    if token.parse() != Ok(token_now) {
        return Some(Answer::status(404));
    }
    let item = item.parse().ok()?;
    let file = if kind == "ogg" { voice(name, item) } else { picture(name, item) };
    Some(Answer::file(&file, &request.head))
}

/// Returns the bytes of an item's picture: a JPEG signature and content that differs between items.
pub(crate) fn picture(channel: &str, item: u32) -> Vec<u8> {
    file(b"\xff\xd8\xff\xe0", channel, item)
}

/// Returns the bytes of a voice message, in the same way.
pub(crate) fn voice(channel: &str, item: u32) -> Vec<u8> {
    file(b"OggS\0", channel, item)
}

fn file(signature: &[u8], channel: &str, item: u32) -> Vec<u8> {
    let mut bytes = signature.to_vec();
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
