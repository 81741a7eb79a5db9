//! Reduces discovery to exposed resources.

use std::collections::BTreeSet;

use super::groups::{ApiResource, Group, GroupList, ServedResource};
use crate::catalog::exposure::{ExposedApi, Exposure};

const READ_VERBS: [&str; 3] = ["get", "list", "watch"];

/// Returns the exposed groups in the control plane's order. Stale versions stay even if they are
/// empty.
pub(crate) fn exposed_groups(list: GroupList, exposure: &Exposure) -> Vec<Group> {
    let groups = list.items.into_iter().filter_map(|mut group| {
        let name = group.metadata.name.clone();
        group.versions.retain_mut(|version| {
            let Some(api) = exposure.api(&name, Some(&version.version)) else {
                return false;
            };
            let resources = &mut version.resources;
            resources.retain(|resource| is_exposed(resource, api));
            if api.read_only {
                resources.iter_mut().for_each(make_read_only);
            }
            version.is_stale() || !version.resources.is_empty()
        });
        (!group.versions.is_empty()).then_some(group)
    });
    groups.collect()
}

/// Returns the namespaced resources of the exposed versions that are not exposed.
pub(crate) fn not_exposed(list: &GroupList, exposure: &Exposure) -> BTreeSet<ServedResource> {
    let mut resources = BTreeSet::new();
    for group in &list.items {
        let name = &group.metadata.name;
        for version in &group.versions {
            let Some(api) = exposure.api(name, Some(&version.version)) else {
                continue;
            };
            let others = version.resources.iter();
            let others = others.filter(|other| is_namespaced(other) && !is_exposed(other, api));
            resources.extend(
                others.map(|other| ServedResource::new(name, &version.version, &other.resource)),
            );
        }
    }
    resources
}

fn is_exposed(resource: &ApiResource, api: &ExposedApi) -> bool {
    api.resources
        .selects(&resource.resource, &resource.categories)
        && is_namespaced(resource)
        && resource.response_kind.is_some()
}

fn is_namespaced(resource: &ApiResource) -> bool {
    resource.scope == "Namespaced"
}

/// Removes the verbs that write, and subresources without any other verb.
fn make_read_only(resource: &mut ApiResource) {
    let retain_reads =
        |verbs: &mut Vec<String>| verbs.retain(|verb| READ_VERBS.contains(&verb.as_str()));
    retain_reads(&mut resource.verbs);
    for subresource in &mut resource.subresources {
        retain_reads(&mut subresource.verbs);
    }
    resource
        .subresources
        .retain(|subresource| !subresource.verbs.is_empty());
}
