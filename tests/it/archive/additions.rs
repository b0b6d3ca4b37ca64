//! The additions of the archive to the pages: signature lines of channels, sizes of files.

use std::fmt::Write;

use jiff::SignedDuration;

use super::history::{FEED, HASTY, NAME, channel, feed, service, start};
use super::kinds;
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram, voice};
use crate::support::wait::wait_until;

/// Seven of twelve posts end with the channel's signature, and the newest consists of it.
#[test]
fn signature_line_is_no_title_whatever_else_the_feed_shows() {
    const SIGNATURE: &str = "Tea Club of the Harbour";
    let title_of = |app: &App, target: &str| feed(app, target)["items"][0]["title"].clone();
    for kind in kinds() {
        let (fake, history) = channel(11);
        {
            let mut history = history.lock().unwrap();
            let newest = history.publish(1, start() + SignedDuration::from_hours(1));
            for post in history.posts.values_mut().take(6) {
                write!(post.text, "<br/>{SIGNATURE}").unwrap();
            }
            SIGNATURE.clone_into(&mut history.posts.get_mut(&newest).unwrap().text);
        }
        let app = service(&kind, &fake, &HASTY);
        for target in [FEED, "/old_harbour/json?limit=1"] {
            assert_eq!(title_of(&app, target), "Photo", "{}: {target}", kind.name);
        }
        // The signature is kept when most posts no longer have it, and over a restart.
        for n in 0..30 {
            history.lock().unwrap().publish(0, start() + SignedDuration::from_hours(2 + n));
        }
        app.refresh(&fake, NAME);
        let app = App::start_in(app.stop(), &fake.url(), &[&HASTY[..], &kind.flags()].concat());
        let target = "/old_harbour/json?before=13&limit=1";
        wait_until("the older post is there", || !feed(&app, target)["items"].as_array().unwrap().is_empty());
        assert_eq!(title_of(&app, target), "Photo", "{}", kind.name);
        let ends_with_text = title_of(&app, "/old_harbour/json?before=2&limit=1");
        assert_eq!(ends_with_text, "Post 1 of old_harbour", "{}", kind.name);
    }
}

/// No request asks Telegram only for a size. Pictures are looked at whenever a post is read: if feeds had their sizes, readers
/// that compare enclosures would show such a post as new.
#[test]
fn size_of_a_served_file_is_published_and_kept_unless_it_is_a_picture() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        let mut history = FakeChannel::new(NAME, 20);
        history.media_base_url = fake.url();
        history.publish(1, start());
        let voice_id = history.publish(0, start() + SignedDuration::from_mins(1));
        history.posts.get_mut(&voice_id).unwrap().is_voice = true;
        let history = fake.add_channel(history);
        let host = fake.host();
        let flags = [&HASTY[..], &["--media-hosts", &host], &kind.flags()].concat();
        let app = App::start(&fake.url(), &flags);
        let attachments = |app: &App| {
            let feed = feed(app, FEED);
            [0, 1].map(|n| feed["items"][n]["attachments"][0].clone())
        };
        let sizes = |app: &App| attachments(app).map(|attachment| attachment["size_in_bytes"].as_u64());
        assert_eq!(sizes(&app), [None, None], "{}", kind.name);
        let [voice_url, picture_url] = attachments(&app).map(|attachment| {
            let url = attachment["url"].as_str().unwrap();
            url[url.find("/-/media/").unwrap()..].to_owned()
        });
        for url in [picture_url, voice_url] {
            assert_eq!(app.get(&url).status, 200, "{}", kind.name);
        }
        let expected = [u64::try_from(voice(NAME, voice_id).len()).ok(), None];
        wait_until("the size is published", || sizes(&app) == expected);
        for file in ["1.jpg", "2.ogg"] {
            assert_eq!(fake.count(&format!("/file/old_harbour-{file}?token=0")), 1, "{}: {file}", kind.name);
        }
        // Telegram's URLs of the files change, the files do not.
        history.lock().unwrap().token += 1;
        app.refresh(&fake, NAME);
        let rss = app.get("/old_harbour/rss").text().to_owned();
        let length = format!("length=\"{}\"", expected[0].unwrap());
        assert!(rss.contains(&length) && rss.contains("length=\"0\""), "{}: {rss}", kind.name);
        assert!(!app.get(FEED).text().contains("date_modified"), "{}: the post is not edited", kind.name);
        let folder = app.stop();
        fake.override_all(Answer::status(500));
        assert_eq!(sizes(&App::start_in(folder, &fake.url(), &flags)), expected, "{}", kind.name);
    }
}
