//! Checks that the user may grant the rights in the objects. RBAC allows users to grant only rights that they have,
//! unless they have the verbs `escalate` and `bind` (`kubernetes/pkg/registry/rbac/escalation_check.go`).

use k8s_openapi::api::authorization::v1::ResourceAttributes;

use super::finding::Outcome;
use crate::app_cluster;
use crate::connect::clusters::Cluster;
use crate::connect::error::ConnectError;
use crate::connect::manifest::{Manifest, State};

/// The end of the message of a rejection, before the rights.
const NOT_HELD: &str = "RBAC permissions not currently held:";

/// A namespace that exists in each cluster. Dry runs use it instead of namespaces that do not exist yet.
const ANY_NAMESPACE: &str = "default";

/// Asks the cluster to write each role and each binding, as a dry run.
///
/// # Errors
/// The cluster cannot be reached.
pub(super) async fn all(
    cluster: &Cluster,
    manifests: &[Manifest],
) -> Result<Outcome, ConnectError> {
    let mut missing_namespaces = Vec::new();
    for manifest in manifests.iter().filter(|one| one.kind() == "Namespace") {
        let state = manifest.state(&cluster.client).await;
        let state = state.map_err(cluster.failed(format!("read {manifest}")))?;
        if let State::Absent = state {
            missing_namespaces.push(manifest.name());
        }
    }
    let mut refused = Vec::new();
    for manifest in manifests.iter().filter(|one| one.grants_rights()) {
        let is_missing = manifest
            .namespace()
            .is_some_and(|namespace| missing_namespaces.contains(&namespace));
        let placed = match is_missing {
            true => manifest.in_namespace(ANY_NAMESPACE),
            false => manifest.clone(),
        };
        match placed.dry_run(&cluster.client).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                if !may_bind_new_role(cluster, &placed).await? {
                    refused.push(format!("{manifest} needs the verb bind on its role"));
                }
            }
            Err(kube::Error::Api(status)) => {
                // Other rejections are about the right to write the object, which another check reports.
                if let Some((_, rights)) = status.message.split_once(NOT_HELD) {
                    let rights = rights.split_whitespace().collect::<Vec<_>>().join(" ");
                    refused.push(format!("{manifest} grants {rights}"));
                }
            }
            Err(error) => return Err(cluster.failed(format!("try to write {manifest}"))(error)),
        }
    }
    Ok(match refused.is_empty() {
        true => Outcome::passed("you may grant all rights"),
        false => Outcome::failed(
            format!(
                "you may not grant rights that you do not have: {}",
                refused.join("; ")
            ),
            "ask an administrator for these rights, for the verbs escalate and bind on roles and clusterroles, or to run this command",
        ),
    })
}

/// Returns whether the user may bind a role that does not exist yet. A user who may write it without the verb `escalate` has
/// its rights, and may bind it.
async fn may_bind_new_role(cluster: &Cluster, binding: &Manifest) -> Result<bool, ConnectError> {
    for (verb, is_enough) in [("bind", true), ("escalate", false)] {
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            ..binding.bound_role()
        };
        let answer = app_cluster::is_allowed(&cluster.client, attributes).await;
        if answer.map_err(cluster.failed("ask for your rights"))? {
            return Ok(is_enough);
        }
    }
    Ok(true)
}
