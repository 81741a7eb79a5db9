//! A program by kube-rs that orders, lists, watches, scales, operates and deletes claims in an app
//! cluster, as `tests/kube-rs/run` starts it. It says what it does and ends with the first thing that is not as
//! it is with a local API.

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

/// What the bed's control plane calls a claim, as far as it matters here.
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

/// A local namespace that is mapped.
const NAMESPACE: &str = "team-a";

/// What the claims of this program carry, and no others do.
const SELECTOR: &str = "by=kube-rs";

const NAMES: [&str; 5] = ["rs-0", "rs-1", "rs-2", "rs-3", "rs-4"];

/// For all of it, on a machine that is busy.
const TIME_MAX: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::try_default().await?;
    let claims: Api<KubernetesCluster> = Api::namespaced(client.clone(), NAMESPACE);
    let done = tokio::time::timeout(TIME_MAX, all(client, &claims)).await;
    let ours = ListParams::default().labels(SELECTOR);
    claims
        .delete_collection(&DeleteParams::default(), &ours)
        .await?;
    done.context("it takes too long")?
}

async fn all(client: Client, claims: &Api<KubernetesCluster>) -> Result<()> {
    discovers(client.clone()).await.context("discovery")?;
    applies(claims).await.context("apply")?;
    lists(claims).await.context("list in a namespace")?;
    lists(&Api::all(client.clone())).await.context("list")?;
    watching::by_each_strategy(&client, claims).await?;
    scaling::scales(claims).await.context("scale")?;
    scaling::replaces(claims).await.context("replace")?;
    operator::by_controller(&client, claims)
        .await
        .context("operator")?;
    deletes(claims).await.context("delete")
}

/// What an object is to look like to be applied.
fn wanted(name: &str, node_count: i64) -> KubernetesCluster {
    let mut claim = KubernetesCluster::new(name, ClusterSpec { node_count });
    claim.labels_mut().insert("by".into(), "kube-rs".into());
    claim
}

async fn discovers(client: Client) -> Result<()> {
    let kind = GroupVersionKind::gvk("k8s.starter.org", "v1alpha1", "KubernetesCluster");
    // As one document, and by a request for each group.
    for discovery in [
        Discovery::new(client.clone()).run_aggregated().await?,
        Discovery::new(client).run().await?,
    ] {
        let (resource, can) = discovery.resolve_gvk(&kind).context("no such kind")?;
        ensure!(resource.plural == "kubernetesclusters", "{resource:?}");
        ensure!(can.scope == Scope::Namespaced && can.supports_operation(verbs::WATCH));
    }
    println!("discovered");
    Ok(())
}

async fn applies(claims: &Api<KubernetesCluster>) -> Result<()> {
    let ours = PatchParams::apply("kube-rs");
    for name in NAMES {
        let applied = claims
            .patch(name, &ours, &Patch::Apply(wanted(name, 3)))
            .await?;
        ensure!(applied.namespace().as_deref() == Some(NAMESPACE));
        ensure!(applied.spec.node_count == 3, "{applied:?}");
    }
    let theirs = PatchParams::apply("somebody");
    let change = Patch::Apply(wanted(NAMES[0], 4));
    match claims.patch(NAMES[0], &theirs, &change).await {
        Err(kube::Error::Api(status)) if status.is_conflict() => {}
        other => bail!("no conflict: {other:?}"),
    }
    let forced = claims
        .patch(NAMES[0], &theirs.force(), &change)
        .await
        .context("by force")?;
    ensure!(forced.spec.node_count == 4, "{forced:?}");
    let status = json!({"status": {"nodeCount": 4}});
    let told = claims
        .patch_status(NAMES[0], &PatchParams::default(), &Patch::Merge(status))
        .await?;
    ensure!(told.status == Some(ClusterStatus { node_count: 4 }));
    println!("applied");
    Ok(())
}

async fn lists(claims: &Api<KubernetesCluster>) -> Result<()> {
    let mut page = ListParams::default().labels(SELECTOR).limit(2);
    let mut names = Vec::new();
    loop {
        let list = claims.list(&page).await?;
        ensure!(list.items.len() <= 2, "a page of {}", list.items.len());
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
    let known = |one: &PartialObjectMeta<_>| one.metadata.namespace.as_deref() == Some(NAMESPACE);
    ensure!(partial.items.len() == NAMES.len() && partial.items.iter().all(known));
    println!("listed");
    Ok(())
}

async fn deletes(claims: &Api<KubernetesCluster>) -> Result<()> {
    claims.delete(NAMES[0], &DeleteParams::default()).await?;
    ensure!(claims.get_opt(NAMES[0]).await?.is_none());
    match claims.delete(NAMES[0], &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        other => bail!("deleted twice: {other:?}"),
    }
    let ours = ListParams::default().labels(SELECTOR);
    claims
        .delete_collection(&DeleteParams::default(), &ours)
        .await?;
    ensure!(claims.list(&ours).await?.items.is_empty());
    println!("deleted");
    Ok(())
}
