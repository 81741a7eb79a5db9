//! The resources of a control plane that the copies of events read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rights::{Access, Resource};
use crate::catalog::{ClusterScoped, Inspection, read_json};
use crate::config::{ApiConfig, Config};
use crate::upstream::DocumentClient;

/// How many composite resources of a kind are searched for kinds of composed resources.
const COMPOSITES_MAX: usize = 500;

/// Returns the resources that the copies of events read. Composed resources are those that the composite resources
/// name now.
pub(super) async fn resources(
    config: &Config,
    client: &DocumentClient,
    inspection: &Inspection,
) -> Vec<Resource> {
    let apis = config.apis.iter();
    let apis: Vec<&ApiConfig> = apis
        .filter(|api| api.control_plane.name == client.name())
        .collect();
    let mut resources = Vec::new();
    if apis
        .iter()
        .any(|api| api.events.claim || api.events.composite)
    {
        resources.push(events(Access::Follow));
    }
    if apis.iter().any(|api| api.events.composite) {
        resources.push(events(Access::FollowClusterScoped));
    }
    let (mut composites, mut composed) = (BTreeSet::new(), BTreeSet::new());
    for resource in inspection
        .cluster_scoped
        .iter()
        .filter(|it| it.is_composite)
    {
        let api = apis.iter().find(|api| api.group == resource.group);
        let Some(events) = api.map(|api| api.events).filter(|it| it.composite) else {
            continue;
        };
        let is_new = composites.insert((resource.group.clone(), resource.plural.clone()));
        if is_new && events.composed {
            let kinds = composed_kinds(client, resource).await;
            let found = inspection.cluster_scoped.iter();
            let found = found.filter(|it| kinds.contains(&(it.group.clone(), it.kind.clone())));
            composed.extend(found.map(|it| (it.group.clone(), it.plural.clone())));
        }
    }
    for (names, access) in [
        (composites, Access::Composites),
        (composed, Access::Composed),
    ] {
        resources.extend(names.into_iter().map(|(group, plural)| Resource {
            group,
            plural,
            access,
        }));
    }
    resources
}

fn events(access: Access) -> Resource {
    Resource {
        group: String::new(),
        plural: "events".to_owned(),
        access,
    }
}

/// Returns the groups and kinds of the composed resources without a namespace. If the composite resources cannot be
/// read, the result is empty, because another check reports the missing right.
async fn composed_kinds(
    client: &DocumentClient,
    composite: &ClusterScoped,
) -> BTreeSet<(String, String)> {
    let ClusterScoped {
        group,
        version,
        plural,
        ..
    } = composite;
    let path = format!("/apis/{group}/{version}/{plural}?limit={COMPOSITES_MAX}");
    let list = read_json(client, &path, "application/json").await;
    let list = list.unwrap_or_default();
    let items = list.get("items").and_then(Value::as_array);
    let items = items.into_iter().flatten();
    let references = items.filter_map(|item| item.pointer("/spec/resourceRefs")?.as_array());
    references.flatten().filter_map(composed_kind).collect()
}

fn composed_kind(reference: &Value) -> Option<(String, String)> {
    let (group, _) = reference.get("apiVersion")?.as_str()?.split_once('/')?;
    let kind = reference.get("kind")?.as_str()?;
    let has_namespace = reference.get("namespace").is_some();
    (!has_namespace).then(|| (group.to_owned(), kind.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn composed_resources_in_a_namespace_are_not_read() {
        let kind = |reference| composed_kind(&reference);
        let disk = json!({"apiVersion": "aws.example.org/v1", "kind": "Disk", "name": "a"});
        let expected = ("aws.example.org".to_owned(), "Disk".to_owned());
        assert_eq!(kind(disk), Some(expected));
        let secret = json!({"apiVersion": "x.org/v1", "kind": "Y", "namespace": "n", "name": "a"});
        assert_eq!(kind(secret), None);
        assert_eq!(kind(json!({"kind": "Y"})), None);
    }
}
