//! Checks types and bounds (apiextensions-apiserver pkg/apiserver/validation).

use serde_json::{Map, Value};

use super::super::error::Cause;
use super::flag;

/// Returns the invalid fields of the object, in path order.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::schema;
    use super::*;

    #[test]
    fn validation_errors_match_kubernetes() {
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
