//! A minimal HTTP/1.1 client: one request per connection, no redirects, no decompression. It panics on incomplete
//! responses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::wait::WAIT_TIMEOUT;

/// A complete response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Returns the value of a header.
    ///
    /// Panics if the header is repeated.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is repeated: {:?}", self.headers);
        value
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// Sends a request and waits for the response.
pub(crate) fn ask(to: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
    let stream = send(to, method, target, headers);
    receive(stream, method)
}

/// Sends a request, and returns the connection to read the response from. The default of `Host` is the socket address.
pub(crate) fn send(to: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&to, WAIT_TIMEOUT).unwrap();
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    let mut head = Vec::new();
    write!(head, "{method} {target} HTTP/1.1\r\nConnection: close\r\n").unwrap();
    if !headers.iter().any(|(name, _)| *name == "Host") {
        write!(head, "Host: {to}\r\n").unwrap();
    }
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).unwrap();
    stream
}

/// Reads a response to its end.
pub(crate) fn receive(mut stream: TcpStream, method: &str) -> Response {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let head_end =
        bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a complete response head");
    let mut lines = str::from_utf8(&bytes[..head_end]).unwrap().split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    let mut response = Response { status, headers: lines.map(header).collect(), body: vec![] };
    let raw = &bytes[head_end + 4..];
    if response.header("Transfer-Encoding") == Some("chunked") && method != "HEAD" {
        response.body = unchunked(raw);
        return response;
    }
    let length = response.header("Content-Length").map(|length| length.parse::<usize>().unwrap());
    let is_bare = method == "HEAD" || status == 304;
    assert_eq!(raw.len(), if is_bare { 0 } else { length.unwrap_or(raw.len()) }, "the body is incomplete");
    response.body = raw.to_vec();
    response
}

/// Decodes a chunked body.
fn unchunked(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line_end = raw.windows(2).position(|window| window == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(str::from_utf8(&raw[..line_end]).unwrap(), 16).unwrap();
        let chunk = &raw[line_end + 2..];
        body.extend_from_slice(&chunk[..size]);
        raw = &chunk[size + 2..];
        if size == 0 {
            return body;
        }
    }
}
