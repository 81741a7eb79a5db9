//! The namespaced resources in aggregated discovery (`apidiscovery/v2/types.go`). Does no I/O.

use kube::api::{ApiResource, GroupVersionKind};
use kube::core::discovery::v2::APIGroupDiscovery;

/// A namespaced resource in one version.
#[derive(Clone, Debug)]
pub(super) struct NamespacedResource {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) verbs: Vec<String>,
    pub(super) categories: Vec<String>,
}

impl NamespacedResource {
    pub(super) fn api_resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(&self.group, &self.version, &self.kind);
        ApiResource::from_gvk_with_plural(&kind, &self.plural)
    }
}

/// Returns the namespaced resources of the groups that `is_wanted` accepts, each in the first version in which it is
/// wanted. The first version of a group is the preferred one.
pub(super) fn namespaced_resources(
    groups: &[APIGroupDiscovery],
    is_wanted: impl Fn(&NamespacedResource) -> bool,
) -> Vec<NamespacedResource> {
    let mut found: Vec<NamespacedResource> = Vec::new();
    for resource in groups.iter().flat_map(all_versions) {
        let is_known = |known: &NamespacedResource| {
            known.group == resource.group && known.plural == resource.plural
        };
        if is_wanted(&resource) && !found.iter().any(is_known) {
            found.push(resource);
        }
    }
    found
}

fn all_versions(group: &APIGroupDiscovery) -> Vec<NamespacedResource> {
    let metadata = group.metadata.as_ref();
    // The core group has no name.
    let name = metadata.and_then(|metadata| metadata.name.clone());
    let name = name.unwrap_or_default();
    let mut all = Vec::new();
    for version in &group.versions {
        for resource in &version.resources {
            let kind = resource.response_kind.as_ref();
            let kind = kind.and_then(|kind| kind.kind.clone());
            let is_namespaced = resource.scope.as_deref() == Some("Namespaced");
            if let (true, Some(plural), Some(kind)) = (is_namespaced, &resource.resource, kind) {
                all.push(NamespacedResource {
                    group: name.clone(),
                    version: version.version.clone().unwrap_or_default(),
                    plural: plural.clone(),
                    kind,
                    verbs: resource.verbs.clone(),
                    categories: resource.categories.clone(),
                });
            }
        }
    }
    all
}
