//! ffprobe and Chromium play and seek in a video that the service streams, and Chromium shows a picture.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{FAST, KEY};
use crate::support::app::{App, new_folder};
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::{page, print_note};

/// Returns whether the programs are installed. If one is missing, reports that the test is skipped.
fn are_installed(programs: &[&str], test: &str) -> bool {
    let is_installed = |program: &str| {
        ["/usr/bin", "/usr/local/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
    };
    let missing = programs.iter().find(|program| !is_installed(program));
    if let Some(program) = missing {
        print_note(&format!("{test}: skipped, because {program} is not installed"));
    }
    missing.is_none()
}

/// Returns a video of one minute with its index at the end, so that players request ranges of it.
fn video() -> Vec<u8> {
    let folder = new_folder();
    let file = folder.join("video.mp4");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=duration=60:size=320x240:rate=15"])
        .args(["-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "30"])
        .arg(&file)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let video = fs::read(&file).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    video
}

/// Starts a service with a channel that has published this video. Returns the body of the post too.
fn publish(video: Vec<u8>) -> (FakeTelegram, App, String) {
    let fake = FakeTelegram::start();
    let html = page("video").replace("https://cdn4.telesco.pe", &fake.url());
    let start = html.find("/file/abc0124401.mp4").unwrap();
    let path = html[start..].split(['"', '\'']).next().unwrap().to_owned();
    let name = html.split("data-post=\"").nth(1).unwrap().split('/').next().unwrap().to_owned();
    fake.add_file(&path, video);
    fake.on(&format!("/s/{name}"), Answer::page(&html));
    let app = App::start(&fake.url(), &[&FAST[..], &["--media-hosts", &fake.host()]].concat());
    let feed: Value = serde_json::from_slice(&app.get(&format!("/{name}/json")).body).unwrap();
    let bodies = feed["items"].as_array().unwrap().iter().map(|item| item["content_html"].as_str().unwrap());
    let body = bodies.rev().find(|body| body.contains("<video")).unwrap().to_owned();
    (fake, app, body)
}

fn source(body: &str) -> &str {
    body.split("<video src=\"").nth(1).unwrap().split('"').next().unwrap()
}

#[test]
fn ffprobe_reads_ranges_of_a_video() {
    if !are_installed(&["ffmpeg", "ffprobe"], "ffprobe_reads_ranges_of_a_video") {
        return;
    }
    let (fake, _app, body) = publish(video());
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", source(&body)])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (duration, errors) = (String::from_utf8_lossy(&probe.stdout), String::from_utf8_lossy(&probe.stderr));
    assert_eq!((duration.trim(), errors.trim()), ("60.000000", ""));
    let heads = fake.paths("/file/").into_iter().flat_map(|path| fake.heads(&path));
    assert!(heads.filter(|head| head.to_ascii_lowercase().contains("range: bytes=")).count() > 1);
}

/// A browser process, killed at the end of the test.
struct Browser(Child);

impl Browser {
    /// Opens a file. `resolver_rules` say which hosts the browser can reach, in the syntax of `--host-resolver-rules`.
    fn open(file: &Path, resolver_rules: &str) -> Self {
        let browser = Command::new("/usr/bin/chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--remote-debugging-port=0", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .arg(format!("--host-resolver-rules={resolver_rules}"))
            .arg(format!("--user-data-dir={}", file.with_extension("browser").display()))
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(browser.unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn browser_seeks_in_a_video_of_a_feed() {
    if !are_installed(&["ffmpeg", "chromium"], "browser_seeks_in_a_video_of_a_feed") {
        return;
    }
    let (fake, app, body) = publish(video());
    // The script reports its progress by requests to the fake.
    let script = format!(
        "const video = document.querySelector('video');
         const report = (event) => {{ new Image().src = '{}/reports/' + event; }};
         video.muted = true;
         video.onerror = () => report('error');
         video.onseeked = () => report('seeked-' + Math.round(video.currentTime) + '-of-' + Math.round(video.duration));
         video.onloadedmetadata = () => {{ video.currentTime = 45; }};
         video.preload = 'auto';
         video.load();",
        fake.url()
    );
    let file = app.folder.join("post.html");
    fs::write(&file, format!("<!DOCTYPE html><body>{body}<script>{script}</script></body>")).unwrap();
    let _browser = Browser::open(&file, "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    fake.wait_for("/reports/seeked-45-of-60");
    assert!(!app.log().iter().any(|line| line.contains(KEY)));
}

/// The smallest GIF: one pixel.
const PICTURE: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";

/// Only the reader's server resolves `telewire.internal`, and only the browser resolves `pictures.example`.
#[test]
fn browser_loads_pictures_from_the_media_url() {
    if !are_installed(&["chromium"], "browser_loads_pictures_from_the_media_url") {
        return;
    }
    let fake = FakeTelegram::start();
    fake.on("/s/tidewatch", Answer::page(&page("photo").replace("https://cdn4.telesco.pe", &fake.url())));
    fake.add_file("/file/invented-photo-1.jpg", PICTURE.to_vec());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (public_url, media_url) =
        (format!("http://telewire.internal:{port}"), format!("http://pictures.example:{port}"));
    let flags = ["--media-hosts", &fake.host(), "--public-url", &public_url, "--media-url", &media_url];
    let listen = format!("127.0.0.1:{port}");
    let app = App::start_at(&listen, new_folder(), &fake.url(), &[&FAST[..], &flags].concat());
    let feed: Value = serde_json::from_slice(&app.get("/tidewatch/json").body).unwrap();
    assert_eq!(feed["feed_url"], format!("{public_url}/tidewatch/json"));
    let item =
        feed["items"].as_array().unwrap().iter().find(|item| item["id"] == "https://t.me/tidewatch/201");
    let body = item.unwrap()["content_html"].as_str().unwrap();
    assert!(body.contains(&format!("<img src=\"{media_url}/-/media/")), "{body}");
    let script = format!(
        "const picture = document.querySelector('img');
         const report = (event) => {{ new Image().src = '{}/reports/' + event; }};
         picture.onload = () => report('loaded-' + picture.naturalWidth);
         picture.onerror = () => report('error');
         picture.src = picture.src;",
        fake.url()
    );
    let file = app.folder.join("post.html");
    fs::write(&file, format!("<!DOCTYPE html><body>{body}<script>{script}</script></body>")).unwrap();
    let _browser = Browser::open(&file, "MAP pictures.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    fake.wait_for("/reports/loaded-1");
}
