//! A kube-rs client that applies, lists, watches, scales, reconciles and deletes claims in an app
//! cluster. `tests/kube-rs/run` starts it. It prints each step and ends with an error at the first
//! result that differs from a local API.

mod operator;
mod scaling;
mod watching;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, CustomResource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The fields that this client uses of the test environment's claim API.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "k8s.starter.org",
    version = "v1alpha1",
    kind = "KubernetesCluster",
    plural = "kubernetesclusters",
    namespaced,
    status = "ClusterStatus",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
struct ClusterSpec {
    node_count: i64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterStatus {
    node_count: i64,
}

/// A mapped local namespace.
const NAMESPACE: &str = "team-a";

/// Selects the claims of this program.
const SELECTOR: &str = "by=kube-rs";

const NAMES: [&str; 5] = ["rs-0", "rs-1", "rs-2", "rs-3", "rs-4"];

/// Timeout of the whole run. Generous, because the machine may be busy.
const TIME_MAX: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::try_default().await?;
    let claims: Api<KubernetesCluster> = Api::namespaced(client.clone(), NAMESPACE);
    let done = tokio::time::timeout(TIME_MAX, run_steps(client, &claims)).await;
    let ours = ListParams::default().labels(SELECTOR);
    claims
        .delete_collection(&DeleteParams::default(), &ours)
        .await?;
    done.context("the steps took too long")?
}

async fn run_steps(client: Client, claims: &Api<KubernetesCluster>) -> Result<()> {
    check_discovery(client.clone()).await.context("discovery")?;
    check_apply(claims).await.context("apply")?;
    check_lists(claims).await.context("list in a namespace")?;
    check_lists(&Api::all(client.clone()))
        .await
        .context("list")?;
    watching::check_each_strategy(&client, claims).await?;
    scaling::check_scale(claims).await.context("scale")?;
    scaling::check_replace(claims).await.context("replace")?;
    operator::check_controller(&client, claims)
        .await
        .context("operator")?;
    check_deletion(claims).await.context("delete")
}

/// Returns a claim with the label that [`SELECTOR`] selects.
fn labelled_claim(name: &str, node_count: i64) -> KubernetesCluster {
    let mut claim = KubernetesCluster::new(name, ClusterSpec { node_count });
    claim.labels_mut().insert("by".into(), "kube-rs".into());
    claim
}

async fn check_discovery(client: Client) -> Result<()> {
    let kind = GroupVersionKind::gvk("k8s.starter.org", "v1alpha1", "KubernetesCluster");
    // Aggregated discovery, and discovery with a request for each group.
    for discovery in [
        Discovery::new(client.clone()).run_aggregated().await?,
        Discovery::new(client).run().await?,
    ] {
        let (resource, capabilities) = discovery.resolve_gvk(&kind).context("kind not found")?;
        ensure!(resource.plural == "kubernetesclusters", "{resource:?}");
        ensure!(
            capabilities.scope == Scope::Namespaced
                && capabilities.supports_operation(verbs::WATCH)
        );
    }
    println!("discovered");
    Ok(())
}

async fn check_apply(claims: &Api<KubernetesCluster>) -> Result<()> {
    let ours = PatchParams::apply("kube-rs");
    for name in NAMES {
        let applied = claims
            .patch(name, &ours, &Patch::Apply(labelled_claim(name, 3)))
            .await?;
        ensure!(applied.namespace().as_deref() == Some(NAMESPACE));
        ensure!(applied.spec.node_count == 3, "{applied:?}");
    }
    let theirs = PatchParams::apply("somebody");
    let change = Patch::Apply(labelled_claim(NAMES[0], 4));
    match claims.patch(NAMES[0], &theirs, &change).await {
        Err(kube::Error::Api(status)) if status.is_conflict() => {}
        other => bail!("expected a conflict, got {other:?}"),
    }
    let forced = claims
        .patch(NAMES[0], &theirs.force(), &change)
        .await
        .context("forced apply")?;
    ensure!(forced.spec.node_count == 4, "{forced:?}");
    let status = json!({"status": {"nodeCount": 4}});
    let updated = claims
        .patch_status(NAMES[0], &PatchParams::default(), &Patch::Merge(status))
        .await?;
    ensure!(updated.status == Some(ClusterStatus { node_count: 4 }));
    println!("applied");
    Ok(())
}

async fn check_lists(claims: &Api<KubernetesCluster>) -> Result<()> {
    let mut page = ListParams::default().labels(SELECTOR).limit(2);
    let mut names = Vec::new();
    loop {
        let list = claims.list(&page).await?;
        ensure!(
            list.items.len() <= 2,
            "a page with {} claims",
            list.items.len()
        );
        for claim in &list.items {
            ensure!(claim.namespace().as_deref() == Some(NAMESPACE));
            names.push(claim.name_any());
        }
        match list.metadata.continue_ {
            Some(token) if !token.is_empty() => page = page.continue_token(&token),
            _ => break,
        }
    }
    ensure!(names == NAMES, "{names:?}");
    let partial = claims
        .list_metadata(&ListParams::default().labels(SELECTOR))
        .await?;
    let in_namespace =
        |object: &PartialObjectMeta<_>| object.metadata.namespace.as_deref() == Some(NAMESPACE);
    ensure!(partial.items.len() == NAMES.len() && partial.items.iter().all(in_namespace));
    println!("listed");
    Ok(())
}

async fn check_deletion(claims: &Api<KubernetesCluster>) -> Result<()> {
    claims.delete(NAMES[0], &DeleteParams::default()).await?;
    ensure!(claims.get_opt(NAMES[0]).await?.is_none());
    match claims.delete(NAMES[0], &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        other => bail!("expected not found on the second deletion, got {other:?}"),
    }
    let ours = ListParams::default().labels(SELECTOR);
    claims
        .delete_collection(&DeleteParams::default(), &ours)
        .await?;
    ensure!(claims.list(&ours).await?.items.is_empty());
    println!("deleted");
    Ok(())
}
