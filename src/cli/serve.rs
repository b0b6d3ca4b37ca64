//! `telewire serve`: runs the service until a shutdown signal.

use std::sync::Arc;

use futures_util::StreamExt;
use sd_notify::NotifyState;

use super::CliError;
use crate::config::{Config, ServeArgs};
use crate::metrics::Metrics;
use crate::service::Service;
use crate::shutdown::shutdown_signals;

pub(super) async fn run(args: ServeArgs) -> Result<(), CliError> {
    let config = Config::try_from(args)?;
    // Before anything else: the start can take a while, for example if the database is unreachable.
    let mut shutdown = shutdown_signals().map_err(CliError::cannot_start)?.inspect(|()| {
        tracing::info!("received a shutdown signal");
        notify_systemd(NotifyState::Stopping);
    });
    let metrics = Arc::new(Metrics::install().map_err(CliError::cannot_start)?);
    let service = tokio::select! {
        service = Service::start(config, metrics) => service.map_err(CliError::cannot_start)?,
        _ = shutdown.next() => return Ok(()),
    };
    tracing::info!(url = format!("http://{}", service.address()), "serving feeds");
    notify_systemd(NotifyState::Ready);
    service.serve(shutdown).await.map_err(CliError::cannot_start)
}

/// Reports a state to systemd, if it started this process.
fn notify_systemd(state: NotifyState<'_>) {
    if let Err(err) = sd_notify::notify(&[state]) {
        tracing::debug!(error = %err, "cannot notify systemd");
    }
}
