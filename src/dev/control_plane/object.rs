//! Small accessors for the metadata of an object held as JSON.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

/// A metadata field that is a string.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str()
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name").unwrap_or_default()
}

/// Empty for cluster-scoped objects.
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

/// Sets the field to what `from` has in it, absence included.
pub(crate) fn copy_meta(object: &mut Value, from: &Value, field: &str) {
    match from
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
    {
        Some(value) => set_meta(object, field, value.clone()),
        None => remove_meta(object, field),
    }
}

/// Sets a top-level field to what `from` has in it, absence included.
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

/// Whether something other than metadata and status differs: what `generation` counts.
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

/// Now, as `metav1.Time` writes it.
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
