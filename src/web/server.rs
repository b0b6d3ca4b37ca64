//! Accepts connections, with a timeout for everything that a client can make the service wait for.
//!
//! axum's own accept loop has no timeout for request heads, so a slowloris client could hold connections open forever.
//! hyper-util's graceful shutdown is not used: it closes connections whose first request has not arrived, so a client that
//! has just connected would see an error.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use futures_util::{FutureExt, Stream, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;

use super::connections::{Connection, Connections};
use super::middleware::{self, limits::MAX_HEAD_BYTES};
use super::router::{metrics_router, router};
use super::state::AppState;
use crate::resilience::keep_running::keep_running;

/// Time to receive a request head, from the moment the connection is idle.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// [`HEADER_READ_TIMEOUT`] of a connection that is accepted when the limit of connections is near.
const CROWDED_HEADER_READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a client may stop reading a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that wait to be accepted.
pub const ACCEPT_BACKLOG: u32 = 1024;

/// Header lines of a request.
const MAX_HEADERS: usize = 100;

/// Connections at a time, if the system allows as many open files.
const MAX_CONNECTIONS: u64 = 4096;

/// Connections to the metrics listener at a time.
const MAX_METRICS_CONNECTIONS: usize = 16;

/// File descriptors for everything else: connections to Telegram, DNS, the data directory.
const RESERVED_FILES: u64 = 512;

/// On shutdown, how long to wait for the first request of a connection that has not sent one.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(2);

/// On shutdown, how long to wait for requests in flight.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How often expired state is removed.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The pause after a failed `accept`, for example for lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Serves until the first item of `shutdown`, then drains: the readiness check fails, but requests are still answered. A
/// second item or [`DRAIN_TIMEOUT`] aborts the requests that are left.
pub async fn serve<S>(listener: TcpListener, state: Arc<AppState>, mut shutdown: S)
where
    S: Stream<Item = ()> + Send + Unpin,
{
    let router = router(&state);
    let connections = Connections::new(max_connections());
    let (draining, is_draining) = watch::channel(false);
    let upkeep = tokio::spawn({
        let (state, connections) = (Arc::clone(&state), Arc::clone(&connections));
        keep_running("upkeep", move || run_upkeep(Arc::clone(&state), Arc::clone(&connections)))
    });
    let serve = |(stream, peer): (TcpStream, SocketAddr)| {
        if let Some(connection) = connections.admit(state.limited_client(peer.ip())) {
            let (state, router) = (Arc::clone(&state), router.clone());
            let answer =
                move |request| middleware::handle(Arc::clone(&state), router.clone(), peer.ip(), request);
            tokio::spawn(serve_connection(stream, connection, is_draining.clone(), answer));
        }
    };
    let accept = async |until: &mut (dyn Future<Output = ()> + Send + Unpin)| {
        loop {
            tokio::select! {
                biased;
                () = &mut *until => break,
                accepted = next_connection(&listener) => serve(accepted),
            }
        }
        // Connections that are waiting already are served, but not those that keep coming.
        for _ in 0..ACCEPT_BACKLOG {
            let waiting = tokio::task::unconstrained(next_connection(&listener)).now_or_never();
            let Some(accepted) = waiting else { break };
            serve(accepted);
        }
    };
    accept(&mut shutdown.next().map(drop)).await;
    state.stop_being_ready();
    draining.send_replace(true);
    let drained = async {
        tokio::select! {
            () = connections.all_closed() => {}
            () = tokio::time::sleep(DRAIN_TIMEOUT) => {
                tracing::warn!(timeout_s = DRAIN_TIMEOUT.as_secs(), "aborting requests that are still in flight");
            }
            _ = shutdown.next() => tracing::warn!("received a second shutdown signal; aborting requests in flight"),
        }
    };
    accept(&mut Box::pin(drained)).await;
    upkeep.abort();
}

/// Serves metrics and health checks on their own listener for as long as the process runs.
pub async fn serve_metrics(listener: TcpListener, state: Arc<AppState>) {
    let router = metrics_router(Arc::clone(&state));
    let connections = Connections::new(MAX_METRICS_CONNECTIONS);
    let (_draining, is_draining) = watch::channel(false);
    loop {
        let (stream, _) = next_connection(&listener).await;
        if let Some(connection) = connections.admit(None) {
            let (state, router) = (Arc::clone(&state), router.clone());
            let answer = move |request: Request<Incoming>| {
                let (state, router) = (Arc::clone(&state), router.clone());
                async move { middleware::call(&state, router, request.map(Body::new)).await }
            };
            tokio::spawn(serve_connection(stream, connection, is_draining.clone(), answer));
        }
    }
}

async fn run_upkeep(state: Arc<AppState>, connections: Arc<Connections>) {
    let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        interval.tick().await;
        state.run_upkeep();
        connections.log_closed();
    }
}

/// Derives the connection limit from `RLIMIT_NOFILE`; running out of descriptors would look like an upstream failure.
fn max_connections() -> usize {
    let files = rlimit::increase_nofile_limit(MAX_CONNECTIONS + RESERVED_FILES).unwrap_or(1024);
    let connections = files.saturating_sub(RESERVED_FILES).clamp(1, MAX_CONNECTIONS);
    if connections < MAX_CONNECTIONS {
        tracing::warn!(
            open_files = files,
            connections,
            "the limit of open files reduces the number of connections"
        );
    }
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Accepts the next connection.
async fn next_connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(err) => {
                tracing::warn!(error = %err, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

fn http_builder(connection: &Connection) -> http1::Builder {
    let header_read_timeout =
        if connection.is_crowded { CROWDED_HEADER_READ_TIMEOUT } else { HEADER_READ_TIMEOUT };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(header_read_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    http
}

/// Wraps a connection so that it is closed if the client stops reading.
fn with_write_timeout(stream: TcpStream) -> TokioIo<Pin<Box<TimeoutStream<TcpStream>>>> {
    // Responses are written in one piece, so waiting to fill packets would only delay them.
    drop(stream.set_nodelay(true));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    TokioIo::new(Box::pin(stream))
}

/// Serves one connection until its end. If it has to make room for another one, or during shutdown, it ends as soon as it
/// has no request in flight.
async fn serve_connection<F: Future<Output = Response>>(
    stream: TcpStream,
    connection: Connection,
    mut is_draining: watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F,
) {
    // A connection accepted during shutdown gets one request.
    let keep_alive = !*is_draining.borrow();
    let service = service_fn(|request: Request<Incoming>| {
        connection.on_request();
        answer(request).map(Ok::<_, Infallible>)
    });
    let http = http_builder(&connection)
        .keep_alive(keep_alive)
        .serve_connection(with_write_timeout(stream), service);
    tokio::pin!(http);
    let drained = async {
        drop(is_draining.wait_for(|is_draining| *is_draining).await);
        drop(tokio::time::timeout(FIRST_REQUEST_GRACE, connection.requested()).await);
    };
    let ended = tokio::select! {
        ended = http.as_mut() => Some(ended),
        () = connection.must_end() => None,
        () = drained => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None if !connection.has_requested() => return,
        None => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    // Disconnects are normal, and hyper has already answered malformed requests.
    if let Err(err) = ended {
        tracing::debug!(error = %err, "connection failed");
    }
}
