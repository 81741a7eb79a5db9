//! Keeps a [`ClaimIndex`] equal to the control plane, by a watch of each resource in each remote namespace.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::task::{AbortHandle, JoinSet};

use super::claim::{Claim, Pointers, api_resource};
use super::index::ClaimIndex;
use crate::catalog::ClaimResource;
use crate::watch_report::WatchReport;
use claim_mapping::mapping::Mapping;

/// Interval at which the list of resources is read again.
const RESOURCES_INTERVAL: Duration = Duration::from_secs(5);

/// Follows the claims of the resources that `resources` returns. Runs until it is dropped.
pub(crate) async fn follow(
    client: kube::Client,
    mapping: Mapping,
    pointers: Arc<Pointers>,
    index: ClaimIndex,
    resources: impl Fn() -> Vec<ClaimResource>,
) {
    let mut watches: BTreeMap<(Arc<ClaimResource>, String), AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted: HashSet<(Arc<ClaimResource>, String)> = resources()
            .into_iter()
            .map(Arc::new)
            .flat_map(|resource| {
                let namespaces = mapping.remote_namespaces().into_iter();
                namespaces.map(move |namespace| (Arc::clone(&resource), namespace.to_owned()))
            })
            .collect();
        watches.retain(|key, task| {
            let is_wanted = wanted.contains(key);
            if !is_wanted {
                task.abort();
                index.forget(&key.0, &key.1);
            }
            is_wanted
        });
        for (resource, namespace) in wanted {
            let key = (Arc::clone(&resource), namespace.clone());
            watches.entry(key).or_insert_with(|| {
                index.begin(&resource, &namespace);
                let watch = ClaimWatch {
                    resource,
                    namespace,
                    mapping: mapping.clone(),
                    pointers: Arc::clone(&pointers),
                    index: index.clone(),
                };
                tasks.spawn(watch.run(client.clone()))
            });
        }
        tokio::time::sleep(RESOURCES_INTERVAL).await;
    }
}

/// The watch of one resource in one remote namespace.
struct ClaimWatch {
    resource: Arc<ClaimResource>,
    namespace: String,
    mapping: Mapping,
    pointers: Arc<Pointers>,
    index: ClaimIndex,
}

impl ClaimWatch {
    async fn run(self, client: kube::Client) {
        let api_resource = api_resource(&self.resource);
        let api: Api<DynamicObject> = Api::namespaced_with(client, &self.namespace, &api_resource);
        // Without a selector on labels, so that a claim that only lost its labels does not look deleted.
        let mut events = Box::pin(watcher(api, watcher::Config::default()));
        let mut report = WatchReport::new(format!(
            "{}.{} of the control plane in the namespace {:?}",
            self.resource.plural, self.resource.group, self.namespace
        ));
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.extend(object.metadata.uid.clone());
                    self.set(&object).await;
                }
                Ok(Event::InitDone) => {
                    report.succeeded();
                    let found = std::mem::take(&mut listed);
                    let (resource, namespace) = (&self.resource, &self.namespace);
                    self.index.finish_list(resource, namespace, &found).await;
                }
                Ok(Event::Apply(object)) => {
                    report.succeeded();
                    self.set(&object).await;
                }
                Ok(Event::Delete(object)) => {
                    report.succeeded();
                    let uid = object.metadata.uid.unwrap_or_default();
                    self.index.remove(&uid).await;
                }
                Err(error) => report.failed(&error).await,
            }
        }
    }

    /// Stores a claim. If the object has lost its local names, the stored claim stays.
    async fn set(&self, object: &DynamicObject) {
        let claim = Claim::parse(object, &self.resource, &self.mapping, &self.pointers);
        match (claim, object.metadata.uid.clone()) {
            (Some(claim), _) => self.index.set(claim).await,
            (None, Some(uid)) => self.index.set_unnamed(uid),
            (None, None) => {}
        }
    }
}
