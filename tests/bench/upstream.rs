//! A fake t.me with a preview page for each channel, and a client that asks the service for feeds.

#![expect(clippy::cast_possible_truncation, reason = "the numbers are small")]
#![expect(clippy::format_push_string, reason = "not part of what is measured")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Requests a path and returns the status.
pub(crate) fn get(stream: &mut BufReader<TcpStream>, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: feeds.example.org\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).expect("a request");
    let mut status = 0;
    let mut length = 0;
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("a head") > 0, "the connection was closed");
        match line.trim_end().split_once(' ') {
            Some((version, rest)) if version.starts_with("HTTP/") => {
                status = rest[..3].parse().expect("a status");
            }
            Some(("content-length:", n)) => length = n.parse().expect("a length"),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).expect("a body");
    status
}

/// Starts a fake t.me, on which only channels with names like `channel_1` exist, with this number of posts each.
pub(crate) fn start(n_posts: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(BufReader::new(stream), n_posts));
        }
    });
    address
}

fn serve(mut stream: BufReader<TcpStream>, n_posts: usize) {
    let mut path = String::new();
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|n| n > 0) {
        if let Some(rest) = line.strip_prefix("GET ") {
            rest.split(' ').next().unwrap_or_default().clone_into(&mut path);
        }
        if line == "\r\n" {
            let response = match path.strip_prefix("/s/") {
                Some(name) if name.starts_with("channel_") => {
                    let page = page(name, n_posts);
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len())
                }
                _ => "HTTP/1.1 302 Found\r\nLocation: https://telegram.org/\r\nContent-Length: 0\r\n\r\n"
                    .to_owned(),
            };
            if stream.get_mut().write_all(response.as_bytes()).is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// Returns a preview page. A post has a text of about 700 bytes and a picture, like the average in captured pages.
pub(crate) fn page(name: &str, n_posts: usize) -> String {
    let mut page = format!(
        "<!DOCTYPE html><html><body><div class=\"tgme_channel_info\"><div class=\"tgme_channel_info_header_title\">\
         <span>Channel {name}</span></div><div class=\"tgme_channel_info_header_username\"><a>@{name}</a></div></div>\
         <section class=\"tgme_channel_history\">"
    );
    let seed = name.bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random(seed);
    for id in 1..=n_posts {
        let (text, file) = (random.words(100), random.name(320));
        page += &format!(
            "<div class=\"tgme_widget_message\" data-post=\"{name}/{id}\">\
             <a class=\"tgme_widget_message_photo_wrap\" style=\"width:800px;background-image:\
             url('https://cdn4.telesco.pe/file/{file}.jpg')\"><div class=\"tgme_widget_message_photo\" \
             style=\"padding-top:75%\"></div></a><div class=\"tgme_widget_message_text js-message_text\">{text}\
             <br/><a href=\"?q=%23news\">#news</a></div><a class=\"tgme_widget_message_date\" \
             href=\"https://t.me/{name}/{id}\"><time datetime=\"2026-08-01T10:{id:02}:00+00:00\"></time></a></div>"
        );
    }
    page + "</section></body></html>"
}

/// Generates text that does not compress better than natural language.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    /// Returns words from a vocabulary of about 10,000, some of them more frequent than others.
    fn words(&mut self, n: usize) -> String {
        let word = |random: &mut Self| {
            let most = random.next(10_000) + 1;
            let mut word = Random(random.next(most).wrapping_mul(0x9e37_79b9));
            let length = 3 + word.next(9);
            (0..length).map(|_| (b'a' + word.next(26) as u8) as char).collect::<String>()
        };
        (0..n).map(|_| word(self)).collect::<Vec<_>>().join(" ")
    }

    fn name(&mut self, n: usize) -> String {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..n).map(|_| letters[self.next(64) as usize] as char).collect()
    }
}
