//! Access to objects without HTTP, for tests and the example. The rules of `crud` still apply.

use std::sync::Arc;

use serde_json::Value;

use super::apply::FieldManager;
use super::crud::{self, Deleted, Endpoint, Preconditions, Write};
use super::error::StatusError;
use super::object;
use super::resource::Resource;
use super::storage::{Store, key, prefix};
use super::stored_object::StoredObject;
use super::write;

/// The field manager of writes outside of HTTP requests.
const MANAGER: &str = "dev-control-plane";

/// The objects of one resource. For cluster-scoped resources, pass empty namespaces.
pub struct Objects<'a> {
    store: &'a Store,
    resource: Arc<Resource>,
}

impl<'a> Objects<'a> {
    pub(crate) fn of(store: &'a Store, qualified_name: &str) -> Result<Self, StatusError> {
        let resource = store.read(|state| {
            let mut resources = state.resources().iter();
            resources
                .find(|resource| resource.qualified_name() == qualified_name)
                .cloned()
        });
        let resource = resource.ok_or_else(StatusError::no_such_resource)?;
        Ok(Self { store, resource })
    }

    /// Returns an object, or `None` if it does not exist.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Value> {
        let stored = self
            .store
            .read(|state| state.get(&self.resource, &key(namespace, name)))?;
        Some(stored.in_version(&self.resource).value.clone())
    }

    /// Returns the objects of one namespace in the order of a list. With `None`, returns those of all
    /// namespaces.
    pub fn list(&self, namespace: Option<&str>) -> Vec<Value> {
        let prefix = prefix(namespace);
        let snapshot = self
            .store
            .read(|state| state.snapshot(&self.resource, &prefix, None));
        let objects = snapshot
            .map(|snapshot| snapshot.objects)
            .unwrap_or_default();
        objects
            .into_iter()
            .map(|(_, stored)| stored.value.clone())
            .collect()
    }

    /// Creates an object in the namespace of its metadata. Sets `apiVersion` and `kind`.
    pub fn create(&self, mut object: Value) -> Result<Value, StatusError> {
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".to_owned(), self.resource.api_version().into());
            map.insert("kind".to_owned(), self.resource.kind.clone().into());
        }
        let namespace = object::namespace(&object).to_owned();
        let stored = create(self.store, &self.resource, &namespace, object)?;
        Ok(stored.value.clone())
    }

    /// Applies a merge patch to an object, except to its status.
    pub fn patch(&self, namespace: &str, name: &str, change: &Value) -> Result<Value, StatusError> {
        self.merge(namespace, name, Endpoint::Object, change)
    }

    /// Applies a merge patch of the form `{"status": …}` to the status.
    pub fn patch_status(
        &self,
        namespace: &str,
        name: &str,
        change: &Value,
    ) -> Result<Value, StatusError> {
        self.merge(namespace, name, Endpoint::Status, change)
    }

    /// Deletes an object. If it has finalizers, it gets a deletionTimestamp and stays.
    pub fn delete(&self, namespace: &str, name: &str) -> Result<Value, StatusError> {
        let (namespaced_name, none) = ((namespace, name), Preconditions::default());
        let deleted = self
            .store
            .write(|state| crud::delete(state, &self.resource, namespaced_name, &none, false))?;
        let (Deleted::Gone(stored) | Deleted::Terminating(stored)) = deleted;
        Ok(stored.value.clone())
    }

    fn merge(
        &self,
        namespace: &str,
        name: &str,
        endpoint: Endpoint,
        change: &Value,
    ) -> Result<Value, StatusError> {
        let namespaced_name = (namespace, name);
        let manager = FieldManager::update(MANAGER, self.resource.api_version());
        let manager = manager.on(endpoint.subresource());
        let (store, resource) = (self.store, &self.resource);
        let stored =
            write::merge_patch(store, resource, namespaced_name, endpoint, manager, change)?;
        Ok(stored.value.clone())
    }
}

/// Creates an object without a request.
pub(crate) fn create(
    store: &Store,
    resource: &Resource,
    namespace: &str,
    object: Value,
) -> Result<Arc<StoredObject>, StatusError> {
    let write = Write {
        resource,
        namespace,
        name: "",
        endpoint: Endpoint::Object,
        manager: FieldManager::update(MANAGER, resource.api_version()),
        dry_run: false,
    };
    store.write(|state| crud::create(state, &write, object))
}
