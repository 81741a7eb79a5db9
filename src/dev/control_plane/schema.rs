//! Objects against a structural schema: unknown fields are pruned and reported, defaults filled
//! in, types and bounds checked. Messages follow apiextensions-apiserver pkg/apiserver/validation.

use serde_json::{Map, Value};

use super::error::Cause;

/// ObjectMeta's fields: what a strict decoder knows in `metadata`.
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

/// Removes fields that the schema does not know; returns their paths, sorted.
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

/// Fills in `default`s of absent fields.
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

/// What is wrong with the object, in path order.
pub(crate) fn validate(schema: &Value, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    validate_value(schema, object, "", &mut causes);
    causes
}

fn validate_value(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let expected = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let nullable = value.is_null() && flag(schema, "nullable");
    let int_or_string = flag(schema, "x-kubernetes-int-or-string");
    if !expected.is_empty() && !nullable && !int_or_string && !is_a(value, expected) {
        let message = format!(
            "Invalid value: \"{0}\": {path} in body must be of type {expected}: \"{0}\"",
            type_name(value)
        );
        causes.push(Cause {
            field: path.to_owned(),
            reason: "FieldValueTypeInvalid",
            message,
        });
        return;
    }
    validate_bounds(schema, value, path, causes);
    match value {
        Value::Array(list) => {
            let Some(items) = schema.get("items") else {
                return;
            };
            for (index, item) in list.iter().enumerate() {
                validate_value(items, item, &format!("{path}[{index}]"), causes);
            }
        }
        Value::Object(map) => validate_fields(schema, map, path, causes),
        _ => {}
    }
}

fn validate_fields(schema: &Value, map: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    let join = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for key in required
        .filter_map(Value::as_str)
        .filter(|key| !map.contains_key(*key))
    {
        let message = "Required value".to_owned();
        causes.push(Cause {
            field: join(key),
            reason: "FieldValueRequired",
            message,
        });
    }
    let known = schema.get("properties").and_then(Value::as_object);
    let rest = schema
        .get("additionalProperties")
        .filter(|rest| rest.is_object());
    for (key, value) in map {
        if let Some(field) = known.and_then(|known| known.get(key)).or(rest) {
            validate_value(field, value, &join(key), causes);
        }
    }
}

fn validate_bounds(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let field = || path.to_owned();
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        let message = format!(
            "Unsupported value: {value}: supported values: {}",
            choices.join(", ")
        );
        causes.push(Cause {
            field: field(),
            reason: "FieldValueNotSupported",
            message,
        });
    }
    let Some(number) = value.as_f64() else { return };
    let bounds = [("minimum", "greater", true), ("maximum", "less", false)];
    for (keyword, comparison, lower) in bounds {
        let Some(bound) = schema.get(keyword) else {
            continue;
        };
        let Some(limit) = bound.as_f64() else {
            continue;
        };
        if (lower && number < limit) || (!lower && number > limit) {
            let message = format!(
                "Invalid value: {value}: {path} in body should be {comparison} than or equal to {bound}"
            );
            causes.push(Cause {
                field: field(),
                reason: "FieldValueInvalid",
                message,
            });
        }
    }
}

fn is_a(value: &Value, expected: &str) -> bool {
    match expected {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => true,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Object(_) => "object",
        Value::String(_) => "string",
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

    fn schema() -> Value {
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
    fn unknown_fields_are_pruned_and_named() {
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

    #[test]
    fn validation_speaks_as_kubernetes_does() {
        let object = json!({"spec": {"nodes": "many", "region": "mars", "tags": {"a": 1}}});
        let causes: Vec<String> = validate(&schema(), &object)
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        assert_eq!(
            causes,
            [
                "spec.version: Required value",
                "spec.nodes: Invalid value: \"string\": spec.nodes in body must be of type integer: \"string\"",
                "spec.region: Unsupported value: \"mars\": supported values: \"eu\", \"us\"",
                "spec.tags.a: Invalid value: \"integer\": spec.tags.a in body must be of type string: \"integer\"",
            ]
        );
    }
}
