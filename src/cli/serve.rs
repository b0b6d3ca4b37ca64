//! `telewire serve`: runs the service until a shutdown signal.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use sd_notify::NotifyState;

use super::CliError;
use crate::config::{Config, ServeArgs, Setting, SettingsFile, SettingsFileError};
use crate::metrics::Metrics;
use crate::service::Service;
use crate::shutdown::{reload_signals, shutdown_signals};
use crate::web::AppState;

/// Runs the service with the flags and the bundles of the settings file.
pub(super) async fn run(args: ServeArgs, in_effect: &[Setting], file: Option<&Path>) -> Result<(), CliError> {
    let mut config = Config::try_from(args)?;
    let mut settings = read(file)?;
    config.web.bundles = mem::take(&mut settings.bundles);
    // Before anything else: the start can take a while, for example if the database is unreachable.
    let mut shutdown = shutdown_signals().map_err(CliError::cannot_start)?.inspect(|()| {
        tracing::info!("received a shutdown signal");
        notify_systemd(NotifyState::Stopping);
    });
    let reloads = reload_signals().map_err(CliError::cannot_start)?;
    let metrics = Arc::new(Metrics::install().map_err(CliError::cannot_start)?);
    let service = tokio::select! {
        service = Service::start(config, metrics) => service.map_err(CliError::cannot_start)?,
        _ = shutdown.next() => return Ok(()),
    };
    let file = file.map(Path::to_owned);
    tokio::spawn(reload_bundles(service.state(), file, settings, in_effect.to_vec(), reloads));
    tracing::info!(url = format!("http://{}", service.address()), "serving feeds");
    notify_systemd(NotifyState::Ready);
    service.serve(shutdown).await;
    Ok(())
}

fn read(file: Option<&Path>) -> Result<SettingsFile, SettingsFileError> {
    file.map_or_else(|| Ok(SettingsFile::default()), SettingsFile::read)
}

/// Reads the bundles again at each signal. Other settings need a restart, and are compared with those at the start.
async fn reload_bundles(
    state: Arc<AppState>,
    file: Option<PathBuf>,
    at_start: SettingsFile,
    in_effect: Vec<Setting>,
    mut signals: impl Stream<Item = ()> + Unpin,
) {
    while signals.next().await.is_some() {
        let settings = match read(file.as_deref()) {
            Ok(settings) => settings,
            Err(err) => {
                let error = err.to_string().replace('\n', "; ");
                tracing::error!(error, "cannot reload the bundles; keeping the old ones");
                continue;
            }
        };
        let changed = settings.changed_settings(&at_start, &in_effect);
        if !changed.is_empty() {
            let settings = changed.into_iter().collect::<Vec<_>>().join(", ");
            tracing::warn!(settings, "only bundles are reloaded; other changed settings need a restart");
        }
        tracing::info!(bundles = settings.bundles.len(), "reloaded the bundles");
        state.replace_bundles(settings.bundles);
    }
}

/// Reports a state to systemd, if it started this process.
fn notify_systemd(state: NotifyState<'_>) {
    if let Err(err) = sd_notify::notify(&[state]) {
        tracing::debug!(error = %err, "cannot notify systemd");
    }
}
