//! HTTP responses: the negotiated form, indentation, and the headers that kube-apiserver sets on
//! every response.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use uuid::Uuid;

use super::body::{self, Body};
use super::error::{StatusError, to_json};
use super::negotiate::{self, Form};
use super::partial_metadata::PartialMetadata;
use super::request::RecordedRequest;
use super::resource::Resource;
use super::stored_object::StoredObject;
use super::table::Table;

/// Headers of every response (apiserver filters/audit_init.go, filters/cachecontrol.go, flowcontrol). A proxy
/// must handle them.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const FLOW_SCHEMA: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");
const FLOW_UID: &str = "5a2ae2d3-1b0f-4f0e-9f55-3b9a4d5f7a10";

pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if let Ok(audit_id) = HeaderValue::try_from(Uuid::new_v4().to_string()) {
        headers.insert(AUDIT_ID, audit_id);
    }
    headers.insert(FLOW_SCHEMA, HeaderValue::from_static(FLOW_UID));
    headers.insert(PRIORITY_LEVEL, HeaderValue::from_static(FLOW_UID));
    response
}

/// Returns JSON like kube-apiserver's serializer: compact with a newline, or indented without one.
pub(crate) fn json(request: &RecordedRequest, status: StatusCode, json: Vec<u8>) -> Response<Body> {
    let body = if negotiate::pretty(request) {
        negotiate::indent(&json)
    } else {
        let mut json = json;
        json.push(b'\n');
        json
    };
    response(status, "application/json", body::full(body))
}

/// Returns JSON in pieces, indented if the client requests it.
pub(crate) fn pieces(request: &RecordedRequest, pieces: Vec<Bytes>) -> Response<Body> {
    if negotiate::pretty(request) {
        return json(request, StatusCode::OK, pieces.concat());
    }
    response(StatusCode::OK, "application/json", body::pieces(pieces))
}

pub(crate) fn error(request: &RecordedRequest, error: &StatusError) -> Response<Body> {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(request, status, error.to_status());
    if let Some(seconds) = error.retry_after() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    response(status, "text/plain; charset=utf-8", body::full(text))
}

/// Returns one object in the negotiated form.
pub(crate) fn object(
    request: &RecordedRequest,
    status: StatusCode,
    resource: &Resource,
    stored: &StoredObject,
) -> Result<Response<Body>, StatusError> {
    let bytes = match negotiate::form(request, false)? {
        Form::Object => stored.json.to_vec(),
        Form::Partial { version } => to_json(&PartialMetadata::of(&stored.value, version)),
        Form::Table { version, include } => {
            let resource_version = super::object::meta(&stored.value, "resourceVersion");
            let metadata = serde_json::json!({"resourceVersion": resource_version});
            let objects = std::iter::once(&stored.value);
            to_json(&Table::of(resource, objects, metadata, version, include))
        }
    };
    Ok(json(request, status, bytes))
}
