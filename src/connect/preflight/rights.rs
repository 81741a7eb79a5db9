//! Checks the user's rights.

use k8s_openapi::api::authorization::v1::ResourceAttributes;

use super::finding::Outcome;
use crate::app_cluster;
use crate::connect::clusters::Cluster;
use crate::connect::error::ConnectError;
use crate::connect::manifest::Manifest;

/// The verbs that applying an object needs.
const VERBS: [&str; 3] = ["get", "create", "patch"];

/// Names every right that the user lacks for these objects, and with `needs_token` for tokens of their ServiceAccounts.
///
/// # Errors
/// The cluster cannot be reached.
pub(super) async fn all(
    cluster: &Cluster,
    manifests: &[Manifest],
    needs_token: bool,
) -> Result<Outcome, ConnectError> {
    let mut missing = Vec::new();
    for manifest in manifests {
        for verb in VERBS {
            if !is_allowed(cluster, manifest, verb).await? {
                missing.push(format!("{verb} {manifest}"));
            }
        }
    }
    // Without a token, connect has no credential for the daemon.
    for account in manifests
        .iter()
        .filter(|manifest| manifest.kind() == "ServiceAccount")
    {
        if needs_token && !is_token_allowed(cluster, account).await? {
            missing.push(format!("create a token of {account}"));
        }
    }
    Ok(match missing.is_empty() {
        true => Outcome::passed("you may write all objects"),
        false => Outcome::failed(
            format!("you lack these rights: {}", missing.join(", ")),
            "ask an administrator for them, or to run this command",
        ),
    })
}

async fn is_allowed(
    cluster: &Cluster,
    manifest: &Manifest,
    verb: &str,
) -> Result<bool, ConnectError> {
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        ..manifest.attributes()
    };
    review(cluster, attributes).await
}

async fn is_token_allowed(cluster: &Cluster, account: &Manifest) -> Result<bool, ConnectError> {
    let attributes = ResourceAttributes {
        verb: Some("create".to_owned()),
        subresource: Some("token".to_owned()),
        ..account.attributes()
    };
    review(cluster, attributes).await
}

async fn review(cluster: &Cluster, attributes: ResourceAttributes) -> Result<bool, ConnectError> {
    let answer = app_cluster::is_allowed(&cluster.client, attributes).await;
    answer.map_err(cluster.failed("ask for your rights"))
}
