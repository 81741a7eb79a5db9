//! What is hidden of an object as the control plane has it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ANNOTATION, Content, json, json_patch};

/// What is hidden of an object now, for a write to be completed with.
#[derive(Clone, Debug)]
pub struct Current {
    /// The `resourceVersion` at which it was so.
    pub(super) version: String,
    /// Finalizers that the app cluster sees.
    pub(super) shown: Vec<String>,
    pub(super) hidden: Content,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
    #[serde(default)]
    finalizers: Vec<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Current {
    /// From an object in JSON, or its metadata alone, as it was mapped for the app cluster: only then
    /// is the annotation sure to be ours.
    ///
    /// # Errors
    /// It is none.
    pub fn read(mapped: &[u8]) -> Result<Self, serde_json::Error> {
        let Object { mut metadata } = serde_json::from_slice(mapped)?;
        let annotation = metadata.annotations.remove(ANNOTATION);
        let hidden = annotation.map(|text| serde_json::from_str(&text));
        Ok(Self {
            version: metadata.resource_version,
            shown: metadata.finalizers,
            hidden: hidden.transpose()?.unwrap_or_default(),
        })
    }

    /// Of an object that is not there. Should it come to be before the write arrives, then not at this
    /// version, which is that of an empty etcd.
    pub fn missing() -> Self {
        Self {
            version: "1".to_owned(),
            shown: Vec::new(),
            hidden: Content::default(),
        }
    }

    /// A list of finalizers, as a client wrote it, with those that are hidden; `None` if none is, or
    /// if it is no list of names, which the control plane will refuse.
    pub(super) fn with_hidden(&self, list: &str) -> Option<String> {
        if self.hidden.finalizers.is_empty() {
            return None;
        }
        let names: Option<Vec<String>> = serde_json::from_str(list).ok()?;
        let mut names = names.unwrap_or_default();
        for hidden in &self.hidden.finalizers {
            if !names.contains(hidden) {
                names.push(hidden.clone());
            }
        }
        Some(json(&names))
    }

    /// A JSON patch whose operations find what the app cluster sees, and lose nothing of the rest.
    /// `mapped` is in the control plane's terms.
    ///
    /// # Errors
    /// It is no list of operations.
    pub fn complete_json_patch(&self, mapped: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        json_patch::completed(mapped, self)
    }
}
