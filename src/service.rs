//! The composition root: a [`Config`] becomes the parts of a service and its background tasks.
//!
//! Used by the command line, the tests and the benchmarks alike.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, MissedTickBehavior};

use crate::archive::{Archive, ArchiveError, Retention};
use crate::channels::{Channels, ChannelsConfig, RejectedPages};
use crate::clock;
use crate::config::{Config, Storage};
use crate::media::MediaMode;
use crate::media::client::MediaClient;
use crate::media::keys::{self, StoredKeys};
use crate::media::resolver::MediaResolver;
use crate::media::signed_url::MediaKeys;
use crate::metrics::Metrics;
use crate::net::http_client::{self, HttpClientError};
use crate::resilience::keep_running::keep_running;
use crate::telegram::client::Client;
use crate::web::{self, AppState};

/// When the archive is first pruned after the start.
const FIRST_PRUNE: Duration = Duration::from_mins(1);

/// How often the archive is pruned.
const PRUNE_INTERVAL: Duration = Duration::from_hours(1);

/// How often the data directory is checked for files that were removed or replaced.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// On shutdown, how long pages that wait for the archive may take.
const LAST_MERGE_TIMEOUT: Duration = Duration::from_secs(3);

/// Size of a connection's send buffer. The system's default is megabytes, and a client that reads those slowly looks for
/// minutes as if it had stopped reading.
const SEND_BUFFER_BYTES: u32 = 256 << 10;

/// Why a service cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A socket address cannot be listened on.
    #[error("cannot listen on {address}: {err}")]
    Listen {
        /// The socket address.
        address: SocketAddr,
        /// The cause.
        err: io::Error,
    },
    /// The archive cannot be opened.
    #[error("{0}{hint}", hint = no_archive_hint(.0))]
    Archive(#[from] ArchiveError),
    /// An HTTP client cannot be built.
    #[error(transparent)]
    HttpClient(#[from] HttpClientError),
    /// The media key cannot be read.
    #[error("cannot read the media key: {0}")]
    MediaKey(io::Error),
}

/// Returns what a service can do if there is no writable data directory.
fn no_archive_hint(err: &ArchiveError) -> &'static str {
    match err {
        ArchiveError::NotWritable { .. } | ArchiveError::NotADirectory(_) => {
            ", or keep posts in memory with --no-archive"
        }
        _ => "",
    }
}

/// A service that is ready to accept connections.
pub struct Service {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<AppState>,
    archive: Arc<Archive>,
}

impl Service {
    /// Opens the archive, binds the listeners and starts the background tasks. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start(mut config: Config, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        let (listener, address) = listen(config.web.listen)?;
        config.web.listen = address;
        if !config.web.trusted_proxies.is_empty() && config.web.public_url.is_none() {
            tracing::warn!(
                "feeds link to the host that the trusted proxies pass on; set --public-url, so that no client can choose it"
            );
        }
        // Reading the root certificates and opening the archive take some milliseconds each, so do both at once. The clients
        // report a failure.
        let tls = tokio::task::spawn_blocking(|| drop(http_client::tls_config()));
        let archive = open_archive(&config).await?;
        drop(tls.await);
        let (media_keys, stored_keys) = media_keys(&config).map_err(StartError::MediaKey)?;
        let state = build_state(&config, Arc::clone(&archive), media_keys, metrics)?;
        let watched = Arc::clone(&archive);
        tokio::spawn(keep_running("watching the data directory", move || {
            watch_data_dir(Arc::clone(&watched), stored_keys.clone())
        }));
        if config.retention != Retention::default() {
            let (archive, retention) = (Arc::clone(&archive), config.retention);
            tokio::spawn(keep_running("pruning", move || {
                prune_periodically(Arc::clone(&archive), retention)
            }));
        }
        if let Some(address) = config.metrics_listen {
            let (listener, address) = listen(address)?;
            tracing::info!(url = format!("http://{address}/-/metrics"), "serving metrics");
            tokio::spawn(web::serve_metrics(listener, Arc::clone(&state)));
        }
        Ok(Self { listener, address, state, archive })
    }

    /// Returns the socket address that the service listens on. If the configured port was 0, the system has chosen one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the state of the web service, whose bundles can be replaced while it runs.
    #[must_use]
    pub fn state(&self) -> Arc<AppState> {
        Arc::clone(&self.state)
    }

    /// Serves until `shutdown`; see [`web::serve`]. Then archives the pages that wait for the archive, and closes it. Refreshes
    /// that no request waits for are not awaited: they end with the process, and the next start repeats them.
    pub async fn serve<S>(self, shutdown: S)
    where
        S: futures_util::Stream<Item = ()> + Send + Unpin,
    {
        let state = Arc::clone(&self.state);
        web::serve(self.listener, self.state, shutdown).await;
        state.channels.archive_last(LAST_MERGE_TIMEOUT).await;
        self.archive.close().await;
    }
}

/// Builds everything behind the listener.
pub(crate) fn build_state(
    config: &Config,
    archive: Arc<Archive>,
    media_keys: MediaKeys,
    metrics: Arc<Metrics>,
) -> Result<Arc<AppState>, StartError> {
    let client = Arc::new(Client::new(&config.client)?);
    let channels_config = ChannelsConfig {
        cache_size: cache_sizes(config).1,
        freshness: config.freshness,
        refresh_wait: config.refresh_wait,
        prefetch: config.prefetch,
        gap_pages: config.gap_pages,
        keeps_media_urls: config.web.media_mode == MediaMode::Direct,
        rejected_pages: RejectedPages::new(&config.data_dir),
    };
    let channels = Channels::new(Arc::clone(&client), Arc::clone(&archive), channels_config);
    let resolver = MediaResolver::new(client, archive, config.media_url_ttl);
    let media_client =
        MediaClient::new(&config.client.http, config.web.media_hosts.clone(), config.media_max_size)?;
    Ok(AppState::new(config.web.clone(), channels, resolver, media_client, media_keys, metrics))
}

/// Opens the archive of a service.
async fn open_archive(config: &Config) -> Result<Arc<Archive>, ArchiveError> {
    match &config.storage {
        Storage::Memory => Archive::in_memory(cache_sizes(config).0).await,
        Storage::DataDir => Archive::open_for_service(&config.data_dir).await,
        Storage::Postgres(url) => Archive::shared_for_service(url).await,
    }
}

/// Returns the bytes of an archive in memory and of the snapshot cache, which share `--cache-size`.
fn cache_sizes(config: &Config) -> (u64, u64) {
    match config.storage {
        Storage::Memory => (config.cache_size / 2, config.cache_size / 2),
        Storage::DataDir | Storage::Postgres(_) => (0, config.cache_size),
    }
}

/// Returns the keys that sign media URLs: as configured, else from the data directory, else temporary ones. Also returns
/// the ones in the data directory, if it has any.
fn media_keys(config: &Config) -> io::Result<(MediaKeys, Option<StoredKeys>)> {
    if let Some(keys) = &config.media_keys {
        return Ok((keys.clone(), None));
    }
    if matches!(config.storage, Storage::Postgres(_)) {
        tracing::warn!("no --media-key is set; all replicas on this database need the same one");
    }
    if let Some(stored) = keys::load_or_generate(&config.data_dir)? {
        return Ok((stored.keys.clone(), Some(stored)));
    }
    tracing::warn!("using a temporary media key: media URLs will stop working after a restart");
    Ok((keys::ephemeral()?, None))
}

/// Repairs the data directory whenever its files were removed or replaced, until the archive is closed.
async fn watch_data_dir(archive: Arc<Archive>, media_keys: Option<StoredKeys>) {
    let mut interval = tokio::time::interval(WATCH_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_failed = false;
    loop {
        interval.tick().await;
        if archive.is_closed() {
            return;
        }
        archive.check_data_dir().await;
        match media_keys.as_ref().map(StoredKeys::rewrite) {
            Some(Err(err)) if !has_failed => {
                tracing::error!(error = %err, "cannot write the media key again yet; retrying");
                has_failed = true;
            }
            Some(Err(_)) => {}
            Some(Ok(true)) => {
                archive.report_incident("the media key was removed; wrote it again");
                has_failed = false;
            }
            Some(Ok(false)) | None => has_failed = false,
        }
    }
}

async fn prune_periodically(archive: Arc<Archive>, retention: Retention) {
    let mut interval = tokio::time::interval_at(Instant::now() + FIRST_PRUNE, PRUNE_INTERVAL);
    // The next run begins an interval after a long one, not at once.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match archive.prune(retention, clock::now()).await {
            Ok(0) => {}
            Ok(n_pruned) => tracing::info!(posts = n_pruned, "pruned the archive"),
            Err(err) => tracing::warn!(error = %err, "cannot prune the archive; retrying later"),
        }
    }
}

/// Binds a listener. Returns it with its socket address.
fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.bind(address)?;
        let listener = socket.listen(web::ACCEPT_BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bind().map_err(|err| StartError::Listen { address, err })
}
