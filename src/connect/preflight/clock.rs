//! Asks an API server for its version and its time.

use http::Request;
use http::header::DATE;
use http_body_util::BodyExt;
use kube::client::Body;
use serde::Deserialize;
use time::format_description::well_known::Rfc2822;
use time::{Duration, OffsetDateTime};

use super::finding::Outcome;
use crate::connect::clusters::Cluster;
use crate::connect::error::ConnectError;

/// Maximum difference between two clocks. A larger difference can make new tokens invalid.
const DIFFERENCE_MAX: Duration = Duration::seconds(60);

/// The version and the time that an API server reports.
pub(super) struct Server {
    pub(super) version: String,
    /// The time of the API server when it answered, and the time of this machine. `None` if the response has no time.
    pub(super) date: Option<(OffsetDateTime, OffsetDateTime)>,
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    git_version: String,
}

/// Reads `/version` (`apiserver/pkg/server/routes/version.go`).
///
/// # Errors
/// The cluster cannot be reached.
pub(super) async fn ask(cluster: &Cluster) -> Result<Server, ConnectError> {
    let unusable = |problem: String| cluster.unusable()(format!("cannot read /version: {problem}"));
    let request = Request::get("/version").body(Body::empty());
    let request = request.map_err(|error| unusable(error.to_string()))?;
    let response = cluster.client.send(request).await;
    let (parts, body) = response
        .map_err(cluster.failed("read /version"))?
        .into_parts();
    let date = parts.headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    let body = body.collect().await;
    let body = body.map_err(cluster.failed("read /version"))?.to_bytes();
    let version: Version =
        serde_json::from_slice(&body).map_err(|error| unusable(error.to_string()))?;
    Ok(Server {
        version: version.git_version,
        date: date.map(|date| (date, OffsetDateTime::now_utc())),
    })
}

/// Compares the clock of an API server with this machine's.
pub(super) fn difference(date: Option<(OffsetDateTime, OffsetDateTime)>) -> Outcome {
    let Some((theirs, ours)) = date else {
        return Outcome::warning(
            "the API server does not return its time",
            "compare its clock with yours",
        );
    };
    let difference = (theirs - ours).whole_seconds();
    match (theirs - ours).abs() > DIFFERENCE_MAX {
        true => Outcome::failed(
            format!(
                "the clock of the API server differs from this machine's by {difference} s, so tokens and certificates can be invalid"
            ),
            "set the clocks by NTP",
        ),
        false => Outcome::passed(format!("differs by {difference} s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_a_minute() {
        let now = OffsetDateTime::now_utc();
        for (seconds, is_passed) in [(0, true), (-60, true), (61, false), (-61, false)] {
            let outcome = difference(Some((now + Duration::seconds(seconds), now)));
            assert_eq!(
                matches!(outcome, Outcome::Passed { .. }),
                is_passed,
                "{outcome:?}"
            );
        }
        assert!(matches!(difference(None), Outcome::Warning { .. }));
    }
}
