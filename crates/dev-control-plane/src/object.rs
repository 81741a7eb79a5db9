//! Accessors for JSON objects, mostly for their metadata.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

/// Returns a string field of the metadata.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str()
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name").unwrap_or_default()
}

/// Returns the namespace, empty for cluster-scoped objects.
pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace").unwrap_or_default()
}

pub(crate) fn set_meta(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert(field.to_owned(), value.into());
    }
}

pub(crate) fn remove_meta(object: &mut Value, field: &str) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.remove(field);
    }
}

/// Copies a metadata field from `from`, or removes it if it is absent there.
pub(crate) fn copy_meta(object: &mut Value, from: &Value, field: &str) {
    match from
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
    {
        Some(value) => set_meta(object, field, value.clone()),
        None => remove_meta(object, field),
    }
}

/// Copies a top-level field from `from`, or removes it if it is absent there.
pub(crate) fn copy_field(object: &mut Value, from: &Value, field: &str) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    match from.get(field) {
        Some(value) => map.insert(field.to_owned(), value.clone()),
        None => map.remove(field),
    };
}

pub(crate) fn has_finalizers(object: &Value) -> bool {
    let finalizers = object
        .get("metadata")
        .and_then(|metadata| metadata.get("finalizers"));
    finalizers
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

/// Returns whether anything except metadata and status differs. Such a change increases `generation`.
pub(crate) fn spec_differs(a: &Value, b: &Value) -> bool {
    let counted = |object: &Value| -> Map<String, Value> {
        let fields = object.as_object().cloned().unwrap_or_default();
        fields
            .into_iter()
            .filter(|(key, _)| key != "metadata" && key != "status")
            .collect()
    };
    counted(a) != counted(b)
}

/// Returns the current time in the form of `metav1.Time`.
pub(crate) fn now() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::now_utc().format(format).unwrap_or_default()
}

fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let map = object.as_object_mut()?;
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata.as_object_mut()
}
