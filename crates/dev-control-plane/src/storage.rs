//! All resources and objects, the resourceVersion counter and the event log, under one lock. Independent of
//! requests; `crud` has the rules of create, update and delete.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::object;
use super::resource::{GroupResource, Resource};
use super::stored_object::StoredObject;
use super::watch_log::{Change, Compacted, Event, WatchLog};

/// Objects by `namespace/name`, in the order of etcd: `a-b/x` precedes `a/x`.
type ObjectMap = BTreeMap<String, Arc<StoredObject>>;

/// The objects at one resourceVersion, in the order of their keys.
pub(crate) struct Snapshot {
    pub(crate) objects: Vec<(String, Arc<StoredObject>)>,
    pub(crate) resource_version: u64,
}

pub(crate) struct State {
    resources: Vec<Arc<Resource>>,
    /// Counts changes of `resources`, so that documents generated from them can be cached.
    resources_generation: u64,
    objects: BTreeMap<GroupResource, ObjectMap>,
    pub(crate) log: WatchLog,
}

pub(crate) struct Store {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

/// The first resourceVersion. Versions 0 and 1 have special meanings for clients.
const RESOURCE_VERSION_FIRST: u64 = 100;

impl Store {
    pub(crate) fn new(resources: Vec<Resource>, events_max: usize) -> Self {
        let mut all = vec![Arc::new(Resource::namespaces())];
        all.extend(resources.into_iter().map(Arc::new));
        let state = State {
            resources: all,
            resources_generation: 0,
            objects: BTreeMap::new(),
            log: WatchLog::new(RESOURCE_VERSION_FIRST, events_max),
        };
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(RESOURCE_VERSION_FIRST),
        }
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Runs `change` under the lock, and wakes the watches if it wrote something.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, before, after) = {
            let mut state = self.lock();
            let before = state.log.latest();
            let result = change(&mut state);
            (result, before, state.log.latest())
        };
        if before != after {
            self.changed.send_replace(after);
        }
        result
    }

    /// Deletes all events and wakes the watches, so that those at older positions end.
    pub(crate) fn compact(&self) {
        self.lock().log.compact();
        self.changed.send_modify(|_| {});
    }

    /// Returns a receiver that changes with every new event.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    pub(crate) fn resources_generation(&self) -> u64 {
        self.resources_generation
    }

    pub(crate) fn resource(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<Arc<Resource>> {
        let found = self.resources.iter().find(|resource| {
            resource.group == group && resource.version == version && resource.plural == plural
        });
        found.cloned()
    }

    /// Adds resources. Each replaces one of the same group, version and plural.
    pub(crate) fn add_resources(&mut self, added: impl IntoIterator<Item = Resource>) {
        for resource in added {
            self.remove_resource(&resource.group, &resource.version, &resource.plural);
            self.resources.push(Arc::new(resource));
        }
        self.resources_generation += 1;
    }

    /// Removes a resource. Its objects stay for other versions, or until it is added again.
    pub(crate) fn remove_resource(&mut self, group: &str, version: &str, plural: &str) {
        self.resources.retain(|resource| {
            resource.group != group || resource.version != version || resource.plural != plural
        });
        self.resources_generation += 1;
    }

    pub(crate) fn get(&self, resource: &Resource, key: &str) -> Option<Arc<StoredObject>> {
        self.objects
            .get(&resource.group_resource())?
            .get(key)
            .cloned()
    }

    pub(crate) fn namespace_exists(&self, name: &str) -> bool {
        self.get(&Resource::namespaces(), name).is_some()
    }

    /// Stores the object with the next resourceVersion.
    pub(crate) fn put(
        &mut self,
        resource: &Resource,
        key: &str,
        mut value: Value,
    ) -> Arc<StoredObject> {
        let resource_version = self.log.latest() + 1;
        object::set_meta(&mut value, "resourceVersion", resource_version.to_string());
        let stored = Arc::new(StoredObject::new(value));
        let group_resource = resource.group_resource();
        let objects = self.objects.entry(group_resource.clone()).or_default();
        let object = Arc::clone(&stored);
        let change = match objects.insert(key.to_owned(), Arc::clone(&stored)) {
            Some(previous) => Change::Modified { previous, object },
            None => Change::Added { object },
        };
        let (resource, key) = (group_resource, key.to_owned());
        self.log.push(Event {
            resource_version,
            resource,
            key,
            change,
        });
        stored
    }

    /// Removes the object. Returns its last state with the resourceVersion of the deletion.
    pub(crate) fn remove(
        &mut self,
        resource: &GroupResource,
        key: &str,
    ) -> Option<Arc<StoredObject>> {
        let previous = self.objects.get_mut(resource)?.remove(key)?;
        let resource_version = self.log.latest() + 1;
        let mut value = previous.value.clone();
        object::set_meta(&mut value, "resourceVersion", resource_version.to_string());
        let last = Arc::new(StoredObject::new(value));
        let change = Change::Deleted {
            previous,
            last: Arc::clone(&last),
        };
        let (resource, key) = (resource.clone(), key.to_owned());
        self.log.push(Event {
            resource_version,
            resource,
            key,
            change,
        });
        Some(last)
    }

    /// Removes all objects of a namespace, and then the namespace.
    pub(crate) fn remove_namespace(&mut self, name: &str) -> Option<Arc<StoredObject>> {
        let prefix = format!("{name}/");
        let inside: Vec<(GroupResource, String)> = self
            .objects
            .iter()
            .flat_map(|(resource, objects)| objects.keys().map(move |key| (resource, key)))
            .filter(|(_, key)| key.starts_with(&prefix))
            .map(|(resource, key)| (resource.clone(), key.clone()))
            .collect();
        for (resource, key) in inside {
            self.remove(&resource, &key);
        }
        self.remove(&Resource::namespaces().group_resource(), name)
    }

    /// Returns the objects of a resource whose key starts with `prefix`, now or at an earlier resourceVersion.
    ///
    /// # Errors
    /// That resourceVersion is compacted.
    pub(crate) fn snapshot(
        &self,
        resource: &Resource,
        prefix: &str,
        at: Option<u64>,
    ) -> Result<Snapshot, Compacted> {
        let group_resource = resource.group_resource();
        let mut objects: ObjectMap = self
            .objects
            .get(&group_resource)
            .map(|objects| {
                let range = objects.range(prefix.to_owned()..);
                let inside = range.take_while(|(key, _)| key.starts_with(prefix));
                inside
                    .map(|(key, stored)| (key.clone(), Arc::clone(stored)))
                    .collect()
            })
            .unwrap_or_default();
        let resource_version = at.unwrap_or_else(|| self.log.latest());
        for event in self.log.since(resource_version)?.iter().rev() {
            if event.resource != group_resource || !event.key.starts_with(prefix) {
                continue;
            }
            match event.change.previous() {
                Some(previous) => objects.insert(event.key.clone(), Arc::clone(previous)),
                None => objects.remove(&event.key),
            };
        }
        let objects = objects
            .into_iter()
            .map(|(key, stored)| {
                let stored = stored.in_version(resource);
                (key, stored)
            })
            .collect();
        Ok(Snapshot {
            objects,
            resource_version,
        })
    }
}

/// Returns the key of an object. `namespace` is empty for cluster-scoped objects.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

/// Returns the prefix of all keys in a namespace, or an empty string for all namespaces.
pub(crate) fn prefix(namespace: Option<&str>) -> String {
    namespace
        .map(|namespace| format!("{namespace}/"))
        .unwrap_or_default()
}
