//! The scale subresource, and replacing a claim that another client has changed.

use anyhow::{Context, Result, bail, ensure};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{KubernetesCluster, NAMES, NAMESPACE};

/// A claim that was applied with three nodes.
const NAME: &str = NAMES[1];

pub(crate) async fn check_scale(claims: &Api<KubernetesCluster>) -> Result<()> {
    let found = claims.get_scale(NAME).await?;
    ensure!(found.metadata.namespace.as_deref() == Some(NAMESPACE));
    let replicas = found.spec.and_then(|spec| spec.replicas);
    ensure!(replicas == Some(3), "{replicas:?}");

    let scaled = scale(claims, 7).await?;
    ensure!(scaled == Some(7), "{scaled:?}");
    let claim = claims.get(NAME).await?;
    ensure!(claim.spec.node_count == 7, "{claim:?}");
    println!("scaled");
    Ok(())
}

/// Replaces a claim. Expects one conflict with another client, and retries after it.
pub(crate) async fn check_replace(claims: &Api<KubernetesCluster>) -> Result<()> {
    let mut conflicts = 0;
    let replaced = loop {
        let mut claim = claims.get(NAME).await?;
        if conflicts == 0 {
            scale(claims, 8).await.context("change by another client")?;
        }
        let note = ("note".to_owned(), "replaced".to_owned());
        claim.annotations_mut().extend([note]);
        match claims.replace(NAME, &PostParams::default(), &claim).await {
            Ok(replaced) => break replaced,
            Err(kube::Error::Api(status)) if status.is_conflict() => conflicts += 1,
            Err(error) => bail!(error),
        }
        ensure!(conflicts == 1, "a conflict without another client");
    };
    ensure!(
        conflicts == 1,
        "the change of another client was overwritten"
    );
    ensure!(replaced.spec.node_count == 8, "{replaced:?}");
    ensure!(replaced.annotations().contains_key("note"), "{replaced:?}");
    println!("replaced");
    Ok(())
}

/// Sets the replicas and returns the replicas in the response.
async fn scale(claims: &Api<KubernetesCluster>, replicas: i32) -> Result<Option<i32>> {
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let scaled = claims
        .patch_scale(NAME, &PatchParams::default(), &change)
        .await?;
    Ok(scaled.spec.and_then(|spec| spec.replicas))
}
