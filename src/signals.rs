//! Signals: SIGTERM and SIGINT drain, a second one ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::Stop;

/// Listens from now on; fails only if the process may not.
pub fn listen() -> std::io::Result<Stop> {
    let stop = Stop::default();
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    tokio::spawn(run(terminate, interrupt, hangup, stop.clone()));
    Ok(stop)
}

async fn run(mut terminate: Signal, mut interrupt: Signal, mut hangup: Signal, stop: Stop) {
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {
                tracing::warn!("SIGHUP is ignored: restart to take a changed configuration into force");
                continue;
            }
        }
        if stop.gently.is_cancelled() {
            stop.at_once.cancel();
            return;
        }
        stop.gently.cancel();
    }
}
