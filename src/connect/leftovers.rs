//! Looks for objects in a namespace that `connect` did not create.

use kube::Api;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};

use super::clusters::Cluster;
use super::discovery::{NamespacedResource, namespaced_resources};
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
/// The cluster cannot be reached or rejects a list, so it is unknown whether the namespace has objects.
pub(super) async fn find(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Option<String>, ConnectError> {
    let core = cluster.client.list_core_api_versions_aggregated().await;
    let groups = cluster.client.list_api_groups_aggregated().await;
    let mut all = core.map_err(cluster.failed("read discovery"))?.items;
    all.extend(groups.map_err(cluster.failed("read discovery"))?.items);
    let can_list = |resource: &NamespacedResource| resource.verbs.iter().any(|verb| verb == "list");
    for resource in namespaced_resources(&all, can_list) {
        let (client, name) = (cluster.client.clone(), &resource.plural);
        let api: Api<DynamicObject> =
            Api::namespaced_with(client, namespace, &resource.api_resource());
        let listed = match api.list_metadata(&ListParams::default()).await {
            Ok(listed) => listed.items,
            // The resource was removed in the meantime.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) => continue,
            Err(error) => return Err(cluster.failed(format!("list {name}"))(error)),
        };
        let is_of_kubernetes = |object: &str| {
            let mut known = OF_KUBERNETES.iter();
            known
                .any(|(resource, known)| resource == name && (known.is_empty() || *known == object))
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
