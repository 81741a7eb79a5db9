//! Discovery documents: aggregated (v2 and v2beta1), and one for each group-version
//! (apiserver pkg/endpoints/discovery, KEP-3352).

use std::sync::Arc;

use http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::body::{self, Body};
use super::error::{StatusError, to_json};
use super::negotiate::accepted;
use super::reply;
use super::request::RecordedRequest;
use super::resource::Resource;

/// The verbs in the order of apiextensions-apiserver.
const VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];
const NAMESPACE_VERBS: [&str; 7] = [
    "create", "delete", "get", "list", "patch", "update", "watch",
];
const SUBRESOURCE_VERBS: [&str; 3] = ["get", "patch", "update"];

type Resources = [Arc<Resource>];

/// Serves `/api` or `/apis`: the aggregated document if the client accepts it, otherwise the list of groups.
pub(crate) fn root(
    request: &RecordedRequest,
    resources: &Resources,
    core: bool,
) -> Result<Response<Body>, StatusError> {
    for clause in accepted(request).iter().filter(|clause| clause.is_json()) {
        let aggregated = clause.parameter("g") == "apidiscovery.k8s.io"
            && clause.parameter("as") == "APIGroupDiscoveryList";
        match (aggregated, clause.parameter("v")) {
            (true, "v2") => return Ok(aggregated_root(request, resources, core, "v2")),
            (true, "v2beta1") => return Ok(aggregated_root(request, resources, core, "v2beta1")),
            (false, _) if clause.parameter("as").is_empty() => {
                return Ok(plain_root(request, resources, core));
            }
            _ => {}
        }
    }
    Err(StatusError::not_acceptable())
}

/// Serves `/apis/GROUP`.
pub(crate) fn group(
    request: &RecordedRequest,
    resources: &Resources,
    name: &str,
) -> Result<Response<Body>, StatusError> {
    let mut document = api_group(resources, name).ok_or_else(StatusError::no_such_resource)?;
    if let Some(map) = document.as_object_mut() {
        map.insert("kind".to_owned(), json!("APIGroup"));
        map.insert("apiVersion".to_owned(), json!("v1"));
    }
    Ok(reply::json(request, StatusCode::OK, to_json(&document)))
}

/// Serves `/apis/GROUP/VERSION` or `/api/v1`.
pub(crate) fn version(
    request: &RecordedRequest,
    resources: &Resources,
    group: &str,
    version: &str,
) -> Result<Response<Body>, StatusError> {
    let served: Vec<Value> = resources
        .iter()
        .filter(|resource| resource.group == group && resource.version == version)
        .flat_map(|resource| api_resources(resource))
        .collect();
    if served.is_empty() {
        return Err(StatusError::no_such_resource());
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let document = json!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group_version, "resources": served});
    Ok(reply::json(request, StatusCode::OK, to_json(&document)))
}

fn aggregated_root(
    request: &RecordedRequest,
    resources: &Resources,
    core: bool,
    api: &'static str,
) -> Response<Body> {
    let items: Vec<Value> = groups(resources, core)
        .into_iter()
        .map(|group| {
            let versions: Vec<Value> = versions(resources, group)
                .into_iter()
                .map(|version| {
                    let of_version = |resource: &&Arc<Resource>| {
                        resource.group == group && resource.version == version
                    };
                    let served = resources.iter().filter(of_version);
                    let served: Vec<Value> = served.map(|one| discovered(one)).collect();
                    json!({"version": version, "resources": served, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() {
                json!({})
            } else {
                json!({"name": group})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({"kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{api}"), "metadata": {}, "items": items});
    let content_type = match api {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    let mut response = tagged(request, to_json(&document));
    if response.status() == StatusCode::OK {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// Returns JSON with an ETag, a quoted SHA-512, or 304 (discovery/aggregated/etag.go).
pub(crate) fn tagged(request: &RecordedRequest, document: Vec<u8>) -> Response<Body> {
    let etag = format!("\"{}\"", hash(&document));
    let mut response = if request.header(IF_NONE_MATCH) == etag {
        let mut unchanged =
            reply::response(StatusCode::NOT_MODIFIED, "application/json", body::full(""));
        // kubectl's cache updates the stored response with the headers of a 304 (RFC 9111 3.2). A
        // Content-Type without g, v and as would change the type of the document.
        unchanged.headers_mut().remove(CONTENT_TYPE);
        unchanged
    } else {
        reply::json(request, StatusCode::OK, document)
    };
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    response
}

/// Returns the SHA-512 in upper-case hexadecimal.
pub(crate) fn hash(document: &[u8]) -> String {
    Sha512::digest(document)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

fn plain_root(request: &RecordedRequest, resources: &Resources, core: bool) -> Response<Body> {
    let document = if core {
        json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    } else {
        let groups: Vec<Value> = groups(resources, false)
            .into_iter()
            .filter_map(|group| api_group(resources, group))
            .collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    };
    reply::json(request, StatusCode::OK, to_json(&document))
}

fn groups(resources: &Resources, core: bool) -> Vec<&str> {
    let mut groups: Vec<&str> = resources
        .iter()
        .map(|resource| resource.group.as_str())
        .filter(|group| group.is_empty() == core)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Returns the versions of a group in the order of declaration. The first is preferred.
fn versions<'a>(resources: &'a Resources, group: &str) -> Vec<&'a str> {
    let mut versions: Vec<&str> = Vec::new();
    for resource in resources.iter().filter(|resource| resource.group == group) {
        if !versions.contains(&resource.version.as_str()) {
            versions.push(&resource.version);
        }
    }
    versions
}

fn api_group(resources: &Resources, group: &str) -> Option<Value> {
    let versions: Vec<Value> = versions(resources, group)
        .into_iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": group, "versions": versions, "preferredVersion": preferred}))
}

fn verbs(resource: &Resource) -> Value {
    if resource.group.is_empty() {
        json!(NAMESPACE_VERBS)
    } else {
        json!(VERBS)
    }
}

/// Returns the entry of a resource in an aggregated document.
fn discovered(resource: &Resource) -> Value {
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let scale_kind = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
    let subresource = |name: &str, kind: &Value| json!({"subresource": name, "responseKind": kind, "verbs": SUBRESOURCE_VERBS});
    let mut document = json!({
        "resource": resource.plural,
        "responseKind": kind,
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    let mut subresources = Vec::new();
    if resource.status && !resource.group.is_empty() {
        subresources.push(subresource("status", &kind));
    }
    if resource.scale.is_some() {
        subresources.push(subresource("scale", &scale_kind));
    }
    let lists = [
        ("shortNames", json!(resource.short_names)),
        ("categories", json!(resource.categories)),
        ("subresources", Value::Array(subresources)),
    ];
    add_lists(&mut document, lists);
    document
}

/// Returns the entries of a resource in an APIResourceList.
fn api_resources(resource: &Resource) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs(resource),
    });
    let lists = [
        ("shortNames", json!(resource.short_names)),
        ("categories", json!(resource.categories)),
    ];
    add_lists(&mut entry, lists);
    let mut entries = vec![entry];
    let subresource = |name: &str, kind: &str| {
        json!({"name": format!("{}/{name}", resource.plural), "singularName": "",
            "namespaced": resource.namespaced, "kind": kind, "verbs": SUBRESOURCE_VERBS})
    };
    if resource.status && !resource.group.is_empty() {
        entries.push(subresource("status", &resource.kind));
    }
    if resource.scale.is_some() {
        let mut scale = subresource("scale", "Scale");
        if let Some(map) = scale.as_object_mut() {
            map.insert("group".to_owned(), json!("autoscaling"));
            map.insert("version".to_owned(), json!("v1"));
        }
        entries.push(scale);
    }
    entries
}

/// Adds the lists that are not empty.
fn add_lists<const N: usize>(document: &mut Value, lists: [(&str, Value); N]) {
    let Some(map) = document.as_object_mut() else {
        return;
    };
    for (key, list) in lists {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            map.insert(key.to_owned(), list);
        }
    }
}
