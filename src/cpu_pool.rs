//! CPU-bound jobs (parsing, rendering, compressing), kept off the threads that answer requests.

use std::io;
use std::num::NonZero;
use std::sync::LazyLock;
use std::thread;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// One permit per core: more jobs at a time would only take memory and delay the threads that answer requests.
/// Process-wide, like the cores.
static PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)));

/// Runs a job on a blocking thread, once a core is free.
///
/// # Errors
///
/// [`JoinError`] if the job panics.
pub(crate) async fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // The semaphore is never closed.
    let permit = PERMITS.acquire().await.ok();
    let result = spawn_blocking(job).await;
    drop(permit);
    result
}

/// Runs a job that may fail; see [`run`].
///
/// # Errors
///
/// The error of the job, or that it panicked.
pub(crate) async fn try_run<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    run(job).await.map_err(io::Error::other).flatten()
}
