//! A value that some threads change and others wait for, so that no test sleeps in hope.

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for. Longer than the program's own deadlines, on a slow machine.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    /// Changes the value and wakes those who wait for that.
    pub(crate) fn update(&self, update: impl FnOnce(&mut T)) {
        update(&mut self.value.lock().unwrap());
        self.changed.notify_all();
    }

    /// Looks at the value as it is now.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.value.lock().unwrap())
    }

    /// Waits until the value is as wanted; whether that came in time.
    #[must_use]
    pub(crate) fn wait_for(&self, wanted: impl Fn(&T) -> bool) -> bool {
        let value = self.value.lock().unwrap();
        let (_value, end) =
            self.changed.wait_timeout_while(value, WAIT_TIMEOUT, |value| !wanted(value)).unwrap();
        !end.timed_out()
    }
}

/// Looks again and again until something is as wanted, which it has to become in time.
pub(crate) fn wait_until(what: &str, wanted: impl Fn() -> bool) {
    let until = Instant::now() + WAIT_TIMEOUT;
    while !wanted() {
        assert!(Instant::now() < until, "not in time: {what}");
        thread::yield_now();
    }
}
