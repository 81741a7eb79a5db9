//! JSON merge patch (RFC 7396) and JSON patch (RFC 6902) on JSON values.

use serde_json::Value;

/// A JSON patch that cannot be applied.
#[derive(Debug, PartialEq, Eq)]
pub enum PatchError {
    /// The patch is not an array of valid operations.
    Malformed(String),
    /// A path does not exist, or a `test` failed. kube-apiserver returns a 422 without a reason.
    NotApplicable,
}

/// Applies a merge patch in namespaced_name.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(map) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Applies a JSON patch in namespaced_name. After an error, the target is partly patched.
pub fn json_patch(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let operations = patch.as_array().ok_or_else(|| {
        PatchError::Malformed("a JSON patch is an array of operations".to_owned())
    })?;
    operations
        .iter()
        .try_for_each(|operation| apply(target, operation))
}

fn apply(target: &mut Value, operation: &Value) -> Result<(), PatchError> {
    let text = |field: &str| {
        let value = operation.get(field).and_then(Value::as_str);
        value.ok_or_else(|| PatchError::Malformed(format!("an operation lacks {field:?}")))
    };
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let path = pointer(text("path")?)?;
    match text("op")? {
        "add" => add(target, &path, value()),
        "copy" => {
            let from = get(target, &pointer(text("from")?)?)?.clone();
            add(target, &path, from)
        }
        "move" => {
            let taken = remove(target, &pointer(text("from")?)?)?;
            add(target, &path, taken)
        }
        "remove" => remove(target, &path).map(drop),
        "replace" => {
            *get_mut(target, &path)? = value();
            Ok(())
        }
        "test" => {
            let same = get(target, &path)? == &value();
            same.then_some(()).ok_or(PatchError::NotApplicable)
        }
        other => Err(PatchError::Malformed(format!(
            "unknown operation {other:?}"
        ))),
    }
}

/// Splits a JSON pointer into its steps (RFC 6901).
fn pointer(text: &str) -> Result<Vec<String>, PatchError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let steps = text
        .strip_prefix('/')
        .ok_or_else(|| PatchError::Malformed(format!("{text:?} is not a JSON pointer")))?;
    Ok(steps
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect())
}

fn get<'a>(target: &'a Value, path: &[String]) -> Result<&'a Value, PatchError> {
    path.iter().try_fold(target, |value, step| {
        let child = match value {
            Value::Array(list) => list.get(index(step)?),
            Value::Object(map) => map.get(step),
            _ => None,
        };
        child.ok_or(PatchError::NotApplicable)
    })
}

fn get_mut<'a>(target: &'a mut Value, path: &[String]) -> Result<&'a mut Value, PatchError> {
    path.iter().try_fold(target, |value, step| {
        let child = match value {
            Value::Array(list) => list.get_mut(index(step)?),
            Value::Object(map) => map.get_mut(step),
            _ => None,
        };
        child.ok_or(PatchError::NotApplicable)
    })
}

fn add(target: &mut Value, path: &[String], added: Value) -> Result<(), PatchError> {
    let Some((last, parents)) = path.split_last() else {
        *target = added;
        return Ok(());
    };
    match get_mut(target, parents)? {
        Value::Array(list) if last == "-" => list.push(added),
        Value::Array(list) => {
            let at = index(last)?;
            if at > list.len() {
                return Err(PatchError::NotApplicable);
            }
            list.insert(at, added);
        }
        Value::Object(map) => {
            map.insert(last.clone(), added);
        }
        _ => return Err(PatchError::NotApplicable),
    }
    Ok(())
}

fn remove(target: &mut Value, path: &[String]) -> Result<Value, PatchError> {
    let (last, parents) = path.split_last().ok_or(PatchError::NotApplicable)?;
    match get_mut(target, parents)? {
        Value::Array(list) => {
            let at = index(last)?;
            if at >= list.len() {
                return Err(PatchError::NotApplicable);
            }
            Ok(list.remove(at))
        }
        Value::Object(map) => map.remove(last).ok_or(PatchError::NotApplicable),
        _ => Err(PatchError::NotApplicable),
    }
}

fn index(step: &str) -> Result<usize, PatchError> {
    step.parse().map_err(|_| PatchError::NotApplicable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patch_follows_rfc_7396_appendix_a() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (
                json!({"a": "b", "b": "c"}),
                json!({"a": null}),
                json!({"b": "c"}),
            ),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            let mut result = target.clone();
            merge(&mut result, &patch);
            assert_eq!(result, expected, "{target} + {patch}");
        }
    }

    #[test]
    fn json_patch_follows_rfc_6902() {
        let mut object = json!({"a": {"b/c": [1, 2]}, "d": "e"});
        let patch = json!([
            {"op": "test", "path": "/a/b~1c/1", "value": 2},
            {"op": "add", "path": "/a/b~1c/-", "value": 4},
            {"op": "add", "path": "/a/b~1c/2", "value": 3},
            {"op": "move", "from": "/d", "path": "/f"},
            {"op": "copy", "from": "/f", "path": "/g"},
            {"op": "replace", "path": "/f", "value": null},
            {"op": "remove", "path": "/a/b~1c/0"},
        ]);
        json_patch(&mut object, &patch).unwrap();
        assert_eq!(
            object,
            json!({"a": {"b/c": [2, 3, 4]}, "f": null, "g": "e"})
        );
    }

    #[test]
    fn json_patch_rejects_operations_that_do_not_apply() {
        for patch in [
            json!([{"op": "test", "path": "/a", "value": 2}]),
            json!([{"op": "remove", "path": "/b"}]),
            json!([{"op": "replace", "path": "/b", "value": 1}]),
            json!([{"op": "add", "path": "/b/c", "value": 1}]),
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
        ] {
            let mut object = json!({"a": 1, "l": []});
            assert_eq!(
                json_patch(&mut object, &patch),
                Err(PatchError::NotApplicable),
                "{patch}"
            );
        }
        let malformed = json_patch(&mut json!({}), &json!({"op": "add"}));
        assert!(matches!(malformed, Err(PatchError::Malformed(_))));
    }
}
