//! What the archive adds to the pages: signature lines of channels, sizes of files.

use std::fmt::Write;

use jiff::SignedDuration;

use super::history::{FEED, HASTY, NAME, channel, feed, service, start};
use super::kinds;
use crate::support::app::App;
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
