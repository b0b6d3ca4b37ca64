//! Accepting connections, with an end to everything a client can make us wait for.
//!
//! axum's own loop has no deadline for a request's head, so a client that never finishes one would keep its
//! connection for ever.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use futures_util::future::{Either, ready};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower::Service;

use super::{App, base, feeds};

/// For the head of a request, from the moment the connection is idle.
const HEAD: Duration = Duration::from_secs(10);

/// For the client to take more of an answer when it has stopped taking.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// Bytes of a request's head.
const MAX_HEAD: usize = 32 << 10;

/// Header lines of a request.
const MAX_HEADERS: usize = 100;

/// Connections at a time, if the system allows as many open files.
const MAX_CONNECTIONS: u64 = 4096;

/// Open files for everything else: asking upstreams, resolving names, the data folder.
const OTHER_FILES: u64 = 192;

/// For the requests under way when the service is asked to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// When accepting fails, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves until `stop` resolves, and then until the requests under way have ended: so long, the service is not
/// ready, but still answers. When `stop` resolves a second time, or after 20 seconds, it ends at once.
///
/// # Errors
///
/// None so far: a listener that fails is tried again.
pub async fn serve<S>(listener: TcpListener, app: App, mut stop: impl FnMut() -> S + Send) -> io::Result<()>
where
    S: Future<Output = ()> + Send,
{
    let router = super::router(app.clone());
    let max_connections = max_connections();
    let connections = Arc::new(Semaphore::new(max_connections));
    let (draining, drained) = watch::channel(false);
    let ended = Arc::new(Notify::new());
    let accept = async |until: &mut (dyn Future<Output = ()> + Send + Unpin)| {
        loop {
            tokio::select! {
                // Whoever has connected is heard, also at the very end.
                biased;
                (stream, peer, permit) = next(&listener, &connections) => {
                    let connection = connection(stream, peer, app.clone(), router.clone(), drained.clone());
                    let ended = Arc::clone(&ended);
                    tokio::spawn(async move {
                        connection.await;
                        drop(permit);
                        ended.notify_one();
                    });
                }
                () = &mut *until => return,
            }
        }
    };
    accept(&mut Box::pin(stop())).await;
    app.stop_being_ready();
    draining.send_replace(true);
    let all_ended = async {
        while connections.available_permits() < max_connections {
            ended.notified().await;
        }
    };
    let enough = async {
        tokio::select! {
            () = all_ended => {}
            () = tokio::time::sleep(DRAIN) => tracing::warn!("requests are still under way after {DRAIN:?}"),
            () = stop() => tracing::warn!("asked to stop again: requests under way are dropped"),
        }
    };
    accept(&mut Box::pin(enough)).await;
    Ok(())
}

/// As many as there may be open files for. Without any left, asking an upstream fails as if it were the upstream's
/// fault.
fn max_connections() -> usize {
    let files = rlimit::increase_nofile_limit(MAX_CONNECTIONS + OTHER_FILES).unwrap_or(1024);
    let most = files.saturating_sub(OTHER_FILES).clamp(1, MAX_CONNECTIONS);
    if most < MAX_CONNECTIONS {
        tracing::warn!("the system's limit of {files} open files leaves {most} for connections");
    }
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// The next connection, once there may be one more.
async fn next(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // The semaphore is never closed, so there is always a permit in the end.
                if let Ok(permit) = Arc::clone(connections).acquire_owned().await {
                    return (stream, peer, permit);
                }
            }
            Err(err) => {
                tracing::warn!("a connection cannot be accepted: {err}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: App,
    router: Router,
    mut drained: watch::Receiver<bool>,
) {
    // Answers are written at once and whole: waiting to fill packets only delays them.
    drop(stream.set_nodelay(true));
    // While the service ends, a connection is good for one request.
    let keep_alive = !*drained.borrow_and_update();
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL));
    let asked = Arc::new(Notify::new());
    let asking = Arc::clone(&asked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        asking.notify_one();
        // Listening on every address, IPv4 comes as IPv6.
        let peer = Peer(peer.ip().to_canonical());
        if let Err(err) = base::settle_host(&mut request) {
            return Either::Left(ready(Ok(err.answer(request.headers()))));
        }
        if let Some(answer) = feeds::kept(&app, &request, peer) {
            return Either::Left(ready(Ok(answer)));
        }
        request.extensions_mut().insert(peer);
        Either::Right(router.clone().call(request))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(keep_alive)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // Whoever has just come is still heard.
        () = async { drop(drained.changed().await); asked.notified().await } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Clients come and go as they like; what they asked for wrongly hyper has told them.
    if let Err(err) = ended {
        tracing::debug!("a connection ended: {err}");
    }
}
