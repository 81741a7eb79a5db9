//! Finds the rights that claimgate lacks on a control plane.

use std::collections::BTreeMap;

use serde_json::json;

use crate::upstream::{self, Upstream};
use claim_mapping::mapping::Mapping;

const READS: [&str; 3] = ["get", "list", "watch"];

/// `get` is also needed for updates, and `patch` for deletions with a policy.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// The verbs that a controller needs to watch the objects of a namespace.
const FOLLOW: [&str; 2] = ["list", "watch"];

/// The namespace of events about objects without a namespace.
const CLUSTER_SCOPED: &str = "default";

/// The namespace of a review for all namespaces, or for resources without a namespace.
const EVERYWHERE: &str = "";

/// A resource, and the access that claimgate needs.
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) access: Access,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    /// Claims. With a table of several rows, lists of all namespaces read the whole control plane.
    Claims,
    ReadOnlyClaims,
    /// Secrets and ConfigMaps, in each namespace separately.
    Read,
    Copies,
    /// Events in the namespaces of claims, which a controller watches.
    Follow,
    /// Events about objects without a namespace.
    FollowClusterScoped,
    /// Composite resources, which have no namespace. A controller reads and watches them.
    Composites,
    /// Composed resources without a namespace.
    Composed,
}

/// Returns the verbs that claimgate lacks, by place: `kubernetesclusters.k8s.starter.org in the namespace "team-a"`. A
/// control plane without access reviews, such as that of `claimgate dev`, allows everything.
///
/// # Errors
/// The control plane does not answer, or its answer is not an access review.
pub(super) async fn missing(
    upstream: &Upstream,
    mapping: &Mapping,
    resources: &[Resource],
) -> Result<BTreeMap<String, Vec<&'static str>>, String> {
    let mut missing: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for resource in resources {
        for (namespace, verb) in needed(mapping, resource.access) {
            if !is_allowed(upstream, resource, namespace, verb).await? {
                let has_namespace =
                    !matches!(resource.access, Access::Composites | Access::Composed);
                let place = match namespace {
                    EVERYWHERE if has_namespace => " in all namespaces".to_owned(),
                    EVERYWHERE => String::new(),
                    namespace => format!(" in the namespace {namespace:?}"),
                };
                let name = match &*resource.group {
                    "" => resource.plural.clone(),
                    group => format!("{}.{group}", resource.plural),
                };
                let key = format!("{name}{place}");
                missing.entry(key).or_default().push(verb);
            }
        }
    }
    Ok(missing)
}

/// Returns the namespace and the verb of each right.
fn needed(mapping: &Mapping, access: Access) -> Vec<(&str, &'static str)> {
    let namespaces = mapping.remote_namespaces();
    let (reads, writes): (&[&str], &[&str]) = match access {
        Access::Claims => (&READS, &WRITES),
        Access::Copies => (&READS, &["create", "update", "delete"]),
        Access::ReadOnlyClaims | Access::Read => (&READS, &[]),
        Access::Follow => (&FOLLOW, &[]),
        Access::FollowClusterScoped => return FOLLOW.map(|verb| (CLUSTER_SCOPED, verb)).into(),
        Access::Composites => return READS.map(|verb| (EVERYWHERE, verb)).into(),
        Access::Composed => return vec![(EVERYWHERE, "get")],
    };
    let mut all = Vec::new();
    for namespace in &namespaces {
        all.extend(reads.iter().chain(writes).map(|verb| (*namespace, *verb)));
    }
    let lists_all = matches!(access, Access::Claims | Access::ReadOnlyClaims);
    if lists_all && namespaces.len() > 1 {
        all.extend([(EVERYWHERE, "list"), (EVERYWHERE, "watch")]);
    }
    all
}

async fn is_allowed(
    upstream: &Upstream,
    resource: &Resource,
    namespace: &str,
    verb: &str,
) -> Result<bool, String> {
    let attributes = json!({
        "group": resource.group, "resource": resource.plural, "namespace": namespace, "verb": verb,
    });
    upstream::is_allowed(upstream, attributes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_several_namespaces_needs_to_list_all() {
        let shared = Mapping::shared("team-a", "remote").unwrap();
        let needed_rights = needed(&shared, Access::Claims);
        assert_eq!(needed_rights.len(), 8);
        assert!(needed_rights.contains(&("remote", "deletecollection")));
        assert_eq!(needed(&shared, Access::ReadOnlyClaims).len(), 3);
        let rows = [("a", "x"), ("b", "y")];
        let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
        let table = Mapping::table(rows.into()).unwrap();
        assert_eq!(needed(&table, Access::ReadOnlyClaims).len(), 8);
        assert!(needed(&table, Access::ReadOnlyClaims).contains(&(EVERYWHERE, "watch")));
        let copies = needed(&table, Access::Copies);
        assert!(copies.len() == 12 && copies.contains(&("y", "update")));
        assert_eq!(needed(&table, Access::Read).len(), 6);
        assert_eq!(needed(&table, Access::Follow).len(), 4);
    }
}
