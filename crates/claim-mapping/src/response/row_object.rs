//! The object of a Table's row, as far as claimgate needs it to keep or drop the row.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Metadata of the row's object. kube-apiserver sends it in each row if the request sets `includeObject`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RowObject {
    metadata: RowMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RowMetadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl RowObject {
    /// Reads the object from JSON. Null is an object without a namespace.
    ///
    /// # Errors
    /// The JSON is not an object with metadata.
    pub(super) fn read(raw: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Option<Self>>(raw).map(Option::unwrap_or_default)
    }

    /// Returns the remote namespace. It is empty for a bookmark, and for a row without an object, which no
    /// client sees.
    pub(super) fn namespace(&self) -> &str {
        &self.metadata.namespace
    }

    /// Returns the remote name.
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.metadata.labels)
    }

    pub(super) fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.metadata.annotations)
    }

    /// Returns whether the row is the bookmark that ends the initial events. An annotation on its object marks
    /// it, so the object is kept (`apiserver/pkg/endpoints/handlers/response.go`, `asTable`).
    pub(super) fn ends_initial_events(&self) -> bool {
        let annotation = self.metadata.annotations.get("k8s.io/initial-events-end");
        annotation.is_some_and(|value| value == "true")
    }
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
}
