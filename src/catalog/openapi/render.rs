//! Renders OpenAPI documents.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::control_plane::OpenApi;
use crate::catalog::document::Document;

/// The OpenAPI documents of all control planes together.
#[derive(Debug, Default)]
pub(crate) struct OpenApiDocuments {
    pub(crate) v2: Document,
    /// `/openapi/v3`.
    pub(crate) v3_index: Document,
    /// The v3 documents by path below `/openapi/v3/`, for example `apis/G/V`.
    pub(crate) v3: BTreeMap<String, Document>,
}

impl OpenApiDocuments {
    pub(crate) fn render(control_planes: &[&OpenApi]) -> Self {
        let (mut paths, mut definitions) = (Map::new(), Map::new());
        let mut parameters = Map::new();
        let mut index = Map::new();
        let mut v3 = BTreeMap::new();
        for openapi in control_planes {
            if let Some(v2) = &openapi.v2 {
                add_missing(&mut paths, &v2.paths);
                add_missing(&mut definitions, &v2.definitions);
                add_missing(&mut parameters, &v2.parameters);
            }
            for (prefix, (_, value)) in &openapi.v3 {
                let document = Document::json(value);
                let url = format!("/openapi/v3/{prefix}?hash={}", document.hash());
                index.insert(prefix.clone(), json!({"serverRelativeURL": url}));
                v3.insert(prefix.clone(), document);
            }
        }
        Self {
            v2: Document::json(&json!({
                "swagger": "2.0",
                "info": {"title": "claimgate", "version": env!("CARGO_PKG_VERSION")},
                "paths": paths,
                "definitions": definitions,
                "parameters": parameters,
            })),
            v3_index: Document::json(&json!({"paths": index})),
            v3,
        }
    }
}

/// Adds the members that are missing. Members of the same name in several control planes are
/// Kubernetes' own, so the first one represents all.
fn add_missing(to: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        to.entry(key.clone()).or_insert_with(|| value.clone());
    }
}
