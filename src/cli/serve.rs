//! The command `claimgate serve`.

use std::path::Path;

use super::error::CommandError;
use crate::app::App;
use crate::config;
use crate::telemetry::log;
use crate::{remembered_places, signals, systemd};

/// Runs the daemon until a signal stops it.
pub(super) async fn run(path: &Path) -> Result<(), CommandError> {
    let config = config::load(path, std::env::vars()).map_err(CommandError::InvalidConfig)?;
    log::init(&config.log);
    remembered_places::check(&config);
    let stop = signals::listen()?;
    let app = Box::pin(App::bind(config, stop.clone())).await?;
    tracing::info!(address = %app.address()?, version = env!("CARGO_PKG_VERSION"), "listening");
    if cfg!(not(feature = "jemalloc")) {
        tracing::info!(
            "this build lacks the feature jemalloc, which production builds need to keep memory flat"
        );
    }
    systemd::ready();
    tokio::spawn(systemd::ping_watchdog(stop.immediate.clone()));
    let graceful = stop.graceful.clone();
    tokio::spawn(async move {
        graceful.cancelled().await;
        systemd::stopping();
    });
    app.run().await;
    Ok(())
}
