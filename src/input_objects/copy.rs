//! Builds the copy of an input on the control plane. Does no I/O.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::owned_objects::KnownObject;
use claim_mapping::mapping::{Mapping, ObjectKey};
use claim_mapping::origin;

/// The label of objects in the app cluster that may be copied, and of the copies. Its value is `true`.
pub(super) const OPT_IN: &str = "claimgate.dev/input";

/// Returns the metadata to store of an object in the app cluster.
pub(super) fn recognize_source(metadata: &ObjectMeta) -> Option<KnownObject> {
    Some(KnownObject {
        uid: metadata.uid.clone()?,
        resource_version: metadata.resource_version.clone()?,
        claims: Vec::new(),
        claim_kind: Default::default(),
        labels: metadata.labels.clone().unwrap_or_default(),
    })
}

/// Returns the metadata to store of a copy. Its owners are claims.
pub(super) fn recognize_copy(metadata: &ObjectMeta) -> Option<KnownObject> {
    let owners = metadata.owner_references.iter().flatten();
    Some(KnownObject {
        uid: metadata.uid.clone()?,
        resource_version: metadata.resource_version.clone()?,
        claims: owners.map(|owner| owner.uid.as_str().into()).collect(),
        claim_kind: Default::default(),
        labels: BTreeMap::new(),
    })
}

/// Returns whether an object on the control plane is a copy from this app cluster.
pub(super) fn is_copy(metadata: &ObjectMeta, cluster: &str) -> bool {
    let label = |key| metadata.labels.as_ref().and_then(|labels| labels.get(key));
    label(OPT_IN).is_some() && label(origin::CLUSTER).is_some_and(|name| name == cluster)
}

/// Returns the local name of an object that a claim on the control plane names, or `None` if the name does not belong
/// to the claim's local namespace.
pub(super) fn local_name(mapping: &Mapping, namespace: &str, remote: &str) -> Option<String> {
    match mapping {
        Mapping::Table(_) => Some(remote.to_owned()),
        Mapping::Shared(shared) => shared.local_secret_name(namespace, remote),
    }
}

/// Returns the name of the copy of a local object, or `None` if it would be too long.
pub(super) fn remote_name(mapping: &Mapping, local: &ObjectKey) -> Option<String> {
    match mapping {
        Mapping::Table(_) => Some(local.name.clone()),
        Mapping::Shared(shared) => shared.remote_secret_name(local),
    }
}

/// Returns the metadata of a copy: the previous metadata, with one more owner.
pub(super) fn metadata(
    key: &ObjectKey,
    cluster: &str,
    before: Option<&ObjectMeta>,
    owner: OwnerReference,
) -> ObjectMeta {
    let owners = before.and_then(|before| before.owner_references.clone());
    let mut owners = owners.unwrap_or_default();
    owners.retain(|known| known.uid != owner.uid);
    owners.push(owner);
    ObjectMeta {
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        labels: Some(BTreeMap::from([
            (OPT_IN.to_owned(), "true".to_owned()),
            (origin::CLUSTER.to_owned(), cluster.to_owned()),
        ])),
        owner_references: Some(owners),
        resource_version: before.and_then(|before| before.resource_version.clone()),
        ..ObjectMeta::default()
    }
}
