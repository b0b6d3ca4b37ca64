//! A fake Telegram to try telewire without internet access.
//!
//! `cargo run --example fake_telegram [PORT]`
//!
//! It serves the pages of `tests/pages` as channels, by their own names (`/s/harbour_news`) and by their file names
//! (`/s/text`), and `lively_pier`, a channel with older pages and a new post every 30 seconds.

#![expect(clippy::unwrap_used, reason = "an error ends the example")]
#![expect(clippy::print_stdout, reason = "the example prints how to use it")]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../it/support/fake_channel.rs"]
mod fake_channel;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../it/support/fake_telegram.rs"]
mod fake_telegram;
#[path = "../it/support/gradient.rs"]
mod gradient;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../it/support/wait.rs"]
mod wait;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use fake_channel::FakeChannel;
use fake_telegram::{Answer, FakeTelegram};
use jiff::{SignedDuration, Timestamp};
use telewire::telegram::page::{self, PageSource};

/// The port of the fake Telegram, unless another one is given.
const DEFAULT_PORT: u16 = 8081;

/// Where telewire listens by default.
const TELEWIRE: &str = "http://127.0.0.1:8080";

/// The channel with new posts.
const LIVELY: &str = "lively_pier";

/// The number of posts that it starts with.
const N_POSTS: u32 = 120;

/// The time between two new posts.
const POST_INTERVAL: Duration = Duration::from_secs(30);

/// The host of pictures and videos in `tests/pages`.
const MEDIA_URL: &str = "https://cdn4.telesco.pe";

fn main() {
    let port = std::env::args().nth(1).map_or(DEFAULT_PORT, |port| port.parse().expect("a port number"));
    let fake = FakeTelegram::start_on(port).expect("a free port: pass another one as the argument");
    let samples = Samples::load(&fake.url());
    print_usage(&fake, &samples);
    fake.set_fallback(move |path| samples.answer(path));
    let mut channel = FakeChannel::new(LIVELY, 20);
    channel.media_base_url = format!("{}/pictures", fake.url());
    for n in (1..=N_POSTS).rev() {
        publish(&mut channel, now() - SignedDuration::from_hours(n.into()));
    }
    let channel = fake.add_channel(channel);
    loop {
        thread::sleep(POST_INTERVAL);
        publish(&mut channel.lock().unwrap(), now());
    }
}

/// Publishes a post: every third has a picture, every tenth is an album of four.
fn publish(channel: &mut FakeChannel, at: Timestamp) {
    let n_posts = channel.posts.len();
    let n_pictures = if n_posts.is_multiple_of(10) { 4 } else { u32::from(n_posts.is_multiple_of(3)) };
    channel.publish(n_pictures, at);
}

#[expect(clippy::disallowed_methods, reason = "new posts have the current time")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The pages of `tests/pages`.
struct Samples {
    /// HTML by channel name.
    pages: BTreeMap<String, String>,
    /// The channel's own name and the file name of each page with posts.
    channels: Vec<(String, String)>,
    /// The file names of pages without posts.
    errors: Vec<String>,
}

impl Samples {
    /// Loads the pages, with the URLs of pictures changed to a host under `base_url`.
    fn load(base_url: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
        let mut samples = Self { pages: BTreeMap::new(), channels: Vec::new(), errors: Vec::new() };
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "html")) {
            let file_name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let html = fs::read_to_string(file).unwrap().replace(MEDIA_URL, base_url);
            let saved = page::parse(&html, PageSource::Saved(None)).map(|page| page.snapshot.channel.name);
            let name = saved.ok().filter(|name| page::parse(&html, PageSource::Fetched(name)).is_ok());
            if let Some(name) = name {
                samples.pages.insert(file_name.clone(), html.replace(name.as_str(), &file_name));
                samples.pages.insert(name.to_string(), html);
                samples.channels.push((name.to_string(), file_name));
            } else {
                samples.pages.insert(file_name.clone(), html);
                samples.errors.push(file_name);
            }
        }
        samples
    }

    /// Answers a request for a preview page or a picture. Unknown names get the page that t.me shows for them.
    fn answer(&self, path: &str) -> Answer {
        let path = path.split('?').next().unwrap_or_default();
        if path.contains("/file/") {
            let is_picture = !["mp4", "webm", "ogg", "tgs"].iter().any(|kind| path.ends_with(kind));
            return if is_picture { gradient::picture(path) } else { Answer::status(404) };
        }
        let name = path.trim_start_matches("/s/").trim_start_matches('/');
        Answer::page(self.pages.get(name).unwrap_or(&self.pages["landing_nobody"]))
    }
}

fn print_usage(fake: &FakeTelegram, samples: &Samples) {
    let (url, host) = (fake.url(), fake.host());
    println!("The fake Telegram listens on {url}. Start telewire in another terminal:\n");
    println!("  cargo run -- --upstream {url} --media-hosts {host} --data-dir target/fake-data\n");
    println!("Then open a channel, or subscribe to its feed:\n");
    let print_channel =
        |name: &str, content: &str| println!("  {:<45} {content}", format!("{TELEWIRE}/{name}/rss"));
    print_channel(LIVELY, &format!("a new post every {} seconds", POST_INTERVAL.as_secs()));
    for (name, file_name) in &samples.channels {
        print_channel(name, &format!("tests/pages/{file_name}.html"));
    }
    println!(
        "\ntelewire fetches a channel again when a reader asks for it after 5 minutes; add --fresh-min 10s to shorten that."
    );
    println!(
        "Pages by their file names are channels too: {TELEWIRE}/poll/rss. Names of pages without posts:"
    );
    let errors: Vec<&str> = samples.errors.iter().map(String::as_str).collect();
    println!("  {}", errors.join(", "));
}
