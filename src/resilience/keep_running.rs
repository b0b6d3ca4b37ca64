//! Tasks that last as long as the process.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::metrics;

/// The pause after a panic, so that a task that panics at once does not fill the log.
const PAUSE: Duration = Duration::from_secs(10);

/// Runs a task to its end. If it panics, the panic is logged and counted, and the task is started again after a pause.
pub(crate) async fn keep_running<F: Future<Output = ()>>(task: &'static str, start: impl Fn() -> F) {
    while AssertUnwindSafe(start()).catch_unwind().await.is_err() {
        metrics::panic();
        tracing::error!(task, "a background task panicked; starting it again");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again() {
        let n_started = Cell::new(0);
        keep_running("test", async || {
            n_started.set(n_started.get() + 1);
            assert!(n_started.get() == 3, "on purpose");
        })
        .await;
        assert_eq!(n_started.get(), 3);
    }
}
