//! A set of fields, and its form in `managedFields` (structured-merge-diff
//! `fieldpath/{set,serialize}.go`).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::path::{FieldPath, PathElement};

/// Fields of one object. A container and the fields inside it are separate members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet(BTreeSet<FieldPath>);

/// The key of `fieldsV1` for the container itself.
const ITSELF: &str = ".";

impl FieldSet {
    pub(super) fn insert(&mut self, path: FieldPath) {
        self.0.insert(path);
    }

    pub(super) fn contains(&self, path: &FieldPath) -> bool {
        self.0.contains(path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &FieldPath> {
        self.0.iter()
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    pub(super) fn difference(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// Parses `fieldsV1`. Returns `None` if a key has an unknown form.
    pub(super) fn parse(fields: &Value) -> Option<Self> {
        let mut set = Self::default();
        set.parse_below(&FieldPath::default(), fields)?;
        Some(set)
    }

    fn parse_below(&mut self, path: &FieldPath, fields: &Value) -> Option<()> {
        for (key, below) in fields.as_object()? {
            if key == ITSELF {
                self.insert(path.clone());
                continue;
            }
            let child = path.child(PathElement::parse(key)?);
            if below.as_object()?.is_empty() {
                self.insert(child);
            } else {
                self.parse_below(&child, below)?;
            }
        }
        Some(())
    }

    /// Returns the set as `fieldsV1`.
    pub(super) fn to_fields_v1(&self) -> Value {
        let mut root = Map::new();
        for path in &self.0 {
            insert_member(&mut root, path.elements());
        }
        shorten_leaves(&mut root);
        Value::Object(root)
    }
}

impl FromIterator<FieldPath> for FieldSet {
    fn from_iter<I: IntoIterator<Item = FieldPath>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

fn insert_member(node: &mut Map<String, Value>, path: &[PathElement]) {
    let Some((element, rest)) = path.split_first() else {
        node.insert(ITSELF.to_owned(), json!({}));
        return;
    };
    let child = node.entry(element.to_key()).or_insert_with(|| json!({}));
    if let Some(child) = child.as_object_mut() {
        insert_member(child, rest);
    }
}

/// Shortens a member without fields inside it from `{".": {}}` to `{}`.
fn shorten_leaves(node: &mut Map<String, Value>) {
    for child in node.values_mut().filter_map(Value::as_object_mut) {
        if child.len() == 1 {
            child.remove(ITSELF);
        }
        shorten_leaves(child);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_v1_survives_a_round_trip() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:status": {"f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}}}},
        });
        let set = FieldSet::parse(&fields).unwrap();
        assert_eq!(set.paths().count(), 5);
        assert_eq!(set.to_fields_v1(), fields);
        assert_eq!(FieldSet::parse(&json!({"x": {}})), None);
    }

    #[test]
    fn containers_and_their_fields_are_separate_members() {
        let both = FieldSet::parse(&json!({"f:a": {".": {}, "f:b": {}}})).unwrap();
        let inside = FieldSet::parse(&json!({"f:a": {"f:b": {}}})).unwrap();
        let container = FieldSet::parse(&json!({"f:a": {}})).unwrap();
        assert_eq!(both.difference(&inside), container);
        assert_eq!(inside.union(&container), both);
        assert!(inside.intersection(&container).is_empty());
    }
}
