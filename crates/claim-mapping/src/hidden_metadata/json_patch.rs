//! JSON patches (RFC 6902) of objects with hidden metadata.
//!
//! Claimgate puts operations before the client's that hide the metadata in the control plane's object, so that
//! indices and tests match what the client sees. Operations after the client's restore the metadata, unless the patch
//! is for a subresource. The client's operations never copy or move mapped metadata; such patches were rejected before.

use std::collections::BTreeMap;

use serde_json::json;
use serde_json::value::RawValue;

use super::CurrentMetadata;
use crate::json_pointer::{
    self, ANNOTATIONS, FINALIZERS, LABELS, METADATA, OWNER_REFERENCES, RESOURCE_VERSION, ROOT, UID,
    is_within,
};
use crate::object_fields::Names;
use crate::origin;
use crate::request_scope::{RequestScope, SharedScope};

/// Returns whether an operation at a pointer depends on metadata that the client may not see.
pub(crate) fn depends_on_hidden(pointer: &str, names: Names) -> bool {
    let hidden: &[&str] = match names {
        Names::Kept => &[FINALIZERS, OWNER_REFERENCES],
        Names::Translated => &[FINALIZERS, OWNER_REFERENCES, LABELS, ANNOTATIONS],
    };
    matches!(pointer, ROOT | METADATA) || hidden.iter().any(|field| is_within(pointer, field))
}

/// Returns whether a change at a pointer sets the resourceVersion that the patch requires.
pub(crate) fn sets_resource_version(pointer: &str) -> bool {
    matches!(pointer, ROOT | METADATA | RESOURCE_VERSION)
}

/// The members of an operation or a value. If a key is repeated, the last member counts, as in Go.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What a completed JSON patch restores after the client's operations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Restore {
    /// The hidden metadata. The patch then requires the version of the object that was read, unless it sets one.
    Metadata { sets_resource_version: bool },
    /// Nothing, because the patch is for a subresource, where the control plane ignores metadata.
    Nothing,
}

/// Completes a JSON patch, so that its operations see the object as the app cluster does and lose no hidden
/// metadata. `patch` is the client's, in remote names.
///
/// # Errors
/// `patch` is not a list of operations.
pub fn complete_json_patch(
    patch: &[u8],
    current: &CurrentMetadata,
    restored: Restore,
    scope: &RequestScope,
) -> Result<Vec<u8>, serde_json::Error> {
    let operations: Vec<&RawValue> = serde_json::from_slice(patch)?;
    let hidden = &current.hidden;
    let (mut all, mut restore) = (Vec::new(), Vec::new());
    let requires_version = Restore::Metadata {
        sets_resource_version: false,
    };
    if restored == requires_version {
        restore.push(add(RESOURCE_VERSION, &json!(current.resource_version)));
    }
    // Hidden metadata may have changed since it was read. The resourceVersion then makes the patch a conflict.
    // No operation may fail before that check, so each removes only what the one before it added.
    if !hidden.finalizers.is_empty() {
        all.push(add(FINALIZERS, &json!(current.shown)));
        if current.shown.is_empty() {
            all.push(remove(FINALIZERS));
        }
        let before = Field::present_if(!current.shown.is_empty());
        if left_field(&operations, before, ["metadata", "finalizers"])? != Field::Absent {
            let last = format!("{FINALIZERS}/-");
            restore.extend(
                hidden
                    .finalizers
                    .iter()
                    .map(|name| add(&last, &json!(name))),
            );
        } else {
            restore.push(add(FINALIZERS, &json!(hidden.finalizers)));
        }
    }
    if let Some(owners) = &hidden.owner_references {
        all.push(add(OWNER_REFERENCES, &json!([])));
        all.push(remove(OWNER_REFERENCES));
        // Copied as text, so that numbers keep their spelling.
        let value = owners.get();
        restore.push(format!(
            r#"{{"op":"add","path":"{OWNER_REFERENCES}","value":{value}}}"#
        ));
    }
    if let Some(scope) = scope.shared() {
        own_metadata(&operations, current, scope, &mut all, &mut restore)?;
    }
    all.extend(operations.iter().map(|raw| raw.get().to_owned()));
    if restored != Restore::Nothing {
        all.append(&mut restore);
    }
    Ok(format!("[{}]", all.join(",")).into_bytes())
}

/// Puts an operation after those of a JSON patch that fails if the object does not have this uid. A patch that may
/// change the uid itself stays as it is.
///
/// # Errors
/// `patch` is not a list of operations.
pub fn require_uid(patch: &[u8], uid: &str) -> Result<Vec<u8>, serde_json::Error> {
    let operations: Vec<&RawValue> = serde_json::from_slice(patch)?;
    for operation in &operations {
        let operation: Members<'_> = serde_json::from_str(operation.get())?;
        for member in ["path", "from"] {
            let Some(pointer) = operation.get(member) else {
                continue;
            };
            let pointer: String = serde_json::from_str(pointer.get())?;
            let pointer = json_pointer::normalized(&pointer);
            if matches!(pointer, ROOT | METADATA) || is_within(pointer, UID) {
                return Ok(patch.to_vec());
            }
        }
    }
    let mut all: Vec<String> = operations.iter().map(|raw| raw.get().to_owned()).collect();
    all.push(json!({"op": "test", "path": UID, "value": uid}).to_string());
    Ok(format!("[{}]", all.join(",")).into_bytes())
}

/// Adds operations that remove claimgate's own labels and annotations, and others that restore them.
fn own_metadata(
    operations: &[&RawValue],
    current: &CurrentMetadata,
    scope: &SharedScope,
    hide: &mut Vec<String>,
    restore: &mut Vec<String>,
) -> Result<(), serde_json::Error> {
    let Some(object) = scope.object() else {
        return Ok(());
    };
    let cluster = scope.mapping().cluster();
    for (key, map, shown, own) in [
        (
            "annotations",
            ANNOTATIONS,
            current.annotations(),
            origin::annotations(cluster, &object.local).to_vec(),
        ),
        (
            "labels",
            LABELS,
            current.labels(),
            origin::labels(cluster, &object.local),
        ),
    ] {
        let pointer = |key: &str| format!("{map}{}", json_pointer::to_member(&[key]));
        if shown.is_some() {
            for key in origin::KEYS {
                hide.push(add(&pointer(key), &json!("")));
                hide.push(remove(&pointer(key)));
            }
        } else {
            hide.push(add(map, &json!({})));
            hide.push(remove(map));
        }
        let before = Field::present_if(shown.is_some());
        match left_field(operations, before, ["metadata", key])? {
            Field::Collection => {
                for key in origin::KEYS {
                    let value = own.iter().find(|(own, _)| *own == key);
                    restore.push(add(&pointer(key), &json!(value.map(|(_, value)| value))));
                    // A client may have added a label that the object has no value for.
                    if value.is_none() {
                        restore.push(remove(&pointer(key)));
                    }
                }
            }
            Field::Absent => {
                let own: BTreeMap<_, _> = own.into_iter().collect();
                restore.push(add(map, &json!(own)));
            }
            // The control plane rejects the object.
            Field::Invalid => {}
        }
    }
    Ok(())
}

fn add(path: &str, value: &serde_json::Value) -> String {
    json!({"op": "add", "path": path, "value": value}).to_string()
}

fn remove(path: &str) -> String {
    json!({"op": "remove", "path": path}).to_string()
}

/// A field that should be a list or an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Absent,
    Collection,
    /// A value of another type.
    Invalid,
}

impl Field {
    fn present_if(is_present: bool) -> Self {
        match is_present {
            true => Self::Collection,
            false => Self::Absent,
        }
    }
}

/// Returns the field at these keys after the operations. Only operations on the whole field, or on a parent of it,
/// change it here.
fn left_field(
    operations: &[&RawValue],
    before: Field,
    keys: [&str; 2],
) -> Result<Field, serde_json::Error> {
    let mut left = before;
    let pointer = json_pointer::to_member(&keys);
    for operation in operations {
        let operation: Members<'_> = serde_json::from_str(operation.get())?;
        let text = |member: &str| -> Result<String, serde_json::Error> {
            let raw = operation.get(member).map(|raw| raw.get());
            raw.map_or(Ok(String::new()), serde_json::from_str)
        };
        let op = text("op")?;
        let path = text("path")?;
        let [_, key] = keys;
        let below: &[&str] = match json_pointer::normalized(&path) {
            ROOT => &keys,
            METADATA => &[key],
            path if path == pointer => &[],
            _ => continue,
        };
        left = match op.as_str() {
            "add" | "replace" => field_of(operation.get("value").copied(), below)?,
            "remove" => Field::Absent,
            _ => left,
        };
    }
    Ok(left)
}

/// Returns the field below these keys of a value.
fn field_of(value: Option<&RawValue>, keys: &[&str]) -> Result<Field, serde_json::Error> {
    let value = value.map(RawValue::get).filter(|raw| *raw != "null");
    match (value, keys) {
        (None, _) => Ok(Field::Absent),
        (Some(value), []) => Ok(match value.starts_with(['[', '{']) {
            true => Field::Collection,
            false => Field::Invalid,
        }),
        (Some(object), [key, below @ ..]) => {
            let object: Members<'_> = serde_json::from_str(object)?;
            field_of(object.get(*key).copied(), below)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_scopes::one;

    #[test]
    fn no_operation_precedes_client_operations_if_nothing_is_hidden() {
        let object = br#"{"metadata":{"resourceVersion":"7","finalizers":["x"]}}"#;
        let current = CurrentMetadata::read(object).unwrap();
        let patch = r#"[{"op":"remove","path":"/metadata/finalizers"}]"#;
        let completed = |sets_resource_version| {
            let restored = Restore::Metadata {
                sets_resource_version,
            };
            let completed =
                complete_json_patch(patch.as_bytes(), &current, restored, &one()).unwrap();
            String::from_utf8(completed).unwrap()
        };
        assert_eq!(completed(true), patch);
        let versioned = r#"[{"op":"remove","path":"/metadata/finalizers"},{"op":"add","path":"/metadata/resourceVersion","value":"7"}]"#;
        assert_eq!(completed(false), versioned);
    }

    #[test]
    fn patch_of_a_subresource_restores_nothing() {
        let object = br#"{"metadata":{"resourceVersion":"7","annotations":{
            "claimgate.dev/hidden":"{\"finalizers\":[\"orphan\"]}"}}}"#;
        let current = CurrentMetadata::read(object).unwrap();
        let patch = r#"[{"op":"test","path":"/metadata/finalizers","value":["orphan"]}]"#;
        let completed =
            complete_json_patch(patch.as_bytes(), &current, Restore::Nothing, &one()).unwrap();
        let operations: Vec<serde_json::Value> = serde_json::from_slice(&completed).unwrap();
        let operations: Vec<_> = operations
            .iter()
            .map(|operation| &operation["op"])
            .collect();
        assert_eq!(operations, ["add", "remove", "test"]);
    }
}
