//! Handles signals: the first SIGTERM or SIGINT drains the daemon, and the second one ends it.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A request to stop. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    /// Cancelled to drain: requests finish, then the daemon ends.
    pub graceful: CancellationToken,
    /// Cancelled to end without waiting for requests.
    pub immediate: CancellationToken,
}

/// Listens for signals from now on.
///
/// # Errors
/// The process cannot install signal handlers.
pub fn listen() -> std::io::Result<StopSignal> {
    let stop = StopSignal::default();
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    tokio::spawn(forward(terminate, interrupt, hangup, stop.clone()));
    Ok(stop)
}

async fn forward(
    mut terminate: Signal,
    mut interrupt: Signal,
    mut hangup: Signal,
    stop: StopSignal,
) {
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {
                tracing::warn!("SIGHUP is ignored; restart claimgate to apply a changed configuration");
                continue;
            }
        }
        if stop.graceful.is_cancelled() {
            stop.immediate.cancel();
            return;
        }
        stop.graceful.cancel();
    }
}
