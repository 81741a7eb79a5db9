//! OpenAPI v3: a document for each exposed group-version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Exposed, refs};
use crate::upstream::source::{Fetched, Source};

/// Bytes of the index, which has a line for each group-version.
const INDEX_BYTES_MAX: usize = 8 << 20;

/// Bytes of one group-version's document.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

const PREFIX: &str = "#/components/schemas/";

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    paths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "serverRelativeURL")]
    server_relative_url: String,
}

/// Brings `known` up to date; whether anything changed.
pub(super) async fn fetch(
    source: &Source,
    exposed: &[Exposed],
    known: &mut BTreeMap<String, (String, Arc<Value>)>,
    anew: bool,
) -> Result<bool, String> {
    let path = "/openapi/v3";
    let fetched = source
        .read(path, "application/json", None, INDEX_BYTES_MAX)
        .await?;
    let Fetched::Document { body, .. } = fetched else {
        return Ok(false);
    };
    let index: Index = serde_json::from_slice(&body).map_err(|e| format!("{path}: {e}"))?;
    let before = known.len();
    known.retain(|prefix, _| exposed.iter().any(|one| one.prefix == *prefix));
    let mut changed = known.len() != before;
    for one in exposed {
        let Some(entry) = index.paths.get(&one.prefix) else {
            continue;
        };
        let url = &entry.server_relative_url;
        if !anew
            && known
                .get(&one.prefix)
                .is_some_and(|(known, _)| known == url)
        {
            continue;
        }
        // Without the hash: kube-openapi redirects from one that is no longer right, or not yet in
        // another of the control plane's servers.
        let path = url.split('?').next().unwrap_or_default();
        let document = source
            .read(path, "application/json", None, DOCUMENT_BYTES_MAX)
            .await?;
        let Fetched::Document { body, .. } = document else {
            continue;
        };
        let mut value: Value = serde_json::from_slice(&body).map_err(|e| format!("{path}: {e}"))?;
        prune(&mut value, one);
        known.insert(one.prefix.clone(), (url.clone(), Arc::new(value)));
        changed = true;
    }
    Ok(changed)
}

/// Leaves the exposed paths and what they reach.
fn prune(document: &mut Value, exposed: &Exposed) {
    let mut from = BTreeSet::new();
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        paths.retain(|path, _| exposed.takes(path));
        paths
            .values()
            .for_each(|item| refs::names(item, PREFIX, &mut from));
    }
    let schemas = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut);
    if let Some(schemas) = schemas {
        let all: Map<String, Value> = std::mem::take(schemas);
        // A kind that no path refers to still belongs to its resource: its list, for one.
        let (reached, _missing) = refs::reached(from, &all, PREFIX);
        *schemas = all
            .into_iter()
            .filter(|(name, _)| reached.contains(name))
            .collect();
    }
}
