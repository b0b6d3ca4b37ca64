//! The service: addresses, answers, errors. The only code that knows axum.

mod access;
mod base;
mod caching;
mod encoding;
mod error;
mod feeds;
mod media;
mod pages;
mod server;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::{AccessArgs, PublicUrl, ServeArgs};
use crate::guard::WayError;
use crate::media::MediaKeys;
use crate::meter::{self, Meter};
use crate::refresh::Channels;
use access::Access;
use error::Error;
use feeds::RenderedFeeds;
use media::Media;

pub use server::{serve, serve_metrics};

/// For one request, whatever it needs: feed readers give up after 15 seconds.
const DEADLINE: Duration = Duration::from_secs(12);

/// Requests at a time; more are turned away at once rather than all being slow.
const MAX_REQUESTS: u32 = 2048;

/// What every request works with.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    channels: Arc<Channels>,
    rendered: RenderedFeeds,
    public_url: Option<PublicUrl>,
    trusted_proxies: Vec<IpNet>,
    listen: SocketAddr,
    media: Media,
    access: Access,
    channels_served: AccessArgs,
    meter: Arc<Meter>,
    /// Metrics are given at an address of their own.
    has_own_metrics: bool,
    requests: Semaphore,
    ready: AtomicBool,
    n_panics: AtomicU64,
}

impl App {
    /// A service of these channels, whose keys sign the addresses of files.
    ///
    /// # Errors
    ///
    /// When files cannot be asked for.
    pub fn new(
        channels: Arc<Channels>,
        keys: MediaKeys,
        meter: Arc<Meter>,
        args: &ServeArgs,
    ) -> Result<Self, WayError> {
        Ok(Self(Arc::new(Shared {
            channels,
            rendered: RenderedFeeds::new(args.cache_size),
            public_url: args.public_url.clone(),
            trusted_proxies: args.trusted_proxies.clone(),
            listen: args.listen,
            media: Media::new(keys, args)?,
            access: Access::new(&args.access),
            channels_served: args.access.clone(),
            meter,
            has_own_metrics: args.metrics_listen.is_some(),
            requests: Semaphore::new(MAX_REQUESTS as usize),
            ready: AtomicBool::new(true),
            n_panics: AtomicU64::new(0),
        })))
    }

    /// Clears away what grows with the number of requests and clients.
    fn tidy(&self) {
        self.0.access.tidy();
        self.0.meter.tidy();
    }

    fn stop_being_ready(&self) {
        self.0.ready.store(false, Ordering::Relaxed);
    }
}

/// Every address of the service.
pub fn router(app: App) -> Router {
    let own = if app.0.has_own_metrics { health() } else { health().merge(metrics()) };
    let own = own.with_state(app.clone());
    let feeds = Router::new().route("/", get(pages::home)).route("/{*address}", get(feeds::answer));
    // Files have limits of their own, so that they never take a feed's place.
    let files = Router::new().route("/-/media/{*file}", get(media::answer));
    let files = caught(files, &app).with_state(app.clone());
    armoured(feeds, &app).with_state(app).merge(files).merge(own)
}

/// What tells whether the service is well.
fn health() -> Router<App> {
    Router::new().route("/-/healthz", get(async || "ok\n")).route("/-/readyz", get(ready))
}

/// What the service has counted.
fn metrics() -> Router<App> {
    Router::new().route(
        "/-/metrics",
        get(async |State(app): State<App>| {
            app.0.channels.meter();
            app.0.media.meter();
            ([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.0.meter.render())
        }),
    )
}

/// The addresses of a listener that is for metrics alone.
fn router_of_metrics(app: App) -> Router {
    health().merge(metrics()).with_state(app)
}

/// `/-/readyz`: whether requests should be sent here; no longer once the service was asked to stop. Without its archive
/// it goes on from memory, and says so.
async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.0.ready.load(Ordering::Relaxed) {
        let is_well = app.0.channels.archive_is_up();
        (StatusCode::OK, if is_well { "ready\n" } else { "ready, without the archive at the moment\n" })
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

/// Routes that answer whatever happens: too many requests, one that takes too long, a panic.
fn armoured(router: Router<App>, app: &App) -> Router<App> {
    caught(router.layer(middleware::from_fn_with_state(app.clone(), limit)), app)
}

/// Routes that answer also when they panic.
fn caught(router: Router<App>, app: &App) -> Router<App> {
    let panicked = {
        let app = app.clone();
        move |_: Box<dyn Any + Send>| {
            let n = app.0.n_panics.fetch_add(1, Ordering::Relaxed) + 1;
            meter::panicked();
            tracing::error!(panics = n, "a request made telewire panic");
            Error::Broken.answer(&HeaderMap::new())
        }
    };
    router.layer(CatchPanicLayer::custom(panicked))
}

async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let Ok(_permit) = app.0.requests.try_acquire() else {
        return Error::Overloaded.answer(&headers);
    };
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response.into_response(),
        Err(_) => Error::TooSlow.answer(&headers),
    }
}

#[cfg(test)]
mod tests;
