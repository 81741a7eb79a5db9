//! Looks for objects in a namespace that `connect` did not create.

use kube::Api;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::core::discovery::v2::APIGroupDiscovery;

use super::clusters::Cluster;
use super::error::ConnectError;

/// Objects that Kubernetes itself creates in each namespace, by resource and name. An empty name means all.
const OF_KUBERNETES: [(&str, &str); 4] = [
    ("configmaps", "kube-root-ca.crt"),
    ("serviceaccounts", "default"),
    ("events", ""),
    ("endpointslices", ""),
];

/// Returns one object of the namespace that someone else created, as `RESOURCE NAME`. Objects that are being deleted do
/// not count.
///
/// # Errors
/// The cluster cannot be reached, or rejects a list. Then the namespace may have objects.
pub(super) async fn find(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Option<String>, ConnectError> {
    let core = cluster.client.list_core_api_versions_aggregated().await;
    let groups = cluster.client.list_api_groups_aggregated().await;
    let core = core.map_err(cluster.failed("read discovery"))?.items;
    let groups = groups.map_err(cluster.failed("read discovery"))?.items;
    for (name, resource) in core.iter().chain(&groups).flat_map(resources) {
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), namespace, &resource);
        let listed = match api.list_metadata(&ListParams::default()).await {
            Ok(listed) => listed.items,
            // The resource is gone meanwhile.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) => continue,
            Err(error) => return Err(cluster.failed(format!("list {name}"))(error)),
        };
        let is_of_kubernetes = |object: &str| {
            let mut known = OF_KUBERNETES.iter();
            known.any(|(resource, known)| {
                *resource == name && (known.is_empty() || *known == object)
            })
        };
        let mut others = listed.iter().filter(|object| {
            object.metadata.deletion_timestamp.is_none() && !is_of_kubernetes(&object.name_any())
        });
        if let Some(object) = others.next() {
            return Ok(Some(format!("{name} {}", object.name_any())));
        }
    }
    Ok(None)
}

/// Returns the namespaced resources of a group that can be listed, each in its preferred version.
fn resources(group: &APIGroupDiscovery) -> Vec<(String, ApiResource)> {
    let metadata = group.metadata.as_ref();
    let name = metadata.and_then(|metadata| metadata.name.clone());
    let name = name.unwrap_or_default();
    let mut found: Vec<(String, ApiResource)> = Vec::new();
    for version in &group.versions {
        for resource in &version.resources {
            let kind = resource.response_kind.as_ref();
            let kind = kind.and_then(|kind| kind.kind.clone());
            let (Some(plural), Some(kind)) = (&resource.resource, kind) else {
                continue;
            };
            let can_list = resource.verbs.iter().any(|verb| verb == "list");
            let is_namespaced = resource.scope.as_deref() == Some("Namespaced");
            let is_known = found.iter().any(|(known, _)| known == plural);
            if can_list && is_namespaced && !is_known {
                let version = version.version.clone().unwrap_or_default();
                let kind = GroupVersionKind::gvk(&name, &version, &kind);
                found.push((
                    plural.clone(),
                    ApiResource::from_gvk_with_plural(&kind, plural),
                ));
            }
        }
    }
    found
}
