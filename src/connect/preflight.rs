//! Checks the user's rights before anything is written.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::clusters::Cluster;
use super::error::ConnectError;
use super::manifest::Manifest;

/// The verbs that applying an object needs.
const VERBS: [&str; 3] = ["get", "create", "patch"];

/// Returns an error that names every right that the user lacks for these objects.
///
/// # Errors
/// A right is missing, or the cluster cannot be reached.
pub(super) async fn check_rights(
    cluster: &Cluster,
    manifests: &[Manifest],
) -> Result<(), ConnectError> {
    let mut missing = Vec::new();
    for manifest in manifests {
        for verb in VERBS {
            if !is_allowed(cluster, manifest, verb).await? {
                missing.push(format!("{verb} {manifest}"));
            }
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ConnectError::MissingRights {
            context: cluster.context.clone(),
            rights: missing.join("\n  "),
        }),
    }
}

async fn is_allowed(
    cluster: &Cluster,
    manifest: &Manifest,
    verb: &str,
) -> Result<bool, ConnectError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                ..manifest.attributes()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(cluster.failed("ask for your rights"))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
