//! Objects of declared resources, one resourceVersion counter and the event log, under one lock.
//! Knows nothing of requests; the rules of create, update and delete are in `crud`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::error::to_json;
use super::object;
use super::resource::{GroupResource, Resource};
use super::watch_log::{Change, Compacted, Event, WatchLog};

/// An object as stored, with its JSON: keys sorted, no newline.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) json: Bytes,
}

/// `namespace/name` → object. Ordered by that string, as etcd orders keys: `a-b/x` is before `a/x`.
pub(crate) type Objects = BTreeMap<String, Arc<Stored>>;

/// Objects in key order at one resourceVersion.
pub(crate) struct Snapshot {
    pub(crate) objects: Vec<(String, Arc<Stored>)>,
    pub(crate) resource_version: u64,
}

pub(crate) struct State {
    resources: Vec<Arc<Resource>>,
    /// Counts changes of `resources`, so that documents made of them can be cached.
    resources_generation: u64,
    objects: BTreeMap<GroupResource, Objects>,
    pub(crate) log: WatchLog,
}

pub(crate) struct Store {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

/// The first resourceVersion: not 0 or 1, which a client could send by chance.
const RESOURCE_VERSION_FIRST: u64 = 100;

impl Stored {
    pub(crate) fn new(value: Value) -> Self {
        let json = Bytes::from(to_json(&value));
        Self { value, json }
    }

    /// The object in the version of `resource`: only `apiVersion` differs between versions.
    pub(crate) fn in_version(self: &Arc<Self>, resource: &Resource) -> Arc<Self> {
        let api_version = resource.api_version();
        if self.value.get("apiVersion").and_then(Value::as_str) == Some(api_version.as_str()) {
            return Arc::clone(self);
        }
        let mut value = self.value.clone();
        if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".to_owned(), api_version.into());
        }
        Arc::new(Self::new(value))
    }
}

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

    /// Runs `change` under the lock and wakes the watches if it wrote anything.
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

    /// Forgets all events, and wakes the watches that are behind.
    pub(crate) fn compact(&self) {
        self.lock().log.compact();
        self.changed.send_modify(|_| {});
    }

    /// Changes whenever the log grows.
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

    /// Adds resources, each in place of one of the same group, version and plural.
    pub(crate) fn add_resources(&mut self, added: impl IntoIterator<Item = Resource>) {
        for resource in added {
            self.remove_resource(&resource.group, &resource.version, &resource.plural);
            self.resources.push(Arc::new(resource));
        }
        self.resources_generation += 1;
    }

    /// Stops serving a resource; its objects stay for other versions or until it returns.
    pub(crate) fn remove_resource(&mut self, group: &str, version: &str, plural: &str) {
        self.resources.retain(|resource| {
            resource.group != group || resource.version != version || resource.plural != plural
        });
        self.resources_generation += 1;
    }

    pub(crate) fn get(&self, resource: &Resource, key: &str) -> Option<Arc<Stored>> {
        self.objects
            .get(&resource.group_resource())?
            .get(key)
            .cloned()
    }

    pub(crate) fn namespace_exists(&self, name: &str) -> bool {
        self.get(&Resource::namespaces(), name).is_some()
    }

    /// Writes the object under the next resourceVersion.
    pub(crate) fn put(&mut self, resource: &Resource, key: &str, mut value: Value) -> Arc<Stored> {
        let resource_version = self.log.latest() + 1;
        object::set_meta(&mut value, "resourceVersion", resource_version.to_string());
        let stored = Arc::new(Stored::new(value));
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

    /// Removes the object; returns its last state with the resourceVersion of the deletion.
    pub(crate) fn remove(&mut self, resource: &GroupResource, key: &str) -> Option<Arc<Stored>> {
        let previous = self.objects.get_mut(resource)?.remove(key)?;
        let resource_version = self.log.latest() + 1;
        let mut value = previous.value.clone();
        object::set_meta(&mut value, "resourceVersion", resource_version.to_string());
        let last = Arc::new(Stored::new(value));
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

    /// Removes everything of a namespace, and then the namespace.
    pub(crate) fn remove_namespace(&mut self, name: &str) -> Option<Arc<Stored>> {
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

    /// The objects of a resource whose key begins with `prefix`: now, or at a resourceVersion
    /// that the log still reaches.
    pub(crate) fn snapshot(
        &self,
        resource: &Resource,
        prefix: &str,
        at: Option<u64>,
    ) -> Result<Snapshot, Compacted> {
        let group_resource = resource.group_resource();
        let mut objects: Objects = self
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

/// Where an object is stored; `namespace` is empty for cluster-scoped ones.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

/// What all keys of a namespace begin with; empty for all namespaces.
pub(crate) fn prefix(namespace: Option<&str>) -> String {
    namespace
        .map(|namespace| format!("{namespace}/"))
        .unwrap_or_default()
}
