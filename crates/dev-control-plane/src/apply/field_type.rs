//! The types of values according to the schema: which are owned as a whole, and which field by field (KEP-555;
//! `x-kubernetes-list-type` and `x-kubernetes-map-type`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::field_set::FieldSet;
use super::path::{FieldPath, PathElement};

/// The schema of a value, or `None` if the schema does not describe it.
#[derive(Clone, Copy)]
pub(super) struct FieldType<'s>(Option<&'s Value>);

/// A value inside a container.
pub(super) struct Child<'s, 'v> {
    pub(super) element: PathElement,
    pub(super) field_type: FieldType<'s>,
    pub(super) value: &'v Value,
}

/// Adds the schema of the metadata to that of a custom resource.
pub(super) fn object_schema(resource: &Value) -> Value {
    let mut schema = resource.clone();
    if !schema.is_object() {
        schema = json!({});
    }
    if let Some(map) = schema.as_object_mut() {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("metadata".to_owned(), metadata());
        }
    }
    schema
}

/// Returns the parts of ObjectMeta that are not scalars (apimachinery `pkg/apis/meta/v1/types.go`).
fn metadata() -> Value {
    json!({"properties": {
        "annotations": {"additionalProperties": {"type": "string"}},
        "finalizers": {"x-kubernetes-list-type": "set"},
        "labels": {"additionalProperties": {"type": "string"}},
        "ownerReferences": {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": {"x-kubernetes-map-type": "atomic"},
        },
    }})
}

impl<'s> FieldType<'s> {
    pub(super) fn of(schema: &'s Value) -> Self {
        Self(Some(schema))
    }

    /// Returns the values inside `value`, or `None` for scalars and for containers that are owned as a whole.
    pub(super) fn children<'v>(self, value: &'v Value) -> Option<Vec<Child<'s, 'v>>> {
        match value {
            Value::Object(map) if self.keyword("x-kubernetes-map-type") != "atomic" => {
                let children = map.iter().map(|(name, value)| Child {
                    element: PathElement::Field(name.clone()),
                    field_type: self.field(name),
                    value,
                });
                Some(children.collect())
            }
            Value::Array(items) if self.is_associative() => {
                let field_type = Self(self.0.and_then(|schema| schema.get("items")));
                let child = |value| {
                    let element = self.item_element(value)?;
                    Some(Child {
                        element,
                        field_type,
                        value,
                    })
                };
                items.iter().map(child).collect()
            }
            _ => None,
        }
    }

    /// Returns the type of a field by its name.
    pub(super) fn field(self, name: &str) -> Self {
        let rest = || self.0?.get("additionalProperties");
        Self(self.property(name).or_else(rest))
    }

    /// Returns whether the schema declares this field by name.
    pub(super) fn declares(self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// Adds the declared containers of all fields in `set`. Containers whose name the schema does
    /// not declare are members already if they are owned.
    pub(super) fn with_declared_parents(self, set: &FieldSet) -> FieldSet {
        let mut all = set.clone();
        for path in set.paths() {
            let (mut parent, mut field_type) = (FieldPath::default(), self);
            for element in path.elements() {
                parent = parent.child(element.clone());
                field_type = match element {
                    PathElement::Field(name) => {
                        if field_type.declares(name) {
                            all.insert(parent.clone());
                        }
                        field_type.field(name)
                    }
                    PathElement::Key(_) | PathElement::Item(_) => {
                        Self(field_type.0.and_then(|schema| schema.get("items")))
                    }
                };
            }
        }
        all
    }

    /// Returns whether the items of a list are identified by key or by value.
    fn is_associative(self) -> bool {
        matches!(self.keyword("x-kubernetes-list-type"), "map" | "set")
    }

    /// Returns how an item is identified, or `None` if the list is owned as a whole.
    fn item_element(self, item: &Value) -> Option<PathElement> {
        match self.keyword("x-kubernetes-list-type") {
            "set" => Some(PathElement::Item(item.to_string())),
            "map" => {
                let keys = self.0?.get("x-kubernetes-list-map-keys")?.as_array()?;
                let keys: BTreeMap<String, String> = keys
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|key| (key.to_owned(), item.get(key).unwrap_or(&Value::Null)))
                    .map(|(key, value)| (key, value.to_string()))
                    .collect();
                Some(PathElement::Key(keys))
            }
            _ => None,
        }
    }

    fn property(self, name: &str) -> Option<&'s Value> {
        self.0?.get("properties")?.get(name)
    }

    fn keyword(self, keyword: &str) -> &'s str {
        let value = self.0.and_then(|schema| schema.get(keyword));
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_atomic_unless_the_schema_says_otherwise() {
        let schema = object_schema(&json!({"properties": {
            "status": {"properties": {"conditions": {"x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"]}}}}}));
        let root = FieldType::of(&schema);
        let list = json!([{"type": "Ready"}]);
        assert!(root.field("spec").field("list").children(&list).is_none());
        let conditions = root.field("status").field("conditions");
        let children = conditions.children(&list).unwrap();
        assert_eq!(children[0].element.to_key(), r#"k:{"type":"Ready"}"#);
        let finalizers = root.field("metadata").field("finalizers");
        let list = json!(["a"]);
        assert_eq!(
            finalizers.children(&list).unwrap()[0].element.to_key(),
            r#"v:"a""#
        );
    }

    #[test]
    fn declared_parents_are_added_and_others_are_not() {
        let schema = json!({"properties": {"spec": {"properties": {"tags": {}}}}});
        let set = FieldSet::parse(&json!({"f:spec": {"f:tags": {"f:a": {"f:b": {}}}}})).unwrap();
        let expected = json!({"f:spec": {".": {}, "f:tags": {".": {}, "f:a": {"f:b": {}}}}});
        let all = FieldType::of(&schema).with_declared_parents(&set);
        assert_eq!(all.to_fields_v1(), expected);
    }
}
