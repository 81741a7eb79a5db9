//! The fields of an object that are mapped or hidden.
//!
//! [`OBJECT_FIELDS`] is the only list of them for all APIs. [`object_fields`] adds the references to Secrets that are
//! declared for one API group. All rules are generated from these fields:
//! - whole bodies, list items, Table rows and watch events ([`ObjectRules`]),
//! - the object in the last-applied annotation ([`last_applied_rules`]),
//! - objects that a message quotes (`messages::quoted_object`),
//! - the values and pointers of JSON patches (`request::patch_fields`).
//!
//! If objects keep their names, so do Secrets. Then a Table cell can only print the fields of all APIs:
//! - objects that a cell prints ([`printed_object_rules`]),
//! - the columns that can print them (`response::columns`).
//!
//! A new field is one line in the list, and the handling of its role in the handlers.

use json_rewrite::{RuleError, Rules, RulesBuilder, Tag};

use crate::json_pointer;
use crate::origin::{self, OriginKey};
use crate::reference_path::{CONNECTION_DETAILS, CONNECTION_SECRET};

/// The annotation in which `kubectl apply` stores the last applied object, as JSON in a string.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The annotation that shows hidden metadata in the app cluster, as JSON in a string (`hidden_metadata`).
pub const HIDDEN_METADATA: &str = "claimgate.dev/hidden";

/// How a field is handled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// The annotations. A response can get one more at their end.
    Annotations,
    /// Finalizers, some of which belong to a garbage collector.
    Finalizers,
    /// The annotation that shows hidden metadata. It is always removed, because only claimgate may write it.
    HiddenMetadata,
    /// The prefix of a generated name. It is read in requests only.
    GenerateName,
    /// The labels, some of which contain the object's origin.
    Labels,
    /// The last-applied annotation.
    LastApplied,
    /// The managed fields, which list labels and annotations.
    ManagedFields,
    /// The metadata, to which members can be added at the end.
    Metadata,
    /// The object's name.
    Name,
    /// The object's namespace.
    Namespace,
    /// An annotation that contains a part of the object's origin.
    OriginAnnotation(OriginKey),
    /// A label that contains a part of the object's origin.
    OriginLabel(OriginKey),
    /// The owner references. The other side's garbage collector cannot resolve them.
    OwnerReferences,
    /// The resourceVersion that a write requires. It is read in requests only.
    ResourceVersion,
    /// The name of a Secret in the object's own namespace.
    SecretName,
    /// The uid that a patch requires. It is read in requests only.
    Uid,
}

/// Whether objects have the same names on both sides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Names {
    Kept,
    /// Objects have other names on the control plane, and labels and annotations with their origin.
    Translated,
}

/// Rules for each mode, compiled once.
pub(crate) struct RulesByNames<T> {
    kept: T,
    translated: T,
}

impl<T> RulesByNames<T> {
    /// Compiles the rules for each mode.
    ///
    /// # Errors
    /// A rule's path is invalid.
    pub(crate) fn compile(
        compile: impl Fn(Names) -> Result<T, RuleError>,
    ) -> Result<Self, RuleError> {
        Ok(Self {
            kept: compile(Names::Kept)?,
            translated: compile(Names::Translated)?,
        })
    }

    pub(crate) fn of(&self, names: Names) -> &T {
        match names {
            Names::Kept => &self.kept,
            Names::Translated => &self.translated,
        }
    }
}

/// A field of an object, identified by the keys that lead to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectField<'a> {
    pub(crate) path: &'a [&'a str],
    pub(crate) role: Role,
}

/// The fields that are mapped, hidden, or read in the objects of all APIs.
pub(crate) const OBJECT_FIELDS: &[ObjectField<'static>] = &[
    field(&["metadata"], Role::Metadata),
    field(&["metadata", "annotations"], Role::Annotations),
    field(
        &["metadata", "annotations", HIDDEN_METADATA],
        Role::HiddenMetadata,
    ),
    field(
        &["metadata", "annotations", LAST_APPLIED],
        Role::LastApplied,
    ),
    origin_annotation(
        &["metadata", "annotations", origin::CLUSTER],
        OriginKey::Cluster,
    ),
    origin_annotation(
        &["metadata", "annotations", origin::NAMESPACE],
        OriginKey::Namespace,
    ),
    origin_annotation(&["metadata", "annotations", origin::NAME], OriginKey::Name),
    field(&["metadata", "finalizers"], Role::Finalizers),
    field(&["metadata", "generateName"], Role::GenerateName),
    field(&["metadata", "labels"], Role::Labels),
    origin_label(&["metadata", "labels", origin::CLUSTER], OriginKey::Cluster),
    origin_label(
        &["metadata", "labels", origin::NAMESPACE],
        OriginKey::Namespace,
    ),
    origin_label(&["metadata", "labels", origin::NAME], OriginKey::Name),
    field(&["metadata", "managedFields"], Role::ManagedFields),
    field(&["metadata", "name"], Role::Name),
    field(&["metadata", "namespace"], Role::Namespace),
    field(&["metadata", "ownerReferences"], Role::OwnerReferences),
    field(&["metadata", "resourceVersion"], Role::ResourceVersion),
    field(&["metadata", "uid"], Role::Uid),
    field(CONNECTION_DETAILS, Role::SecretName),
    field(CONNECTION_SECRET, Role::SecretName),
];

const fn field(path: &'static [&'static str], role: Role) -> ObjectField<'static> {
    ObjectField { path, role }
}

const fn origin_annotation(path: &'static [&'static str], key: OriginKey) -> ObjectField<'static> {
    field(path, Role::OriginAnnotation(key))
}

const fn origin_label(path: &'static [&'static str], key: OriginKey) -> ObjectField<'static> {
    field(path, Role::OriginLabel(key))
}

/// Returns the fields that are mapped, hidden, or read in the objects of an API group. `references` contains the keys of
/// each declared reference to a Secret.
pub(crate) fn object_fields<'a>(references: &'a [Vec<&'a str>]) -> Vec<ObjectField<'a>> {
    let declared = references.iter().map(|path| ObjectField {
        path,
        role: Role::SecretName,
    });
    OBJECT_FIELDS.iter().copied().chain(declared).collect()
}

/// Whether a body goes to the control plane or comes from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    Request,
    Response,
}

impl Role {
    /// Returns whether the field has a meaning in this mode.
    pub(crate) fn applies(self, names: Names) -> bool {
        match self {
            Self::GenerateName
            | Self::Labels
            | Self::ManagedFields
            | Self::Name
            | Self::OriginAnnotation(_)
            | Self::OriginLabel(_)
            | Self::SecretName
            | Self::Uid => names == Names::Translated,
            Self::Annotations
            | Self::Finalizers
            | Self::HiddenMetadata
            | Self::LastApplied
            | Self::Metadata
            | Self::Namespace
            | Self::OwnerReferences
            | Self::ResourceVersion => true,
        }
    }

    /// Returns whether the field differs between the two sides, so that a patch may not copy it within an
    /// object.
    pub(crate) fn is_mapped(self, names: Names) -> bool {
        match self {
            Self::Finalizers
            | Self::HiddenMetadata
            | Self::LastApplied
            | Self::Namespace
            | Self::OwnerReferences => true,
            Self::Labels
            | Self::Name
            | Self::OriginAnnotation(_)
            | Self::OriginLabel(_)
            | Self::SecretName => names == Names::Translated,
            Self::Annotations
            | Self::GenerateName
            | Self::ManagedFields
            | Self::Metadata
            | Self::ResourceVersion
            | Self::Uid => false,
        }
    }

    /// Returns whether the field is a name, which the last-applied annotation contains too.
    pub(crate) fn is_name(self, names: Names) -> bool {
        match self {
            Self::Namespace => true,
            Self::Name | Self::SecretName => names == Names::Translated,
            _ => false,
        }
    }
}

impl ObjectField<'_> {
    /// Returns the JSON pointer to the field.
    pub(crate) fn pointer(&self) -> String {
        json_pointer::to_member(self.path)
    }
}

/// Returns the rule path of the member below these keys of the value at `root`.
pub(crate) fn rule_path(root: &str, keys: &[&str]) -> String {
    let key = |key: &&str| format!("[{key:?}]");
    root.to_owned() + &keys.iter().map(key).collect::<String>()
}

/// The rules for objects in one direction and mode.
#[derive(Clone, Copy)]
pub(crate) struct ObjectRules<'a> {
    pub(crate) fields: &'a [ObjectField<'a>],
    pub(crate) direction: Direction,
    pub(crate) names: Names,
    /// The rules for the object in the last-applied annotation.
    pub(crate) last_applied: &'a Rules,
}

impl ObjectRules<'_> {
    /// Adds the rules for an object at `root`.
    pub(crate) fn add(
        self,
        mut rules: RulesBuilder,
        root: &str,
        mut tag: impl FnMut(Role) -> Tag,
    ) -> RulesBuilder {
        for ObjectField { path, role } in self.fields {
            if role.applies(self.names) {
                let path = rule_path(root, path);
                rules = match (self.direction, self.names) {
                    (Direction::Request, Names::Translated) => {
                        translated_request_rule(rules, &path, *role, &mut tag)
                    }
                    (Direction::Response, Names::Translated) => {
                        translated_response_rule(rules, &path, *role, &mut tag)
                    }
                    (_, Names::Kept) => self.kept_rule(rules, &path, *role, &mut tag),
                };
            }
        }
        rules
    }

    fn kept_rule(
        self,
        rules: RulesBuilder,
        path: &str,
        role: Role,
        tag: &mut impl FnMut(Role) -> Tag,
    ) -> RulesBuilder {
        match role {
            Role::Namespace => rules.string(path, tag(role)),
            Role::LastApplied => rules.embedded_json(path, self.last_applied.clone()),
            // An annotation of this name in a request or in the stored object would look like claimgate's.
            Role::HiddenMetadata => rules.remove(path),
            Role::Finalizers | Role::OwnerReferences => rules.raw_value(path, tag(role)),
            Role::Metadata => rules.object_end(path, tag(role)),
            Role::Annotations if self.direction == Direction::Response => {
                rules.object_end(path, tag(role))
            }
            Role::ResourceVersion if self.direction == Direction::Request => {
                rules.raw_value(path, tag(role))
            }
            _ => rules,
        }
    }
}

/// Adds the rule for a field of a request. Labels and annotations are rewritten as a whole, because claimgate adds
/// its own to them, and because null removes all of them.
fn translated_request_rule(
    rules: RulesBuilder,
    path: &str,
    role: Role,
    tag: &mut impl FnMut(Role) -> Tag,
) -> RulesBuilder {
    match role {
        Role::GenerateName | Role::Name | Role::Namespace | Role::SecretName => {
            rules.string(path, tag(role))
        }
        Role::Annotations
        | Role::Finalizers
        | Role::Labels
        | Role::OwnerReferences
        | Role::ResourceVersion
        | Role::Uid => rules.raw_value(path, tag(role)),
        Role::Metadata => rules.object_end(path, tag(role)),
        Role::HiddenMetadata
        | Role::LastApplied
        | Role::ManagedFields
        | Role::OriginAnnotation(_)
        | Role::OriginLabel(_) => rules,
    }
}

/// Adds the rule for a field of a response. The origin decides about all names, so the last-applied annotation is read
/// as a value that can wait for it.
fn translated_response_rule(
    rules: RulesBuilder,
    path: &str,
    role: Role,
    tag: &mut impl FnMut(Role) -> Tag,
) -> RulesBuilder {
    match role {
        Role::Name
        | Role::Namespace
        | Role::OriginAnnotation(_)
        | Role::OriginLabel(_)
        | Role::SecretName => rules.string(path, tag(role)),
        Role::HiddenMetadata => rules.remove(path),
        Role::Finalizers | Role::LastApplied | Role::ManagedFields | Role::OwnerReferences => {
            rules.raw_value(path, tag(role))
        }
        Role::Labels => rules.remove_emptied(path),
        Role::Metadata => rules.object_end(path, tag(role)),
        Role::Annotations => rules.object_end(path, tag(role)).remove_emptied(path),
        Role::GenerateName | Role::ResourceVersion | Role::Uid => rules,
    }
}

/// Returns the rules for the object in the last-applied annotation.
pub(crate) fn last_applied_rules(
    fields: &[ObjectField<'_>],
    names: Names,
    mut tag: impl FnMut(Role) -> Tag,
) -> Result<Rules, RuleError> {
    let mut rules = Rules::builder();
    for ObjectField { path, role } in fields {
        if role.is_name(names) {
            rules = rules.string(&rule_path("$", path), tag(*role));
        }
    }
    rules.build()
}

/// Returns the rules for a text that is an object, its metadata or its annotations, as a Table cell prints
/// them.
pub(crate) fn printed_object_rules(mut tag: impl FnMut(Role) -> Tag) -> Result<Rules, RuleError> {
    let last_applied = last_applied_rules(OBJECT_FIELDS, Names::Kept, &mut tag)?;
    let mut rules = Rules::builder();
    for ObjectField { path, role } in OBJECT_FIELDS {
        for printed in 0..path.len() {
            let below = path.iter().skip(printed).copied().collect::<Vec<_>>();
            let path = rule_path("$", &below);
            if *role == Role::LastApplied {
                rules = rules.embedded_json(&path, last_applied.clone());
            } else if role.is_name(Names::Kept) {
                rules = rules.string(&path, tag(*role));
            }
        }
    }
    rules.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_pointer::{
        ANNOTATIONS, FINALIZERS, LABELS, METADATA, OWNER_REFERENCES, RESOURCE_VERSION, UID,
    };

    #[test]
    fn declared_references_are_fields_like_those_of_all_apis() {
        let reference = vec!["spec", "ref", "name"];
        let references = [reference.clone()];
        let fields = object_fields(&references);
        assert_eq!(fields.len(), OBJECT_FIELDS.len() + 1);
        let field = fields.last().unwrap();
        assert_eq!((field.path, field.role), (&*reference, Role::SecretName));
    }

    #[test]
    fn pointer_constants_match_object_fields() {
        for (role, pointer) in [
            (Role::Annotations, ANNOTATIONS),
            (Role::Finalizers, FINALIZERS),
            (Role::Labels, LABELS),
            (Role::Metadata, METADATA),
            (Role::OwnerReferences, OWNER_REFERENCES),
            (Role::ResourceVersion, RESOURCE_VERSION),
            (Role::Uid, UID),
        ] {
            let field = OBJECT_FIELDS.iter().find(|field| field.role == role);
            assert_eq!(field.unwrap().pointer(), pointer);
        }
    }
}
