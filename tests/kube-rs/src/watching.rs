//! `runtime::watcher` by both of its strategies, for whole objects and for metadata.

use anyhow::{Context, Result, bail, ensure};
use futures::{Stream, TryStreamExt};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};

use super::{KubernetesCluster, NAMES, NAMESPACE, SELECTOR, wanted};

/// What is made and removed while it is watched.
const NEW: &str = "rs-new";

pub(crate) async fn by_each_strategy(
    client: &Client,
    claims: &Api<KubernetesCluster>,
) -> Result<()> {
    let pages = watcher::Config::default().labels(SELECTOR).page_size(2);
    let streaming = watcher::Config::default()
        .labels(SELECTOR)
        .streaming_lists();
    for (how, config) in [("list and watch", pages), ("streaming list", streaming)] {
        for everywhere in [false, true] {
            let what = format!("{how}, in all namespaces: {everywhere}");
            let objects = watcher(api(client, everywhere), config.clone());
            follows::<KubernetesCluster>(claims, objects)
                .await
                .context(what.clone())?;
            let metadata = watcher(api(client, everywhere), config.clone());
            follows::<PartialObjectMeta<KubernetesCluster>>(claims, metadata)
                .await
                .with_context(|| format!("metadata by {what}"))?;
            println!("watched by {what}");
        }
    }
    Ok(())
}

fn api<K>(client: &Client, everywhere: bool) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    if everywhere {
        Api::all(client.clone())
    } else {
        Api::namespaced(client.clone(), NAMESPACE)
    }
}

/// Sees all that is there, and then what is made and removed.
async fn follows<K: Resource>(
    claims: &Api<KubernetesCluster>,
    events: impl Stream<Item = watcher::Result<Event<K>>>,
) -> Result<()> {
    let mut events = Box::pin(events);
    let mut names = Vec::new();
    loop {
        match next(&mut events).await? {
            Event::Init => {}
            Event::InitApply(claim) => names.push(checked(&claim)?),
            Event::InitDone => break,
            Event::Apply(_) | Event::Delete(_) => bail!("an event before all was listed"),
        }
    }
    names.sort();
    ensure!(names == NAMES, "{names:?}");

    let ours = PatchParams::apply("kube-rs");
    claims
        .patch(NEW, &ours, &Patch::Apply(wanted(NEW, 1)))
        .await?;
    match next(&mut events).await? {
        Event::Apply(claim) => ensure!(checked(&claim)? == NEW),
        _ => bail!("another event than that of {NEW}"),
    }
    claims.delete(NEW, &DeleteParams::default()).await?;
    match next(&mut events).await? {
        Event::Delete(claim) => ensure!(checked(&claim)? == NEW),
        _ => bail!("another event than the end of {NEW}"),
    }
    Ok(())
}

async fn next<T>(events: &mut (impl Stream<Item = watcher::Result<T>> + Unpin)) -> Result<T> {
    events.try_next().await?.context("the watcher ended")
}

/// The name of a claim that is in our namespace.
fn checked<K: Resource>(claim: &K) -> Result<String> {
    let namespace = claim.namespace();
    ensure!(namespace.as_deref() == Some(NAMESPACE), "{namespace:?}");
    Ok(claim.name_any())
}
