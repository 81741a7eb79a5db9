//! `runtime::watcher` with both of its strategies, for whole objects and for metadata.

use anyhow::{Context, Result, bail, ensure};
use futures::{Stream, TryStreamExt};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};

use super::{KubernetesCluster, NAMES, NAMESPACE, SELECTOR, labelled_claim};

/// A claim that is created and deleted during the watch.
const NEW: &str = "rs-new";

pub(crate) async fn check_each_strategy(
    client: &Client,
    claims: &Api<KubernetesCluster>,
) -> Result<()> {
    let pages = watcher::Config::default().labels(SELECTOR).page_size(2);
    let streaming = watcher::Config::default()
        .labels(SELECTOR)
        .streaming_lists();
    for (how, config) in [("list and watch", pages), ("streaming list", streaming)] {
        for everywhere in [false, true] {
            let description = format!("{how}, in all namespaces: {everywhere}");
            let objects = watcher(api(client, everywhere), config.clone());
            check_events::<KubernetesCluster>(claims, objects)
                .await
                .context(description.clone())?;
            let metadata = watcher(api(client, everywhere), config.clone());
            check_events::<PartialObjectMeta<KubernetesCluster>>(claims, metadata)
                .await
                .with_context(|| format!("metadata by {description}"))?;
            println!("watched by {description}");
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

/// Checks that a watcher reports all existing claims, and then a creation and a deletion.
async fn check_events<K: Resource>(
    claims: &Api<KubernetesCluster>,
    events: impl Stream<Item = watcher::Result<Event<K>>>,
) -> Result<()> {
    let mut events = Box::pin(events);
    let mut names = Vec::new();
    loop {
        match next(&mut events).await? {
            Event::Init => {}
            Event::InitApply(claim) => names.push(name_in_namespace(&claim)?),
            Event::InitDone => break,
            Event::Apply(_) | Event::Delete(_) => bail!("an event before the initial list ended"),
        }
    }
    names.sort();
    ensure!(names == NAMES, "{names:?}");

    let ours = PatchParams::apply("kube-rs");
    claims
        .patch(NEW, &ours, &Patch::Apply(labelled_claim(NEW, 1)))
        .await?;
    match next(&mut events).await? {
        Event::Apply(claim) => ensure!(name_in_namespace(&claim)? == NEW),
        _ => bail!("expected the creation of {NEW}"),
    }
    claims.delete(NEW, &DeleteParams::default()).await?;
    match next(&mut events).await? {
        Event::Delete(claim) => ensure!(name_in_namespace(&claim)? == NEW),
        _ => bail!("expected the deletion of {NEW}"),
    }
    Ok(())
}

async fn next<T>(events: &mut (impl Stream<Item = watcher::Result<T>> + Unpin)) -> Result<T> {
    events.try_next().await?.context("the watcher ended")
}

/// Returns the name of a claim, after checking its namespace.
fn name_in_namespace<K: Resource>(claim: &K) -> Result<String> {
    let namespace = claim.namespace();
    ensure!(namespace.as_deref() == Some(NAMESPACE), "{namespace:?}");
    Ok(claim.name_any())
}
