//! Crashes: the process is killed while it writes, many times. The archive then opens undamaged, with every post that
//! was served before.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Kind, damaged_files, kinds};
use crate::support::app::{self, App};
use crate::support::fake_channel::FakeChannel;
use crate::support::fake_telegram::FakeTelegram;
use crate::support::http;
use crate::support::wait::Monitor;

/// Number of kills. On PostgreSQL another process does the writing, so fewer are needed.
const KILLS: [(&str, u32); 2] = [("SQLite", 200), ("PostgreSQL", 20)];

#[test]
fn killed_process_loses_no_served_post() {
    // At the same time, because both wait for processes to start.
    thread::scope(|scope| {
        for kind in kinds() {
            scope.spawn(move || kill_often(&kind));
        }
    });
}

/// Kills a service again and again while it archives the posts of a channel and a reader polls its feed.
fn kill_often(kind: &Kind) {
    let (_, n_kills) = KILLS.into_iter().find(|(name, _)| *name == kind.name).unwrap();
    let fake = FakeTelegram::start();
    let start: Timestamp = "2026-05-01T08:00:00Z".parse().unwrap();
    let history = fake.add_channel(FakeChannel::with_posts("busy_pier", 3, start));
    let given = Arc::new(Mutex::new(BTreeSet::new()));
    let mut folder = app::new_folder();
    let flags = ["--fresh-min", "0s", "--fresh-max", "0s", "--rate", "100000", "--burst", "100000"];
    for n in 0..n_kills {
        let app = App::start_in(folder, &fake.url(), &[&flags[..], &kind.flags()].concat());
        let archived: BTreeSet<_> = ids(app.get("/busy_pier/rss?limit=200").text()).into_iter().collect();
        let lost: Vec<u32> = given.lock().unwrap().difference(&archived).copied().collect();
        assert!(lost.is_empty(), "{} after {n} kills: posts {lost:?} are lost", kind.name);
        let is_over = Arc::new(AtomicBool::new(false));
        let n_answers = Arc::<Monitor<usize>>::default();
        let reader = {
            let (is_over, history, given, n_answers) =
                (Arc::clone(&is_over), Arc::clone(&history), Arc::clone(&given), Arc::clone(&n_answers));
            let address = app.address;
            thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let old = {
                        let mut history = history.lock().unwrap();
                        let next = history.next_id;
                        history.publish(0, start + SignedDuration::from_secs(next.into()));
                        // Keep the history small enough for one feed page.
                        let old = next.saturating_sub(150);
                        history.posts.retain(|id, _| *id > old);
                        given.lock().unwrap().retain(|id| *id > old);
                        old
                    };
                    // The kill cuts off the last response.
                    let answer = std::panic::catch_unwind(|| {
                        http::ask(address, "GET", "/busy_pier/rss?limit=200", &[])
                    });
                    let Ok(answer) = answer else { return };
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    // The oldest of 200 posts leave the feed; they are not lost.
                    given.lock().unwrap().extend(ids(answer.text()).into_iter().filter(|id| *id > old));
                    n_answers.update(|n| *n += 1);
                }
            })
        };
        // Every other kill hits the first response, the rest a later one.
        if n % 2 == 1 {
            assert!(n_answers.wait_for(|n| *n > 0), "{}: no response", kind.name);
        }
        thread::sleep(Duration::from_micros(fastrand::u64(..30_000)));
        folder = app.kill();
        is_over.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    }
    let app = App::start_in(folder, &fake.url(), &[&flags[..], &kind.flags()].concat());
    assert_eq!(app.get("/busy_pier/rss").status, 200);
    assert!(damaged_files(&app.folder).is_empty(), "{}", kind.name);
}

/// Returns the ids of the posts in a feed.
fn ids(rss: &str) -> Vec<u32> {
    let guids = rss.split("<guid>https://t.me/busy_pier/").skip(1);
    guids.filter_map(|rest| rest.split_once('<')?.0.parse().ok()).collect()
}
