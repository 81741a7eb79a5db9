//! The controller that copies connection Secrets.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{join, join3};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::watcher;
use tokio::sync::mpsc;

use super::copy;
use super::error::CopyError;
use crate::app_cluster::{has_status, write_parameters};
use crate::claims::{Claim, ClaimIndex, ClaimReport, ClaimScope};
use crate::config::{ConnectionSecretsConfig, NamespaceSelection};
use crate::object_key::Key;
use crate::owned_objects::{KnownObject, OwnedObjects, Watch};
use crate::status::{CopyFailure, CopyRecorder};
use crate::telemetry::metrics::Metrics;
use crate::work_queue;
use claim_mapping::mapping::{Mapping, ObjectKey};

/// The name of this controller in metrics.
const CONTROLLER: &str = "connection-secrets";

/// The condition of claims whose Secret cannot be copied.
const CONDITION: &str = "ConnectionSecretCopied";

/// Types of Secrets that are never copied. A watch of several types excludes them.
const TOKEN_TYPES: &str =
    "type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";

/// An API whose connection Secrets are copied.
#[derive(Clone, Debug)]
pub(crate) struct CopiedApi {
    pub(crate) scope: ClaimScope,
    pub(crate) secrets: ConnectionSecretsConfig,
}

/// Copies the connection Secrets of one control plane.
pub(crate) struct ConnectionSecrets {
    /// The name of the app cluster.
    cluster: String,
    /// The name of the control plane.
    name: String,
    mapping: Mapping,
    apis: Vec<CopiedApi>,
    app_cluster: kube::Client,
    control_plane: kube::Client,
    claims: ClaimIndex,
    sources: OwnedObjects,
    copies: OwnedObjects,
    written: Mutex<HashMap<ObjectKey, Written>>,
    report: ClaimReport,
    metrics: Metrics,
    status: CopyRecorder,
}

/// The versions of a source and its copy at the last write of the copy.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Written {
    /// Whether the claim must name the source.
    is_named_by_claim: bool,
    source: (String, String),
    copy: String,
}

/// A copy that a claim should have.
struct Wanted<'a> {
    key: ObjectKey,
    source: Secret,
    config: &'a ConnectionSecretsConfig,
}

impl ConnectionSecrets {
    /// Creates the controller. There must be at least one API.
    pub(crate) fn new(
        (cluster, name): (&str, &str),
        mapping: &Mapping,
        apis: Vec<CopiedApi>,
        (app_cluster, control_plane): (kube::Client, kube::Client),
        claims: ClaimIndex,
        (metrics, status): (Metrics, CopyRecorder),
    ) -> Self {
        let copies = ClaimScope::namespaces(apis.iter().map(|api| &api.scope));
        Self {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            sources: OwnedObjects::new(mapping.remote_namespaces().len()),
            copies: OwnedObjects::new(copies.watches()),
            mapping: mapping.clone(),
            apis,
            report: ClaimReport::new(CONDITION, app_cluster.clone(), control_plane.clone()),
            app_cluster,
            control_plane,
            claims,
            written: Mutex::default(),
            metrics,
            status,
        }
    }

    /// Syncs the claims whose keys arrive. Runs until it is dropped.
    pub(crate) async fn run(&self, keys: mpsc::Receiver<Key>, sender: mpsc::Sender<Key>) {
        let length = self.metrics.controller_queue(CONTROLLER);
        let work = work_queue::run(keys, length, |claim| Box::pin(self.sync(claim)));
        let follow = join(self.follow_sources(&sender), self.follow_copies(&sender));
        let resync = self.claims.resync(&self.copies, &sender, || {
            let mut written = self.written();
            written.retain(|key, _| self.copies.get(key).is_some());
        });
        join3(work, follow, resync).await;
    }

    async fn follow_sources(&self, sender: &mpsc::Sender<Key>) {
        let types: BTreeSet<&String> = self
            .apis
            .iter()
            .flat_map(|api| &api.secrets.types)
            .collect();
        let selector = match Vec::from_iter(types).as_slice() {
            [one] => format!("type={one}"),
            _ => TOKEN_TYPES.to_owned(),
        };
        let watch = Watch {
            subject: "the Secrets of the control plane".to_owned(),
            client: self.control_plane.clone(),
            namespaces: NamespaceSelection::named(self.mapping.remote_namespaces()),
            config: watcher::Config::default().fields(&selector),
            recognize: copy::recognize_source,
            also: |_: &ObjectKey| Vec::new(),
            claims: sender.clone(),
        };
        self.sources.follow::<Secret>(&watch).await;
    }

    async fn follow_copies(&self, sender: &mpsc::Sender<Key>) {
        let selector = copy::selector(&self.cluster, &self.name);
        let watch = Watch {
            subject: "the Secrets of the app cluster".to_owned(),
            client: self.app_cluster.clone(),
            namespaces: ClaimScope::namespaces(self.apis.iter().map(|api| &api.scope)),
            config: watcher::Config::default().labels(&selector),
            recognize: copy::recognize_copy,
            also: |_: &ObjectKey| Vec::new(),
            claims: sender.clone(),
        };
        self.copies.follow::<Secret>(&watch).await;
    }

    /// Syncs the copies of a claim, and reports the result. Returns false if the queue must try again.
    async fn sync(&self, uid: Key) -> bool {
        let claim = self.claims.get(&uid);
        let mut is_recorded = true;
        let result = match &claim {
            Some(claim) => {
                let result = self.sync_claim(claim).await;
                is_recorded = self.record(claim, &result).await;
                result.map(|_| ())
            }
            None => {
                self.report.forget(&uid);
                self.status.forget(CONTROLLER, &uid);
                self.remove_copies(&uid, |_| true).await
            }
        };
        self.metrics.controller_sync(CONTROLLER, result.is_ok());
        self.metrics
            .copies
            .secrets(&self.name, self.copies.len(), self.report.problems());
        if let Err(error) = &result {
            tracing::debug!(claim = &*uid, %error, "cannot copy a connection Secret; claimgate tries again");
        }
        result.is_ok() && is_recorded
    }

    /// Reports the result for a claim. Returns false if the queue must try again.
    async fn record(&self, claim: &Claim, result: &Result<Vec<String>, CopyError>) -> bool {
        let (kind, name) = (&*claim.resource.kind, claim.local_name());
        match result {
            Ok(copies) => {
                let copies = copies.clone();
                self.status
                    .synced(CONTROLLER, &claim.uid, (kind, &name), copies);
                self.report.report(claim, None).await
            }
            Err(error) => {
                let problem = error.problem();
                let failure = CopyFailure {
                    reason: problem.as_ref().map(|problem| problem.reason),
                    message: error.to_string(),
                };
                self.status
                    .failed(CONTROLLER, &claim.uid, (kind, &name), failure);
                match problem {
                    Some(problem) => self.report.report(claim, Some(problem)).await,
                    None => true,
                }
            }
        }
    }

    /// Creates, changes and deletes the copies of a claim, so that they match their sources. Returns their names.
    async fn sync_claim(&self, claim: &Claim) -> Result<Vec<String>, CopyError> {
        let mut wanted = Vec::new();
        let mut unchanged = Vec::new();
        let mut apis = self.apis.iter();
        let api = apis.find(|api| api.scope.covers(claim));
        let mut failed = Ok(());
        for (remote, source) in self.sources.of(&claim.uid) {
            let Some(api) = api else {
                break;
            };
            // In Kubernetes, an owner in another namespace is invalid.
            if remote.namespace != claim.remote.namespace {
                continue;
            }
            let key = ObjectKey {
                namespace: claim.local.namespace.clone(),
                name: copy::local_name(&self.mapping, claim, &remote.name),
            };
            if self.is_written(claim, &key, &remote, &source) {
                unchanged.push(key);
                continue;
            }
            let Some(secret) = self.read(&remote).await? else {
                continue;
            };
            let type_ = secret.type_.as_deref().unwrap_or_default();
            if api.secrets.types.contains(type_) && copy::is_of(claim, &secret) {
                let config = &api.secrets;
                wanted.push(Wanted {
                    key,
                    source: secret,
                    config,
                });
            }
        }
        let kept = wanted.iter().map(|wanted| &wanted.key).chain(&unchanged);
        let mut kept: Vec<ObjectKey> = kept.cloned().collect();
        kept.sort();
        if let Some([key, _]) = kept.array_windows().find(|[a, b]| a == b) {
            return Err(CopyError::SameName(key.name.clone()));
        }
        // A Secret that cannot be copied must not prevent the copies of the others.
        for wanted in wanted {
            failed = failed.and(self.write(claim, wanted).await);
        }
        let is_local = |key: &ObjectKey| key.namespace == claim.local.namespace;
        let removed = self
            .remove_copies(&claim.uid, |key| is_local(key) && !kept.contains(key))
            .await;
        failed.and(removed)?;
        Ok(kept.into_iter().map(|key| key.name).collect())
    }

    /// Returns whether the copy is up to date: it was written from this version of the source, the claim still needs
    /// it, and nobody has changed it.
    fn is_written(
        &self,
        claim: &Claim,
        key: &ObjectKey,
        remote: &ObjectKey,
        source: &KnownObject,
    ) -> bool {
        let written = self.written().get(key).cloned();
        let copy = self.copies.get(key);
        written.zip(copy).is_some_and(|(written, copy)| {
            let is_named = claim.connection_secret.as_ref() == Some(&remote.name);
            (is_named || !written.is_named_by_claim)
                && written.copy == copy.resource_version
                && written.source == (source.uid.clone(), source.resource_version.clone())
        })
    }

    fn written(&self) -> MutexGuard<'_, HashMap<ObjectKey, Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, remote: &ObjectKey) -> Result<Option<Secret>, CopyError> {
        let api: Api<Secret> = Api::namespaced(self.control_plane.clone(), &remote.namespace);
        let read = api.get_opt(&remote.name).await;
        read.map_err(CopyError::ControlPlane)
    }

    /// Deletes copies of a claim. Keeps them until all Secrets and claims of the control plane are known.
    async fn remove_copies(
        &self,
        claim: &str,
        is_unwanted: impl Fn(&ObjectKey) -> bool,
    ) -> Result<(), CopyError> {
        for (key, copy) in self.copies.of(claim) {
            let (group, kind) = &copy.claim_kind;
            let is_known = self.sources.is_complete()
                && (self.claims.get(claim).is_some() || self.claims.lacks(claim, group, kind));
            if is_unwanted(&key) && is_known {
                self.delete(&key, &copy).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, key: &ObjectKey, copy: &KnownObject) -> Result<(), CopyError> {
        let api: Api<Secret> = Api::namespaced(self.app_cluster.clone(), &key.namespace);
        let parameters = DeleteParams::default().preconditions(Preconditions {
            uid: Some(copy.uid.clone()),
            resource_version: Some(copy.resource_version.clone()),
        });
        match api.delete(&key.name, &parameters).await {
            Err(error) if !has_status(&error, 404) => {
                return Err(CopyError::api("cannot delete a copy")(error));
            }
            _ => {}
        }
        self.copies.remove(key);
        self.written().remove(key);
        tracing::info!(
            secret = format!("{}/{}", key.namespace, key.name),
            "deleted the copy of a connection Secret"
        );
        Ok(())
    }

    /// Creates or replaces a copy.
    async fn write(&self, claim: &Claim, wanted: Wanted<'_>) -> Result<(), CopyError> {
        let Wanted {
            key,
            source,
            config,
        } = wanted;
        let place = (&*self.cluster, &*self.name);
        let copy = copy::copy(&source, claim, &key, place, config)?;
        let api: Api<Secret> = Api::namespaced(self.app_cluster.clone(), &key.namespace);
        let known = self.copies.get(&key);
        if known
            .as_ref()
            .is_some_and(|known| !known.belongs_to(&claim.uid))
        {
            return Err(CopyError::NotOwned(key));
        }
        let written = match &known {
            Some(known) => self.replace(&api, copy, known).await?,
            None => self.create(&api, copy, claim, &key).await?,
        };
        let Some((key, copy)) = copy::written(&written) else {
            return Ok(());
        };
        let is_named_by_claim = copy::is_named_by_claim(&source);
        let source = source.metadata;
        let versions = Written {
            is_named_by_claim,
            source: (
                source.uid.unwrap_or_default(),
                source.resource_version.unwrap_or_default(),
            ),
            copy: copy.resource_version.clone(),
        };
        self.written().insert(key.clone(), versions);
        self.copies.set_written(key, known.as_ref(), copy);
        Ok(())
    }

    async fn create(
        &self,
        api: &Api<Secret>,
        copy: Secret,
        claim: &Claim,
        key: &ObjectKey,
    ) -> Result<Secret, CopyError> {
        match api.create(&write_parameters(), &copy).await {
            Ok(created) => {
                tracing::info!(
                    secret = format!("{}/{}", key.namespace, key.name),
                    "copied a connection Secret"
                );
                Ok(created)
            }
            // Either the watch has not reported the copy yet, or someone else created a Secret with this name.
            Err(error) if has_status(&error, 409) => {
                let known = api.get_metadata_opt(&key.name).await;
                let known = known.map_err(CopyError::api("cannot read the copy"))?;
                let known = known.and_then(|known| copy::recognize_copy(&known.metadata));
                let own = known.filter(|known| known.belongs_to(&claim.uid));
                let own = own.ok_or_else(|| CopyError::NotOwned(key.clone()))?;
                self.replace(api, copy, &own).await
            }
            Err(error) => Err(CopyError::api("cannot create the copy")(error)),
        }
    }

    /// Replaces a copy, unless someone has changed it since the watch reported it. The type of a Secret is immutable, and a
    /// user can make its data immutable too. Such a copy is deleted first.
    async fn replace(
        &self,
        api: &Api<Secret>,
        mut copy: Secret,
        known: &KnownObject,
    ) -> Result<Secret, CopyError> {
        let name = copy.metadata.name.clone().unwrap_or_default();
        copy.metadata.resource_version = Some(known.resource_version.clone());
        match api.replace(&name, &write_parameters(), &copy).await {
            Ok(replaced) => Ok(replaced),
            Err(error) if has_status(&error, 422) => {
                let live = api.get_opt(&name).await;
                let live = live.map_err(CopyError::api("cannot read the copy"))?;
                let can_change =
                    |live: Secret| live.type_ == copy.type_ && live.immutable != Some(true);
                if live.is_none_or(can_change) {
                    return Err(CopyError::api("cannot replace the copy")(error));
                }
                let preconditions = Preconditions {
                    uid: Some(known.uid.clone()),
                    resource_version: None,
                };
                let delete = DeleteParams::default().preconditions(preconditions);
                let deleted = api.delete(&name, &delete).await;
                deleted.map_err(CopyError::api(
                    "cannot delete a copy that cannot be changed",
                ))?;
                copy.metadata.resource_version = None;
                let created = api.create(&write_parameters(), &copy).await;
                created.map_err(CopyError::api("cannot create the copy"))
            }
            Err(error) => Err(CopyError::api("cannot replace the copy")(error)),
        }
    }
}
