//! `/livez`, `/readyz` and `/healthz`, the same on the main listener and on the admin listener.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::response::{TEXT, with_body};

/// Returns whether the path is readable without authentication.
pub(crate) fn is_health_path(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/healthz")
}

/// Returns the response for a health path. `not_ready` is the reason why the daemon should get no new
/// requests. Only `/readyz` reports it: a failed `/livez` restarts the daemon, which would not help.
pub(crate) fn respond(path: &str, not_ready: Option<String>) -> Response<Bytes> {
    match not_ready {
        Some(reason) if path == "/readyz" => {
            with_body(StatusCode::SERVICE_UNAVAILABLE, TEXT, reason)
        }
        _ => with_body(StatusCode::OK, TEXT, "ok"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readyz_reports_why_the_daemon_is_not_ready() {
        for path in ["/livez", "/healthz"] {
            let response = respond(path, Some("draining".into()));
            assert_eq!(
                (response.status().as_u16(), &response.body()[..]),
                (200, &b"ok"[..])
            );
        }
        let response = respond("/readyz", Some("draining".into()));
        assert_eq!(
            (response.status().as_u16(), &response.body()[..]),
            (503, &b"draining"[..])
        );
        assert_eq!(respond("/readyz", None).status(), 200);
    }
}
