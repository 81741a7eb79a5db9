//! Follows the composite resources of claims: the claim that each belongs to, and the reasons why it is not ready.
//!
//! A claim names its composite resource, and the composite resource names its claim. Users can write any name into a
//! claim, so both references must match.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::pinned_kind;
use kube::runtime::watcher::{self, watcher};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::access::Access;
use super::copy::COMPONENT;
use crate::claims::{Claim, ClaimIndex, CompositeReference, RemoteClaim};
use crate::object_key::Key;
use crate::watch_report::WatchReport;
use claim_mapping::mapping::ObjectKey;
use kube_wire::group_version::GroupVersion;

/// Maximum number of kinds of composite resources that are watched. Users write claims, which name these kinds.
const KINDS_MAX: usize = 256;

/// Maximum number of composed resources that are stored for one composite resource.
const COMPOSED_MAX: usize = 1000;

/// Time until claimgate looks again for a kind that the control plane does not serve.
const KIND_INTERVAL: Duration = Duration::from_secs(30);

/// The conditions that Crossplane sets (`crossplane-runtime/apis/common/v1/condition.go`), and the types of events
/// about them. `Ready` is not a warning, because no new composite resource is ready.
const CONDITIONS: [(&str, &str); 2] = [("Synced", "Warning"), ("Ready", "Normal")];

const CURE: &str = "allow claimgate to get, list and watch composite resources (config/rbac/control-plane-composites.yaml), or set apis[].events.composite: false";

/// The known composite resources.
pub(super) struct Composites {
    state: Mutex<State>,
    kinds: watch::Sender<HashSet<GroupVersionKind>>,
}

#[derive(Default)]
struct State {
    by_uid: HashMap<Key, Composite>,
    by_name: HashMap<ObjectName, Key>,
    /// The UIDs of composite resources, by the names of their composed resources.
    by_composed: HashMap<ObjectName, Key>,
}

/// The name of an object without a namespace.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct ObjectName {
    group: String,
    kind: String,
    name: String,
}

impl ObjectName {
    fn new(kind: &GroupVersionKind, name: &str) -> Self {
        Self {
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            name: name.to_owned(),
        }
    }

    /// Returns the name of the object that an event is about.
    pub(super) fn of(object: &ObjectReference) -> Option<Self> {
        let api_version: GroupVersion = object.api_version.as_deref()?.parse().ok()?;
        Some(Self {
            group: api_version.group,
            kind: object.kind.clone()?,
            name: object.name.clone()?,
        })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.group, self.kind, self.name)
    }
}

struct Composite {
    name: ObjectName,
    claim: RemoteClaim,
    /// The resources that `spec.resourceRefs` names.
    composed: Vec<ObjectName>,
    /// Events about conditions that are false.
    conditions: Vec<Arc<Event>>,
    /// Whether these events were returned.
    is_reported: bool,
}

impl Composites {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            kinds: watch::Sender::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the kind of a claim's composite resource. Returns the UID of the composite resource, if it is known.
    pub(super) fn find(&self, claim: &Claim) -> Option<Key> {
        let CompositeReference { kind, name } = claim.composite.as_ref()?;
        // An XRD defines both kinds, so they are in one group. Users cannot make claimgate read anything else.
        if kind.group != claim.resource.group {
            return None;
        }
        self.kinds.send_if_modified(|kinds| {
            let has_room = kinds.len() < KINDS_MAX;
            has_room && !kinds.contains(kind) && kinds.insert(kind.clone())
        });
        let name = ObjectName::new(kind, name);
        self.state().by_name.get(&name).cloned()
    }

    /// Returns the claim to which a composite resource belongs.
    pub(super) fn claim_of(&self, uid: &str, claims: &ClaimIndex) -> Option<Arc<Claim>> {
        let state = self.state();
        let composite = state.by_uid.get(uid)?;
        let claim = claims.find(&composite.claim)?;
        let CompositeReference { kind, name } = claim.composite.as_ref()?;
        (composite.name == ObjectName::new(kind, name)).then_some(claim)
    }

    pub(super) fn contains(&self, uid: &str) -> bool {
        self.state().by_uid.contains_key(uid)
    }

    /// Returns the UID of the composite resource that names a composed resource.
    pub(super) fn owner_of(&self, composed: &ObjectName) -> Option<Key> {
        self.state().by_composed.get(composed).cloned()
    }

    /// Returns the names of the composed resources.
    pub(super) fn composed(&self, uid: &str) -> Vec<ObjectName> {
        let state = self.state();
        let composite = state.by_uid.get(uid);
        composite.map_or_else(Vec::new, |composite| composite.composed.clone())
    }

    /// Returns the events about conditions that changed after the last call.
    pub(super) fn take_conditions(&self, uid: &str) -> Vec<Arc<Event>> {
        let mut state = self.state();
        match state.by_uid.get_mut(uid) {
            Some(composite) if !composite.is_reported => {
                composite.is_reported = true;
                composite.conditions.clone()
            }
            _ => Vec::new(),
        }
    }

    /// Watches the composite resources, and sends the UIDs of those that change. Runs until it is dropped.
    pub(super) async fn follow(&self, client: &kube::Client, changed: &mpsc::Sender<Key>) {
        let mut kinds = self.kinds.subscribe();
        let mut followed = HashSet::new();
        let mut watches = FuturesUnordered::new();
        loop {
            let wanted: Vec<GroupVersionKind> = kinds.borrow_and_update().iter().cloned().collect();
            for kind in wanted {
                if followed.insert(kind.clone()) {
                    watches.push(self.follow_kind(client, kind, changed));
                }
            }
            tokio::select! {
                result = kinds.changed() => if result.is_err() { return },
                Some(()) = watches.next() => {}
            }
        }
    }

    async fn follow_kind(
        &self,
        client: &kube::Client,
        kind: GroupVersionKind,
        changed: &mpsc::Sender<Key>,
    ) {
        let access = Access::new(format!("find the composite resources {}", kind.kind), CURE);
        let resource = loop {
            match pinned_kind(client, &kind).await {
                Ok((resource, _)) => break resource,
                Err(error) => access.failed(&error),
            }
            tokio::time::sleep(KIND_INTERVAL).await;
        };
        access.succeeded();
        self.watch(client, &kind, &resource, changed).await;
    }

    async fn watch(
        &self,
        client: &kube::Client,
        kind: &GroupVersionKind,
        resource: &ApiResource,
        changed: &mpsc::Sender<Key>,
    ) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
        let mut events = Box::pin(watcher(api, watcher::Config::default()));
        let subject = format!("the composite resources {}", kind.kind);
        let mut report = WatchReport::new(subject).with_cure(CURE);
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            let object = match event {
                Ok(watcher::Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(watcher::Event::InitDone) => {
                    report.succeeded();
                    self.state().retain(kind, &listed);
                    continue;
                }
                Ok(watcher::Event::Delete(object)) => {
                    report.succeeded();
                    let uid = object.metadata.uid.unwrap_or_default();
                    self.state().remove(&uid);
                    continue;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    listed.extend(object.metadata.uid.clone());
                    object
                }
                Ok(watcher::Event::Apply(object)) => {
                    report.succeeded();
                    object
                }
                Err(error) => {
                    report.failed(&error).await;
                    continue;
                }
            };
            if let Some(uid) = self.set(&object, kind) {
                // Sending fails only after the controller has ended.
                let _ = changed.send(uid).await;
            }
        }
    }

    /// Stores a composite resource. Returns its UID, or `None` if it belongs to no claim.
    fn set(&self, object: &DynamicObject, kind: &GroupVersionKind) -> Option<Key> {
        let uid: Key = object.metadata.uid.as_deref()?.into();
        let claim = claim_reference(&object.data)?;
        let name = ObjectName::new(kind, object.metadata.name.as_deref()?);
        let conditions = false_conditions(object, kind);
        let composed = composed(&object.data);
        let mut state = self.state();
        let known = state.by_uid.get(&uid);
        let is_reported =
            known.is_some_and(|known| known.is_reported && known.conditions == conditions);
        state.remove(&uid);
        for name in &composed {
            state.by_composed.insert(name.clone(), Arc::clone(&uid));
        }
        let composite = Composite {
            name: name.clone(),
            claim,
            composed,
            conditions,
            is_reported,
        };
        state.by_uid.insert(Arc::clone(&uid), composite);
        state.by_name.insert(name, Arc::clone(&uid));
        Some(uid)
    }
}

impl State {
    fn remove(&mut self, uid: &str) {
        let Some(composite) = self.by_uid.remove(uid) else {
            return;
        };
        if self.by_name.get(&composite.name).map(|known| &**known) == Some(uid) {
            self.by_name.remove(&composite.name);
        }
        for name in &composite.composed {
            if self.by_composed.get(name).map(|known| &**known) == Some(uid) {
                self.by_composed.remove(name);
            }
        }
    }

    /// Removes the composite resources of a kind that a complete list does not contain.
    fn retain(&mut self, kind: &GroupVersionKind, listed: &HashSet<String>) {
        let gone = self.by_uid.iter().filter(|(uid, composite)| {
            let name = &composite.name;
            name.group == kind.group && name.kind == kind.kind && !listed.contains(&***uid)
        });
        let gone: Vec<Key> = gone.map(|(uid, _)| Arc::clone(uid)).collect();
        for uid in gone {
            self.remove(&uid);
        }
    }
}

/// Returns the claim that `spec.claimRef` names.
fn claim_reference(data: &Value) -> Option<RemoteClaim> {
    let text = |key| data.pointer(&format!("/spec/claimRef/{key}"))?.as_str();
    let api_version: GroupVersion = text("apiVersion")?.parse().ok()?;
    Some(RemoteClaim {
        group: api_version.group,
        kind: text("kind")?.to_owned(),
        key: ObjectKey::new(text("namespace")?, text("name")?),
    })
}

/// Returns the resources that `spec.resourceRefs` names. Those in a namespace are left out.
fn composed(data: &Value) -> Vec<ObjectName> {
    let references = data.pointer("/spec/resourceRefs").and_then(Value::as_array);
    let names = references.into_iter().flatten().filter_map(|reference| {
        let text = |key: &str| reference.get(key)?.as_str();
        let api_version: GroupVersion = text("apiVersion")?.parse().ok()?;
        text("namespace").is_none().then_some(ObjectName {
            group: api_version.group,
            kind: text("kind")?.to_owned(),
            name: text("name")?.to_owned(),
        })
    });
    names.take(COMPOSED_MAX).collect()
}

/// Returns an event about each condition that is false. The UID of the event contains the type of the condition, so a
/// new reason updates the event.
fn false_conditions(object: &DynamicObject, kind: &GroupVersionKind) -> Vec<Arc<Event>> {
    let conditions = object.data.pointer("/status/conditions");
    let conditions = conditions.and_then(Value::as_array);
    let find = |type_: &str| conditions?.iter().find(|known| known["type"] == type_);
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let reference = ObjectReference {
        api_version: Some(kind.api_version()),
        kind: Some(kind.kind.clone()),
        name: object.metadata.name.clone(),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    };
    let events = CONDITIONS.iter().filter_map(|(type_, event_type)| {
        let condition = find(type_).filter(|condition| condition["status"] == "False")?;
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        let time: Option<Time> = text("lastTransitionTime").parse().ok().map(Time);
        Some(Arc::new(Event {
            metadata: ObjectMeta {
                uid: Some(format!("{uid}/{type_}")),
                ..ObjectMeta::default()
            },
            involved_object: reference.clone(),
            type_: Some((*event_type).to_owned()),
            reason: Some(text("reason").to_owned()),
            message: Some(match text("message") {
                "" => format!("{type_} is False"),
                message => message.to_owned(),
            }),
            first_timestamp: time.clone(),
            last_timestamp: time,
            count: Some(1),
            source: Some(EventSource {
                component: Some(COMPONENT.to_owned()),
                host: None,
            }),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(String::new()),
            ..Event::default()
        }))
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind() -> GroupVersionKind {
        GroupVersionKind::gvk("k8s.starter.org", "v1", "XDb")
    }

    fn composite(reason: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "a-x", "uid": "1"},
            "spec": {
                "claimRef": {"apiVersion": "k8s.starter.org/v1", "kind": "Db", "namespace": "n", "name": "a"},
                "resourceRefs": [
                    {"apiVersion": "aws.example.org/v1", "kind": "Disk", "name": "a-x-1"},
                    {"apiVersion": "v1", "kind": "Secret", "namespace": "n", "name": "b"},
                ],
            },
            "status": {"conditions": [
                {"type": "Synced", "status": "False", "reason": reason, "message": "no composition", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                {"type": "Ready", "status": "True", "reason": "Available"},
                {"type": "Healthy", "status": "False", "reason": "Other"},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn false_conditions_become_events_once() {
        let composites = Composites::new();
        let uid = composites
            .set(&composite("ReconcileError"), &kind())
            .unwrap();
        let events = composites.take_conditions(&uid);
        assert_eq!(events.len(), 1);
        let event = &events[0];
        assert_eq!(event.reason.as_deref(), Some("ReconcileError"));
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.metadata.uid.as_deref(), Some("1/Synced"));
        composites.set(&composite("ReconcileError"), &kind());
        assert!(composites.take_conditions(&uid).is_empty());
        composites.set(&composite("Paused"), &kind());
        assert_eq!(composites.take_conditions(&uid).len(), 1);
    }

    #[test]
    fn composites_that_are_gone_or_have_no_claim_are_forgotten() {
        let composites = Composites::new();
        composites.set(&composite("a"), &kind());
        composites
            .state()
            .retain(&kind(), &HashSet::from(["1".to_owned()]));
        assert_eq!(composites.state().by_uid.len(), 1);
        let names = composites.composed("1");
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(composites.owner_of(&names[0]).as_deref(), Some("1"));
        composites.state().retain(&kind(), &HashSet::new());
        assert!(composites.state().by_uid.is_empty() && composites.state().by_name.is_empty());
        let mut without_claim = composite("a");
        without_claim.data["spec"] = json!({});
        assert!(composites.state().by_composed.is_empty());
        assert_eq!(composites.set(&without_claim, &kind()), None);
    }
}
