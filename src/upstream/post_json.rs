//! Sends JSON to an API server, for requests of claimgate itself.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::client::Upstream;
use super::connection_class::ConnectionClass;
use super::request_body::RequestBody;

const JSON: &str = "application/json";

/// Maximum size of a response in bytes. The largest response is a SelfSubjectRulesReview of a user with many rights.
const RESPONSE_BYTES_MAX: usize = 4 << 20;

/// Sends JSON. Returns the status and the body of the response; a body that is not JSON is null.
///
/// # Errors
/// The server does not answer, or its answer is too long.
pub async fn post_json(
    upstream: &Upstream,
    path: &str,
    body: &Value,
) -> Result<(StatusCode, Value), String> {
    let request = Request::post(path)
        .header(ACCEPT, JSON)
        .header(CONTENT_TYPE, JSON)
        .body(RequestBody::Full(Bytes::from(body.to_string())))
        .map_err(|error| error.to_string())?;
    let sent = upstream.send(ConnectionClass::Requests, request).await;
    let (parts, body) = sent.map_err(|error| error.to_string())?.into_parts();
    let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    Ok((
        parts.status,
        serde_json::from_slice(&body).unwrap_or_default(),
    ))
}
