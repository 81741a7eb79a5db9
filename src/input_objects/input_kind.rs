//! The kinds of objects that are copied to the control plane, and what is copied of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::claims::ClaimScope;

/// An API whose claims need objects of one kind.
#[derive(Clone, Debug)]
pub(crate) struct InputApi {
    pub(crate) scope: ClaimScope,
    pub(crate) rules: Vec<InputRule>,
}

/// Selects the objects of its local namespace that a claim needs.
#[derive(Clone, Debug)]
pub(crate) enum InputRule {
    /// The object that a field names. `at` is the position of its value in `Claim::references`.
    Reference {
        at: usize,
        path: String,
        /// The resources that have the field. Empty for all.
        resources: BTreeSet<String>,
    },
    /// All objects with these labels.
    Labels(BTreeMap<String, String>),
}

/// A kind of objects that is copied.
pub(crate) trait InputObject:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// The name of the controller in metrics.
    const CONTROLLER: &'static str;
    /// The condition of claims whose objects cannot be copied.
    const CONDITION: &'static str;
    /// The kind in messages.
    const NAME: &'static str;

    /// Returns an object with the content of this object and with this metadata.
    fn copy(&self, metadata: ObjectMeta) -> Self;
}

impl InputObject for Secret {
    const CONTROLLER: &'static str = "input-secrets";
    const CONDITION: &'static str = "InputSecretsCopied";
    const NAME: &'static str = "Secret";

    /// Controllers act on some types, so every copy is Opaque.
    fn copy(&self, metadata: ObjectMeta) -> Self {
        Self {
            metadata,
            data: self.data.clone(),
            type_: Some("Opaque".to_owned()),
            ..Self::default()
        }
    }
}

impl InputObject for ConfigMap {
    const CONTROLLER: &'static str = "input-config-maps";
    const CONDITION: &'static str = "InputConfigMapsCopied";
    const NAME: &'static str = "ConfigMap";

    fn copy(&self, metadata: ObjectMeta) -> Self {
        Self {
            metadata,
            data: self.data.clone(),
            binary_data: self.binary_data.clone(),
            ..Self::default()
        }
    }
}
