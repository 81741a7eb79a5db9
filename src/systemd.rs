//! Notifies systemd (sd_notify(3)) if `NOTIFY_SOCKET` is set. The socket must be a path, as systemd sets it,
//! because the crate sd-notify does not support abstract sockets (`@name`).

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Reports that the daemon listens.
pub(crate) fn ready() {
    notify(&NotifyState::Ready);
}

/// Reports that the daemon drains.
pub(crate) fn stopping() {
    notify(&NotifyState::Stopping);
}

/// Pings systemd's watchdog at half its interval until `stop` is cancelled. Returns at once if the
/// unit has no watchdog.
pub(crate) async fn ping_watchdog(stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    while !stop.is_cancelled() {
        notify(&NotifyState::Watchdog);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(interval / 2) => {}
        }
    }
}

/// Sends one notification. A failure is logged and ignored, because the daemon also works without systemd.
fn notify(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, %state, "cannot notify systemd");
    }
}
