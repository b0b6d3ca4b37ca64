//! Posts that are edited, deleted, hidden, incomplete or late.

use std::thread;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::history::{CALM, FEED, HASTY, NAME, channel, feed, ids, service, start, wait_for_feed};
use super::kinds;
use crate::support::app::{self, App};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::now;
use crate::support::wait::wait_until;

#[test]
fn edit_changes_updated_only() {
    for kind in kinds() {
        let (fake, history) = channel(5);
        let app = service(&kind, &fake, &HASTY);
        let before = feed(&app, FEED);
        let answer = app.get("/old_harbour/atom");
        history.lock().unwrap().edit(3);
        let begun = Timestamp::from_second(now().as_second()).unwrap();
        app.refresh(&fake, NAME);
        let after = feed(&app, FEED);
        for (before, after) in
            before["items"].as_array().unwrap().iter().zip(after["items"].as_array().unwrap())
        {
            assert_eq!((&before["id"], &before["date_published"]), (&after["id"], &after["date_published"]));
            if after["id"] == "https://t.me/old_harbour/3" {
                assert!(after["content_html"].as_str().unwrap().contains("edited"), "{after}");
                let updated: Timestamp = after["date_modified"].as_str().unwrap().parse().unwrap();
                assert!(begun <= updated && updated <= now(), "{}: {updated}", kind.name);
            } else {
                assert_eq!(before, after, "{}", kind.name);
            }
        }
        let since = [("If-Modified-Since", answer.header("Last-Modified").unwrap())];
        assert_eq!(
            app.ask("GET", "/old_harbour/atom", &since).status,
            200,
            "a reader without an ETag gets the edit"
        );
    }
}

/// The author deletes all posts but the first. A page shows it beside new posts then, and spans all that were archived.
#[test]
fn posts_after_a_deleted_history_are_archived() {
    const OLD: u32 = 1200;
    for kind in kinds() {
        for n_new in [10, 150] {
            let fake = FakeTelegram::start();
            let history = fake.add_channel(FakeChannel::new(NAME, 100));
            let publish = |n: u32| {
                let mut history = history.lock().unwrap();
                for _ in 0..n {
                    let at = start() + SignedDuration::from_secs(history.next_id.into());
                    history.publish(0, at);
                }
            };
            let app = service(&kind, &fake, &HASTY);
            for _ in 0..OLD / 80 {
                publish(80);
                app.refresh(&fake, NAME);
            }
            history.lock().unwrap().posts.retain(|id, _| *id == 1);
            publish(n_new);
            let expected: Vec<u32> = (OLD + 1..=OLD + n_new).rev().collect();
            let has_new = |feed: &Value| ids(feed).starts_with(&expected);
            wait_for_feed(&app, kind.name, has_new);
            if n_new == 10 {
                wait_for_feed(&app, "deleted posts are gone", |feed| ids(feed).get(10..) == Some(&[1]));
            }
            let folder = app.stop();
            fake.override_all(Answer::status(500));
            let app = App::start_in(folder, &fake.url(), &[&HASTY[..], &kind.flags()].concat());
            wait_for_feed(&app, "the new posts are archived", has_new);
        }
    }
}

#[test]
fn deleted_post_leaves_the_feed_and_stays_archived() {
    for kind in kinds() {
        let (fake, history) = channel(5);
        let app = service(&kind, &fake, &HASTY);
        feed(&app, FEED);
        let old = app.get("/old_harbour/rss");
        history.lock().unwrap().posts.remove(&3);
        app.refresh(&fake, NAME);
        assert_eq!(ids(&feed(&app, FEED)), [5, 4, 2, 1], "{}", kind.name);
        let since = [("If-Modified-Since", old.header("Last-Modified").unwrap())];
        assert_eq!(
            app.ask("GET", "/old_harbour/rss", &since).status,
            200,
            "a deletion changes Last-Modified"
        );
        let export = app::run_in(&app.folder, &[&["archive", "export", NAME], &kind.flags()[..]].concat());
        let lines: Vec<Value> =
            export.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["kind"], &lines[0]["version"]), (&"channel".into(), &1.into()), "{export:?}");
        let posts: Vec<_> = lines.iter().filter(|line| line["kind"] == "post").collect();
        assert_eq!(
            posts.iter().map(|line| line["post"]["id"].as_u64().unwrap()).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5]
        );
        assert_eq!(
            posts.iter().map(|line| line["gone"].is_string()).collect::<Vec<_>>(),
            [false, false, true, false, false]
        );
    }
}

#[test]
fn hidden_post_is_recovered_from_its_own_page_and_widget() {
    for kind in kinds() {
        let (fake, history) = channel(2);
        for _ in 0..2 {
            history.lock().unwrap().publish(1, start() + SignedDuration::from_mins(9));
        }
        for (id, post) in history.lock().unwrap().posts.range_mut(2..) {
            post.is_hidden = true;
            // Post 4 has text only in its widget.
            post.has_widget = *id > 2;
        }
        fake.on("/old_harbour/4", Answer::status(404));
        let app = service(&kind, &fake, &HASTY);
        feed(&app, FEED);
        let is_found = |feed: &Value| {
            let body = |n: usize| feed["items"][n]["content_html"].as_str().unwrap();
            body(2).contains("Post 2 of old_harbour")
                && [1, 0].iter().all(|n| body(*n).contains("of old_harbour") && body(*n).contains("<img"))
        };
        wait_for_feed(&app, kind.name, is_found);
        app.refresh(&fake, NAME);
        assert!(is_found(&feed(&app, FEED)), "{}: a refresh keeps the content", kind.name);
        assert_eq!(fake.count("/old_harbour/2"), 1, "{}: fetched once", kind.name);
        assert!(app.metric("telewire_hidden_posts_total") < 0.5, "{}", kind.name);
    }
}

#[test]
fn hidden_post_that_no_source_shows_is_counted_once() {
    for kind in kinds() {
        let (fake, history) = channel(3);
        {
            let post = &mut history.lock().unwrap();
            let post = post.posts.get_mut(&2).unwrap();
            (post.is_hidden, post.text) = (true, String::new());
        }
        let app = service(&kind, &fake, &HASTY);
        wait_until("the service gives up", || {
            feed(&app, FEED);
            app.metric("telewire_hidden_posts_total") > 0.0
        });
        app.refresh(&fake, NAME);
        assert!((0.5..1.5).contains(&app.metric("telewire_hidden_posts_total")), "{}", kind.name);
        let body = feed(&app, FEED)["items"][1]["content_html"].as_str().unwrap().to_owned();
        assert_eq!(body.matches("Please open Telegram").count(), 1, "{}: {body}", kind.name);
    }
}

#[test]
fn incomplete_album_is_held_back_for_a_minute() {
    for kind in kinds() {
        let (fake, history) = channel(3);
        history.lock().unwrap().publish(4, now());
        history.lock().unwrap().posts.get_mut(&4).unwrap().n_shown = 2;
        let app = service(&kind, &fake, &CALM);
        let answer = app.get("/old_harbour/rss");
        assert!(!answer.text().contains("old_harbour/4<"), "{}", kind.name);
        let max_age = answer.header("Cache-Control").unwrap().split_once("max-age=").unwrap().1;
        let max_age = max_age.trim_end_matches(", must-revalidate");
        assert!(
            max_age.parse::<u32>().unwrap() <= 61,
            "{}: fetched again when the album is complete",
            kind.name
        );
    }
}

#[test]
fn late_or_backdated_post_changes_last_modified() {
    for kind in kinds() {
        let (fake, history) = channel(3);
        let app = service(&kind, &fake, &HASTY);
        for published in [1, 2].map(|n| start() + SignedDuration::from_mins(n)) {
            let before = app.get("/old_harbour/rss");
            let since = [("If-Modified-Since", before.header("Last-Modified").unwrap())];
            let id = history.lock().unwrap().publish(0, published);
            let after = app.ask("GET", "/old_harbour/rss", &since);
            assert_eq!(after.status, 200, "{}: the post is missed", kind.name);
            assert!(after.text().contains(&format!("old_harbour/{id}<")), "{}", kind.name);
            // `Last-Modified` has whole seconds.
            thread::sleep(std::time::Duration::from_millis(1100));
        }
    }
}
