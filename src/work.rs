//! Work that keeps a core busy for milliseconds: parsing, rendering, compressing.

use std::num::NonZero;
use std::sync::LazyLock;
use std::thread;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// As many pieces of work at a time as the machine has cores: more would only take memory, and time from the
/// threads that answer readers. The machine has its cores once, so this is the program's one static.
static CORES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)));

/// Does a piece of work away from the threads that answer readers, when its turn has come.
///
/// # Errors
///
/// When the work panics.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    // The semaphore is never closed; were it, the work would be done all the same.
    let turn = CORES.acquire().await.ok();
    let done = spawn_blocking(work).await;
    drop(turn);
    done
}
