//! The rules of create, update and delete (apiserver pkg/registry/generic/registry/store.go,
//! pkg/registry/rest): what the server sets, what a client may not change, when a write is none.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::{ApiError, Cause};
use super::object;
use super::resource::Resource;
use super::schema;
use super::storage::{State, Stored, key};

/// Which part of the object an update may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
}

/// What `DeleteOptions.preconditions` holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

/// What a delete did.
pub(crate) enum Deleted {
    /// Gone; the last state.
    Gone(Arc<Stored>),
    /// Finalizers hold it.
    Terminating(Arc<Stored>),
}

/// Fields of metadata that are the server's.
const SERVER_SET: [&str; 6] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "uid",
];

/// Length of the random end of a generated name (apiserver pkg/storage/names/generate.go).
const GENERATED_SUFFIX_LEN: usize = 5;

pub(crate) fn create(
    state: &mut State,
    resource: &Resource,
    namespace: &str,
    mut object: Value,
    dry_run: bool,
) -> Result<Arc<Stored>, ApiError> {
    check_namespace(&mut object, resource, namespace)?;
    if resource.namespaced && !state.namespace_exists(namespace) {
        return Err(ApiError::namespace_not_found(namespace));
    }
    let name = name_for(resource, &object)?;
    let at = key(namespace, &name);
    if state.get(resource, &at).is_some() {
        return Err(ApiError::already_exists(resource, &name));
    }
    for field in SERVER_SET {
        object::remove_meta(&mut object, field);
    }
    object::remove_meta(&mut object, "resourceVersion");
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
    check_schema(resource, &name, &mut object)?;
    if dry_run {
        return Ok(Arc::new(Stored::new(object)));
    }
    Ok(state.put(resource, &at, object))
}

/// Replaces the object by what `change` makes of the current one.
pub(crate) fn modify(
    state: &mut State,
    resource: &Resource,
    (namespace, name): (&str, &str),
    part: Part,
    dry_run: bool,
    change: impl FnOnce(&Value) -> Result<Value, ApiError>,
) -> Result<Arc<Stored>, ApiError> {
    let at = key(namespace, name);
    let found = state
        .get(resource, &at)
        .ok_or_else(|| ApiError::not_found(resource, name))?;
    let current = found.in_version(resource);
    let mut proposed = change(&current.value)?;
    check_namespace(&mut proposed, resource, namespace)?;
    check_identity(resource, &at, &current.value, &proposed)?;
    let mut next = match part {
        Part::Main => {
            if resource.status {
                object::copy_field(&mut proposed, &current.value, "status");
            }
            proposed
        }
        Part::Status => {
            let mut next = current.value.clone();
            object::copy_field(&mut next, &proposed, "status");
            next
        }
    };
    for field in SERVER_SET.into_iter().chain(["resourceVersion"]) {
        object::copy_meta(&mut next, &current.value, field);
    }
    check_schema(resource, name, &mut next)?;
    if next == current.value {
        return Ok(current);
    }
    if object::spec_differs(&next, &current.value) {
        bump_generation(&mut next);
    }
    if dry_run {
        return Ok(Arc::new(Stored::new(next)));
    }
    let stored = state.put(resource, &at, next);
    if object::meta(&stored.value, "deletionTimestamp").is_some()
        && !object::has_finalizers(&stored.value)
    {
        state.remove(&resource.group_resource(), &at);
    }
    Ok(stored)
}

pub(crate) fn delete(
    state: &mut State,
    resource: &Resource,
    (namespace, name): (&str, &str),
    preconditions: &Preconditions,
    dry_run: bool,
) -> Result<Deleted, ApiError> {
    let at = key(namespace, name);
    let current = state
        .get(resource, &at)
        .ok_or_else(|| ApiError::not_found(resource, name))?;
    let current = current.in_version(resource);
    let actual = |field| object::meta(&current.value, field).unwrap_or_default();
    if let Some(uid) = preconditions
        .uid
        .as_deref()
        .filter(|uid| *uid != actual("uid"))
    {
        return Err(uid_conflict(resource, name, &at, uid, actual("uid")));
    }
    if let Some(asked) = preconditions.resource_version.as_deref()
        && asked != actual("resourceVersion")
    {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {asked}, ResourceVersion in object meta: {}",
            actual("resourceVersion")
        );
        return Err(ApiError::conflict(resource, name, &why));
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

/// Fills in an absent namespace and refuses another one (registry/rest/meta.go
/// EnsureObjectNamespaceMatchesRequestNamespace).
fn check_namespace(
    object: &mut Value,
    resource: &Resource,
    namespace: &str,
) -> Result<(), ApiError> {
    let given = object::namespace(object);
    if !resource.namespaced {
        object::remove_meta(object, "namespace");
        return Ok(());
    }
    if !given.is_empty() && given != namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object::set_meta(object, "namespace", namespace);
    Ok(())
}

/// Refuses another name, uid or resourceVersion than the stored ones.
fn check_identity(
    resource: &Resource,
    at: &str,
    current: &Value,
    proposed: &Value,
) -> Result<(), ApiError> {
    let name = object::name(current);
    let given = object::name(proposed);
    if given != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let differs = |field| {
        let asked = object::meta(proposed, field).filter(|asked| !asked.is_empty());
        asked.filter(|asked| Some(*asked) != object::meta(current, field))
    };
    if let Some(uid) = differs("uid") {
        let actual = object::meta(current, "uid").unwrap_or_default();
        return Err(uid_conflict(resource, name, at, uid, actual));
    }
    if differs("resourceVersion").is_some() {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(ApiError::conflict(resource, name, why));
    }
    Ok(())
}

/// Quotes the etcd key, as storage/errors.go InvalidObjError does.
fn uid_conflict(resource: &Resource, name: &str, at: &str, asked: &str, actual: &str) -> ApiError {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{at}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, \
         UID in object meta: {actual}",
        resource.group, resource.plural
    );
    ApiError::conflict(resource, name, &why)
}

fn check_schema(resource: &Resource, name: &str, object: &mut Value) -> Result<(), ApiError> {
    schema::prune(&resource.schema, object);
    schema::fill_defaults(&resource.schema, object);
    let causes = schema::validate(&resource.schema, object);
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(resource, name, &causes))
    }
}

fn bump_generation(object: &mut Value) {
    let generation = object
        .get("metadata")
        .and_then(|metadata| metadata.get("generation"));
    if let Some(generation) = generation.and_then(Value::as_u64) {
        object::set_meta(object, "generation", generation + 1);
    }
}

fn name_for(resource: &Resource, object: &Value) -> Result<String, ApiError> {
    let invalid = |name: &str, reason, message: String| {
        let cause = Cause {
            field: "metadata.name".to_owned(),
            reason,
            message,
        };
        ApiError::invalid(resource, name, &[cause])
    };
    let name = object::name(object);
    if name.is_empty() {
        let base = object::meta(object, "generateName").unwrap_or_default();
        if base.is_empty() {
            let message = "Required value: name or generateName is required".to_owned();
            return Err(invalid("", "FieldValueRequired", message));
        }
        let random = Uuid::new_v4().simple().to_string();
        let suffix: String = random.chars().take(GENERATED_SUFFIX_LEN).collect();
        return Ok(format!("{base}{suffix}"));
    }
    let edge =
        |end: Option<char>| end.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let valid = name.len() <= 253
        && name.chars().all(inside)
        && edge(name.chars().next())
        && edge(name.chars().next_back());
    if !valid {
        let message = format!(
            "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
        );
        return Err(invalid(name, "FieldValueInvalid", message));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests;
