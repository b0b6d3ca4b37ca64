//! Signals of the operator to shut down or to reload. `cli::archive` ends a backfill at them. `cli::serve` logs them,
//! `web::server` drains connections, and `service` then closes the archive.

use std::io;
use std::task::Poll;

use futures_util::stream::{self, Stream};
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::ctrl_c;

/// Returns a stream with one item per shutdown signal: SIGINT (Ctrl-C) or SIGTERM (systemd, containers).
///
/// From this call on, these signals no longer terminate the process.
///
/// # Errors
///
/// If the signal handlers cannot be installed.
pub fn shutdown_signals() -> io::Result<impl Stream<Item = ()> + Send + Unpin> {
    #[cfg(unix)]
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    #[cfg(windows)]
    let mut interrupt = ctrl_c()?;
    Ok(stream::poll_fn(move |cx| {
        #[cfg(unix)]
        if terminate.poll_recv(cx).is_ready() {
            return Poll::Ready(Some(()));
        }
        interrupt.poll_recv(cx).map(|_| Some(()))
    }))
}

/// Returns a stream with one item per signal to reload the settings: SIGHUP, which systems without it never send.
///
/// From this call on, the signal no longer terminates the process.
///
/// # Errors
///
/// If the signal handler cannot be installed.
pub fn reload_signals() -> io::Result<impl Stream<Item = ()> + Send + Unpin> {
    #[cfg(unix)]
    {
        let mut hangup = signal(SignalKind::hangup())?;
        Ok(stream::poll_fn(move |cx| hangup.poll_recv(cx).map(|_| Some(()))))
    }
    #[cfg(windows)]
    Ok(stream::pending())
}
