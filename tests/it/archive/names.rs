//! Names: channels that get another one, and names that get another owner.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::history::{FEED, HASTY, NAME, feed, ids, start};
use super::kinds;
use crate::support::app::App;
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::{Answer, FakeTelegram};
use crate::support::now;
use crate::support::wait::wait_until;

const NEW_NAME: &str = "new_harbour";

/// Numeric ids of channels, which occur nowhere else in the log.
const FIRST: u64 = 1_000_000_111;
const SECOND: u64 = 1_000_000_222;

/// Shows a channel of these posts under `asked`. Its own name, as in permalinks, may be another one.
fn show(fake: &FakeTelegram, asked: &str, own: &str, number: Option<u64>, posts: &[u32]) {
    let mut history = FakeChannel::new(own, 20);
    for id in posts {
        history.next_id = *id;
        history.publish(0, start() + SignedDuration::from_mins((*id).into()));
        let text = &mut history.posts.get_mut(id).unwrap().text;
        *text = format!("Post {id} of {number:?}");
    }
    let mut page = history.preview_page(None).replace(&format!("@{own}<"), &format!("@{asked}<"));
    if let Some(number) = number {
        let view = format!("{{\"c\":-{number},\"p\":7,\"t\":1,\"h\":\"x\"}}");
        let view = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, view);
        page = page.replace("data-post=", &format!("data-view=\"{view}\" data-post="));
    }
    fake.on(&format!("/s/{asked}"), Answer::page(&page));
}

/// Returns whether the feed says that a name has another owner since today.
fn is_noted(feed: &Value, name: &str) -> bool {
    let text = feed["description"].as_str().unwrap();
    let (about, note) = text.split_once('\n').unwrap_or((text, ""));
    assert!(!about.contains("belongs to another channel"), "{text}");
    let hour_ago = now() - SignedDuration::from_hours(1);
    let note_of = |day: Timestamp| {
        format!("Since {}, @{name} belongs to another channel than before.", day.strftime("%F"))
    };
    assert!(note.is_empty() || [hour_ago, now()].map(note_of).contains(&note.to_owned()), "{note}");
    !note.is_empty()
}

/// Returns how many warnings name both owners.
fn n_warnings(app: &App) -> usize {
    let lines = app.log().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let both = |line: &Value| {
        let numbers: Vec<u64> =
            line["fields"].as_object().unwrap().values().filter_map(Value::as_u64).collect();
        line["level"] == "WARN" && numbers.contains(&FIRST) && numbers.contains(&SECOND)
    };
    lines.filter(both).count()
}

#[test]
fn name_taken_over_is_noted_and_posts_are_not_mixed() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        show(&fake, NAME, NAME, Some(FIRST), &[6, 7, 8]);
        let flags = [&HASTY[..], &["--log-format", "json"], &kind.flags()].concat();
        let app = App::start(&fake.url(), &flags);
        assert!(!is_noted(&feed(&app, FEED), NAME), "{}", kind.name);
        let before = app.get("/old_harbour/rss");
        // The new owner's posts have ids of the old one's and are older.
        show(&fake, NAME, NAME, Some(SECOND), &[4, 7]);
        app.refresh(&fake, NAME);
        let after = feed(&app, FEED);
        assert!(is_noted(&after, NAME), "{}: {after}", kind.name);
        assert_eq!(ids(&after), [7, 4], "{}", kind.name);
        assert_eq!(ids(&feed(&app, "/old_harbour/json?before=7&limit=50")), [4], "{}", kind.name);
        assert_eq!(after["items"][0]["title"], format!("Post 7 of {:?}", Some(SECOND)), "{}", kind.name);
        assert!(after["items"][0]["date_modified"].is_null(), "{}: a new post, not an edit", kind.name);
        let since = [("If-Modified-Since", before.header("Last-Modified").unwrap())];
        assert_eq!(app.ask("GET", "/old_harbour/rss", &since).status, 200, "{}", kind.name);
        // The note stays: with new posts, without numeric ids, and over a restart.
        show(&fake, NAME, NAME, None, &[4, 7, 9]);
        app.refresh(&fake, NAME);
        let later = feed(&app, FEED);
        assert_eq!(
            (later["description"].as_str(), ids(&later)),
            (after["description"].as_str(), vec![9, 7, 4])
        );
        wait_until("the warning is logged", || n_warnings(&app) > 0);
        assert_eq!(n_warnings(&app), 1, "{}", kind.name);
        let folder = app.stop();
        fake.override_all(Answer::status(500));
        assert!(is_noted(&feed(&App::start_in(folder, &fake.url(), &flags), FEED), NAME), "{}", kind.name);
    }
}

#[test]
fn renamed_channel_keeps_its_ids_and_has_no_note() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        show(&fake, NAME, NAME, Some(FIRST), &[1, 2]);
        let app = App::start(&fake.url(), &[&HASTY[..], &["--log-format", "json"], &kind.flags()].concat());
        let ids_of = |ids: &str| {
            let feed = feed(&app, &format!("{FEED}?ids={ids}"));
            let items = feed["items"].as_array().unwrap().clone();
            items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let before = ["permalink", "preview", "bare"].map(|ids| (ids, ids_of(ids)));
        show(&fake, NAME, NEW_NAME, Some(FIRST), &[1, 2, 3]);
        app.refresh(&fake, NAME);
        let after = feed(&app, FEED);
        assert_eq!(ids(&after), [3, 2, 1], "{}", kind.name);
        for (ids, before) in before {
            assert_eq!(ids_of(ids)[1..], before, "{}: ids={ids}: posts show up twice", kind.name);
        }
        assert!(!is_noted(&after, NAME), "{}", kind.name);
        // Under its new name the same posts have the same ids.
        show(&fake, NEW_NAME, NEW_NAME, Some(FIRST), &[1, 2, 3]);
        app.refresh(&fake, NEW_NAME);
        let moved = feed(&app, "/new_harbour/json");
        assert_eq!((moved["items"].clone(), is_noted(&moved, NAME)), (after["items"].clone(), false));
        assert_eq!(n_warnings(&app), 0, "{}", kind.name);
    }
}

#[test]
fn numeric_id_shown_for_the_first_time_is_no_takeover() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        let app = App::start(&fake.url(), &[&HASTY[..], &kind.flags()].concat());
        for (number, is_expected) in
            [(None, false), (Some(FIRST), false), (None, false), (Some(SECOND), true)]
        {
            show(&fake, NAME, NAME, number, &[1, 2]);
            app.refresh(&fake, NAME);
            let context = format!("{}: {number:?}", kind.name);
            assert_eq!(is_noted(&feed(&app, FEED), NAME), is_expected, "{context}");
        }
    }
}

/// An archived channel gets a second name, which was another channel's.
#[test]
fn name_that_moves_to_an_archived_channel_leads_to_its_posts() {
    for kind in kinds() {
        let fake = FakeTelegram::start();
        show(&fake, NAME, NAME, Some(FIRST), &[1, 2]);
        show(&fake, NEW_NAME, NEW_NAME, Some(SECOND), &[7, 8]);
        let app = App::start(&fake.url(), &[&HASTY[..], &kind.flags()].concat());
        let (first, second) = (feed(&app, FEED), feed(&app, "/new_harbour/json"));
        assert_eq!((ids(&first), ids(&second)), (vec![2, 1], vec![8, 7]), "{}", kind.name);
        show(&fake, NAME, NEW_NAME, Some(SECOND), &[7, 8]);
        app.refresh(&fake, NAME);
        app.refresh(&fake, NEW_NAME);
        for target in [FEED, "/new_harbour/json"] {
            let after = feed(&app, target);
            assert_eq!(after["items"], second["items"], "{}: {target}", kind.name);
            assert!(is_noted(&after, NAME), "{}: {target}", kind.name);
        }
    }
}
