//! The service: addresses, answers, errors. The only code that knows axum.

mod caching;
mod error;
mod feeds;
mod pages;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::routing::get;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;

use crate::config::{PublicUrl, ServeArgs};
use crate::feed::options::MediaHosts;
use crate::refresh::Channels;
use feeds::RenderedFeeds;

/// What every request works with.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    channels: Arc<Channels>,
    rendered: RenderedFeeds,
    public_url: Option<PublicUrl>,
    listen: SocketAddr,
    media_hosts: MediaHosts,
}

impl App {
    /// A service of these channels.
    #[must_use]
    pub fn new(channels: Arc<Channels>, args: &ServeArgs) -> Self {
        Self(Arc::new(Shared {
            channels,
            rendered: RenderedFeeds::new(args.cache_size),
            public_url: args.public_url.clone(),
            listen: args.listen,
            media_hosts: args.source.media_hosts.clone(),
        }))
    }

    /// The base of the addresses that answers name as this service's own: as configured, else as the request
    /// says, else where the service listens.
    fn base(&self, headers: &HeaderMap) -> PublicUrl {
        if let Some(public) = &self.0.public_url {
            return public.clone();
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.contains('@'));
        match host.and_then(|host| host.parse::<Authority>().ok()) {
            Some(host) => PublicUrl::of_host(host.as_str()),
            None => PublicUrl::of_host(&self.0.listen.to_string()),
        }
    }
}

/// Serves until `shutdown` ends; requests under way are finished.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(app)).with_graceful_shutdown(shutdown).await
}

fn router(app: App) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/-/healthz", get(async || "ok\n"))
        .route("/{*address}", get(feeds::answer))
        .layer(CompressionLayer::new())
        .with_state(app)
}
