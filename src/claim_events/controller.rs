//! The controller that copies events about claims.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::future::{join_all, join3};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::runtime::watcher::{self, watcher};
use tokio::sync::mpsc;

use super::access::Access;
use super::composed;
use super::composites::{Composites, ObjectName};
use super::copy::{self, CopyOptions};
use super::limits::Limits;
use super::waiting::Waiting;
use crate::app_cluster::{describe, is_namespace_terminating, write_parameters};
use crate::claims::{Claim, ClaimIndex};
use crate::config::EventsConfig;
use crate::object_key::Key;
use crate::status::CopyRecorder;
use crate::telemetry::metrics::Metrics;
use crate::watch_report::{self, WatchReport};
use crate::work_queue;
use claim_mapping::mapping::Mapping;
use kube_wire::group_version::GroupVersion;

/// The name of this controller in metrics.
const CONTROLLER: &str = "claim-events";

/// Capacity of a channel of keys. Its receiver reads them immediately.
const KEYS_MAX: usize = 256;

/// Maximum number of events that wait for a write. Further events are dropped, for example while the app cluster is
/// unavailable.
const PENDING_MAX: usize = 10_000;

/// The namespace of events about objects without a namespace.
const CLUSTER_SCOPED: &str = "default";

const WARNING: &str = "Warning";

/// The action that needs a right in the app cluster. It completes a sentence that begins with "cannot".
const WRITE: &str = "write events about claims in the app cluster";

const READ_CURE: &str = "allow claimgate to list and watch events on the control plane (config/rbac/control-plane.yaml), or set apis[].events.claim: false";

const WRITE_CURE: &str = "allow claimgate to get, create and update events in the app cluster (config/rbac/events.yaml), or set apis[].events.claim: false";

const COMPOSED_CURE: &str = "allow claimgate to get them (config/rbac/control-plane-composites.yaml), or set apis[].events.composed: false";

/// An API whose events are copied.
#[derive(Clone, Debug)]
pub(crate) struct EventsApi {
    pub(crate) group: String,
    /// Empty for all versions.
    pub(crate) versions: BTreeSet<String>,
    pub(crate) events: EventsConfig,
}

/// Copies the events of one control plane.
pub(crate) struct ClaimEvents {
    /// The name of the control plane.
    name: String,
    mapping: Mapping,
    apis: Vec<EventsApi>,
    app_cluster: kube::Client,
    control_plane: kube::Client,
    claims: ClaimIndex,
    composites: Composites,
    waiting: Mutex<Waiting>,
    /// By the namespace and the name of the copy.
    pending: Mutex<HashMap<Key, Pending>>,
    limits: Limits,
    writes: Access,
    composed_reads: Access,
    metrics: Metrics,
    status: CopyRecorder,
}

/// An event that will be copied.
#[derive(Clone)]
struct Pending {
    claim: Key,
    source: Arc<Event>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Subject {
    Claim,
    Composite,
    Composed,
}

impl ClaimEvents {
    pub(crate) fn new(
        name: &str,
        mapping: &Mapping,
        apis: Vec<EventsApi>,
        (app_cluster, control_plane): (kube::Client, kube::Client),
        claims: ClaimIndex,
        (metrics, status): (Metrics, CopyRecorder),
    ) -> Self {
        Self {
            name: name.to_owned(),
            mapping: mapping.clone(),
            apis,
            app_cluster,
            control_plane,
            claims,
            composites: Composites::new(),
            waiting: Mutex::default(),
            pending: Mutex::default(),
            limits: Limits::default(),
            writes: Access::new(WRITE.to_owned(), WRITE_CURE),
            composed_reads: Access::new("read composed resources".to_owned(), COMPOSED_CURE),
            metrics,
            status,
        }
    }

    /// Runs the controller until it is dropped. `claims` receives the keys of claims that change.
    pub(crate) async fn run(&self, claims: mpsc::Receiver<Key>) {
        let (sender, events) = mpsc::channel(KEYS_MAX);
        let length = self.metrics.controller_queue(CONTROLLER);
        let work = work_queue::run(events, length, |key| Box::pin(self.sync(key)));
        let follow = join_all(
            self.namespaces()
                .into_iter()
                .map(|(namespace, config)| self.follow_events(namespace, config, &sender)),
        );
        join3(work, follow, self.follow_claims(claims, &sender)).await;
    }

    fn follows_composites(&self) -> bool {
        self.apis.iter().any(|api| api.events.composite)
    }

    /// Returns the namespaces of the control plane with events to copy.
    fn namespaces(&self) -> Vec<(String, watcher::Config)> {
        let remote = self.mapping.remote_namespaces().into_iter();
        let mut namespaces: Vec<(String, watcher::Config)> = remote
            .map(|namespace| (namespace.to_owned(), watcher::Config::default()))
            .collect();
        let is_known = namespaces.iter().any(|(name, _)| name == CLUSTER_SCOPED);
        if self.follows_composites() && !is_known {
            let warnings = watcher::Config::default().fields("type=Warning");
            namespaces.push((CLUSTER_SCOPED.to_owned(), warnings));
        }
        namespaces
    }

    async fn follow_events(
        &self,
        namespace: String,
        config: watcher::Config,
        sender: &mpsc::Sender<Key>,
    ) {
        let subject = format!("the events of the control plane in the namespace {namespace:?}");
        let action = format!("watch {subject}");
        let mut report = WatchReport::new(subject).with_cure(READ_CURE);
        let api: Api<Event> = Api::namespaced(self.control_plane.clone(), &namespace);
        let mut events = Box::pin(watcher(api, config));
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::InitApply(event)) => self.receive(event, sender).await,
                Ok(watcher::Event::Apply(event)) => {
                    report.succeeded();
                    self.receive(event, sender).await;
                }
                Ok(watcher::Event::InitDone) => {
                    report.succeeded();
                    self.status.events_checked(&action, None);
                }
                Ok(watcher::Event::Init | watcher::Event::Delete(_)) => {}
                Err(error) => {
                    let problem = watch_report::message(&error);
                    self.status.events_checked(&action, Some(&problem));
                    report.failed(&error).await;
                }
            }
        }
    }

    /// Processes the events that waited for a claim or a composite resource that changes now.
    async fn follow_claims(&self, mut claims: mpsc::Receiver<Key>, sender: &mpsc::Sender<Key>) {
        let (composites_sender, mut composites) = mpsc::channel(KEYS_MAX);
        let mut follow = Box::pin(
            self.composites
                .follow(&self.control_plane, &composites_sender),
        );
        loop {
            tokio::select! {
                key = claims.recv() => match key {
                    Some(key) => self.claim_changed(&key, sender).await,
                    None => return,
                },
                Some(uid) = composites.recv() => self.composite_changed(&uid, sender).await,
                () = &mut follow => return,
            }
        }
    }

    async fn claim_changed(&self, key: &Key, sender: &mpsc::Sender<Key>) {
        let Some(claim) = self.claims.get(key) else {
            self.limits.forget(key);
            return;
        };
        self.take_waiting(key, sender).await;
        let has_composite = self.api(&claim).is_some_and(|api| api.events.composite);
        if has_composite && let Some(uid) = self.composites.find(&claim) {
            self.composite_changed(&uid, sender).await;
        }
    }

    async fn composite_changed(&self, uid: &Key, sender: &mpsc::Sender<Key>) {
        if let Some(claim) = self.composites.claim_of(uid, &self.claims) {
            for condition in self.composites.take_conditions(uid) {
                self.submit(&claim, condition, sender).await;
            }
            self.take_waiting(uid, sender).await;
            if self.api(&claim).is_some_and(|api| api.events.composed) {
                for name in self.composites.composed(uid) {
                    self.take_waiting(&name.to_string(), sender).await;
                }
            }
        }
    }

    async fn take_waiting(&self, uid: &str, sender: &mpsc::Sender<Key>) {
        let events = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.take(uid)
        };
        for event in events {
            self.receive_relevant(event, sender).await;
        }
    }

    async fn receive(&self, mut event: Event, sender: &mpsc::Sender<Key>) {
        let api_version = event.involved_object.api_version.as_deref();
        let group = api_version.and_then(|text| text.parse::<GroupVersion>().ok());
        let is_composed = event.metadata.namespace.as_deref() == Some(CLUSTER_SCOPED)
            && event.type_.as_deref() == Some(WARNING);
        let is_known = group.is_some_and(|parsed| {
            let mut apis = self.apis.iter();
            apis.any(|api| api.group == parsed.group || (is_composed && api.events.composed))
        });
        if is_known && !copy::is_own(&event) && copy::is_recent(&event, Timestamp::now()) {
            event.metadata.managed_fields = None;
            self.receive_relevant(Arc::new(event), sender).await;
        }
    }

    /// Submits an event for its claim, or stores it until the claim appears. Nothing is awaited between the two steps,
    /// so the claim cannot appear unnoticed.
    async fn receive_relevant(&self, event: Arc<Event>, sender: &mpsc::Sender<Key>) {
        match self.claim_of(&event) {
            Some(claim) => self.submit(&claim, event, sender).await,
            None => {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for key in waiting_keys(&event) {
                    waiting.add(&key, Arc::clone(&event));
                }
            }
        }
    }

    /// Returns the claim to which an event belongs. The event is about the claim, its composite resource or a composed
    /// resource. Ignores an event in another namespace, because it is forged.
    fn claim_of(&self, event: &Event) -> Option<Arc<Claim>> {
        let uid = event.involved_object.uid.as_deref()?;
        let namespace = event.metadata.namespace.as_deref()?;
        match self.claims.get(uid) {
            Some(claim) => (claim.remote.namespace == namespace).then_some(claim),
            None if namespace == CLUSTER_SCOPED => match self.composites.contains(uid) {
                true => self.composites.claim_of(uid, &self.claims),
                false => self
                    .composites
                    .claim_of(&self.owner_of(event)?, &self.claims),
            },
            None => None,
        }
    }

    /// Returns the UID of the composite resource that names the object of an event.
    fn owner_of(&self, event: &Event) -> Option<Key> {
        let name = ObjectName::of(&event.involved_object)?;
        self.composites.owner_of(&name)
    }

    fn api(&self, claim: &Claim) -> Option<&EventsApi> {
        let resource = &claim.resource;
        self.apis.iter().find(|api| {
            api.group == resource.group
                && (api.versions.is_empty() || api.versions.contains(&resource.version))
        })
    }

    /// Returns whether the configuration wants an event about a claim, its composite resource or a composed resource.
    fn is_wanted(&self, claim: &Claim, event: &Event) -> bool {
        let Some(EventsApi { events, .. }) = self.api(claim) else {
            return false;
        };
        let is_warning = event.type_.as_deref() == Some(WARNING);
        match self.subject(claim, event) {
            Subject::Claim => events.claim,
            Subject::Composite => events.composite && (is_warning || copy::is_own(event)),
            Subject::Composed => events.composed && is_warning,
        }
    }

    fn subject(&self, claim: &Claim, event: &Event) -> Subject {
        let uid = event.involved_object.uid.as_deref().unwrap_or_default();
        match uid == claim.uid {
            true => Subject::Claim,
            false if self.composites.contains(uid) => Subject::Composite,
            false => Subject::Composed,
        }
    }

    /// Returns whether an event is about the claim, or about an object that is verified to belong to it.
    async fn is_verified(&self, claim: &Claim, event: &Event) -> Result<bool, kube::Error> {
        if self.subject(claim, event) != Subject::Composed {
            return Ok(true);
        }
        let Some(owner) = self.owner_of(event) else {
            return Ok(false);
        };
        match composed::is_owned(&self.control_plane, &event.involved_object, &owner).await {
            Ok(is_owned) => {
                self.composed_reads.succeeded();
                Ok(is_owned)
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.composed_reads.failed(&kube::Error::Api(status));
                self.status.event_dropped("forbidden");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn submit(&self, claim: &Claim, source: Arc<Event>, sender: &mpsc::Sender<Key>) {
        if !self.is_wanted(claim, &source) {
            return;
        }
        let name = copy::local_name(claim, &source);
        let key: Key = format!("{}/{name}", claim.local.namespace).into();
        let pending = Pending {
            claim: claim.uid.as_str().into(),
            source,
        };
        let has_room = {
            let mut all = self.pending();
            let has_room = all.len() < PENDING_MAX || all.contains_key(&key);
            if has_room {
                all.insert(Arc::clone(&key), pending);
            }
            has_room
        };
        match has_room {
            // Sending fails only after the queue has ended.
            true => drop(sender.send(key).await),
            false => self.status.event_dropped("buffer"),
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Key, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a copy. Returns false if the queue must try again.
    async fn sync(&self, key: Key) -> bool {
        let Some(pending) = self.pending().get(&key).cloned() else {
            return true;
        };
        let result = match self.claims.get(&pending.claim) {
            Some(claim) => self.publish(&claim, &pending.source).await,
            None => Ok(()),
        };
        self.metrics.controller_sync(CONTROLLER, result.is_ok());
        let is_done = match &result {
            Ok(()) => true,
            Err(error) => self.is_final(error),
        };
        if is_done {
            let mut all = self.pending();
            let current = all.get(&key);
            // A later version may have arrived.
            if current.is_some_and(|current| Arc::ptr_eq(&current.source, &pending.source)) {
                all.remove(&key);
            }
        }
        is_done
    }

    /// Returns whether another attempt would fail with the same error.
    fn is_final(&self, error: &kube::Error) -> bool {
        let kube::Error::Api(status) = error else {
            return false;
        };
        match status.code {
            // The namespace does not exist or is being deleted.
            404 => {}
            403 if is_namespace_terminating(error) => {}
            403 => {
                self.writes.failed(error);
                let problem = describe(error);
                self.status.events_checked(WRITE, Some(&problem));
                self.status.event_dropped("forbidden");
            }
            422 => {
                tracing::debug!(error = describe(error), "the app cluster rejects an event");
                self.status.event_dropped("rejected");
            }
            _ => return false,
        }
        true
    }

    /// Creates or updates a copy if it is not up to date.
    async fn publish(&self, claim: &Claim, source: &Event) -> Result<(), kube::Error> {
        let options = CopyOptions {
            control_plane: &self.name,
            mapping: &self.mapping,
            hide_composite_names: self
                .api(claim)
                .is_none_or(|api| api.events.hide_composite_names),
        };
        let mut copy = copy::copy(source, claim, &options);
        let name = copy.metadata.name.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.app_cluster.clone(), &claim.local.namespace);
        let existing = api.get_opt(&name).await?;
        if let Some(existing) = &existing
            && (!copy::is_copy(existing) || copy::is_same(existing, &copy))
        {
            return Ok(());
        }
        if !self.limits.take(&claim.uid) {
            self.status.event_dropped("rate");
            return Ok(());
        }
        if !self.is_verified(claim, source).await? {
            return Ok(());
        }
        self.limits.wait().await;
        let parameters = write_parameters();
        match existing {
            None => api.create(&parameters, &copy).await?,
            Some(existing) => {
                copy.metadata.resource_version = existing.metadata.resource_version;
                api.replace(&name, &parameters, &copy).await?
            }
        };
        self.writes.succeeded();
        self.status.events_checked(WRITE, None);
        self.status.event_copied(CONTROLLER);
        Ok(())
    }
}

/// Returns the keys under which an event waits for its object. Composed resources are known by name, all others by UID.
fn waiting_keys(event: &Event) -> impl Iterator<Item = String> {
    let object = &event.involved_object;
    let composed = ObjectName::of(object).filter(|_| object.namespace.is_none());
    let composed = composed.map(|name| name.to_string());
    object.uid.clone().into_iter().chain(composed)
}
