//! What discovery offers of the resources that a control plane serves.

use super::groups::Group;

/// The verb that clients need to follow a resource.
const WATCH: &str = "watch";

/// Returns the groups without the verb `watch`, for an outage.
///
/// The controllers that follow every resource then leave these out, and go on with all others: the garbage collector
/// (`pkg/controller/garbagecollector/garbagecollector.go`, GetDeletableResources), the quota controller
/// (`pkg/controller/resourcequota`, GetQuotableResourcesFunc) and Argo CD (gitops-engine, `utils/kube/ctl.go`,
/// GetAPIResources). The other verbs stay. The namespace controller remembers for its whole life that a resource lacks
/// `list` or `deletecollection`, and would then delete namespaces over live claims
/// (`pkg/controller/namespace/deletion/namespaced_resources_deleter.go`).
pub(crate) fn without_watch(groups: &[Group]) -> Vec<Group> {
    let mut groups = groups.to_vec();
    for group in &mut groups {
        for version in &mut group.versions {
            for resource in &mut version.resources {
                resource.verbs.retain(|verb| verb != WATCH);
            }
        }
    }
    groups
}
