//! CPU-bound jobs (parsing, rendering, compressing), kept off the threads that answer requests.
//!
//! A job allocates and frees much memory. What is kept of its result should be copied by another thread: between a job's own
//! allocations, small blocks that stay would keep the allocator from using the freed memory well.

use std::io;
use std::num::NonZero;
use std::sync::LazyLock;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// The threads that run jobs, one for each permit. Tokio's blocking threads become many more, and the allocator keeps some
/// megabytes for each thread that has run a job. `None` if threads cannot be started, and in unit tests: their paused time
/// stands still only while blocking threads work.
static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let threads = || Builder::new_multi_thread().worker_threads(n_permits()).thread_name("cpu-pool").build();
    if cfg!(test) { None } else { threads().ok() }
});

/// One permit per core, and at least two: more jobs at a time would only take memory and delay the threads that answer
/// requests. Process-wide, like the cores.
static PERMITS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(n_permits()));

/// Half of the permits. A job with much input, which may be a hostile page or its feed, needs one of these too, so that
/// such jobs wait for each other, and the jobs of other channels do not wait for them.
static HEAVY_PERMITS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(n_permits() / 2));

/// More input than this is much: nearly twice the largest page seen.
const MAX_LIGHT_BYTES: usize = 256 << 10;

fn n_permits() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).max(2)
}

/// Runs a job with an input of `n_bytes`, once a core is free. A job that has begun goes on if its caller leaves.
///
/// # Errors
///
/// [`JoinError`] if the job panics.
pub(crate) async fn run<T: Send + 'static>(
    n_bytes: usize,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    // The semaphores are never closed. Unit tests share the permits, and waiting for another test's would let their paused
    // time advance.
    let heavy = if n_bytes > MAX_LIGHT_BYTES { HEAVY_PERMITS.acquire().await.ok() } else { None };
    let permit = if cfg!(test) { None } else { Some(PERMITS.acquire().await) };
    let job = move || {
        let _permits = (permit, heavy);
        job()
    };
    match &*THREADS {
        Some(threads) => threads.spawn(async { job() }),
        None => spawn_blocking(job),
    }
    .await
}

/// Runs a job that may fail; see [`run`].
///
/// # Errors
///
/// The error of the job, or that it panicked.
pub(crate) async fn try_run<T: Send + 'static>(
    n_bytes: usize,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    run(n_bytes, job).await.map_err(io::Error::other).flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn job_keeps_its_permits_when_its_caller_leaves() {
        let ((begun, has_begun), (end, may_end)) = (tokio::sync::oneshot::channel(), mpsc::channel());
        let caller = tokio::spawn(run(MAX_LIGHT_BYTES + 1, move || {
            begun.send(()).unwrap();
            may_end.recv().unwrap();
        }));
        has_begun.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert!(HEAVY_PERMITS.available_permits() < n_permits() / 2);
        end.send(()).unwrap();
    }
}
