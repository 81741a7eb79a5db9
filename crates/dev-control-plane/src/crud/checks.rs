//! Checks that every write must pass: namespace, name, uid, resourceVersion and schema.

use serde_json::Value;
use uuid::Uuid;

use super::super::error::{Cause, StatusError};
use super::super::object;
use super::super::resource::Resource;
use super::super::schema;

/// Length of the random suffix of a generated name (apiserver pkg/storage/names/generate.go).
const GENERATED_SUFFIX_LEN: usize = 5;

/// Sets an absent namespace and rejects a different one (registry/rest/meta.go
/// EnsureObjectNamespaceMatchesRequestNamespace).
pub(super) fn check_namespace(
    object: &mut Value,
    resource: &Resource,
    namespace: &str,
) -> Result<(), StatusError> {
    let given = object::namespace(object);
    if !resource.namespaced {
        object::remove_meta(object, "namespace");
        return Ok(());
    }
    if !given.is_empty() && given != namespace {
        return Err(StatusError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    object::set_meta(object, "namespace", namespace);
    Ok(())
}

/// Rejects a name, uid or resourceVersion that differs from the stored one.
pub(super) fn check_identity(
    resource: &Resource,
    at: &str,
    current: &Value,
    proposed: &Value,
) -> Result<(), StatusError> {
    let name = object::name(current);
    let given = object::name(proposed);
    if given != name {
        return Err(StatusError::name_mismatch(given, name));
    }
    let differs = |field| {
        let sent = object::meta(proposed, field).filter(|value| !value.is_empty());
        sent.filter(|value| Some(*value) != object::meta(current, field))
    };
    if let Some(uid) = differs("uid") {
        let actual = object::meta(current, "uid").unwrap_or_default();
        return Err(uid_conflict(resource, name, at, uid, actual));
    }
    if differs("resourceVersion").is_some() {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(StatusError::conflict(resource, name, why));
    }
    Ok(())
}

/// Returns a 409 that quotes the etcd key, as storage/errors.go InvalidObjError does.
pub(super) fn uid_conflict(
    resource: &Resource,
    name: &str,
    at: &str,
    requested: &str,
    actual: &str,
) -> StatusError {
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{at}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {requested}, \
         UID in object meta: {actual}",
        resource.group, resource.plural
    );
    StatusError::conflict(resource, name, &why)
}

/// Prunes unknown fields, sets defaults and validates.
pub(super) fn check_schema(
    resource: &Resource,
    name: &str,
    object: &mut Value,
) -> Result<(), StatusError> {
    schema::prune(&resource.schema, object);
    schema::fill_defaults(&resource.schema, object);
    let causes = schema::validate(&resource.schema, object);
    if causes.is_empty() {
        Ok(())
    } else {
        Err(StatusError::invalid(resource, name, &causes))
    }
}

/// Returns the name of a new object, generated from `generateName` if it has none.
pub(super) fn name_for(resource: &Resource, object: &Value) -> Result<String, StatusError> {
    let invalid = |name: &str, reason, message: String| {
        let cause = Cause {
            field: "metadata.name".to_owned(),
            reason,
            message,
        };
        StatusError::invalid(resource, name, &[cause])
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
