//! The controller that copies objects of one kind to the control plane.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{join, join3};
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Resource};
use tokio::sync::mpsc;

use super::copy::{self, OPT_IN};
use super::error::InputError;
use super::input_kind::{InputApi, InputObject, InputRule};
use crate::app_cluster::write_parameters;
use crate::claims::{Claim, ClaimIndex, ClaimReport, ClaimScope};
use crate::config::NamespaceSelection;
use crate::object_key::Key;
use crate::owned_objects::{KnownObject, OwnedObjects, Watch};
use crate::status::{CopyFailure, CopyRecorder};
use crate::telemetry::metrics::Metrics;
use crate::work_queue;
use claim_mapping::mapping::{Mapping, ObjectKey};
use claim_mapping::origin;

/// Copies the objects of one kind that the claims of one control plane need.
pub(crate) struct InputObjects<K> {
    cluster: String,
    mapping: Mapping,
    apis: Vec<InputApi>,
    app_cluster: kube::Client,
    control_plane: kube::Client,
    claims: ClaimIndex,
    sources: OwnedObjects,
    copies: OwnedObjects,
    /// The versions of a source and its copy at the last write of the copy, by the key of the copy.
    written: Mutex<HashMap<ObjectKey, (KnownObject, String)>>,
    report: ClaimReport,
    metrics: Metrics,
    status: CopyRecorder,
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K: InputObject> InputObjects<K> {
    /// Creates the controller. There must be at least one API.
    pub(crate) fn new(
        cluster: &str,
        mapping: &Mapping,
        apis: Vec<InputApi>,
        (app_cluster, control_plane): (kube::Client, kube::Client),
        claims: ClaimIndex,
        (metrics, status): (Metrics, CopyRecorder),
    ) -> Self {
        let sources = ClaimScope::namespaces(apis.iter().map(|api| &api.scope));
        Self {
            cluster: cluster.to_owned(),
            sources: OwnedObjects::new(sources.watches()),
            copies: OwnedObjects::new(mapping.remote_namespaces().len()),
            mapping: mapping.clone(),
            apis,
            report: ClaimReport::new(K::CONDITION, app_cluster.clone(), control_plane.clone()),
            app_cluster,
            control_plane,
            claims,
            written: Mutex::default(),
            metrics,
            status,
            kind: std::marker::PhantomData,
        }
    }

    /// Syncs the claims whose keys arrive. Runs until it is dropped.
    pub(crate) async fn run(&self, keys: mpsc::Receiver<Key>, sender: mpsc::Sender<Key>) {
        let length = self.metrics.controller_queue(K::CONTROLLER);
        let work = work_queue::run(keys, length, |claim| Box::pin(self.sync(claim)));
        let follow = join(self.follow_sources(&sender), self.follow_copies(&sender));
        let resync = self.claims.resync(&self.copies, &sender, || {
            let mut written = self.written();
            written.retain(|key, _| self.copies.get(key).is_some());
        });
        join3(work, follow, resync).await;
    }

    async fn follow_sources(&self, sender: &mpsc::Sender<Key>) {
        let watch = Watch {
            subject: format!("the {}s of the app cluster", K::NAME),
            client: self.app_cluster.clone(),
            namespaces: ClaimScope::namespaces(self.apis.iter().map(|api| &api.scope)),
            config: watcher::Config::default().labels(&format!("{OPT_IN}=true")),
            recognize: copy::recognize_source,
            also: |key: &ObjectKey| self.claims.in_namespace(&key.namespace),
            claims: sender.clone(),
        };
        self.sources.follow::<K>(&watch).await;
    }

    async fn follow_copies(&self, sender: &mpsc::Sender<Key>) {
        let selector = format!("{OPT_IN}=true,{}={}", origin::CLUSTER, self.cluster);
        let watch = Watch {
            subject: format!("the {}s of the control plane", K::NAME),
            client: self.control_plane.clone(),
            namespaces: NamespaceSelection::named(self.mapping.remote_namespaces()),
            config: watcher::Config::default().labels(&selector),
            recognize: copy::recognize_copy,
            also: |_: &ObjectKey| Vec::new(),
            claims: sender.clone(),
        };
        self.copies.follow::<K>(&watch).await;
    }

    /// Syncs the copies for a claim, and reports the result. Returns false if the queue must try again. If the claim is
    /// gone, the garbage collector of the control plane deletes its copies.
    async fn sync(&self, uid: Key) -> bool {
        let Some(claim) = self.claims.get(&uid) else {
            self.report.forget(&uid);
            self.status.forget(K::CONTROLLER, &uid);
            return true;
        };
        let (names, errors) = self.sync_claim(&claim).await;
        self.metrics
            .controller_sync(K::CONTROLLER, errors.is_empty());
        let local = claim.local_name();
        let claim_name = (&*claim.resource.kind, &*local);
        for error in &errors {
            tracing::debug!(claim = &*uid, %error, "cannot copy an input; claimgate tries again");
        }
        let problem = errors.iter().find_map(InputError::problem);
        match errors.first() {
            None => self.status.synced(K::CONTROLLER, &uid, claim_name, names),
            Some(error) => {
                let failure = CopyFailure {
                    reason: problem.as_ref().map(|problem| problem.reason),
                    message: problem
                        .as_ref()
                        .map_or_else(|| error.to_string(), |it| it.message.clone()),
                };
                self.status.failed(K::CONTROLLER, &uid, claim_name, failure);
            }
        }
        let is_reported = match (&problem, errors.is_empty()) {
            (None, false) => true,
            _ => self.report.report(&claim, problem).await,
        };
        is_reported && !errors.iter().any(InputError::may_succeed_later)
    }

    /// Copies everything that can be copied. Returns the local names, and all failures.
    async fn sync_claim(&self, claim: &Claim) -> (Vec<String>, Vec<InputError>) {
        let (mut kept, mut names) = (Vec::new(), Vec::new());
        let mut errors = Vec::new();
        for name in self.names(claim) {
            let name = match name {
                Ok(name) => name,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let local = ObjectKey::new(&*claim.local.namespace, &*name);
            let Some(remote) = copy::remote_name(&self.mapping, &local) else {
                errors.push(InputError::NameTooLong { name });
                continue;
            };
            let key = ObjectKey::new(&*claim.remote.namespace, remote);
            let result = self.sync_object(claim, &local, &key).await;
            // If the source is not missing, a failed copy must stay.
            if !matches!(result, Err(InputError::NotFound { .. })) {
                kept.push(key);
                names.push(name);
            }
            errors.extend(result.err());
        }
        // Until all objects are known, none of them can be considered missing.
        if self.sources.is_complete() {
            for (key, copy) in self.copies.of(&claim.uid) {
                if !kept.contains(&key) {
                    errors.extend(self.release(&key, &copy, claim).await.err());
                }
            }
        }
        (names, errors)
    }

    /// Returns the local names of the objects that a claim needs.
    fn names(&self, claim: &Claim) -> Vec<Result<String, InputError>> {
        let Some(api) = self.apis.iter().find(|api| api.scope.covers(claim)) else {
            return Vec::new();
        };
        let namespace = &claim.local.namespace;
        let mut names = Vec::new();
        for rule in &api.rules {
            match rule {
                InputRule::Reference {
                    at,
                    path,
                    resources,
                } => {
                    if !resources.is_empty() && !resources.contains(&claim.resource.plural) {
                        continue;
                    }
                    let value = claim.references.get(*at).cloned().flatten();
                    let value = value.ok_or_else(|| InputError::NoReference {
                        path: path.clone(),
                        kind: K::NAME,
                    });
                    names.push(value.map(|remote| {
                        // If the name cannot be mapped, someone wrote it on the control plane.
                        let local = copy::local_name(&self.mapping, namespace, &remote);
                        local.unwrap_or(remote)
                    }));
                }
                InputRule::Labels(labels) => {
                    let objects = self.sources.in_namespace(namespace).into_iter();
                    let matching = objects.filter(|(_, object)| {
                        let mut labels = labels.iter();
                        labels.all(|(key, value)| object.labels.get(key) == Some(value))
                    });
                    names.extend(matching.map(|(key, _)| Ok(key.name)));
                }
            }
        }
        names
    }

    /// Creates or updates the copy `key` of the object `local`.
    async fn sync_object(
        &self,
        claim: &Claim,
        local: &ObjectKey,
        key: &ObjectKey,
    ) -> Result<(), InputError> {
        let not_found = || InputError::NotFound {
            kind: K::NAME,
            name: local.name.clone(),
        };
        let known = match self.sources.get(local) {
            Some(known) => known,
            None if self.sources.is_complete() => return Err(not_found()),
            None => return Err(InputError::NotListed { kind: K::NAME }),
        };
        if self.is_written(key, &known, claim) {
            return Ok(());
        }
        let sources: Api<K> = Api::namespaced(self.app_cluster.clone(), &local.namespace);
        let source = sources.get_opt(&local.name).await;
        let source = source.map_err(InputError::api("cannot read an input in the app cluster"))?;
        // The label may have been removed since the watch saw it.
        let is_enabled = |source: &K| {
            let labels = source.meta().labels.as_ref();
            labels.is_some_and(|labels| labels.get(OPT_IN).is_some_and(|value| value == "true"))
        };
        let source = source.filter(is_enabled).ok_or_else(not_found)?;
        let stored = self.copies.get(key);
        let copies: Api<K> = Api::namespaced(self.control_plane.clone(), &key.namespace);
        let before = copies.get_opt(&key.name).await;
        let before = before.map_err(InputError::api("cannot read a copy"))?;
        let before = before.as_ref().map(Resource::meta);
        if before.is_some_and(|before| !copy::is_copy(before, &self.cluster)) {
            return Err(InputError::NotOwned {
                kind: K::NAME,
                name: local.name.clone(),
            });
        }
        let metadata = copy::metadata(key, &self.cluster, before, claim.remote_owner());
        let object = source.copy(metadata);
        let written = match before {
            Some(_) => {
                copies
                    .replace(&key.name, &write_parameters(), &object)
                    .await
            }
            None => copies.create(&write_parameters(), &object).await,
        };
        let written = written.map_err(InputError::api("cannot write a copy"))?;
        if let (Some(source), Some(copy)) = (
            copy::recognize_source(source.meta()),
            copy::recognize_copy(written.meta()),
        ) {
            let version = copy.resource_version.clone();
            self.written().insert(key.clone(), (source, version));
            self.copies.set_written(key.clone(), stored.as_ref(), copy);
        }
        Ok(())
    }

    /// Returns whether the copy is up to date: it was written from this version of the source, belongs to the claim,
    /// and was not changed.
    fn is_written(&self, key: &ObjectKey, source: &KnownObject, claim: &Claim) -> bool {
        let copy = self
            .copies
            .get(key)
            .filter(|copy| copy.belongs_to(&claim.uid));
        let written = self.written().get(key).cloned();
        written.zip(copy).is_some_and(|((known, version), copy)| {
            known == *source && version == copy.resource_version
        })
    }

    fn written(&self) -> MutexGuard<'_, HashMap<ObjectKey, (KnownObject, String)>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a claim from the owners of a copy, and deletes the copy if it was the last one.
    async fn release(
        &self,
        key: &ObjectKey,
        copy: &KnownObject,
        claim: &Claim,
    ) -> Result<(), InputError> {
        let api: Api<K> = Api::namespaced(self.control_plane.clone(), &key.namespace);
        let read = api.get_opt(&key.name).await;
        let read = read.map_err(InputError::api("cannot read a copy"))?;
        let own = read.filter(|object| {
            let metadata = object.meta();
            metadata.uid.as_ref() == Some(&copy.uid) && copy::is_copy(metadata, &self.cluster)
        });
        if let Some(mut object) = own {
            let owners = object.meta_mut().owner_references.get_or_insert_default();
            owners.retain(|owner| owner.uid != claim.uid);
            if !owners.is_empty() {
                let replaced = api.replace(&key.name, &write_parameters(), &object).await;
                let replaced = replaced.map_err(InputError::api("cannot remove an owner"))?;
                if let Some(replaced) = copy::recognize_copy(replaced.meta()) {
                    self.copies.set_written(key.clone(), Some(copy), replaced);
                }
                return Ok(());
            }
            let preconditions = Preconditions {
                uid: object.meta().uid.clone(),
                resource_version: object.meta().resource_version.clone(),
            };
            let parameters = DeleteParams::default().preconditions(preconditions);
            let deleted = api.delete(&key.name, &parameters).await;
            deleted.map_err(InputError::api("cannot delete a copy"))?;
        }
        self.written().remove(key);
        self.copies.remove(key);
        Ok(())
    }
}
