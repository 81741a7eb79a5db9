//! The fields that an object has, and those that differ between two objects (structured-merge-diff
//! `typed/{tofieldset,compare}.go`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::field_set::FieldSet;
use super::field_type::FieldType;
use super::path::{FieldPath, PathElement};

/// The fields that differ between two objects.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

/// Returns the fields that an apply of `object` owns: leaves, empty objects, list items and entries of maps,
/// but no containers that the schema declares.
pub(super) fn fields_of(field_type: FieldType<'_>, object: &Value) -> FieldSet {
    let mut fields = FieldSet::default();
    collect(&mut fields, field_type, &FieldPath::default(), object);
    fields
}

fn collect(fields: &mut FieldSet, field_type: FieldType<'_>, path: &FieldPath, value: &Value) {
    let Some(children) = field_type.children(value) else {
        fields.insert(path.clone());
        return;
    };
    for child in children {
        let path = path.child(child.element.clone());
        collect(fields, child.field_type, &path, child.value);
        let is_empty_object = child.value.as_object().is_some_and(|map| map.is_empty());
        let is_declared = match &child.element {
            PathElement::Field(name) => field_type.declares(name),
            PathElement::Key(_) | PathElement::Item(_) => false,
        };
        if is_empty_object || !is_declared {
            fields.insert(path);
        }
    }
}

/// Compares two objects. If a container appears or disappears, the result has the container and its fields.
pub(super) fn compare(field_type: FieldType<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    let path = FieldPath::default();
    comparison.walk(field_type, &path, Some(old), Some(new));
    comparison
}

impl Comparison {
    /// Returns the fields whose value is new or different.
    pub(super) fn changed(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    fn walk(
        &mut self,
        field_type: FieldType<'_>,
        path: &FieldPath,
        old: Option<&Value>,
        new: Option<&Value>,
    ) {
        let old_children = old.and_then(|value| field_type.children(value));
        let new_children = new.and_then(|value| field_type.children(value));
        let mut pairs: BTreeMap<PathElement, (FieldType<'_>, Option<&Value>, Option<&Value>)> =
            BTreeMap::new();
        for child in old_children.into_iter().flatten() {
            pairs.insert(child.element, (child.field_type, Some(child.value), None));
        }
        for child in new_children.into_iter().flatten() {
            let pair = pairs.entry(child.element);
            pair.or_insert((child.field_type, None, None)).2 = Some(child.value);
        }
        let is_leaf = pairs.is_empty();
        for (element, (field_type, old, new)) in pairs {
            self.walk(field_type, &path.child(element), old, new);
        }
        let is_scalar = |value: &Value| !value.is_null() && field_type.children(value).is_none();
        match (old, new) {
            (None, _) => self.added.insert(path.clone()),
            (_, None) => self.removed.insert(path.clone()),
            (Some(old), Some(new)) => {
                if old != new && (is_leaf || is_scalar(old) || is_scalar(new)) {
                    self.modified.insert(path.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::field_type::object_schema;
    use super::*;

    fn schema() -> Value {
        object_schema(&json!({"properties": {"spec": {"properties": {
            "nodes": {"properties": {"count": {}}}, "tags": {"additionalProperties": {}},
            "zones": {}}}}}))
    }

    #[test]
    fn applied_fields_are_leaves_and_map_entries() {
        let object = json!({"metadata": {"labels": {"a": "1"}, "finalizers": ["f"]},
            "spec": {"nodes": {"count": 3}, "tags": {"x": {"y": 1}}, "zones": [1, 2]}});
        let fields = fields_of(FieldType::of(&schema()), &object).to_fields_v1();
        assert_eq!(
            fields,
            json!({"f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"f\"": {}}},
                "f:spec": {"f:nodes": {"f:count": {}}, "f:zones": {},
                    "f:tags": {"f:x": {".": {}, "f:y": {}}}}})
        );
    }

    #[test]
    fn comparison_names_added_modified_and_removed_fields() {
        let old = json!({"spec": {"nodes": {"count": 3}, "zones": [1], "tags": {"x": 1}}});
        let new = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"nodes": {"count": 4},
            "zones": [1, 2], "tags": {}}});
        let comparison = compare(FieldType::of(&schema()), &old, &new);
        assert_eq!(
            comparison.added.to_fields_v1(),
            json!({"f:metadata": {".": {}, "f:labels": {".": {}, "f:a": {}}}})
        );
        assert_eq!(
            comparison.modified.to_fields_v1(),
            json!({"f:spec": {"f:nodes": {"f:count": {}}, "f:zones": {}}})
        );
        assert_eq!(
            comparison.removed.to_fields_v1(),
            json!({"f:spec": {"f:tags": {"f:x": {}}}})
        );
    }
}
