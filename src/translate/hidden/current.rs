//! What is hidden of an object as the control plane has it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json as value;

use super::{ANNOTATION, Cascade, Content, collector, json, json_patch};

/// What is hidden of an object now, for a write to be completed with.
#[derive(Clone, Debug)]
pub struct Current {
    /// The `resourceVersion` at which it was so.
    pub version: String,
    pub uid: String,
    pub is_being_deleted: bool,
    /// Finalizers that the app cluster sees, as the control plane stores them.
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
    uid: String,
    deletion_timestamp: Option<IgnoredAny>,
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
        let stored = |name: String| collector::stored(&name).unwrap_or(name);
        Ok(Self {
            version: metadata.resource_version,
            uid: metadata.uid,
            is_being_deleted: metadata.deletion_timestamp.is_some(),
            shown: metadata.finalizers.into_iter().map(stored).collect(),
            hidden: hidden.transpose()?.unwrap_or_default(),
        })
    }

    /// Of an object that is not there. Should it come to be before the write arrives, then not at this
    /// version, which is that of an empty etcd.
    pub fn missing() -> Self {
        Self {
            uid: String::new(),
            version: "1".to_owned(),
            is_being_deleted: false,
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

    /// The object's finalizers with that by which the app cluster's garbage collector knows what to do,
    /// and without the other one (`apiserver/pkg/registry/generic/registry/store.go`,
    /// `deletionFinalizersForGarbageCollection`); `None` if they are so already.
    pub fn marked(&self, cascade: Cascade) -> Option<Vec<String>> {
        let mut marked = self.finalizers();
        marked.retain(|name| collector::local(name).is_none());
        marked.push(cascade.finalizer());
        let is_there = |name: &String| self.shown.contains(name);
        let had = self
            .shown
            .iter()
            .filter(|name| collector::local(name).is_some());
        let is_same = had.count() == 1 && marked.last().is_some_and(is_there);
        (!is_same).then_some(marked)
    }

    /// All of the object's finalizers, as the control plane stores them.
    pub fn finalizers(&self) -> Vec<String> {
        let all = self.shown.iter().chain(&self.hidden.finalizers);
        all.cloned().collect()
    }

    /// A merge patch that sets finalizers of this version of the object.
    pub fn merge_patch(&self, finalizers: &[String]) -> Vec<u8> {
        let metadata = value!({"finalizers": finalizers, "resourceVersion": self.version});
        value!({ "metadata": metadata }).to_string().into_bytes()
    }

    /// A JSON patch whose operations find what the app cluster sees, and lose nothing of the rest.
    /// `mapped` is in the control plane's terms, and may name the version that it is meant for.
    ///
    /// # Errors
    /// It is no list of operations.
    pub fn complete_json_patch(
        &self,
        mapped: &[u8],
        names_version: bool,
    ) -> Result<Vec<u8>, serde_json::Error> {
        json_patch::completed(mapped, self, names_version)
    }
}
