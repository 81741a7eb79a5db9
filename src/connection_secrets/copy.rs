//! Builds the copy of a connection Secret. Does no I/O.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::error::CopyError;
use crate::claims::Claim;
use crate::config::{ConnectionSecretsConfig, KeySelection};
use crate::object_key::object_key;
use crate::owned_objects::KnownObject;
use claim_mapping::mapping::{Mapping, ObjectKey};
use claim_mapping::origin;
use kube_wire::group_version::GroupVersion;

/// The label of each copy with the name of the control plane.
const CONTROL_PLANE: &str = "claimgate.dev/control-plane";

/// The label of each copy with the name of the app cluster in the configuration.
const CLUSTER: &str = origin::CLUSTER;

/// The label of each copy with the UID of the claim.
const CLAIM: &str = "claimgate.dev/claim";

/// The type of the Secrets that Crossplane writes for claims.
const CONNECTION: &str = "connection.crossplane.io/v1alpha1";

/// Returns the selector of the copies that a daemon makes for a control plane.
pub(crate) fn selector(cluster: &str, control_plane: &str) -> String {
    format!("{CLUSTER}={cluster},{CONTROL_PLANE}={control_plane},{CLAIM}")
}

/// Returns the metadata to store of a Secret on the control plane, or `None` if the Secret has no controller.
pub(super) fn recognize_source(metadata: &ObjectMeta) -> Option<KnownObject> {
    let owners = metadata.owner_references.iter().flatten();
    let owner = owners
        .clone()
        .find(|owner| owner.controller == Some(true))?;
    Some(KnownObject {
        uid: metadata.uid.clone()?,
        resource_version: metadata.resource_version.clone()?,
        claims: vec![owner.uid.as_str().into()],
        claim_kind: (group(&owner.api_version), owner.kind.clone()),
        labels: BTreeMap::new(),
    })
}

/// Returns the metadata to store of a copy in the app cluster, or `None` if the Secret is not a copy.
pub(super) fn recognize_copy(metadata: &ObjectMeta) -> Option<KnownObject> {
    let claim = metadata.labels.as_ref()?.get(CLAIM)?;
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.uid == *claim);
    Some(KnownObject {
        uid: metadata.uid.clone()?,
        resource_version: metadata.resource_version.clone()?,
        claims: vec![claim.as_str().into()],
        claim_kind: owner
            .map(|owner| (group(&owner.api_version), owner.kind.clone()))
            .unwrap_or_default(),
        labels: BTreeMap::new(),
    })
}

fn group(api_version: &str) -> String {
    let parsed = api_version.parse::<GroupVersion>();
    parsed.map(|parsed| parsed.group).unwrap_or_default()
}

/// Returns whether a Secret on the control plane is a current connection Secret of the claim. Crossplane does not
/// delete the Secret of an earlier reference.
pub(super) fn is_of(claim: &Claim, source: &Secret) -> bool {
    let mut owners = source.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == claim.uid)
        && (!is_named_by_claim(source) || source.metadata.name == claim.connection_secret)
}

/// Returns whether Crossplane writes such a Secret under the name in the claim.
pub(super) fn is_named_by_claim(source: &Secret) -> bool {
    source.type_.as_deref() == Some(CONNECTION)
}

/// Returns the local name of a Secret of a claim. If a composition named the Secret after the claim, only the name of
/// the claim in it is mapped.
pub(super) fn local_name(mapping: &Mapping, claim: &Claim, remote: &str) -> String {
    let Mapping::Shared(shared) = mapping else {
        return remote.to_owned();
    };
    let named = shared.local_secret_name(&claim.local.namespace, remote);
    named.unwrap_or_else(|| match remote.strip_prefix(&claim.remote.name) {
        Some(rest) => format!("{}{rest}", claim.local.name),
        None => remote.to_owned(),
    })
}

/// Returns the copy of a Secret.
///
/// # Errors
/// A template names a key that the Secret does not have.
pub(super) fn copy(
    source: &Secret,
    claim: &Claim,
    key: &ObjectKey,
    (cluster, control_plane): (&str, &str),
    config: &ConnectionSecretsConfig,
) -> Result<Secret, CopyError> {
    let mut data = source.data.clone().unwrap_or_default();
    for (name, template) in &config.templates {
        let values: BTreeMap<String, &[u8]> = source
            .data
            .iter()
            .flatten()
            .map(|(name, ByteString(value))| (name.clone(), value.as_slice()))
            .collect();
        let rendered = template.render(&values);
        let rendered = rendered.map_err(|error| CopyError::Template {
            key: name.clone(),
            error,
        })?;
        data.insert(name.clone(), ByteString(rendered));
    }
    let mut labels = selected(source.metadata.labels.as_ref(), &config.labels);
    labels.extend([
        (CLUSTER.to_owned(), cluster.to_owned()),
        (CONTROL_PLANE.to_owned(), control_plane.to_owned()),
        (CLAIM.to_owned(), claim.uid.clone()),
    ]);
    let annotations = selected(source.metadata.annotations.as_ref(), &config.annotations);
    let type_ = config.target_type.as_ref().or(source.type_.as_ref());
    Ok(Secret {
        metadata: ObjectMeta {
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![claim.local_owner()]),
            ..ObjectMeta::default()
        },
        data: Some(data),
        type_: type_.cloned(),
        ..Secret::default()
    })
}

fn selected(
    map: Option<&BTreeMap<String, String>>,
    keys: &KeySelection,
) -> BTreeMap<String, String> {
    let pairs = map.into_iter().flatten();
    pairs
        .filter(|(key, _)| keys.contains(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Returns the key and the metadata to store of a copy that was written.
pub(super) fn written(copy: &Secret) -> Option<(ObjectKey, KnownObject)> {
    Some((object_key(&copy.metadata), recognize_copy(&copy.metadata)?))
}
