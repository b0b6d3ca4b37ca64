//! ffprobe and Chromium play and seek in a video that the service streams, and Chromium shows a picture.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{FAST, KEY};
use crate::support::app::{App, new_folder};
use crate::support::browser::Browser;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::{are_installed, page};

/// Returns a video of one minute with its index at the end, so that players request ranges of it.
pub(crate) fn video() -> Vec<u8> {
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

#[test]
fn browser_seeks_in_a_video_of_a_feed() {
    const TEST: &str = "browser_seeks_in_a_video_of_a_feed";
    let Some(browser) = Browser::shared(TEST).filter(|_| are_installed(&["ffmpeg"], TEST)) else { return };
    let (_fake, app, body) = publish(video());
    let file = app.folder.join("post.html");
    fs::write(&file, format!("<!DOCTYPE html><body>{body}</body>")).unwrap();
    let tab = browser.tab();
    tab.open(&format!("file://{}", file.display()));
    tab.eval("const video = document.querySelector('video'); video.muted = true; video.preload = 'auto'; video.load();");
    tab.wait_until("video.readyState >= HTMLMediaElement.HAVE_METADATA");
    tab.eval("video.currentTime = 45; null");
    tab.wait_until("!video.seeking && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA");
    assert_eq!(tab.eval("[video.currentTime, video.duration].map(Math.round)"), json!([45, 60]));
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
    let file = app.folder.join("post.html");
    fs::write(&file, format!("<!DOCTYPE html><body>{body}</body>")).unwrap();
    let browser = Browser::start("MAP pictures.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    let tab = browser.tab();
    tab.open(&format!("file://{}", file.display()));
    tab.wait_until("document.querySelector('img').complete");
    assert_eq!(tab.eval("document.querySelector('img').naturalWidth"), 1);
}
