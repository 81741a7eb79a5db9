//! What Crossplane does, as far as a user sees it: claims become Synced, and then Ready.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Inner;
use super::crud::Part;
use super::object;
use super::resource::Resource;
use super::watch_log::Change;
use super::write;

/// The category by which Crossplane marks claims.
const CLAIM_CATEGORY: &str = "claim";

/// Follows the log after `position`, for ever.
pub(crate) async fn run(inner: Arc<Inner>, mut position: u64, ready_after: Duration) {
    let mut changed = inner.store.subscribe();
    loop {
        changed.mark_unchanged();
        let (created, latest) = inner.store.read(|state| {
            // From the newest if the log was compacted past us.
            let events = state.log.since(position).unwrap_or_default();
            let claims = |event: &Arc<super::watch_log::Event>| {
                let Change::Added { object } = &event.change else {
                    return None;
                };
                let resource = state.resources().iter().find(|resource| {
                    resource.group_resource() == event.resource
                        && resource
                            .categories
                            .iter()
                            .any(|name| name == CLAIM_CATEGORY)
                })?;
                Some((Arc::clone(resource), Arc::clone(object)))
            };
            (
                events.iter().filter_map(claims).collect::<Vec<_>>(),
                state.log.latest(),
            )
        });
        position = latest;
        for (resource, claim) in created {
            let namespace = object::namespace(&claim.value).to_owned();
            let name = object::name(&claim.value).to_owned();
            let inner = Arc::clone(&inner);
            tokio::spawn(async move {
                progress(&inner, &resource, (&namespace, &name), ready_after).await;
            });
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn progress(inner: &Inner, resource: &Resource, place: (&str, &str), ready_after: Duration) {
    let steps = [
        (ready_after / 3, "False", "Creating"),
        (ready_after - ready_after / 3, "True", "Available"),
    ];
    // Without a pause there is no first step to be seen.
    let skipped = usize::from(ready_after.is_zero());
    for (pause, ready, reason) in steps.into_iter().skip(skipped) {
        tokio::time::sleep(pause).await;
        let conditions = [
            condition("Synced", "True", "ReconcileSuccess"),
            condition("Ready", ready, reason),
        ];
        let status = json!({"conditions": conditions});
        let change = json!({"status": status});
        if write::merge_patch(&inner.store, resource, place, Part::Status, &change).is_err() {
            // Deleted meanwhile.
            return;
        }
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": object::now()})
}
