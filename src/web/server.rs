//! Accepting connections, with an end to everything a client can make us wait for.
//!
//! axum's own loop has no deadline for a request's head, so a client that never finishes one would keep its
//! connection for ever.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::future::{Either, ready};
use futures_util::{FutureExt, Stream, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower::Service;
use tracing::Instrument;

use super::{App, access, base, feeds};
use crate::meter::{self, Route};

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

/// Connections at a time that only ask for metrics.
const MAX_SCRAPERS: usize = 16;

/// Open files for everything else: asking upstreams for pages and files, resolving names, the data folder.
const OTHER_FILES: u64 = 512;

/// For a connection that has not asked for anything, when the service is asked to stop: what is on its way is heard.
const LAST_CALL: Duration = Duration::from_secs(2);

/// For the requests under way when the service is asked to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// How often what grows with requests is cleared away.
const TIDY: Duration = Duration::from_secs(5);

/// When accepting fails, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves until `stops` has an item, and then until the requests under way have ended: so long, the service is not
/// ready, but still answers. At a second item, or after 20 seconds, it ends at once.
///
/// # Errors
///
/// None so far: a listener that fails is tried again.
pub async fn serve<S>(listener: TcpListener, app: App, mut stops: S) -> io::Result<()>
where
    S: Stream<Item = ()> + Send + Unpin,
{
    let router = super::router(app.clone());
    let max_connections = max_connections();
    let connections = Arc::new(Semaphore::new(max_connections));
    let (draining, drained) = watch::channel(false);
    let ended = Arc::new(Notify::new());
    let tidying = tokio::spawn(tidy(app.clone()));
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
    accept(&mut stops.next().map(drop)).await;
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
            _ = stops.next() => tracing::warn!("asked to stop again: requests under way are dropped"),
        }
    };
    accept(&mut Box::pin(enough)).await;
    tidying.abort();
    Ok(())
}

/// Clears away what grows with the number of requests and clients.
async fn tidy(app: App) {
    let mut times = tokio::time::interval(TIDY);
    loop {
        times.tick().await;
        app.tidy();
    }
}

/// Gives metrics at an address of their own, for as long as the program runs.
pub async fn serve_metrics(listener: TcpListener, app: App) {
    let router = super::router_of_metrics(app);
    let connections = Arc::new(Semaphore::new(MAX_SCRAPERS));
    loop {
        let (stream, _, permit) = next(&listener, &connections).await;
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| router.clone().call(request));
        tokio::spawn(async move {
            if let Err(err) = http().serve_connection(patient(stream), service).await {
                tracing::debug!("a connection for metrics ended: {err}");
            }
            drop(permit);
        });
    }
}

/// The header that has a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What tells a request from others, in log lines and answers.
#[derive(Clone, Copy, Debug)]
struct RequestId(u64);

impl RequestId {
    /// Numbers rise by one, from where no other run of the program has begun.
    fn next() -> Self {
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(fastrand::u64(..) & !0xff_ffff));
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
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

/// How connections are served.
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    http
}

/// A connection that ends when its client takes nothing any more.
fn patient(stream: TcpStream) -> TokioIo<Pin<Box<TimeoutStream<TcpStream>>>> {
    // Answers are written at once and whole: waiting to fill packets only delays them.
    drop(stream.set_nodelay(true));
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL));
    TokioIo::new(Box::pin(stream))
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: App,
    router: Router,
    mut drained: watch::Receiver<bool>,
) {
    // While the service ends, a connection is good for one request.
    let keep_alive = !*drained.borrow();
    let asked = Arc::new(Notify::new());
    let asking = Arc::clone(&asked);
    let service = service_fn(move |mut request: Request<Incoming>| {
        asking.notify_one();
        let begun = Instant::now();
        // Listening on every address, IPv4 comes as IPv6.
        let peer = Peer(peer.ip().to_canonical());
        let admitted = base::settle_host(&mut request).and_then(|()| app.admit(&mut request, peer));
        // What proves that the client may read is not part of the path any more.
        let route = Route::of(request.uri().path());
        let id = RequestId::next();
        let is_private = app.needs_token() && route != Route::Media;
        let finish = move |mut answer: Response| {
            if is_private {
                access::close(answer.headers_mut());
            }
            meter::answered(route, answer.status().as_u16(), begun.elapsed());
            answer.headers_mut().insert(REQUEST_ID, id.header());
            Ok::<_, Infallible>(answer)
        };
        if let Err(err) = admitted {
            return Either::Left(ready(finish(err.answer(request.headers()))));
        }
        if let Some(answer) = feeds::kept(&app, &request, peer) {
            return Either::Left(ready(finish(answer)));
        }
        request.extensions_mut().insert(peer);
        let span = tracing::info_span!("request", id = %id);
        let answer = router.clone().call(request).instrument(span);
        Either::Right(answer.map(move |answer| answer.and_then(finish)))
    });
    let connection = http().keep_alive(keep_alive).serve_connection(patient(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        has_asked = async {
            drop(drained.wait_for(|is_drained| *is_drained).await);
            tokio::time::timeout(LAST_CALL, asked.notified()).await.is_ok()
        } => {
            if !has_asked {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Clients come and go as they like; what they asked for wrongly hyper has told them.
    if let Err(err) = ended {
        tracing::debug!("a connection ended: {err}");
    }
}
