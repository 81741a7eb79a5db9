//! `/livez`, `/readyz` and `/healthz`, the same on the main listener and on the admin listener.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::response::{TEXT, with_body};

/// Returns whether the path is readable without authentication.
pub(crate) fn is_health_path(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/healthz")
}

/// Whether the daemon should get new requests, and what an operator should know.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    /// The checks by name, with the reason if a check failed. The daemon is ready only if all checks pass.
    pub checks: Vec<(&'static str, Result<(), String>)>,
    /// Problems that do not affect readiness.
    pub warnings: Vec<String>,
}

impl Readiness {
    pub fn is_ready(&self) -> bool {
        self.failure().is_none()
    }

    fn failure(&self) -> Option<&String> {
        let mut checks = self.checks.iter();
        checks.find_map(|(_, result)| result.as_ref().err())
    }

    /// Returns one line for each check and warning, as kube-apiserver does (`apiserver/pkg/server/healthz/healthz.go`).
    fn verbose(&self) -> String {
        let checks = self.checks.iter().map(|(name, result)| match result {
            Ok(()) => format!("[+]{name} ok\n"),
            Err(reason) => format!("[-]{name} failed: {reason}\n"),
        });
        let warnings = self
            .warnings
            .iter()
            .map(|warning| format!("[!]{warning}\n"));
        let outcome = if self.is_ready() { "passed" } else { "failed" };
        checks.chain(warnings).collect::<String>() + "readyz check " + outcome + "\n"
    }
}

/// Returns the response for a health path. Only `/readyz` reports failed checks: a failed `/livez` restarts the daemon,
/// which would not help.
pub(crate) fn respond(path: &str, query: Option<&str>, readiness: &Readiness) -> Response<Bytes> {
    if path != "/readyz" {
        return with_body(StatusCode::OK, TEXT, "ok");
    }
    let mut names = query.unwrap_or_default().split('&');
    let is_verbose = names.any(|pair| pair.split('=').next() == Some("verbose"));
    let body = match readiness.failure() {
        _ if is_verbose => readiness.verbose(),
        Some(reason) => reason.clone(),
        None => "ok".to_owned(),
    };
    let status = match readiness.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    with_body(status, TEXT, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(path: &str, query: Option<&str>, readiness: &Readiness) -> (u16, String) {
        let response = respond(path, query, readiness);
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        (response.status().as_u16(), body)
    }

    #[test]
    fn only_readyz_reports_why_the_daemon_is_not_ready() {
        let draining = Readiness {
            checks: vec![("stopping", Err("draining".into())), ("discovery", Ok(()))],
            warnings: vec!["v1.example.org is not registered".into()],
        };
        for path in ["/livez", "/healthz"] {
            assert_eq!(answer(path, Some("verbose"), &draining), (200, "ok".into()));
        }
        assert_eq!(answer("/readyz", None, &draining), (503, "draining".into()));
        let verbose = "[-]stopping failed: draining\n[+]discovery ok\n[!]v1.example.org is not registered\n\
                       readyz check failed\n";
        for query in ["verbose", "verbose=true", "a=b&verbose"] {
            let answered = answer("/readyz", Some(query), &draining);
            assert_eq!(answered, (503, verbose.into()), "{query}");
        }
        let ready = Readiness {
            checks: vec![("discovery", Ok(()))],
            ..draining
        };
        assert_eq!(answer("/readyz", Some("x"), &ready), (200, "ok".into()));
    }
}
