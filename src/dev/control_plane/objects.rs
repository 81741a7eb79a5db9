//! Objects without HTTP: what tests and the example put in and look at. The rules are the same.

use std::sync::Arc;

use serde_json::Value;

use super::crud::{self, Deleted, Part, Preconditions};
use super::error::ApiError;
use super::object;
use super::resource::Resource;
use super::storage::{Store, key, prefix};
use super::write;

/// The objects of one resource. Namespaces are empty for cluster-scoped ones.
pub struct Objects<'a> {
    store: &'a Store,
    resource: Arc<Resource>,
}

impl<'a> Objects<'a> {
    pub(crate) fn of(store: &'a Store, qualified_name: &str) -> Result<Self, ApiError> {
        let resource = store.read(|state| {
            let mut resources = state.resources().iter();
            resources
                .find(|resource| resource.qualified_name() == qualified_name)
                .cloned()
        });
        let resource = resource.ok_or_else(ApiError::no_such_resource)?;
        Ok(Self { store, resource })
    }

    /// None if it does not exist.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Value> {
        let stored = self
            .store
            .read(|state| state.get(&self.resource, &key(namespace, name)))?;
        Some(stored.in_version(&self.resource).value.clone())
    }

    /// In the order of a list; None for all namespaces.
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

    /// In the namespace of its metadata; `apiVersion` and `kind` are filled in.
    pub fn create(&self, mut object: Value) -> Result<Value, ApiError> {
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".to_owned(), self.resource.api_version().into());
            map.insert("kind".to_owned(), self.resource.kind.clone().into());
        }
        let namespace = object::namespace(&object).to_owned();
        let stored = self
            .store
            .write(|state| crud::create(state, &self.resource, &namespace, object, false))?;
        Ok(stored.value.clone())
    }

    /// A merge patch of all but the status.
    pub fn patch(&self, namespace: &str, name: &str, change: &Value) -> Result<Value, ApiError> {
        self.merge(namespace, name, Part::Main, change)
    }

    /// A merge patch of the status: `{"status": …}`.
    pub fn patch_status(
        &self,
        namespace: &str,
        name: &str,
        change: &Value,
    ) -> Result<Value, ApiError> {
        self.merge(namespace, name, Part::Status, change)
    }

    /// With finalizers it stays, with a deletionTimestamp.
    pub fn delete(&self, namespace: &str, name: &str) -> Result<Value, ApiError> {
        let (place, none) = ((namespace, name), Preconditions::default());
        let deleted = self
            .store
            .write(|state| crud::delete(state, &self.resource, place, &none, false))?;
        let (Deleted::Gone(stored) | Deleted::Terminating(stored)) = deleted;
        Ok(stored.value.clone())
    }

    fn merge(
        &self,
        namespace: &str,
        name: &str,
        part: Part,
        change: &Value,
    ) -> Result<Value, ApiError> {
        let place = (namespace, name);
        let stored = write::merge_patch(self.store, &self.resource, place, part, change)?;
        Ok(stored.value.clone())
    }
}
