//! The parts of a claim that the controllers need.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use crate::catalog::ClaimResource;
use crate::object_key::object_key;
use claim_mapping::mapping::{Mapping, ObjectKey};
use claim_mapping::origin;
use kube_wire::group_version::GroupVersion;

/// Returns the resource as kube needs it.
pub(super) fn api_resource(resource: &ClaimResource) -> ApiResource {
    ApiResource {
        group: resource.group.clone(),
        version: resource.version.clone(),
        api_version: resource.api_version(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
    }
}

/// A claim on the control plane.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) uid: String,
    pub(crate) resource: Arc<ClaimResource>,
    pub(crate) local: ObjectKey,
    pub(crate) remote: ObjectKey,
    /// The remote name of the Secret that `spec.writeConnectionSecretToRef` names.
    pub(crate) connection_secret: Option<String>,
    /// The texts at the [`Pointers`] of the resource's group, in their order.
    pub(crate) references: Vec<Option<String>>,
    /// The conditions that are false.
    pub(crate) false_conditions: Vec<String>,
    /// The composite resource that `spec.resourceRef` names. Users can write any name there.
    pub(crate) composite: Option<CompositeReference>,
}

/// A reference to a composite resource, which has no namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CompositeReference {
    pub(crate) kind: GroupVersionKind,
    pub(crate) name: String,
}

/// JSON pointers to the fields of claims that are kept, by API group.
pub(crate) type Pointers = BTreeMap<String, Vec<String>>;

impl Claim {
    /// Returns the claim, or `None` if the object does not belong to the app cluster.
    pub(crate) fn parse(
        object: &DynamicObject,
        resource: &Arc<ClaimResource>,
        mapping: &Mapping,
        pointers: &Pointers,
    ) -> Option<Self> {
        let metadata = &object.metadata;
        let remote = object_key(metadata);
        let none = BTreeMap::new();
        let labels = metadata.labels.as_ref().unwrap_or(&none);
        let annotations = metadata.annotations.as_ref().unwrap_or(&none);
        let local = origin::local_key(mapping, &remote, labels, annotations)?;
        Some(Self {
            uid: metadata.uid.clone()?,
            resource: Arc::clone(resource),
            local,
            remote,
            connection_secret: text(object, "/spec/writeConnectionSecretToRef/name"),
            false_conditions: false_conditions(&object.data),
            references: pointers
                .get(&resource.group)
                .map_or_else(Vec::new, |pointers| {
                    let texts = pointers.iter().map(|pointer| text(object, pointer));
                    texts.collect()
                }),
            composite: composite(object),
        })
    }

    /// Returns `NAMESPACE/NAME` in the app cluster.
    pub(crate) fn local_name(&self) -> String {
        format!("{}/{}", self.local.namespace, self.local.name)
    }

    /// Returns the owner reference to the claim for copies in the app cluster. The claim has the same UID there, so the
    /// garbage collector of the app cluster deletes the copies with the claim.
    pub(crate) fn local_owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.resource.api_version(),
            kind: self.resource.kind.clone(),
            name: self.local.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            ..OwnerReference::default()
        }
    }

    /// Returns the owner reference to the claim for copies on the control plane.
    pub(crate) fn remote_owner(&self) -> OwnerReference {
        OwnerReference {
            name: self.remote.name.clone(),
            controller: None,
            ..self.local_owner()
        }
    }
}

fn false_conditions(object: &Value) -> Vec<String> {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let conditions = conditions.into_iter().flatten();
    conditions
        .filter(|condition| condition["status"] == "False")
        .filter_map(|condition| condition["type"].as_str().map(str::to_owned))
        .collect()
}

/// Returns the text at a JSON pointer, or `None` if it is missing or empty.
fn text(object: &DynamicObject, pointer: &str) -> Option<String> {
    let value = object.data.pointer(pointer)?.as_str()?;
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

fn composite(object: &DynamicObject) -> Option<CompositeReference> {
    let api_version = text(object, "/spec/resourceRef/apiVersion")?;
    let parsed: GroupVersion = api_version.parse().ok()?;
    let kind = text(object, "/spec/resourceRef/kind")?;
    Some(CompositeReference {
        kind: GroupVersionKind::gvk(&parsed.group, &parsed.version, &kind),
        name: text(object, "/spec/resourceRef/name")?,
    })
}
