//! The service: addresses, answers, errors. The only code that knows axum.

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
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::{PublicUrl, ServeArgs};
use crate::guard::WayError;
use crate::media::MediaKeys;
use crate::refresh::Channels;
use error::Error;
use feeds::RenderedFeeds;
use media::Media;

pub use server::serve;

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
    pub fn new(channels: Arc<Channels>, keys: MediaKeys, args: &ServeArgs) -> Result<Self, WayError> {
        Ok(Self(Arc::new(Shared {
            channels,
            rendered: RenderedFeeds::new(args.cache_size),
            public_url: args.public_url.clone(),
            trusted_proxies: args.trusted_proxies.clone(),
            listen: args.listen,
            media: Media::new(keys, args)?,
            requests: Semaphore::new(MAX_REQUESTS as usize),
            ready: AtomicBool::new(true),
            n_panics: AtomicU64::new(0),
        })))
    }

    fn stop_being_ready(&self) {
        self.0.ready.store(false, Ordering::Relaxed);
    }
}

/// Every address of the service.
pub fn router(app: App) -> Router {
    let health = Router::new()
        .route("/-/healthz", get(async || "ok\n"))
        .route("/-/readyz", get(ready))
        .with_state(app.clone());
    let feeds = Router::new().route("/", get(pages::home)).route("/{*address}", get(feeds::answer));
    // Files have limits of their own, so that they never take a feed's place.
    let files = Router::new().route("/-/media/{*file}", get(media::answer)).with_state(app.clone());
    armoured(feeds, &app).with_state(app).merge(files).merge(health)
}

/// `/-/readyz`: whether requests should be sent here; no longer once the service was asked to stop.
async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.0.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

/// Routes that answer whatever happens: too many requests, one that takes too long, a panic.
fn armoured(router: Router<App>, app: &App) -> Router<App> {
    let panicked = {
        let app = app.clone();
        move |_: Box<dyn Any + Send>| {
            let n = app.0.n_panics.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(panics = n, "a request made telewire panic");
            Error::Broken.answer(&HeaderMap::new())
        }
    };
    router.layer(middleware::from_fn_with_state(app.clone(), limit)).layer(CatchPanicLayer::custom(panicked))
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
