//! The fields of an object in a JSON patch (RFC 6902).
//!
//! An operation can put its value at a field, or at a parent of fields: the metadata, or the whole object. So a
//! field can be at several depths of a value. Only the operation's `path` shows where the value goes, and
//! `path` may follow the value.

use json_rewrite::RulesBuilder;

use crate::json_pointer::{self, LABELS, is_within};
use crate::object_fields::{Names, ObjectField, Role, rule_path};
use crate::origin;

/// The rule path of every operation's value.
const VALUE: &str = "$[*].value";

/// The positions of an object's fields in JSON patches.
#[derive(Debug)]
pub(super) struct PatchFields {
    parts: Vec<ValuePart>,
    /// Pointers to the mapped fields, with their roles.
    mapped: Vec<(String, Role)>,
}

/// A part of a value, and the fields that it can become.
#[derive(Debug)]
struct ValuePart {
    rule_path: String,
    is_list: bool,
    fields: Vec<(PutAt, Role)>,
}

/// The target of a value for which one of its parts becomes a field.
#[derive(Debug)]
enum PutAt {
    Pointer(String),
    /// An element of the list at this pointer.
    ElementOf(String),
}

impl PutAt {
    fn matches(&self, pointer: &str) -> bool {
        match self {
            Self::Pointer(at) => pointer == at,
            Self::ElementOf(list) => pointer != list && is_within(pointer, list),
        }
    }
}

impl PatchFields {
    pub(super) fn new(object: &[ObjectField<'_>], names: Names) -> Self {
        let mut fields = Self {
            parts: Vec::new(),
            mapped: Vec::new(),
        };
        for field in object.iter().filter(|field| field.role.is_mapped(names)) {
            let pointer = field.pointer();
            let is_list = field.role == Role::OwnerReferences;
            // Patches of these are completed with the current object.
            let is_completed = matches!(
                field.role,
                Role::Labels | Role::OriginAnnotation(_) | Role::OriginLabel(_)
            );
            for depth in 0..=field.path.len() {
                let (above, below) = field.path.split_at(depth);
                let put_at = PutAt::Pointer(json_pointer::to_member(above));
                let path = rule_path(VALUE, below);
                match field.role {
                    // An operation that targets these fields directly is rejected because of its path.
                    Role::HiddenMetadata | Role::OwnerReferences if below.is_empty() => {}
                    _ if is_completed => {}
                    Role::Finalizers => {
                        fields.add(format!("{path}[*]"), false, put_at, field.role);
                    }
                    _ => fields.add(path, is_list, put_at, field.role),
                }
            }
            if field.role == Role::Finalizers {
                let put_at = PutAt::ElementOf(pointer.clone());
                fields.add(VALUE.to_owned(), false, put_at, field.role);
            }
            fields.mapped.push((pointer, field.role));
        }
        if names == Names::Translated {
            let label = |key: &str| LABELS.to_owned() + &json_pointer::to_member(&[key]);
            let labels = origin::KEYS.map(|key| (label(key), Role::Labels));
            fields.mapped.extend(labels);
            // A copy would keep the keys of the origin, which are removed from responses.
            let managed_fields = json_pointer::to_member(&["metadata", "managedFields"]);
            fields.mapped.push((managed_fields, Role::ManagedFields));
        }
        fields
    }

    fn add(&mut self, rule_path: String, is_list: bool, put_at: PutAt, role: Role) {
        let known = |part: &&mut ValuePart| part.rule_path == rule_path;
        match self.parts.iter_mut().find(known) {
            Some(part) => part.fields.push((put_at, role)),
            None => self.parts.push(ValuePart {
                rule_path,
                is_list,
                fields: vec![(put_at, role)],
            }),
        }
    }

    /// Adds the rules for all parts of values. `tag` returns the tag for the index of a part.
    pub(super) fn rules(
        &self,
        rules: RulesBuilder,
        mut tag: impl FnMut(usize) -> json_rewrite::Tag,
    ) -> RulesBuilder {
        let parts = self.parts.iter().enumerate();
        parts.fold(rules, |rules, (index, part)| match part.is_list {
            true => rules.raw_value(&part.rule_path, tag(index)),
            false => rules.string(&part.rule_path, tag(index)),
        })
    }

    /// Returns the role of a part of a value if the value is put at a pointer.
    pub(super) fn role(&self, part: usize, pointer: &str) -> Option<Role> {
        let mut fields = self.parts.get(part)?.fields.iter();
        fields
            .find(|(put_at, _)| put_at.matches(pointer))
            .map(|(_, role)| *role)
    }

    /// Returns whether a part of a value can become a field of this role, wherever the value is put.
    pub(super) fn may_be(&self, part: usize, role: Role) -> bool {
        let part = self.parts.get(part);
        part.is_some_and(|part| part.fields.iter().any(|(_, known)| *known == role))
    }

    /// Returns the role of the mapped field at a pointer, or of the mapped field that contains it.
    pub(super) fn containing(&self, pointer: &str) -> Option<Role> {
        let mut mapped = self.mapped.iter();
        let contains = |(field, role): &&(String, Role)| match role {
            // Only the labels of the origin differ between the two sides.
            Role::Labels => pointer == field,
            _ => is_within(pointer, field),
        };
        mapped.find(contains).map(|(_, role)| *role)
    }

    /// Returns whether a pointer leads to a mapped field, inside one, or to a parent of one.
    pub(super) fn touches_mapped(&self, pointer: &str) -> bool {
        let mut mapped = self.mapped.iter();
        self.containing(pointer).is_some() || mapped.any(|(field, _)| is_within(field, pointer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_pointer::{METADATA, ROOT};
    use crate::object_fields::{HIDDEN_METADATA, LAST_APPLIED, OBJECT_FIELDS};

    fn part(fields: &PatchFields, below: &[&str]) -> usize {
        let path = rule_path(VALUE, below);
        let parts = &mut fields.parts.iter();
        parts.position(|part| part.rule_path == path).unwrap()
    }

    #[test]
    fn fields_are_found_at_every_depth_of_a_value() {
        let fields = PatchFields::new(OBJECT_FIELDS, Names::Kept);
        let role = |below: &[&str], pointer: &str| fields.role(part(&fields, below), pointer);
        let namespace = Some(Role::Namespace);
        assert_eq!(role(&["metadata", "namespace"], ROOT), namespace);
        assert_eq!(role(&["namespace"], METADATA), namespace);
        assert_eq!(role(&[], "/metadata/namespace"), namespace);
        assert_eq!(role(&["namespace"], "/spec"), None);
        assert_eq!(
            role(&[LAST_APPLIED], "/metadata/annotations"),
            Some(Role::LastApplied)
        );
        assert_eq!(
            role(&[HIDDEN_METADATA], "/metadata/annotations"),
            Some(Role::HiddenMetadata)
        );
        assert_eq!(
            role(&["ownerReferences"], METADATA),
            Some(Role::OwnerReferences)
        );
        assert_eq!(role(&[], "/metadata/finalizers/0"), Some(Role::Finalizers));
        assert_eq!(role(&[], "/metadata/finalizers"), None);
    }

    #[test]
    fn pointer_to_parent_or_part_touches_mapped_field() {
        let fields = PatchFields::new(OBJECT_FIELDS, Names::Kept);
        for pointer in [
            ROOT,
            METADATA,
            "/metadata/annotations",
            "/metadata/annotations/claimgate.dev~1hidden",
            "/metadata/namespace",
            "/metadata/namespace/x",
            "/metadata/finalizers/0",
            "/metadata/ownerReferences",
        ] {
            assert!(fields.touches_mapped(pointer), "{pointer}");
        }
        for pointer in [
            "/spec",
            "/metadata/name",
            "/metadata/labels",
            "/metadata/annotations/a",
        ] {
            assert!(!fields.touches_mapped(pointer), "{pointer}");
        }
    }
}
