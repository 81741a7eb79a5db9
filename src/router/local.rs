//! Responses from memory: discovery, OpenAPI and the version.

use http::header::{ACCEPT, IF_NONE_MATCH};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::body::ReplyBody;
use crate::catalog::{self, Catalog, DocumentReply, DocumentRequest};
use crate::error::RequestError;
use crate::response::{JSON, with_body};
use kube_wire::status;

/// Returns the response to a request for a discovery or OpenAPI document.
pub(super) fn document(
    catalog: &Catalog,
    parts: &Parts,
) -> Result<Response<ReplyBody>, RequestError> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(RequestError::MethodNotAllowed {
            method: parts.method.to_string(),
        });
    }
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let request = DocumentRequest {
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        accept: header(ACCEPT),
        format: status::ResponseFormat::accepted(parts),
        if_none_match: header(IF_NONE_MATCH),
    };
    match catalog::serve(catalog, &request) {
        DocumentReply::Response {
            status,
            headers,
            body,
        } => {
            let mut response = Response::new(ReplyBody::whole(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        }
        DocumentReply::NotAcceptable(supported) => Err(RequestError::NotAcceptable(supported)),
        DocumentReply::NotFound => Err(RequestError::PathNotFound),
        DocumentReply::NotSynced(control_plane) => Err(RequestError::NotSynced { control_plane }),
    }
}

/// Returns the document at `/version`, which kubectl reads from the server that it connects to. The minor
/// version is that of the Kubernetes release whose API machinery claimgate follows.
pub(super) fn version() -> Response<ReplyBody> {
    let version = serde_json::json!({
        "major": "1", "minor": "37",
        "gitVersion": concat!("v1.37.0+claimgate-", env!("CARGO_PKG_VERSION")),
        "gitCommit": option_env!("CLAIMGATE_COMMIT").unwrap_or("unknown"),
        "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "rustc",
        "platform": concat!("linux/", "any"),
    });
    with_body(StatusCode::OK, JSON, version.to_string()).map(ReplyBody::whole)
}
