//! OpenAPI v2 and v3 of the declared resources.
//!
//! The documents have the form in which apiextensions-apiserver publishes custom resources
//! (pkg/controller/openapi/builder): paths with actions and kinds, and definitions named by the reversed group.

mod definitions;
mod parameters;
mod paths;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::body::Body;
use super::discovery::{hash, tagged};
use super::error::{StatusError, to_json};
use super::negotiate::accepted;
use super::reply;
use super::request::RecordedRequest;
use super::resource::Resource;

/// The documents built last, with the generation of the resources that they describe.
#[derive(Default)]
pub(crate) struct Documents {
    cached: Mutex<(u64, BTreeMap<String, Bytes>)>,
}

/// A version of OpenAPI.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

const SECURITY_NAME: &str = "BearerToken";

impl Documents {
    fn get(&self, generation: u64, path: &str, build: impl FnOnce() -> Vec<u8>) -> Bytes {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.0 != generation {
            *cached = (generation, BTreeMap::new());
        }
        let document = cached.1.entry(path.to_owned());
        document.or_insert_with(|| Bytes::from(build())).clone()
    }
}

/// Serves `/openapi/v2`.
pub(crate) fn v2(
    documents: &Documents,
    request: &RecordedRequest,
    resources: &[Arc<Resource>],
    generation: u64,
) -> Result<Response<Body>, StatusError> {
    accept_json(request)?;
    let document = documents.get(generation, "v2", || v2_document(resources));
    Ok(tagged(request, document.to_vec()))
}

/// Serves `/openapi/v3`: the URLs of the documents, with their hashes.
pub(crate) fn v3_root(
    documents: &Documents,
    request: &RecordedRequest,
    resources: &[Arc<Resource>],
    generation: u64,
) -> Result<Response<Body>, StatusError> {
    let paths: Map<String, Value> = v3_paths(resources)
        .into_iter()
        .filter_map(|path| {
            let document = v3_document(documents, resources, generation, &path)?;
            let url = format!("/openapi/v3/{path}?hash={}", hash(&document));
            Some((path, json!({"serverRelativeURL": url})))
        })
        .collect();
    Ok(tagged(request, to_json(&json!({"paths": paths}))))
}

/// Serves `/openapi/v3/apis/GROUP/VERSION`.
pub(crate) fn v3(
    documents: &Documents,
    request: &RecordedRequest,
    resources: &[Arc<Resource>],
    generation: u64,
    path: &str,
) -> Result<Response<Body>, StatusError> {
    let Some(document) = v3_document(documents, resources, generation, path) else {
        return Ok(reply::text(StatusCode::NOT_FOUND, "404 page not found\n"));
    };
    accept_json(request)?;
    let requested = request.parameter("hash").filter(|hash| !hash.is_empty());
    let hash = hash(&document);
    if requested
        .as_ref()
        .is_some_and(|requested| *requested != hash)
    {
        return Ok(moved(&format!("/openapi/v3/{path}?hash={hash}")));
    }
    let mut response = tagged(request, document.to_vec());
    if requested.is_some() {
        let immutable = HeaderValue::from_static("public, immutable");
        response.headers_mut().insert(CACHE_CONTROL, immutable);
    }
    Ok(response)
}

/// Redirects from an outdated hash to the current one (kube-openapi `pkg/handler3/handler.go`).
fn moved(to: &str) -> Response<Body> {
    let mut response = reply::text(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

fn accept_json(request: &RecordedRequest) -> Result<(), StatusError> {
    let json = accepted(request).iter().any(|clause| clause.is_json());
    json.then_some(()).ok_or_else(StatusError::not_acceptable)
}

/// Returns the v2 document. Like kube-apiserver, `paths` precedes `definitions`.
fn v2_document(resources: &[Arc<Resource>]) -> Vec<u8> {
    let mut paths = Map::new();
    let mut schemas = definitions::shared(Dialect::V2);
    for resource in resources {
        paths.extend(paths::of(resource, Dialect::V2));
        schemas.extend(definitions::of(resource, Dialect::V2));
    }
    ordered(&[
        ("swagger", json!("2.0")),
        ("info", info()),
        ("paths", Value::Object(paths)),
        ("definitions", Value::Object(schemas)),
        ("parameters", parameters::shared_parameters()),
        ("securityDefinitions", security_schemes()),
        ("security", json!([{SECURITY_NAME: []}])),
    ])
}

fn v3_paths(resources: &[Arc<Resource>]) -> Vec<String> {
    let mut paths: Vec<String> = resources.iter().map(|resource| v3_path(resource)).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn v3_path(resource: &Resource) -> String {
    let root = if resource.group.is_empty() {
        "api"
    } else {
        "apis"
    };
    format!("{root}/{}", resource.api_version())
}

fn v3_document(
    documents: &Documents,
    resources: &[Arc<Resource>],
    generation: u64,
    path: &str,
) -> Option<Bytes> {
    let mut here = resources
        .iter()
        .filter(|resource| v3_path(resource) == path)
        .peekable();
    here.peek()?;
    Some(documents.get(generation, path, || {
        let mut paths = Map::new();
        let mut schemas = definitions::shared(Dialect::V3);
        for resource in here {
            paths.extend(paths::of(resource, Dialect::V3));
            schemas.extend(definitions::of(resource, Dialect::V3));
        }
        ordered(&[
            ("openapi", json!("3.0.0")),
            ("info", info()),
            ("paths", Value::Object(paths)),
            (
                "components",
                json!({"schemas": schemas, "securitySchemes": security_schemes()}),
            ),
        ])
    }))
}

fn security_schemes() -> Value {
    json!({SECURITY_NAME: {"description": "Bearer Token authentication", "type": "apiKey",
        "name": "authorization", "in": "header"}})
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": "v1.37.2"})
}

/// Returns a JSON object with the keys in this order.
fn ordered(fields: &[(&str, Value)]) -> Vec<u8> {
    let fields: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{}:{value}", json!(key)))
        .collect();
    format!("{{{}}}", fields.join(",")).into_bytes()
}
