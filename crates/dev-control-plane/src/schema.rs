//! Structural schemas. Unknown fields are pruned and reported, and defaults are set. `validation` checks types
//! and bounds.

mod validation;

use serde_json::Value;

pub(crate) use validation::validate;

/// The fields of ObjectMeta.
const METADATA_FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Removes fields that the schema does not declare, and returns their paths, sorted.
pub(crate) fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Some(map) = object.as_object_mut() {
        let known = schema.get("properties").and_then(Value::as_object);
        let keep_rest = preserves(schema);
        map.retain(
            |key, value| match (key.as_str(), known.and_then(|known| known.get(key))) {
                ("apiVersion" | "kind", _) => true,
                ("metadata", _) => {
                    prune_metadata(value, &mut unknown);
                    true
                }
                (_, Some(field)) => {
                    prune_value(field, value, key, &mut unknown);
                    true
                }
                (_, None) => {
                    if !keep_rest {
                        unknown.push(key.clone());
                    }
                    keep_rest
                }
            },
        );
    }
    unknown.sort();
    unknown
}

fn prune_metadata(metadata: &mut Value, unknown: &mut Vec<String>) {
    let Some(map) = metadata.as_object_mut() else {
        return;
    };
    map.retain(|key, _| {
        let known = METADATA_FIELDS.contains(&key.as_str());
        if !known {
            unknown.push(format!("metadata.{key}"));
        }
        known
    });
}

fn prune_value(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            let Some(items) = schema.get("items") else {
                return;
            };
            for (index, item) in list.iter_mut().enumerate() {
                prune_value(items, item, &format!("{path}[{index}]"), unknown);
            }
        }
        Value::Object(map) => {
            let known = schema.get("properties").and_then(Value::as_object);
            let rest = schema
                .get("additionalProperties")
                .filter(|rest| rest.is_object());
            let keep_rest = preserves(schema) || schema.get("additionalProperties").is_some();
            let embedded = flag(schema, "x-kubernetes-embedded-resource");
            map.retain(|key, field| {
                let path = format!("{path}.{key}");
                if embedded && matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                    return true;
                }
                match known.and_then(|known| known.get(key)).or(rest) {
                    Some(schema) => prune_value(schema, field, &path, unknown),
                    None if keep_rest => {}
                    None => {
                        unknown.push(path);
                        return false;
                    }
                }
                true
            });
        }
        _ => {}
    }
}

/// Sets absent fields that have a `default`.
pub(crate) fn fill_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Array(list) => {
            let Some(items) = schema.get("items") else {
                return;
            };
            list.iter_mut().for_each(|item| fill_defaults(items, item));
        }
        Value::Object(map) => {
            let Some(known) = schema.get("properties").and_then(Value::as_object) else {
                return;
            };
            for (key, field) in known {
                if let (false, Some(default)) = (map.contains_key(key), field.get("default")) {
                    map.insert(key.clone(), default.clone());
                }
                if let Some(value) = map.get_mut(key) {
                    fill_defaults(field, value);
                }
            }
        }
        _ => {}
    }
}

fn preserves(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-preserve-unknown-fields")
}

fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub(super) fn schema() -> Value {
        json!({"type": "object", "properties": {"spec": {"type": "object",
        "required": ["version"],
        "properties": {
            "nodes": {"type": "integer", "minimum": 1, "default": 3},
            "version": {"type": "string"},
            "region": {"type": "string", "enum": ["eu", "us"]},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "object",
                "properties": {"a": {"type": "string"}}}},
            "template": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}}})
    }

    #[test]
    fn unknown_fields_are_pruned_and_reported() {
        let mut object = json!({"kind": "K", "metadata": {"name": "a", "foo": 1}, "extra": 1,
            "spec": {"x": 1, "tags": {"any": "t"}, "list": [{"a": "1", "b": 2}],
                "template": {"metadata": {"namespace": "n"}}}});
        let unknown = prune(&schema(), &mut object);
        assert_eq!(
            unknown,
            ["extra", "metadata.foo", "spec.list[0].b", "spec.x"]
        );
        assert_eq!(
            object,
            json!({"kind": "K", "metadata": {"name": "a"},
            "spec": {"tags": {"any": "t"}, "list": [{"a": "1"}],
                "template": {"metadata": {"namespace": "n"}}}})
        );
    }

    #[test]
    fn defaults_fill_absent_fields() {
        let mut object = json!({"spec": {"version": "1"}});
        fill_defaults(&schema(), &mut object);
        assert_eq!(object, json!({"spec": {"version": "1", "nodes": 3}}));
    }
}
