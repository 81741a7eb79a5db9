//! The documents, made once for each change.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::document::{Group, Version};
use super::listing::Listing;
use crate::openapi::OpenApi;

/// A body with its ETag.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) body: Bytes,
    pub(crate) etag: HeaderValue,
}

/// All that is told from memory.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(super) v2: Document,
    pub(super) v2beta1: Document,
    pub(super) groups: Document,
    pub(super) group: BTreeMap<String, Document>,
    pub(super) version: BTreeMap<(String, String), Listing>,
    pub(crate) openapi_v2: Document,
    pub(crate) openapi_v3: Document,
    /// By path without its first slash, such as `apis/G/V`.
    pub(crate) openapi_v3_of: BTreeMap<String, Document>,
}

impl Default for Document {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}

impl Document {
    pub(crate) fn new(body: Bytes) -> Self {
        let etag = etag(&body);
        Self { body, etag }
    }

    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::new(serde_json::to_vec(value).unwrap_or_default().into())
    }

    /// Whether an If-None-Match names it, which compares weakly (RFC 9110, section 13.1.2).
    pub(super) fn is_in(&self, if_none_match: &str) -> bool {
        let mut known = if_none_match.split(',').map(str::trim);
        known.any(|etag| etag == "*" || etag.trim_start_matches("W/") == self.etag)
    }
}

/// As kube-apiserver makes it: quoted, SHA-512 in upper case
/// (`apiserver/pkg/endpoints/discovery/aggregated/etag.go`).
fn etag(body: &[u8]) -> HeaderValue {
    let digest: String = Sha512::digest(body)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

pub(super) fn render(planes: &[(&[Group], &OpenApi)]) -> Rendered {
    let groups = joined(planes);
    let aggregated = |version: &str| {
        Document::json(&json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{version}"),
            "metadata": {},
            "items": groups,
        }))
    };
    let list: Vec<Value> = groups.iter().map(|group| api_group(group, false)).collect();
    let mut rendered = Rendered {
        v2: aggregated("v2"),
        v2beta1: aggregated("v2beta1"),
        groups: Document::json(&json!({
            "kind": "APIGroupList", "apiVersion": "v1", "groups": list,
        })),
        ..Rendered::default()
    };
    for group in &groups {
        let name = &group.metadata.name;
        rendered
            .group
            .insert(name.clone(), Document::json(&api_group(group, true)));
        for version in &group.versions {
            rendered.version.insert(
                (name.clone(), version.version.clone()),
                Listing::of(name, version),
            );
        }
    }
    let all: Vec<&OpenApi> = planes.iter().map(|(_, openapi)| *openapi).collect();
    OpenApi::render(&all, &mut rendered);
    rendered
}

/// The groups of all control planes; one that is split by version comes together again.
fn joined(planes: &[(&[Group], &OpenApi)]) -> Vec<Group> {
    let mut all: Vec<Group> = Vec::new();
    for group in planes.iter().flat_map(|(groups, _)| groups.iter()) {
        match all
            .iter_mut()
            .find(|known| known.metadata == group.metadata)
        {
            Some(known) => known.versions.extend(group.versions.iter().cloned()),
            None => all.push(group.clone()),
        }
    }
    all
}

fn api_group(group: &Group, alone: bool) -> Value {
    let name = &group.metadata.name;
    let version = |version: &Version| {
        let version = &version.version;
        json!({"groupVersion": format!("{name}/{version}"), "version": version})
    };
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    let mut object = json!({
        "name": name, "versions": versions, "preferredVersion": versions.first(),
    });
    if alone && let Some(object) = object.as_object_mut() {
        object.insert("kind".to_owned(), "APIGroup".into());
        object.insert("apiVersion".to_owned(), "v1".into());
    }
    object
}
