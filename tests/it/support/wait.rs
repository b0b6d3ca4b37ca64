//! Waiting for conditions instead of sleeping for a fixed time.

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Timeout of everything that a test waits for: longer than the program's own timeouts, also on a slow machine.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A value that threads update and wait for.
#[derive(Default)]
pub(crate) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    /// Updates the value and wakes the waiting threads.
    pub(crate) fn update(&self, update: impl FnOnce(&mut T)) {
        update(&mut self.value.lock().unwrap());
        self.changed.notify_all();
    }

    /// Reads the current value.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.value.lock().unwrap())
    }

    /// Waits until the condition holds. `false` after [`WAIT_TIMEOUT`].
    #[must_use]
    pub(crate) fn wait_for(&self, wanted: impl Fn(&T) -> bool) -> bool {
        let value = self.value.lock().unwrap();
        let (_value, end) =
            self.changed.wait_timeout_while(value, WAIT_TIMEOUT, |value| !wanted(value)).unwrap();
        !end.timed_out()
    }
}

/// Pause between two looks at a condition, so that waiting takes no time from what is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls until the condition holds.
///
/// Panics with `what` after [`WAIT_TIMEOUT`].
pub(crate) fn wait_until(what: &str, mut wanted: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT_TIMEOUT;
    while !wanted() {
        assert!(Instant::now() < until, "timed out waiting until {what}");
        thread::sleep(POLL_INTERVAL);
    }
}
