//! CPU-bound jobs (parsing, rendering, compressing), kept off the threads that answer requests.
//!
//! A job allocates and frees much memory. What is kept of its result should be copied by another thread: between a job's own
//! allocations, small blocks that stay would keep the allocator from using the freed memory well.

use std::io;
use std::num::NonZero;
use std::sync::LazyLock;
use std::thread;

use futures_util::future::OptionFuture;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::{JoinError, spawn_blocking};

/// The threads that run jobs, one for each permit. Tokio's blocking threads become many more, and the allocator keeps some
/// megabytes for each thread that has run a job. `None` if threads cannot be started, and in unit tests: their paused time
/// stands still only while blocking threads work.
static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let threads = || Builder::new_multi_thread().worker_threads(n_permits()).thread_name("cpu-pool").build();
    if cfg!(test) { None } else { threads().ok() }
});

/// Process-wide, like the cores. `None` in unit tests, which share a process: waiting for the permit of another test would
/// let their paused time advance.
static LIMITS: LazyLock<Option<Limits>> = LazyLock::new(|| (!cfg!(test)).then(|| Limits::new(n_permits())));

/// How many jobs run at a time.
struct Limits {
    /// One permit per core, and at least two: more jobs at a time would only take memory and delay the threads that answer
    /// requests.
    all: Semaphore,
    /// Half of the permits. A job with much input, which may be a hostile page or its feed, needs one of these too, so that
    /// such jobs wait for each other, and the jobs of other channels do not wait for them.
    heavy: Semaphore,
}

/// A job holds these permits until its end.
struct Permits<'a> {
    _all: Option<SemaphorePermit<'a>>,
    _heavy: Option<SemaphorePermit<'a>>,
}

impl Limits {
    fn new(n_permits: usize) -> Self {
        Self { all: Semaphore::new(n_permits), heavy: Semaphore::new(n_permits / 2) }
    }

    async fn acquire(&self, n_bytes: usize) -> Permits<'_> {
        // The semaphores are never closed.
        let heavy = if n_bytes > MAX_LIGHT_BYTES { self.heavy.acquire().await.ok() } else { None };
        Permits { _all: self.all.acquire().await.ok(), _heavy: heavy }
    }
}

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
pub(crate) fn run<T: Send + 'static>(
    n_bytes: usize,
    job: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, JoinError>> + Send {
    run_within(LIMITS.as_ref(), n_bytes, job)
}

async fn run_within<T: Send + 'static>(
    limits: Option<&'static Limits>,
    n_bytes: usize,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let permits = OptionFuture::from(limits.map(|limits| limits.acquire(n_bytes))).await;
    let job = move || {
        let _permits = permits;
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
        static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits::new(2));
        let ((begun, has_begun), (end, may_end)) = (tokio::sync::oneshot::channel(), mpsc::channel());
        let caller = tokio::spawn(run_within(Some(&LIMITS), MAX_LIGHT_BYTES + 1, move || {
            begun.send(()).unwrap();
            may_end.recv().unwrap();
        }));
        has_begun.await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert_eq!((LIMITS.all.available_permits(), LIMITS.heavy.available_permits()), (1, 0));
        end.send(()).unwrap();
    }
}
