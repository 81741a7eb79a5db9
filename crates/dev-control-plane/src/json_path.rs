//! JSONPath expressions of the kinds that printer columns and the scale subresource use.

use serde_json::{Map, Value, json};

/// Returns the first match of a JSONPath with steps of the forms `.a`, `[?(@.a=='b')]` and `[0]`.
pub(crate) fn select<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(bracket) = rest.strip_prefix('[') {
            let (inside, after) = bracket.split_once(']')?;
            let list = value.as_array()?;
            value = match inside
                .strip_prefix("?(@.")
                .and_then(|test| test.strip_suffix(')'))
            {
                Some(test) => {
                    let (key, expected) = test.split_once("==")?;
                    let expected = expected.trim().trim_matches(['\'', '"']);
                    let is_match = |item: &&Value| item.get(key.trim()) == Some(&json!(expected));
                    list.iter().find(is_match)?
                }
                None => list.get(inside.parse::<usize>().ok()?)?,
            };
            rest = after;
        } else {
            let step = rest.strip_prefix('.').unwrap_or(rest);
            let end = step.find(['.', '[']).unwrap_or(step.len());
            let (key, after) = step.split_at(end);
            value = value.get(key)?;
            rest = after;
        }
    }
    Some(value)
}

/// Sets the value at a path of the form `.a.b`, and creates missing parent objects.
pub(crate) fn assign(object: &mut Value, path: &str, value: Value) {
    let mut target = object;
    for key in path.split('.').filter(|key| !key.is_empty()) {
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Some(map) = target.as_object_mut() else {
            return;
        };
        target = map.entry(key.to_owned()).or_insert(Value::Null);
    }
    *target = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_select_fields_items_and_indexes() {
        let object = json!({"spec": {"n": 3}, "status": {"conditions": [
            {"type": "Synced", "status": "True"}, {"type": "Ready", "status": "False"}]}});
        let ready = ".status.conditions[?(@.type=='Ready')].status";
        assert_eq!(select(&object, ready), Some(&json!("False")));
        assert_eq!(select(&object, ".spec.n"), Some(&json!(3)));
        assert_eq!(
            select(&object, ".status.conditions[0].type"),
            Some(&json!("Synced"))
        );
        assert_eq!(select(&object, ".spec.absent"), None);
    }
}
