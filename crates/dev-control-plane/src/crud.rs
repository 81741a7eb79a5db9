//! The rules of create, update, apply and delete (apiserver pkg/registry/generic/registry/store.go,
//! pkg/registry/rest): which fields the server sets, which fields a client cannot change, and which
//! writes change nothing.

mod checks;

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::apply::{self, FieldManager, Operation};
use super::error::StatusError;
use super::object;
use super::resource::Resource;
use super::storage::{State, key};
use super::stored_object::StoredObject;
use checks::{check_identity, check_namespace, check_schema, name_for, uid_conflict};

/// The endpoint of a write, which decides what the write can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The object: everything except a status that has its own endpoint.
    Object,
    /// The subresource `scale`: the number of replicas.
    Scale,
    /// The subresource `status`: only the status.
    Status,
}

/// One write to an object.
pub(crate) struct Write<'a> {
    pub(crate) resource: &'a Resource,
    /// Empty for cluster-scoped resources.
    pub(crate) namespace: &'a str,
    /// Empty for a create, because the object contains the name.
    pub(crate) name: &'a str,
    pub(crate) endpoint: Endpoint,
    pub(crate) manager: FieldManager,
    pub(crate) dry_run: bool,
}

/// The preconditions of DeleteOptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

/// The outcome of a delete.
pub(crate) enum Deleted {
    /// The object was deleted. This is its last state.
    Gone(Arc<StoredObject>),
    /// The object waits for its finalizers.
    Terminating(Arc<StoredObject>),
}

/// The outcome of an apply.
pub(crate) enum Applied {
    Created(Arc<StoredObject>),
    Updated(Arc<StoredObject>),
}

/// Fields of metadata that the server sets.
const SERVER_SET: [&str; 6] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "uid",
];

impl Endpoint {
    /// Returns the name of the subresource, or an empty string for the object.
    pub(crate) fn subresource(self) -> &'static str {
        match self {
            Self::Object => "",
            Self::Scale => "scale",
            Self::Status => "status",
        }
    }
}

pub(crate) fn create(
    state: &mut State,
    write: &Write<'_>,
    mut object: Value,
) -> Result<Arc<StoredObject>, StatusError> {
    let (resource, namespace) = (write.resource, write.namespace);
    check_namespace(&mut object, resource, namespace)?;
    if resource.namespaced && !state.namespace_exists(namespace) {
        return Err(StatusError::namespace_not_found(namespace));
    }
    let name = name_for(resource, &object)?;
    let at = key(namespace, &name);
    if state.get(resource, &at).is_some() {
        return Err(StatusError::already_exists(resource, &name));
    }
    for field in SERVER_SET.into_iter().chain(["managedFields"]) {
        object::remove_meta(&mut object, field);
    }
    object::set_meta(&mut object, "name", name.as_str());
    object::set_meta(&mut object, "uid", Uuid::new_v4().to_string());
    object::set_meta(&mut object, "creationTimestamp", object::now());
    if resource.group.is_empty() {
        if let Some(map) = object.as_object_mut() {
            map.insert("status".to_owned(), json!({"phase": "Active"}));
        }
    } else {
        object::set_meta(&mut object, "generation", 1);
        if resource.status {
            object::copy_field(&mut object, &Value::Null, "status");
        }
    }
    let given = object.clone();
    check_schema(resource, &name, &mut object)?;
    apply::record_create(&resource.schema, &given, &mut object, &write.manager);
    if write.dry_run {
        return Ok(Arc::new(StoredObject::new(object)));
    }
    Ok(state.put(resource, &at, object))
}

/// Replaces an object by the result of `change`, whose argument is the current object.
pub(crate) fn modify(
    state: &mut State,
    write: &Write<'_>,
    change: impl FnOnce(&Value) -> Result<Value, StatusError>,
) -> Result<Arc<StoredObject>, StatusError> {
    let (resource, name) = (write.resource, write.name);
    let at = key(write.namespace, name);
    let found = state
        .get(resource, &at)
        .ok_or_else(|| StatusError::not_found(resource, name))?;
    let current = found.in_version(resource);
    let mut proposed = change(&current.value)?;
    check_namespace(&mut proposed, resource, write.namespace)?;
    check_identity(resource, &at, &current.value, &proposed)?;
    let mut next = writable_part(write, &current.value, proposed);
    for field in SERVER_SET {
        object::copy_meta(&mut next, &current.value, field);
    }
    check_schema(resource, name, &mut next)?;
    if write.manager.operation == Operation::Update {
        apply::record_update(&resource.schema, &current.value, &mut next, &write.manager);
    }
    if next == current.value {
        return Ok(current);
    }
    if object::spec_differs(&next, &current.value) {
        bump_generation(&mut next);
    }
    if write.dry_run {
        return Ok(Arc::new(StoredObject::new(next)));
    }
    let stored = state.put(resource, &at, next);
    if object::meta(&stored.value, "deletionTimestamp").is_some()
        && !object::has_finalizers(&stored.value)
    {
        state.remove(&resource.group_resource(), &at);
    }
    Ok(stored)
}

/// Combines the parts of `proposed` that the endpoint can write with the rest of `current`.
fn writable_part(write: &Write<'_>, current: &Value, mut proposed: Value) -> Value {
    match write.endpoint {
        Endpoint::Object | Endpoint::Scale => {
            if write.resource.status {
                object::copy_field(&mut proposed, current, "status");
            }
            proposed
        }
        Endpoint::Status => {
            let mut next = current.clone();
            object::copy_field(&mut next, &proposed, "status");
            // Only an apply changes the managers here.
            if write.manager.operation == Operation::Apply {
                object::copy_meta(&mut next, &proposed, "managedFields");
            }
            next
        }
    }
}

/// Applies a configuration. At the endpoint of the object, an apply creates a missing object.
pub(crate) fn apply(
    state: &mut State,
    write: &Write<'_>,
    config: &Value,
    force: bool,
) -> Result<Applied, StatusError> {
    let (resource, name) = (write.resource, write.name);
    let config = writable_config(write, config);
    let at = key(write.namespace, name);
    if write.endpoint == Endpoint::Object && state.get(resource, &at).is_none() {
        let given = object::name(&config);
        if given != name {
            return Err(StatusError::name_mismatch(given, name));
        }
        return create(state, write, config).map(Applied::Created);
    }
    modify(state, write, |current| {
        apply::apply(&resource.schema, current, &config, &write.manager, force)
            .map_err(|conflicts| StatusError::apply_conflict(&conflicts))
    })
    .map(Applied::Updated)
}

/// Returns the parts of an applied configuration that the endpoint can write. The others are not owned.
fn writable_config(write: &Write<'_>, config: &Value) -> Value {
    let mut writable = config.clone();
    match (write.endpoint, writable.as_object_mut()) {
        (Endpoint::Object | Endpoint::Scale, Some(map)) if write.resource.status => {
            map.remove("status");
        }
        (Endpoint::Status, Some(map)) => {
            map.retain(|field, _| {
                ["apiVersion", "kind", "metadata", "status"].contains(&field.as_str())
            });
            let metadata = map.get_mut("metadata").and_then(Value::as_object_mut);
            if let Some(metadata) = metadata {
                metadata.retain(|field, _| {
                    ["name", "namespace", "resourceVersion", "uid"].contains(&field.as_str())
                });
            }
        }
        _ => {}
    }
    writable
}

pub(crate) fn delete(
    state: &mut State,
    resource: &Resource,
    (namespace, name): (&str, &str),
    preconditions: &Preconditions,
    dry_run: bool,
) -> Result<Deleted, StatusError> {
    let at = key(namespace, name);
    let current = state
        .get(resource, &at)
        .ok_or_else(|| StatusError::not_found(resource, name))?;
    let current = current.in_version(resource);
    let actual = |field| object::meta(&current.value, field).unwrap_or_default();
    if let Some(uid) = preconditions
        .uid
        .as_deref()
        .filter(|uid| *uid != actual("uid"))
    {
        return Err(uid_conflict(resource, name, &at, uid, actual("uid")));
    }
    if let Some(requested) = preconditions.resource_version.as_deref()
        && requested != actual("resourceVersion")
    {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {requested}, ResourceVersion in object meta: {}",
            actual("resourceVersion")
        );
        return Err(StatusError::conflict(resource, name, &why));
    }
    if object::has_finalizers(&current.value) {
        if !actual("deletionTimestamp").is_empty() || dry_run {
            return Ok(Deleted::Terminating(current));
        }
        let mut next = current.value.clone();
        object::set_meta(&mut next, "deletionTimestamp", object::now());
        object::set_meta(&mut next, "deletionGracePeriodSeconds", 0);
        bump_generation(&mut next);
        return Ok(Deleted::Terminating(state.put(resource, &at, next)));
    }
    if dry_run {
        return Ok(Deleted::Gone(current));
    }
    let last = if resource.group.is_empty() {
        state.remove_namespace(name)
    } else {
        state.remove(&resource.group_resource(), &at)
    };
    Ok(Deleted::Gone(last.unwrap_or(current).in_version(resource)))
}

fn bump_generation(object: &mut Value) {
    let generation = object
        .get("metadata")
        .and_then(|metadata| metadata.get("generation"));
    if let Some(generation) = generation.and_then(Value::as_u64) {
        object::set_meta(object, "generation", generation + 1);
    }
}

#[cfg(test)]
mod tests;
