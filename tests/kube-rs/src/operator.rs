//! An operator based on `runtime::Controller` that watches the claims of all namespaces. It annotates
//! each claim with its node count, and delays its deletion with a finalizer until cleanup.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams};
use kube::core::PartialObjectMetaExt;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::finalizer::{self, Event, finalizer};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use serde_json::json;

use super::{KubernetesCluster, NAMESPACE, labelled_claim};

const NAME: &str = "rs-operated";

/// The operator's label value and field manager.
const OPERATOR: &str = "kube-rs-operator";

const FINALIZER: &str = "kube-rs.example.org/cleanup";

/// The annotation with the node count that the operator has seen.
const SEEN: &str = "kube-rs.example.org/seen";

/// Timeout of each reaction of the operator. Generous, because the machine may be busy.
const REACTION_MAX: Duration = Duration::from_secs(20);

/// The context of the reconciler.
struct Operator {
    client: Client,
    cleaned: AtomicBool,
}

pub(crate) async fn check_controller(
    client: &Client,
    claims: &Api<KubernetesCluster>,
) -> Result<()> {
    let operator = Arc::new(Operator {
        client: client.clone(),
        cleaned: AtomicBool::new(false),
    });
    tokio::select! {
        ended = operate(Arc::clone(&operator)) => ended?,
        done = use_claim(claims, &operator.cleaned) => done?,
    }
    println!("operated");
    Ok(())
}

/// Runs the controller. Returns only with an error.
async fn operate(operator: Arc<Operator>) -> Result<()> {
    let claims: Api<KubernetesCluster> = Api::all(operator.client.clone());
    let ours = watcher::Config::default().labels(&format!("by={OPERATOR}"));
    let retry = |_, _: &finalizer::Error<kube::Error>, _| Action::requeue(REACTION_MAX);
    let mut actions = pin!(Controller::new(claims, ours).run(reconcile, retry, operator));
    loop {
        match actions.try_next().await {
            // A claim may be deleted while it waits in the queue.
            Ok(Some(_)) | Err(controller::Error::ObjectNotFound(_)) => {}
            Ok(None) => bail!("the controller ended"),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn reconcile(
    claim: Arc<KubernetesCluster>,
    operator: Arc<Operator>,
) -> Result<Action, finalizer::Error<kube::Error>> {
    // The namespace as the watch of all namespaces reports it.
    let namespace = claim.namespace().unwrap_or_default();
    let claims: Api<KubernetesCluster> = Api::namespaced(operator.client.clone(), &namespace);
    finalizer(&claims, FINALIZER, claim, async |event| {
        match event {
            Event::Apply(claim) => {
                let seen = (SEEN.into(), claim.spec.node_count.to_string());
                let note = ObjectMeta {
                    annotations: Some(BTreeMap::from([seen])),
                    ..ObjectMeta::default()
                }
                .into_request_partial::<KubernetesCluster>();
                let by_us = PatchParams::apply(OPERATOR);
                claims
                    .patch_metadata(&claim.name_any(), &by_us, &Patch::Apply(&note))
                    .await?;
            }
            Event::Cleanup(_) => operator.cleaned.store(true, Ordering::Relaxed),
        }
        Ok(Action::await_change())
    })
    .await
}

/// Creates, changes and deletes a claim, and waits for the operator's reaction each time.
async fn use_claim(claims: &Api<KubernetesCluster>, cleaned: &AtomicBool) -> Result<()> {
    let mut claim = labelled_claim(NAME, 2);
    claim.labels_mut().insert("by".into(), OPERATOR.into());
    let created = claims.create(&Default::default(), &claim).await?;
    await_claim(claims, has_seen(2))
        .await
        .context("a new claim")?;
    let change = Patch::Merge(json!({"spec": {"nodeCount": 5}}));
    claims.patch(NAME, &PatchParams::default(), &change).await?;
    await_claim(claims, has_seen(5))
        .await
        .context("a changed claim")?;

    let metadata = claims.get_metadata(NAME).await?;
    ensure!(metadata.namespace().as_deref() == Some(NAMESPACE));
    ensure!(metadata.finalizers() == [FINALIZER], "{metadata:?}");
    let by_operator = metadata.managed_fields().iter().any(|fields| {
        fields.manager.as_deref() == Some(OPERATOR) && fields.operation.as_deref() == Some("Apply")
    });
    ensure!(by_operator, "{metadata:?}");

    let deleted = claims.delete(NAME, &DeleteParams::default()).await?;
    let pending = deleted.left().context("the claim was deleted at once")?;
    ensure!(pending.metadata.deletion_timestamp.is_some(), "{pending:?}");
    let uid = created.uid().context("no UID")?;
    await_claim(claims, conditions::is_deleted(&uid))
        .await
        .context("a deleted claim")?;
    ensure!(
        cleaned.load(Ordering::Relaxed),
        "the claim was deleted before the cleanup"
    );
    Ok(())
}

fn has_seen(node_count: i64) -> impl Condition<KubernetesCluster> {
    let text = node_count.to_string();
    move |claim: Option<&KubernetesCluster>| {
        claim.is_some_and(|claim| claim.annotations().get(SEEN) == Some(&text))
    }
}

async fn await_claim(
    claims: &Api<KubernetesCluster>,
    condition: impl Condition<KubernetesCluster>,
) -> Result<()> {
    tokio::time::timeout(
        REACTION_MAX,
        await_condition(claims.clone(), NAME, condition),
    )
    .await
    .context("the operator does not react")??;
    Ok(())
}
