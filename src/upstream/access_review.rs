//! Asks an API server whether claimgate has a right.

use http::StatusCode;
use serde_json::{Value, json};

use super::client::Upstream;
use super::post_json::post_json;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Returns whether claimgate has a right. `attributes` are those of a SelfSubjectAccessReview
/// (`pkg/apis/authorization/types.go`, ResourceAttributes). Some API servers have no access reviews, for example the
/// control plane of `claimgate dev`. They allow everything.
///
/// # Errors
/// The server does not answer, or its answer is not an access review.
pub async fn is_allowed(upstream: &Upstream, attributes: Value) -> Result<bool, String> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let (status, answer) = post_json(upstream, REVIEWS, &review).await?;
    match (status, answer.pointer("/status/allowed")) {
        (StatusCode::NOT_FOUND, _) => Ok(true),
        (StatusCode::CREATED, Some(Value::Bool(is_allowed))) => Ok(*is_allowed),
        (status, _) => Err(format!("POST {REVIEWS} returned {status}")),
    }
}
