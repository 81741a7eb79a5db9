//! Simulates Crossplane: new claims become Synced, and then Ready.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::apply::FieldManager;
use super::crud::Endpoint;
use super::object;
use super::resource::Resource;
use super::watch_log::Change;
use super::write;

/// The category of claims in Crossplane.
const CLAIM_CATEGORY: &str = "claim";

/// The field manager of the status.
const MANAGER: &str = "crossplane";

/// Processes the events after `position` until the task is aborted.
pub(crate) async fn run(server: Arc<ApiServer>, mut position: u64, ready_after: Duration) {
    let mut changed = server.store.subscribe();
    loop {
        changed.mark_unchanged();
        let (created, latest) = server.store.read(|state| {
            // If the log is compacted beyond the position, the controller continues with the newest event.
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
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                progress(&server, &resource, (&namespace, &name), ready_after).await;
            });
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn progress(
    server: &ApiServer,
    resource: &Resource,
    namespaced_name: (&str, &str),
    ready_after: Duration,
) {
    let steps = [
        (ready_after / 3, "False", "Creating"),
        (ready_after - ready_after / 3, "True", "Available"),
    ];
    // Without a pause, no client could see the first step.
    let skipped = usize::from(ready_after.is_zero());
    for (pause, ready, reason) in steps.into_iter().skip(skipped) {
        tokio::time::sleep(pause).await;
        let conditions = [
            condition("Synced", "True", "ReconcileSuccess"),
            condition("Ready", ready, reason),
        ];
        let status = json!({"conditions": conditions});
        let change = json!({"status": status});
        let (store, endpoint) = (&server.store, Endpoint::Status);
        let manager =
            FieldManager::update(MANAGER, resource.api_version()).on(endpoint.subresource());
        if write::merge_patch(store, resource, namespaced_name, endpoint, manager, &change).is_err()
        {
            // The claim was deleted.
            return;
        }
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": object::now()})
}
