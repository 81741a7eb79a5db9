//! Merges an applied configuration into the live object, and removes fields (structured-merge-diff
//! `typed/{merge,remove}.go`).

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::field_type::FieldType;
use super::path::{FieldPath, PathElement};

/// Merges `config` into `live`. Items that are new in a list come after the live ones.
pub(super) fn merge(field_type: FieldType<'_>, live: &Value, config: &Value) -> Value {
    let is_granular = |value| field_type.children(value).is_some();
    match (live, config) {
        (Value::Object(live), Value::Object(fields)) if is_granular(config) => {
            let mut merged = live.clone();
            for (name, value) in fields {
                let value = match live.get(name) {
                    Some(current) => merge(field_type.field(name), current, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(_), Value::Array(_)) if is_granular(live) && is_granular(config) => {
            merge_items(field_type, live, config)
        }
        // Null removes nothing: other managers may own fields inside.
        (Value::Object(_) | Value::Array(_), Value::Null) => live.clone(),
        _ => config.clone(),
    }
}

fn merge_items(field_type: FieldType<'_>, live: &Value, config: &Value) -> Value {
    let mut merged: Vec<(PathElement, Value)> = field_type
        .children(live)
        .into_iter()
        .flatten()
        .map(|child| (child.element, child.value.clone()))
        .collect();
    for child in field_type.children(config).into_iter().flatten() {
        match merged.iter_mut().find(|(key, _)| *key == child.element) {
            Some((_, item)) => *item = merge(child.field_type, item, child.value),
            None => merged.push((child.element, child.value.clone())),
        }
    }
    merged.into_iter().map(|(_, item)| item).collect()
}

/// Removes the fields in `removed`, and the containers that become empty.
pub(super) fn without(field_type: FieldType<'_>, object: &Value, removed: &FieldSet) -> Value {
    let path = FieldPath::default();
    remove_below(field_type, object, removed, &path).unwrap_or_else(|| Value::Object(Map::new()))
}

/// Removes fields below a path. Returns `None` if the container becomes empty.
fn remove_below(
    field_type: FieldType<'_>,
    value: &Value,
    removed: &FieldSet,
    path: &FieldPath,
) -> Option<Value> {
    let children = field_type.children(value).unwrap_or_default();
    if children.is_empty() {
        return Some(value.clone());
    }
    let kept: Vec<(PathElement, Value)> = children
        .into_iter()
        .filter_map(|child| {
            let path = path.child(child.element.clone());
            if removed.contains(&path) {
                return None;
            }
            let value = remove_below(child.field_type, child.value, removed, &path)?;
            Some((child.element, value))
        })
        .collect();
    if kept.is_empty() {
        return None;
    }
    Some(if value.is_array() {
        kept.into_iter().map(|(_, item)| item).collect()
    } else {
        let fields = kept
            .into_iter()
            .filter_map(|(element, value)| match element {
                PathElement::Field(name) => Some((name, value)),
                PathElement::Key(_) | PathElement::Item(_) => None,
            });
        Value::Object(fields.collect())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::field_type::object_schema;
    use super::*;

    fn schema() -> Value {
        object_schema(
            &json!({"properties": {"status": {"properties": {"conditions": {
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}}}}}),
        )
    }

    #[test]
    fn merge_keeps_foreign_fields_and_replaces_atomic_lists() {
        let live = json!({"metadata": {"labels": {"a": "1"}, "finalizers": ["x"]},
            "spec": {"zones": [1, 2], "size": "small"}});
        let config = json!({"metadata": {"labels": {"b": "2"}, "finalizers": ["y", "x"]},
            "spec": {"zones": [3], "size": null}});
        assert_eq!(
            merge(FieldType::of(&schema()), &live, &config),
            json!({"metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
                "spec": {"zones": [3], "size": null}})
        );
    }

    #[test]
    fn merge_finds_list_items_by_key() {
        let live = json!({"status": {"conditions": [
            {"type": "Synced", "status": "True"}, {"type": "Ready", "status": "False"}]}});
        let config = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let merged = merge(FieldType::of(&schema()), &live, &config);
        assert_eq!(merged["status"]["conditions"][0]["type"], "Synced");
        assert_eq!(merged["status"]["conditions"][1]["status"], "True");
        let fields = json!({"f:status": {"f:conditions": {"k:{\"type\":\"Synced\"}": {}}}});
        let removed = FieldSet::parse(&fields).unwrap();
        let left = without(FieldType::of(&schema()), &merged, &removed);
        assert_eq!(left, config);
    }

    #[test]
    fn removal_drops_containers_that_become_empty() {
        let object = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"empty": {}, "x": 1}});
        let fields = json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:x": {}}});
        let removed = FieldSet::parse(&fields).unwrap();
        assert_eq!(
            without(FieldType::of(&schema()), &object, &removed),
            json!({"spec": {"empty": {}}})
        );
    }
}
