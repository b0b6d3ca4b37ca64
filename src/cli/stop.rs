//! Being asked to stop.

use std::io;
use std::task::Poll;

use futures_util::stream::{self, Stream};
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::ctrl_c;

/// An item each time the program is asked to stop: by Ctrl-C, or by the signal that systemd and containers send.
///
/// From this call on the program is not ended by them.
pub(super) fn stops() -> io::Result<impl Stream<Item = ()> + Send + Unpin> {
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
