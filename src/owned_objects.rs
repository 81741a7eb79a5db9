//! Stores the metadata of Secrets or ConfigMaps of one cluster: those that controllers copy, or their copies.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::config::NamespaceSelection;
use crate::object_key::{Key, object_key};
use crate::watch_report::WatchReport;
use claim_mapping::mapping::ObjectKey;

/// The metadata of an object that the controllers need.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KnownObject {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    /// The claims to which it belongs.
    pub(crate) claims: Vec<Key>,
    /// The API group and the kind of the claims.
    pub(crate) claim_kind: (String, String),
    /// The labels that a controller needs.
    pub(crate) labels: BTreeMap<String, String>,
}

impl KnownObject {
    pub(crate) fn belongs_to(&self, claim: &str) -> bool {
        self.claims.iter().any(|uid| **uid == *claim)
    }
}

/// Returns the metadata of an object, or `None` if no controller needs it.
pub(crate) type Recognize = fn(&ObjectMeta) -> Option<KnownObject>;

/// The objects of one kind in one cluster.
pub(crate) struct OwnedObjects(Mutex<State>);

/// The watches that fill an [`OwnedObjects`].
pub(crate) struct Watch<A> {
    /// The watched objects, as in a sentence: `the Secrets of the app cluster`.
    pub(crate) subject: String,
    pub(crate) client: kube::Client,
    /// The watched namespaces. Each has a separate watch.
    pub(crate) namespaces: NamespaceSelection,
    pub(crate) config: watcher::Config,
    pub(crate) recognize: Recognize,
    /// Returns additional claims to sync after a change of an object.
    pub(crate) also: A,
    /// Receives the claims to sync after a change.
    pub(crate) claims: mpsc::Sender<Key>,
}

#[derive(Default)]
struct State {
    objects: HashMap<ObjectKey, KnownObject>,
    by_claim: HashMap<Key, BTreeSet<ObjectKey>>,
    /// Watches whose first list is not complete.
    not_listed: usize,
}

impl OwnedObjects {
    /// Creates an empty store that this number of watches will fill.
    pub(crate) fn new(watches: usize) -> Self {
        Self(Mutex::new(State {
            not_listed: watches,
            ..State::default()
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the objects of a claim.
    pub(crate) fn of(&self, claim: &str) -> Vec<(ObjectKey, KnownObject)> {
        let state = self.state();
        let keys = state.by_claim.get(claim).into_iter().flatten();
        keys.filter_map(|key| Some((key.clone(), state.objects.get(key)?.clone())))
            .collect()
    }

    /// Returns the objects in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<(ObjectKey, KnownObject)> {
        let state = self.state();
        let objects = state.objects.iter();
        objects
            .filter(|(key, _)| key.namespace == namespace)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect()
    }

    /// Returns the claims to which objects belong.
    pub(crate) fn claims(&self) -> Vec<Key> {
        self.state().by_claim.keys().cloned().collect()
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<KnownObject> {
        self.state().objects.get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.state().objects.len()
    }

    /// Returns whether all objects are known. An object that is not stored then does not exist.
    pub(crate) fn is_complete(&self) -> bool {
        self.state().not_listed == 0
    }

    /// Stores an object that was written, unless the watch has changed the stored one since `before`. The watch then has this
    /// object already, or a newer one that must not be lost.
    pub(crate) fn set_written(
        &self,
        key: ObjectKey,
        before: Option<&KnownObject>,
        object: KnownObject,
    ) {
        let mut state = self.state();
        if state.objects.get(&key) == before {
            state.set(key, object);
        }
    }

    /// Removes an object. Returns the claims to which it belonged.
    pub(crate) fn remove(&self, key: &ObjectKey) -> Vec<Key> {
        self.state().remove(key)
    }

    /// Keeps the store equal to the objects in the namespaces, and sends the claims to sync after a change. Runs until
    /// it is dropped.
    pub(crate) async fn follow<K>(&self, watch: &Watch<impl Fn(&ObjectKey) -> Vec<Key>>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        match &watch.namespaces {
            NamespaceSelection::All => self.follow_in::<K>(watch, None).await,
            NamespaceSelection::Named(names) => {
                let names = names.iter();
                join_all(names.map(|name| self.follow_in::<K>(watch, Some(name)))).await;
            }
        }
    }

    async fn follow_in<K>(
        &self,
        watch: &Watch<impl Fn(&ObjectKey) -> Vec<Key>>,
        namespace: Option<&str>,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let client = watch.client.clone();
        let (api, subject): (Api<PartialObjectMeta<K>>, String) = match namespace {
            None => (Api::all(client), watch.subject.clone()),
            Some(name) => (
                Api::namespaced(client, name),
                format!("{} in the namespace {name:?}", watch.subject),
            ),
        };
        let covers = |key: &ObjectKey| namespace.is_none_or(|name| key.namespace == name);
        let mut is_first_list = true;
        let mut events = Box::pin(watcher(api, watch.config.clone()));
        let mut report = WatchReport::new(subject);
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            let changed = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    Vec::new()
                }
                Ok(Event::InitApply(object)) => {
                    listed.insert(object_key(&object.metadata));
                    self.apply(&object.metadata, watch.recognize)
                }
                Ok(Event::InitDone) => {
                    report.succeeded();
                    if std::mem::take(&mut is_first_list) {
                        self.state().not_listed -= 1;
                    }
                    self.retain(|key| !covers(key) || listed.contains(key))
                }
                Ok(Event::Apply(object)) => {
                    report.succeeded();
                    self.apply(&object.metadata, watch.recognize)
                }
                Ok(Event::Delete(object)) => {
                    report.succeeded();
                    let key = object_key(&object.metadata);
                    Vec::from_iter(self.changed(key, None))
                }
                Err(error) => {
                    report.failed(&error).await;
                    Vec::new()
                }
            };
            for (key, mut claims) in changed {
                claims.extend((watch.also)(&key));
                for claim in claims {
                    // Sending fails only after the controller has ended.
                    let _ = watch.claims.send(claim).await;
                }
            }
        }
    }

    fn apply(&self, metadata: &ObjectMeta, recognize: Recognize) -> Vec<(ObjectKey, Vec<Key>)> {
        Vec::from_iter(self.changed(object_key(metadata), recognize(metadata)))
    }

    /// Stores or removes an object. If this is a change, returns its key and its claims.
    fn changed(
        &self,
        key: ObjectKey,
        object: Option<KnownObject>,
    ) -> Option<(ObjectKey, Vec<Key>)> {
        let mut state = self.state();
        if state.objects.get(&key) == object.as_ref() {
            return None;
        }
        let claims = match object {
            Some(object) => state.set(key.clone(), object),
            None => state.remove(&key),
        };
        Some((key, claims))
    }

    fn retain(&self, is_kept: impl Fn(&ObjectKey) -> bool) -> Vec<(ObjectKey, Vec<Key>)> {
        let mut state = self.state();
        let gone = state.objects.keys().filter(|key| !is_kept(key));
        let gone: Vec<ObjectKey> = gone.cloned().collect();
        let removed = gone.into_iter().map(|key| {
            let claims = state.remove(&key);
            (key, claims)
        });
        removed.collect()
    }
}

impl State {
    fn set(&mut self, key: ObjectKey, object: KnownObject) -> Vec<Key> {
        let mut claims = self.remove(&key);
        for claim in &object.claims {
            let of_claim = self.by_claim.entry(Key::clone(claim)).or_default();
            of_claim.insert(key.clone());
            if !claims.contains(claim) {
                claims.push(Key::clone(claim));
            }
        }
        self.objects.insert(key, object);
        claims
    }

    fn remove(&mut self, key: &ObjectKey) -> Vec<Key> {
        let Some(object) = self.objects.remove(key) else {
            return Vec::new();
        };
        for claim in &object.claims {
            if let Some(keys) = self.by_claim.get_mut(claim) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_claim.remove(claim);
                }
            }
        }
        object.claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(claims: &[&str]) -> KnownObject {
        KnownObject {
            uid: "1".to_owned(),
            resource_version: "1".to_owned(),
            claims: claims.iter().map(|claim| Key::from(*claim)).collect(),
            claim_kind: Default::default(),
            labels: BTreeMap::new(),
        }
    }

    #[test]
    fn written_object_does_not_replace_a_newer_one() {
        let store = OwnedObjects::new(0);
        let key = ObjectKey::new("default", "a");
        let version = |version: &str| KnownObject {
            resource_version: version.to_owned(),
            ..object(&["a"])
        };
        store.set_written(key.clone(), None, version("1"));
        assert_eq!(store.get(&key), Some(version("1")));
        // Someone edits the object right after it was written again, and the watch is faster than the response.
        store.changed(key.clone(), Some(version("3")));
        store.set_written(key.clone(), Some(&version("1")), version("2"));
        assert_eq!(store.get(&key), Some(version("3")));
    }

    #[test]
    fn change_of_owner_returns_previous_and_new_claims() {
        let store = OwnedObjects::new(0);
        let key = ObjectKey::new("default", "a");
        let claims = |claims: &[&str]| {
            let changed = store.changed(key.clone(), Some(object(claims)))?;
            Some(
                changed
                    .1
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            )
        };
        let some = |claims: &[&str]| Some(claims.iter().map(ToString::to_string).collect());
        assert_eq!(claims(&["a", "b"]), some(&["a", "b"]));
        assert_eq!(claims(&["a", "b"]), None);
        assert_eq!(claims(&["b", "c"]), some(&["a", "b", "c"]));
        assert!(store.of("a").is_empty() && store.of("b").len() == 1);
        assert_eq!(store.retain(|_| false).len(), 1);
        assert!(store.of("b").is_empty() && store.len() == 0);
    }

    #[test]
    fn objects_are_known_after_all_lists() {
        let store = OwnedObjects::new(1);
        assert!(!store.is_complete());
        store.state().not_listed -= 1;
        assert!(store.is_complete());
    }
}
