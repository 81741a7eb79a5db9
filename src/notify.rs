//! Word to systemd (sd_notify(3)): a datagram to the socket that `NOTIFY_SOCKET` names.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(crate) const READY: &str = "READY=1";
pub(crate) const STOPPING: &str = "STOPPING=1";
const WATCHDOG: &str = "WATCHDOG=1";

/// Tells systemd, if it wants to know. A failure is logged: the service goes on without.
pub(crate) fn notify(state: &str) {
    if let Ok(socket) = std::env::var("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!(%error, state, "systemd could not be told");
    }
}

fn send(socket: &str, state: &str) -> std::io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}

/// Feeds systemd's watchdog at half its interval, if it has one, until `stop`.
pub(crate) async fn feed_watchdog(stop: CancellationToken) {
    let interval = std::env::var("WATCHDOG_USEC")
        .ok()
        .and_then(|text| text.parse().ok());
    let Some(interval) = interval.map(Duration::from_micros) else {
        return;
    };
    while !stop.is_cancelled() {
        notify(WATCHDOG);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(interval / 2) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_reaches_sockets_by_path_and_by_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("claimgate-test-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (target, socket) in [
            (path.to_str().unwrap().to_owned(), by_path),
            (format!("@{name}"), by_name),
        ] {
            send(&target, READY).unwrap();
            let mut buffer = [0; 16];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], READY.as_bytes());
        }
    }
}
