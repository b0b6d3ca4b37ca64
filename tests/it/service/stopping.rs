//! A stop that nobody notices: what is under way is finished.

use std::thread;

use super::{PREVIEW, RSS, service};
use crate::support::fake::{Answer, Gate};
use crate::support::http;
use crate::support::page;

#[test]
fn a_request_under_way_is_finished_before_the_program_ends() {
    let (fake, mut app) = service(&[]);
    let gate = Gate::default();
    fake.on(PREVIEW, Answer { gate: Some(gate.clone()), ..Answer::page(&page("text")) });
    assert_eq!(app.get("/-/readyz").status, 200);
    let address = app.address;
    let reader = thread::spawn(move || http::ask(address, "GET", RSS, &[]));
    fake.wait_for(PREVIEW);
    app.terminate();
    app.wait_for_log("stopping");
    assert_eq!((app.get("/-/readyz").status, app.get("/-/healthz").status), (503, 200));
    gate.open();
    assert_eq!(reader.join().unwrap().status, 200);
    assert_eq!(app.exit_code(), Some(0));
}

#[test]
fn a_program_that_says_it_serves_can_be_stopped_in_the_next_moment() {
    let start_and_stop = || {
        let (_fake, mut app) = service(&[]);
        app.terminate();
        assert_eq!(app.exit_code(), Some(0));
    };
    // Many at a time: the fewer cores are free, the longer a program stands between its words and its next step.
    thread::scope(|scope| (0..40).for_each(|_| drop(scope.spawn(start_and_stop))));
}

#[test]
fn an_idle_program_ends_at_once() {
    let (_fake, mut app) = service(&[]);
    let kept = http::send(app.address, "GET", "/-/healthz", &[("Connection", "keep-alive")]);
    app.terminate();
    assert_eq!(app.exit_code(), Some(0));
    drop(kept);
}
