//! Checks composed resources, which Crossplane creates for a composite resource.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{DynamicObject, GroupVersionKind};
use kube::discovery::pinned_kind;

use kube_wire::group_version::GroupVersion;

/// Returns whether the owner controls the object that an event is about. The owner's reference to the object is not
/// enough, because it can name any object.
///
/// # Errors
/// The control plane does not serve the kind, forbids reading the object, or cannot be reached.
pub(super) async fn is_owned(
    client: &kube::Client,
    object: &ObjectReference,
    owner: &str,
) -> Result<bool, kube::Error> {
    let api_version = object.api_version.as_deref().unwrap_or_default();
    let parsed = api_version.parse::<GroupVersion>();
    let (Ok(parsed), Some(kind), Some(name)) = (parsed, &object.kind, &object.name) else {
        return Ok(false);
    };
    let kind = GroupVersionKind::gvk(&parsed.group, &parsed.version, kind);
    let (resource, _) = pinned_kind(client, &kind).await?;
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let Some(found) = api.get_metadata_opt(name).await? else {
        return Ok(false);
    };
    let mut owners = found.metadata.owner_references.iter().flatten();
    Ok(found.metadata.uid == object.uid
        && owners.any(|known| known.uid == owner && known.controller == Some(true)))
}
