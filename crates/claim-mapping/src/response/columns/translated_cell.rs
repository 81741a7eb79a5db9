//! Cells of Tables if objects have other names on the control plane.
//!
//! A remote name contains a hash, so a text that equals it is that name, whatever the column prints.

use serde_json::{Map, Value};

use super::content::ColumnContent;
use super::printed_object::quoted_like;
use crate::last_applied::{self, LastAppliedRules};
use crate::object_names::ObjectNames;
use crate::origin::OriginKey;
use crate::request_scope::SharedScope;

/// Maps one cell, given as JSON. Returns `None` if it stays unchanged.
pub(super) fn to_local(
    content: ColumnContent,
    cell: &str,
    scope: &SharedScope,
    names: &ObjectNames,
    annotations: &LastAppliedRules,
) -> Result<Option<String>, serde_json::Error> {
    if content == ColumnContent::Origin {
        // kube-apiserver prints a missing label as null.
        return Ok(Some("null".to_owned()));
    }
    if !cell.starts_with('"') {
        return Ok(None);
    }
    let text: String = serde_json::from_str(cell)?;
    if text.starts_with(['{', '[']) {
        return Ok(printed(cell, &text, scope, names, annotations));
    }
    let is_namespace = content == ColumnContent::Namespace && text == names.remote.namespace;
    let local = match is_namespace {
        true => Some(names.local.namespace.clone()),
        false => name_to_local(&text, scope, names),
    };
    Ok(local.map(|local| Value::from(local).to_string()))
}

fn name_to_local(text: &str, scope: &SharedScope, names: &ObjectNames) -> Option<String> {
    if text == names.remote.name {
        return Some(names.local.name.clone());
    }
    let namespace = &names.local.namespace;
    scope.mapping().local_secret_name(namespace, text)
}

/// Maps an object, metadata, labels, annotations or managed fields that a cell prints as JSON, with sorted keys
/// (`client-go/util/jsonpath/jsonpath.go`, `PrintResults`).
fn printed(
    cell: &str,
    text: &str,
    scope: &SharedScope,
    names: &ObjectNames,
    annotations: &LastAppliedRules,
) -> Option<String> {
    let mut object: Value = serde_json::from_str(text).ok()?;
    if !map_printed(&mut object, scope, names, annotations) {
        return None;
    }
    match object.as_object().is_some_and(Map::is_empty) {
        true => Some("null".to_owned()),
        false => quoted_like(cell, &object.to_string()),
    }
}

/// Maps names in a printed value, and removes the origin. Returns whether anything changed.
fn map_printed(
    value: &mut Value,
    scope: &SharedScope,
    names: &ObjectNames,
    annotations: &LastAppliedRules,
) -> bool {
    let mut is_changed = false;
    match value {
        Value::Object(members) => {
            let before = members.len();
            members.retain(|key, _| OriginKey::parse(key.trim_start_matches("f:")).is_none());
            is_changed |= members.len() < before;
            let is_namespace = |value: &Value| *value == names.remote.namespace;
            if let Some(namespace) = members.get_mut("namespace").filter(|it| is_namespace(it)) {
                *namespace = names.local.namespace.as_str().into();
                is_changed = true;
            }
            members.retain(|_, value| {
                let has_changed = map_printed(value, scope, names, annotations);
                is_changed |= has_changed;
                // In managed fields, a dot stands for the map itself.
                let is_bare = |map: &Map<String, Value>| map.keys().all(|key| key == ".");
                !(has_changed && value.as_object().is_some_and(is_bare))
            });
        }
        Value::Array(elements) => {
            for element in elements {
                is_changed |= map_printed(element, scope, names, annotations);
            }
        }
        Value::String(text) => {
            if let Some(local) = name_to_local(text, scope, names) {
                *text = local;
                is_changed = true;
            } else if text.starts_with('{')
                && let Some(local) = applied_to_local(text, scope, names, annotations)
            {
                *text = local;
                is_changed = true;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    is_changed
}

/// Maps a text that may be the last-applied annotation.
fn applied_to_local(
    text: &str,
    scope: &SharedScope,
    names: &ObjectNames,
    annotations: &LastAppliedRules,
) -> Option<String> {
    let without_origin = last_applied::without_origin(text.as_bytes());
    let applied = without_origin.as_deref().unwrap_or(text);
    let local = annotations.to_local(applied, scope, names)?;
    (local != text).then_some(local)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::ObjectKey;
    use crate::object_fields::object_fields;
    use crate::test_scopes::shared_object;

    #[test]
    fn cells_name_local_objects() {
        let scope = shared_object();
        let scope = scope.shared().unwrap();
        let local = scope.object().unwrap().local.clone();
        let remote = scope.object().unwrap().remote_name.clone();
        let secret = ObjectKey::new("default", "db");
        let secret = scope.mapping().remote_secret_name(&secret).unwrap();
        let names = ObjectNames {
            local,
            remote: ObjectKey::new("remote", &remote),
        };
        let references = [vec!["spec", "ref", "name"]];
        let annotations = LastAppliedRules::compile(&object_fields(&references)).unwrap();
        let labels = r#"{"app":"x<","claimgate.dev/name":"a"}"#;
        let origin = r#"{"claimgate.dev/name":"a"}"#;
        let metadata = format!(r#"{{"labels":{origin},"name":"{remote}","namespace":"remote"}}"#);
        let quote = |text: &str| Value::from(text).to_string();
        let applied = |secret: &str| format!(r#"{{"spec":{{"ref":{{"name":"{secret}"}}}}}}"#);
        let annotated = |secret: &str| quote(&json!({"k": applied(secret)}).to_string());
        for (content, cell, expected) in [
            (ColumnContent::Other, quote(&remote), Some(quote("a"))),
            (ColumnContent::Other, quote(&secret), Some(quote("db"))),
            (
                ColumnContent::Other,
                annotated(&secret),
                Some(annotated("db")),
            ),
            (ColumnContent::Other, quote("remote"), None),
            (
                ColumnContent::Namespace,
                quote("remote"),
                Some(quote("default")),
            ),
            (ColumnContent::Other, "5".to_owned(), None),
            (
                ColumnContent::Other,
                quote(labels),
                Some(quote(r#"{"app":"x<"}"#)),
            ),
            (ColumnContent::Other, quote(origin), Some("null".to_owned())),
            (
                ColumnContent::Other,
                quote(r#"[{"f:labels":{".":{},"f:claimgate.dev/name":{}},"f:x":{}}]"#),
                Some(quote(r#"[{"f:x":{}}]"#)),
            ),
            (
                ColumnContent::Namespace,
                quote(&metadata),
                Some(quote(r#"{"name":"a","namespace":"default"}"#)),
            ),
            (ColumnContent::Other, quote(r#"{"a":1.0}"#), None),
            (ColumnContent::Origin, quote("a"), Some("null".to_owned())),
        ] {
            let local = to_local(content, &cell, scope, &names, &annotations);
            let local = local.unwrap();
            let unescaped = local.map(|text| text.replace("\\u003c", "<"));
            assert_eq!(unescaped, expected, "{cell}");
        }
    }
}
