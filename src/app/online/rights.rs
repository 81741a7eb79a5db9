//! Asks a control plane which rights claimgate lacks there.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use crate::upstream::{Upstream, post_json};
use claim_mapping::mapping::Mapping;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

const READS: [&str; 3] = ["get", "list", "watch"];

/// `get` is also needed for updates, and `patch` for deletions with a policy.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// All namespaces.
const EVERYWHERE: &str = "";

/// An exposed resource.
pub(super) struct Resource {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) is_read_only: bool,
}

/// Returns the verbs that claimgate lacks, by place: `kubernetesclusters.k8s.starter.org in the namespace "team-a"`. A
/// control plane without access reviews allows everything, such as that of `claimgate dev`.
///
/// # Errors
/// The control plane does not answer, or not as a Kubernetes API server.
pub(super) async fn missing(
    upstream: &Upstream,
    mapping: &Mapping,
    resources: &[Resource],
) -> Result<BTreeMap<String, Vec<&'static str>>, String> {
    let mut missing: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for resource in resources {
        for (namespace, verb) in needed(mapping, resource.is_read_only) {
            if !is_allowed(upstream, resource, namespace, verb).await? {
                let place = match namespace {
                    EVERYWHERE => "in all namespaces".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                let key = format!("{}.{} {place}", resource.plural, resource.group);
                missing.entry(key).or_default().push(verb);
            }
        }
    }
    Ok(missing)
}

/// Returns the namespace and the verb of each right. Lists across several namespaces of a table read all of the control
/// plane.
fn needed(mapping: &Mapping, is_read_only: bool) -> Vec<(&str, &'static str)> {
    let namespaces: Vec<&str> = match mapping {
        Mapping::Shared(shared) => vec![shared.namespace()],
        Mapping::Table(table) => table.rows().map(|(_, remote)| remote).collect(),
    };
    let writes: &[&str] = if is_read_only { &[] } else { &WRITES };
    let mut all = Vec::new();
    for namespace in &namespaces {
        all.extend(READS.iter().chain(writes).map(|verb| (*namespace, *verb)));
    }
    if namespaces.len() > 1 {
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
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "group": resource.group, "resource": resource.plural, "namespace": namespace, "verb": verb,
        }},
    });
    let (status, answer) = post_json(upstream, REVIEWS, &review).await?;
    match (status, answer.pointer("/status/allowed")) {
        (StatusCode::NOT_FOUND, _) => Ok(true),
        (StatusCode::CREATED, Some(Value::Bool(is_allowed))) => Ok(*is_allowed),
        (status, _) => Err(format!("POST {REVIEWS} returned {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_several_namespaces_needs_to_list_all() {
        let shared = Mapping::shared("team-a", "remote").unwrap();
        let needed_rights = needed(&shared, false);
        assert_eq!(needed_rights.len(), 8);
        assert!(needed_rights.contains(&("remote", "deletecollection")));
        assert_eq!(needed(&shared, true).len(), 3);
        let rows = [("a", "x"), ("b", "y")];
        let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
        let table = Mapping::table(rows.into()).unwrap();
        assert_eq!(needed(&table, true).len(), 8);
        assert!(needed(&table, true).contains(&(EVERYWHERE, "watch")));
    }
}
