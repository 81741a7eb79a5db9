//! Detects a server that can be reached but serves no request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use http::Response;
use http::header::CONTENT_TYPE;

use super::error::UpstreamError;

/// Number of bad responses without a good one in between after which the server is degraded. A healthy server may send
/// a few: 504 for a resource version from the future, or 500 from an admission webhook.
const STREAK_MIN: u64 = 5;

/// The bad responses since the last good one.
#[derive(Default)]
pub(super) struct BadResponses {
    count: AtomicU64,
    last: Mutex<String>,
}

impl BadResponses {
    /// Counts the result of a request. Ignores failures that the server did not cause, and failed dials.
    pub(super) fn observe<B>(&self, result: &Result<Response<B>, UpstreamError>) {
        let problem = match result {
            Ok(response) => problem_of(response),
            Err(error) if error.is_from_server() => Some(error.to_string()),
            Err(_) => return,
        };
        match problem {
            Some(problem) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = problem;
                self.count.fetch_add(1, Ordering::Relaxed);
            }
            // Reads the counter first, because threads share it and writes are more expensive.
            None if self.count.load(Ordering::Relaxed) > 0 => {
                self.count.store(0, Ordering::Relaxed);
            }
            None => {}
        }
    }

    /// Returns the reason why the server is degraded, or `None` if it is not.
    pub(super) fn problem(&self) -> Option<String> {
        let count = self.count.load(Ordering::Relaxed);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (count >= STREAK_MIN)
            .then(|| format!("none of the last {count} requests succeeded: {last}"))
    }
}

/// Returns the reason why a response does not come from a working API server, or `None` if it does.
fn problem_of<B>(response: &Response<B>) -> Option<String> {
    let status = response.status();
    if status.is_server_error() {
        return Some(status.to_string());
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.map_or("", |value| value.to_str().unwrap_or("invalid"));
    // Health paths return plain text. A login page or the page of a load balancer is HTML.
    let is_known =
        content_type.starts_with("application/") || content_type.starts_with("text/plain");
    let has_body = status.is_success() || status.is_client_error();
    (has_body && !is_known).then(|| format!("{status} with content type {content_type:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, content_type: &str) -> Result<Response<()>, UpstreamError> {
        let response = Response::builder().status(status);
        Ok(response
            .header(CONTENT_TYPE, content_type)
            .body(())
            .unwrap())
    }

    #[test]
    fn five_bad_responses_in_a_row_are_a_problem_until_a_good_one() {
        for (bad, problem) in [
            (response(502, "text/html"), "502 Bad Gateway"),
            (
                response(200, "text/html"),
                "200 OK with content type \"text/html\"",
            ),
            (response(404, "text/html"), "404 Not Found"),
            (Err(UpstreamError::PingTimeout), "stopped responding"),
        ] {
            let responses = BadResponses::default();
            for _ in 0..4 {
                responses.observe(&bad);
            }
            responses.observe::<()>(&Err(UpstreamError::Connect("refused".to_owned())));
            assert_eq!(responses.problem(), None);
            responses.observe(&bad);
            let found = responses.problem().unwrap();
            assert!(
                found.contains("last 5 requests") && found.contains(problem),
                "{found}"
            );
            responses.observe(&response(404, "text/plain"));
            assert_eq!(responses.problem(), None);
        }
    }
}
