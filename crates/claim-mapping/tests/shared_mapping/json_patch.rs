//! JSON patches (RFC 6902) as kube-apiserver applies them (`gopkg.in/evanphx/json-patch.v4`, `patch.go`).
//!
//! A missing value and null are the same there: a nil pointer. `replace` sets a member that does not exist.

use serde_json::Value;

/// Error: an operation does not apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DoesNotApply;

/// Applies a patch to an object.
pub(crate) fn apply(object: &Value, patch: &Value) -> Result<Value, DoesNotApply> {
    let mut object = object.clone();
    for operation in patch.as_array().ok_or(DoesNotApply)? {
        apply_operation(&mut object, operation)?;
    }
    Ok(object)
}

fn apply_operation(object: &mut Value, operation: &Value) -> Result<(), DoesNotApply> {
    let text = |key| operation.get(key).and_then(Value::as_str);
    let path = text("path").ok_or(DoesNotApply)?;
    let value = operation.get("value").cloned().unwrap_or_default();
    match text("op").ok_or(DoesNotApply)? {
        "add" => add(object, path, value),
        "remove" => remove(object, path),
        "replace" if path.is_empty() => {
            let is_container = value.is_object() || value.is_array();
            *object = Some(value).filter(|_| is_container).ok_or(DoesNotApply)?;
            Ok(())
        }
        "replace" => replace(object, path, value),
        "test" => {
            let found = match path {
                "" => Some(object.clone()),
                path => get(object, path)?,
            };
            let is_equal = found.unwrap_or_default() == value;
            is_equal.then_some(()).ok_or(DoesNotApply)
        }
        "move" => {
            let from = text("from").ok_or(DoesNotApply)?;
            let value = get(object, from)?;
            remove(object, from)?;
            add(object, path, value.unwrap_or_default())
        }
        "copy" => {
            let value = get(object, text("from").ok_or(DoesNotApply)?)?;
            add(object, path, value.unwrap_or_default())
        }
        _ => Err(DoesNotApply),
    }
}

/// Returns the object or array that contains the end of a path, and the last key.
fn container<'a>(
    object: &'a mut Value,
    path: &str,
) -> Result<(&'a mut Value, String), DoesNotApply> {
    let mut keys = path.split('/').skip(1).map(unescaped).collect::<Vec<_>>();
    let last = keys.pop().ok_or(DoesNotApply)?;
    let mut container = object;
    for key in keys {
        let child = match container {
            Value::Object(members) => members.get_mut(&key),
            Value::Array(elements) => {
                let index = index(&key, elements.len())?;
                elements.get_mut(index)
            }
            _ => None,
        };
        container = child.ok_or(DoesNotApply)?;
    }
    let is_container = container.is_object() || container.is_array();
    is_container
        .then_some((container, last))
        .ok_or(DoesNotApply)
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// Reads an index. Negative ones count from the end.
fn index(key: &str, length: usize) -> Result<usize, DoesNotApply> {
    let index: isize = key.parse().map_err(|_error| DoesNotApply)?;
    match usize::try_from(index) {
        Ok(index) => Ok(index),
        Err(_) => length.checked_sub(index.unsigned_abs()).ok_or(DoesNotApply),
    }
}

fn get(object: &mut Value, path: &str) -> Result<Option<Value>, DoesNotApply> {
    let (container, key) = container(object, path)?;
    match container {
        Value::Object(members) => Ok(members.get(&key).cloned()),
        Value::Array(elements) => {
            let element = elements.get(index(&key, elements.len())?);
            element.cloned().map(Some).ok_or(DoesNotApply)
        }
        _ => Err(DoesNotApply),
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), DoesNotApply> {
    let (container, key) = container(object, path)?;
    match container {
        Value::Object(members) => {
            members.insert(key, value);
        }
        Value::Array(elements) if key == "-" => elements.push(value),
        Value::Array(elements) => {
            let index = index(&key, elements.len() + 1)?;
            if index > elements.len() {
                return Err(DoesNotApply);
            }
            elements.insert(index, value);
        }
        _ => return Err(DoesNotApply),
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<(), DoesNotApply> {
    let (container, key) = container(object, path)?;
    match container {
        Value::Object(members) => members.remove(&key).map(drop).ok_or(DoesNotApply),
        Value::Array(elements) => {
            let index = index(&key, elements.len())?;
            if index >= elements.len() {
                return Err(DoesNotApply);
            }
            elements.remove(index);
            Ok(())
        }
        _ => Err(DoesNotApply),
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), DoesNotApply> {
    let (container, key) = container(object, path)?;
    match container {
        Value::Object(members) => {
            members.insert(key, value);
        }
        Value::Array(elements) => {
            let index = index(&key, elements.len())?;
            *elements.get_mut(index).ok_or(DoesNotApply)? = value;
        }
        _ => return Err(DoesNotApply),
    }
    Ok(())
}
