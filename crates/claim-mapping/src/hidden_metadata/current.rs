//! Hidden metadata of an object as the control plane stores it now.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{ANNOTATION, HiddenMetadata, PropagationPolicy, finalizers, json_list};

/// The current metadata that is needed to complete a write.
#[derive(Clone, Debug)]
pub struct CurrentMetadata {
    /// The resourceVersion of the object from which this was read.
    pub resource_version: String,
    pub uid: String,
    pub is_being_deleted: bool,
    /// Whether someone changed claimgate's labels or annotations, so that the next patch restores them. The reader of
    /// the object sets it.
    pub is_damaged: bool,
    /// Finalizers that the app cluster sees, under the names that the control plane stores.
    pub(super) shown: Vec<String>,
    pub(super) hidden: HiddenMetadata,
    /// The keys of the labels and annotations that the app cluster sees; `None` without such a map.
    labels: Option<Vec<String>>,
    annotations: Option<Vec<String>>,
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
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl CurrentMetadata {
    /// Reads an object in JSON, or only its metadata, after it was mapped for the app cluster. Only a mapped
    /// object is certain to have the annotation from claimgate.
    ///
    /// # Errors
    /// The JSON is not an object, or its hidden metadata cannot be read.
    pub fn read(mapped: &[u8]) -> Result<Self, serde_json::Error> {
        let Object { mut metadata } = serde_json::from_slice(mapped)?;
        let annotations = metadata.annotations.as_mut();
        let annotation = annotations.and_then(|annotations| annotations.remove(ANNOTATION));
        // Claimgate added the annotation, and the map if nothing else is in it.
        let is_own = |map: &BTreeMap<String, String>| annotation.is_some() && map.is_empty();
        let annotations = metadata.annotations.filter(|map| !is_own(map));
        let hidden = annotation.as_ref().map_or_else(
            || Ok(HiddenMetadata::default()),
            |text| serde_json::from_str(text),
        );
        let mut shown = metadata.finalizers;
        finalizers::rename(&mut shown, finalizers::stored);
        Ok(Self {
            resource_version: metadata.resource_version,
            uid: metadata.uid,
            is_being_deleted: metadata.deletion_timestamp.is_some(),
            is_damaged: false,
            shown,
            hidden: hidden?,
            labels: metadata.labels.map(keys),
            annotations: annotations.map(keys),
        })
    }

    /// Returns the metadata of an object that does not exist.
    ///
    /// Its resourceVersion is `1`, the revision of an empty etcd. If the object is created before the write
    /// arrives, its version differs, so the write is a conflict.
    pub fn missing() -> Self {
        Self {
            uid: String::new(),
            resource_version: "1".to_owned(),
            is_being_deleted: false,
            is_damaged: false,
            shown: Vec::new(),
            hidden: HiddenMetadata::default(),
            labels: None,
            annotations: None,
        }
    }

    /// Returns the keys of the labels that the app cluster sees, or `None` if the object has none.
    pub(crate) fn labels(&self) -> Option<&[String]> {
        self.labels.as_deref()
    }

    /// Returns the keys of the annotations that the app cluster sees, or `None` if the object has none.
    pub(crate) fn annotations(&self) -> Option<&[String]> {
        self.annotations.as_deref()
    }

    /// Returns a client's list of finalizers with the hidden ones added. Returns `None` if no finalizer is
    /// hidden, or if the list contains anything but strings, because kube-apiserver rejects such a list.
    pub(super) fn with_hidden(&self, json: &str) -> Option<String> {
        if self.hidden.finalizers.is_empty() {
            return None;
        }
        let names: Option<Vec<String>> = serde_json::from_str(json).ok()?;
        let mut names = names.unwrap_or_default();
        for hidden in &self.hidden.finalizers {
            if !names.contains(hidden) {
                names.push(hidden.clone());
            }
        }
        Some(json_list(&names))
    }

    /// Returns the object's finalizers with the one that requests `policy` and without that of the other policy
    /// (`apiserver/pkg/registry/generic/registry/store.go`, `deletionFinalizersForGarbageCollection`). Returns
    /// `None` if the object already has exactly that one.
    pub fn finalizers_for(&self, policy: PropagationPolicy) -> Option<Vec<String>> {
        let is_policy = |name: &&String| finalizers::local(name).is_some();
        let wanted = policy.finalizer();
        let mut present = self.shown.iter().filter(is_policy);
        if present.next() == Some(&wanted) && present.next().is_none() {
            return None;
        }
        let mut finalizers = self.stored_finalizers();
        finalizers.retain(|name| finalizers::local(name).is_none());
        finalizers.push(wanted);
        Some(finalizers)
    }

    /// Returns all finalizers of the object, under the names that the control plane stores.
    pub fn stored_finalizers(&self) -> Vec<String> {
        let all = self.shown.iter().chain(&self.hidden.finalizers);
        all.cloned().collect()
    }

    /// Returns a merge patch that sets the finalizers of this version of the object.
    pub fn finalizers_patch(&self, finalizers: &[String]) -> Vec<u8> {
        let metadata = json!({"finalizers": finalizers, "resourceVersion": self.resource_version});
        json!({ "metadata": metadata }).to_string().into_bytes()
    }
}

fn keys(map: BTreeMap<String, String>) -> Vec<String> {
    map.into_keys().collect()
}
