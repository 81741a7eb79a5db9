//! Reads OpenAPI v2.
//!
//! With a thousand CRDs the document has tens of MB, but only a few KB of it are needed. [`parse()`]
//! keeps exposed paths and the definitions that are known to be needed. If a needed definition precedes
//! the first reference to it, the document is read again.

mod parse;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::parse::{DEFINITIONS_PREFIX, ParsedDocument, parse};
use super::group_version::ExposedGroupVersion;
use super::references::{Reachable, collect_names, reachable};
use crate::upstream::{DocumentClient, DocumentFetch, FetchError, FetchedDocument};

const PATH: &str = "/openapi/v2";

/// Parameters that paths share. The API server names them by a hash of their content.
const PARAMETERS_PREFIX: &str = "#/parameters/";

/// Lists the kinds that a definition describes.
const KINDS: &str = "x-kubernetes-group-version-kind";

/// Number of reads after which missing definitions are an error.
const READS_MAX: usize = 8;

/// Exposed paths of OpenAPI v2, and the definitions and parameters that they refer to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct OpenApiV2 {
    etag: Option<String>,
    pub(super) paths: Arc<Map<String, Value>>,
    pub(super) definitions: Arc<Map<String, Value>>,
    pub(super) parameters: Arc<Map<String, Value>>,
}

impl OpenApiV2 {
    pub(super) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }
}

/// Reads the document, or returns `None` if it still has the ETag.
pub(super) async fn fetch(
    client: &DocumentClient,
    exposed: &[ExposedGroupVersion],
    etag: Option<&str>,
) -> Result<Option<OpenApiV2>, FetchError> {
    let mut needed = BTreeSet::new();
    for _ in 0..READS_MAX {
        let fetched = client.open(PATH, "application/json", etag).await?;
        let DocumentFetch::Document(FetchedDocument { etag, body, .. }) = fetched else {
            return Ok(None);
        };
        let parsed = parse(body, exposed.to_vec(), needed).await;
        let parsed = parsed.map_err(|problem| FetchError::invalid(PATH, problem))?;
        let ParsedDocument {
            paths,
            mut definitions,
            mut parameters,
        } = parsed;
        let from = names_in(&paths, DEFINITIONS_PREFIX);
        let Reachable { found, missing } = reachable(from, &definitions, DEFINITIONS_PREFIX);
        if missing.is_empty() {
            let shared = names_in(&paths, PARAMETERS_PREFIX);
            parameters.retain(|name, _| shared.contains(name));
            definitions.retain(|name, _| found.contains(name));
            retain_exposed_kinds(&mut definitions, exposed);
            return Ok(Some(OpenApiV2 {
                etag,
                paths: Arc::new(paths),
                definitions: Arc::new(definitions),
                parameters: Arc::new(parameters),
            }));
        }
        needed = found;
        needed.extend(missing);
    }
    let problem = format!("definitions are still missing after {READS_MAX} reads");
    Err(FetchError::invalid(PATH, problem))
}

/// Returns the targets of all references in the paths that begin with `prefix`, without the prefix.
fn names_in(paths: &Map<String, Value>, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in paths.values() {
        collect_names(path, prefix, &mut names);
    }
    names
}

/// Removes kinds of other groups from the definitions.
///
/// The app cluster defines Kubernetes' own kinds itself, for example Scale. If its version of a
/// definition differs, the aggregator keeps both under different names (kube-openapi's
/// `pkg/aggregator`, which does not compare kinds). Parsers reject a kind with two definitions
/// (apimachinery's `pkg/util/managedfields/gvkparser.go`).
fn retain_exposed_kinds(definitions: &mut Map<String, Value>, exposed: &[ExposedGroupVersion]) {
    let is_exposed = |kind: &Value| {
        let part = |name| kind.get(name).and_then(Value::as_str).unwrap_or_default();
        let prefix = format!("apis/{}/{}", part("group"), part("version"));
        exposed.iter().any(|one| one.prefix == prefix)
    };
    for definition in definitions.values_mut().filter_map(Value::as_object_mut) {
        let Some(kinds) = definition.get_mut(KINDS).and_then(Value::as_array_mut) else {
            continue;
        };
        kinds.retain(is_exposed);
        if kinds.is_empty() {
            definition.remove(KINDS);
        }
    }
}
