//! Reads OpenAPI v3: one document for each exposed group-version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::group_version::ExposedGroupVersion;
use super::references::{collect_names, reachable};
use crate::upstream::{DocumentClient, DocumentFetch, FetchError};

/// Largest size in bytes of the index, which has an entry for each group-version.
const INDEX_BYTES_MAX: usize = 8 << 20;

/// Largest size in bytes of the document of one group-version.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

const SCHEMAS_PREFIX: &str = "#/components/schemas/";

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    paths: BTreeMap<String, IndexEntry>,
}

#[derive(Deserialize)]
struct IndexEntry {
    #[serde(rename = "serverRelativeURL")]
    server_relative_url: String,
}

/// Updates the documents in `known`. Returns whether any changed. With `is_exposure_changed`, also reads
/// documents whose URL is unchanged.
pub(super) async fn update(
    client: &DocumentClient,
    exposed: &[ExposedGroupVersion],
    known: &mut BTreeMap<String, (String, Arc<Value>)>,
    is_exposure_changed: bool,
) -> Result<bool, FetchError> {
    let path = "/openapi/v3";
    let Some(body) = read(client, path, INDEX_BYTES_MAX).await? else {
        return Ok(false);
    };
    let index: Index =
        serde_json::from_slice(&body).map_err(|error| FetchError::invalid(path, error))?;
    let before = known.len();
    known.retain(|prefix, _| exposed.iter().any(|one| one.prefix == *prefix));
    let mut is_changed = known.len() != before;
    for one in exposed {
        let Some(entry) = index.paths.get(&one.prefix) else {
            continue;
        };
        let url = &entry.server_relative_url;
        let known_url = known.get(&one.prefix).map(|(url, _)| url);
        if !is_exposure_changed && known_url == Some(url) {
            continue;
        }
        // Without the hash: kube-openapi redirects if the hash is outdated. The hash may also be
        // unknown to another replica of the control plane.
        let path = url.split('?').next().unwrap_or_default();
        let Some(body) = read(client, path, DOCUMENT_BYTES_MAX).await? else {
            continue;
        };
        let mut document: Value =
            serde_json::from_slice(&body).map_err(|error| FetchError::invalid(path, error))?;
        reduce(&mut document, one);
        known.insert(one.prefix.clone(), (url.clone(), Arc::new(document)));
        is_changed = true;
    }
    Ok(is_changed)
}

/// Reads a document without a condition. Returns `None` if the server replies 304 although the request has no
/// condition.
async fn read(
    client: &DocumentClient,
    path: &str,
    bytes_max: usize,
) -> Result<Option<bytes::Bytes>, FetchError> {
    let fetched = client
        .read(path, "application/json", None, bytes_max)
        .await?;
    Ok(match fetched {
        DocumentFetch::Document(document) => Some(document.body),
        DocumentFetch::NotModified => None,
    })
}

/// Removes all paths that are not exposed, and the schemas that the others do not need.
fn reduce(document: &mut Value, exposed: &ExposedGroupVersion) {
    let mut from = BTreeSet::new();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        paths.retain(|path, _| exposed.has_path(path));
        paths
            .values()
            .for_each(|path| collect_names(path, SCHEMAS_PREFIX, &mut from));
    }
    let schemas = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut);
    if let Some(schemas) = schemas {
        let all: Map<String, Value> = std::mem::take(schemas);
        let needed = reachable(from, &all, SCHEMAS_PREFIX).found;
        *schemas = all
            .into_iter()
            .filter(|(name, _)| needed.contains(name))
            .collect();
    }
}
