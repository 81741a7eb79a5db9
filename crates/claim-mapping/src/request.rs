//! Rewrites request bodies from local names to remote ones.

mod created_name;
mod operation;
mod own_metadata;
mod patch_fields;

use std::sync::Arc;

use json_rewrite::{
    Addition, Edit, Framing, Handler, ItemDecision, Limits, Rewriter, RuleError, Rules, Tag,
};

pub use self::created_name::CreatedName;
pub use self::operation::COPIES_MAPPED_METADATA;
use self::operation::{Member, Operation};
pub use self::own_metadata::restoring_patch;
use self::own_metadata::{MetadataMap, OwnMetadata};
use self::patch_fields::PatchFields;
use crate::hidden_metadata::{self, RequestMetadata, WriteEffect};
use crate::json_members::{JsonMembers, string_member};
use crate::last_applied::{self, LastAppliedRules};
use crate::mapping::ObjectKey;
use crate::object_fields::{
    Direction, Names, ObjectField, ObjectRules, Role, RulesByNames, last_applied_rules,
    object_fields,
};
use crate::reference_path::ReferencePaths;
use crate::request_scope::{RequestScope, SharedScope};
use crate::tags::Tags;

/// The message that kube-apiserver uses (`apiserver/pkg/registry/rest/meta.go`).
const NAMESPACE_MISMATCH: &str =
    "the namespace of the provided object does not match the namespace sent on the request";

/// kube-apiserver names both names (`apiserver/pkg/endpoints/handlers/rest.go`, `checkName`).
const NAME_MISMATCH: &str = "the name of the object does not match the name on the URL";

/// Error message for an object that the control plane could create under a name, or without an origin, that claimgate
/// does not know.
const UNREADABLE_NAME: &str =
    "the name of the object cannot be read; the body must be valid JSON in UTF-8";

const SECRET_NAME_TOO_LONG: &str =
    "the name of a Secret in the spec is too long; it may have at most 236 characters";

/// Error message for a rule that does not belong to the handler. This cannot happen; if it did, the request
/// would fail.
const UNKNOWN_RULE: &str = "internal error: unknown rewrite rule for request bodies";

/// The meaning of a rule for request bodies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target {
    /// A field of the object.
    Field(Role),
    /// A field of the object in the last-applied annotation.
    LastAppliedField(Role),
    /// The whole object, if objects have other names on the control plane.
    Object,
    /// An operation of a JSON patch, which is buffered as an item.
    Operation,
    OperationMember(Member),
    /// A part of an operation's value, by its index in [`PatchFields`].
    ValuePart(usize),
}

/// The rules for request bodies with objects of one API group, compiled once.
pub struct RequestRules(RulesByNames<RuleSet>);

/// The rules for one mode.
struct RuleSet {
    object: Rules,
    json_patch: Rules,
    shared: Arc<Shared>,
}

/// Data that all handlers of one mode share.
struct Shared {
    targets: Tags<Target>,
    patch_fields: PatchFields,
    /// The rules for the object in the last-applied annotation, which is rewritten with the body around it.
    last_applied: Rules,
    /// The rules for last-applied annotations that are mapped as a whole.
    annotations: LastAppliedRules,
}

impl RuleSet {
    fn compile(fields: &[ObjectField<'_>], names: Names) -> Result<Self, RuleError> {
        let mut targets = Tags::new();
        let tag = |role| targets.tag(Target::LastAppliedField(role));
        let last_applied = last_applied_rules(fields, names, tag)?;
        let object_rules = ObjectRules {
            fields,
            direction: Direction::Request,
            names,
            last_applied: &last_applied,
        };
        let tag = |role| targets.tag(Target::Field(role));
        let object = object_rules.add(Rules::builder(), "$", tag);
        let object = match names {
            Names::Kept => object,
            Names::Translated => object.object_end("$", targets.tag(Target::Object)),
        };
        let patch_fields = PatchFields::new(fields, names);
        let mut json_patch = Rules::builder().item("$[*]", "$[*]", targets.tag(Target::Operation));
        for (path, member) in [
            ("$[*].from", Member::From),
            ("$[*].op", Member::Op),
            ("$[*].path", Member::Path),
        ] {
            json_patch = json_patch.string(path, targets.tag(Target::OperationMember(member)));
        }
        let json_patch =
            patch_fields.rules(json_patch, |part| targets.tag(Target::ValuePart(part)));
        Ok(Self {
            object: object.build()?,
            json_patch: json_patch.build()?,
            shared: Arc::new(Shared {
                targets,
                patch_fields,
                last_applied,
                annotations: LastAppliedRules::compile(fields)?,
            }),
        })
    }
}

impl RequestRules {
    /// Compiles the rules for objects in which these fields refer to Secrets.
    ///
    /// # Errors
    /// A rule's path is invalid. The tests compile all rules, so this cannot happen.
    pub fn compile(references: &ReferencePaths) -> Result<Self, RuleError> {
        let references = references.keys();
        let fields = object_fields(&references);
        RulesByNames::compile(|names| RuleSet::compile(&fields, names)).map(Self)
    }

    /// Returns a rewriter for an object, a merge patch or an apply patch.
    pub fn object(
        &self,
        scope: RequestScope,
        effect: WriteEffect,
        limits: Limits,
    ) -> Rewriter<RequestHandler> {
        let set = self.0.of(scope.names());
        set.rewriter(&set.object, scope, effect, limits)
    }

    /// Returns a rewriter for a JSON patch.
    pub fn json_patch(
        &self,
        scope: RequestScope,
        effect: WriteEffect,
        limits: Limits,
    ) -> Rewriter<RequestHandler> {
        let set = self.0.of(scope.names());
        set.rewriter(&set.json_patch, scope, effect, limits)
    }
}

impl RuleSet {
    fn rewriter(
        &self,
        rules: &Rules,
        scope: RequestScope,
        effect: WriteEffect,
        limits: Limits,
    ) -> Rewriter<RequestHandler> {
        let handler = RequestHandler {
            scope,
            shared: Arc::clone(&self.shared),
            operation: Operation::default(),
            metadata: RequestMetadata::new(effect),
            own: OwnMetadata::default(),
            has_metadata: false,
        };
        Rewriter::new(rules.clone(), Framing::SingleValue, limits, handler)
    }
}

/// Returns whether an object or a patch has metadata that is no object, such as null.
pub fn has_other_metadata(body: &[u8]) -> bool {
    let members = JsonMembers::read(body).ok().flatten();
    members.is_some_and(|members| {
        let mut members = members.iter();
        members.any(|(key, value)| key == "metadata" && !value.starts_with('{'))
    })
}

/// Maps local names to remote ones, and adds hidden metadata that the write would lose.
pub struct RequestHandler {
    scope: RequestScope,
    shared: Arc<Shared>,
    /// The operation of a JSON patch that is being read.
    operation: Operation,
    metadata: RequestMetadata,
    own: OwnMetadata,
    has_metadata: bool,
}

impl RequestHandler {
    /// Returns whether the patch must be rewritten again with the object's current metadata.
    pub fn needs_current(&self) -> bool {
        self.metadata.needs_current()
    }

    /// Returns whether the result of the patch depends on metadata that the client does not see.
    pub fn depends_on_hidden(&self) -> bool {
        self.metadata.depends_on_hidden
    }

    /// Returns whether the patch sets the resourceVersion that it requires.
    pub fn sets_resource_version(&self) -> bool {
        self.metadata.sets_resource_version
    }

    /// Maps the object's namespace.
    ///
    /// A namespace other than the request's stays, so that the control plane rejects it. It is rejected here if
    /// the control plane would accept it, that is, if it equals a remote name.
    fn namespace(&self, value: &[u8]) -> Edit<'_> {
        let Ok(value) = std::str::from_utf8(value) else {
            return Edit::Reject(NAMESPACE_MISMATCH);
        };
        match self.scope.remote_namespace(value) {
            Some(remote) => Edit::Replace(remote),
            None if self.scope.local_namespace(value).is_some() => Edit::Reject(NAMESPACE_MISMATCH),
            None => Edit::Keep,
        }
    }

    /// Maps the request's own namespace in the last-applied annotation. The annotation is a record, so other
    /// namespaces stay.
    fn last_applied_namespace(&self, value: &[u8]) -> Edit<'_> {
        let local = std::str::from_utf8(value).ok();
        let remote = local.and_then(|local| self.scope.remote_namespace(local));
        remote.map_or(Edit::Keep, Edit::Replace)
    }
}

/// Names of objects that have other names on the control plane.
impl RequestHandler {
    /// Maps the object's name. Another name stays, so that the control plane rejects it. It is rejected here if the
    /// control plane would accept it, that is, if it is the remote name.
    fn name(&self, value: &[u8]) -> Edit<'_> {
        // The generated name is added at the end of the metadata, where it overrides other members `name`.
        if self.metadata.generates_name() {
            return Edit::Remove;
        }
        match self.scope.shared().and_then(SharedScope::object) {
            Some(object) if value == object.local.name.as_bytes() => {
                Edit::Replace(object.remote_name.as_str().into())
            }
            Some(object) if value == object.remote_name.as_bytes() => Edit::Reject(NAME_MISMATCH),
            Some(_) => Edit::Keep,
            None => self.unknown_name(value),
        }
    }

    /// Decides about a name, or a prefix of one, if the request names no object. Only the body of a new object has it,
    /// and claimgate could not read it.
    fn unknown_name(&self, value: &[u8]) -> Edit<'static> {
        let is_object_known = self.scope.shared().and_then(SharedScope::object).is_some();
        match value.is_empty() || is_object_known {
            true => Edit::Keep,
            false => Edit::Reject(UNREADABLE_NAME),
        }
    }

    fn secret_name(&self, value: &[u8]) -> Edit<'static> {
        let (Ok(name), Some(scope)) = (std::str::from_utf8(value), self.scope.shared()) else {
            return Edit::Reject(UNKNOWN_RULE);
        };
        if name.is_empty() {
            return Edit::Keep;
        }
        let remote = scope.local_namespace().and_then(|namespace| {
            let key = ObjectKey::new(namespace, name);
            scope.mapping().remote_secret_name(&key)
        });
        match remote {
            Some(remote) => Edit::Replace(remote.into()),
            None => Edit::Reject(SECRET_NAME_TOO_LONG),
        }
    }

    fn metadata_map(&mut self, map: MetadataMap, raw: &[u8]) -> Edit<'static> {
        let Some(scope) = self.scope.shared() else {
            return Edit::Reject(UNKNOWN_RULE);
        };
        let annotations = &self.shared.annotations;
        let effect = self.metadata.effect();
        let edit = self.own.map(map, raw, scope, effect, annotations);
        self.metadata.depends_on_hidden |= self.own.removes_all;
        edit
    }

    /// Returns the members to add at the end of the metadata.
    fn own_members(&mut self) -> Vec<String> {
        let Some(scope) = self.scope.shared() else {
            return Vec::new();
        };
        self.has_metadata = true;
        let mut members = self.own.metadata_end(scope, self.metadata.effect());
        if let Some(object) = scope.object()
            && self.metadata.generates_name()
        {
            members.push(string_member("name", &object.remote_name));
        }
        members
    }
}

/// Members that are added at the end of a body.
impl RequestHandler {
    /// Returns the metadata for an apply or a merge patch that has none. The field manager of an apply would otherwise
    /// give up the origin.
    fn missing_metadata(&mut self) -> Addition<'static> {
        let is_merged = matches!(
            self.metadata.effect(),
            WriteEffect::Harmless | WriteEffect::Patch(Some(_))
        );
        if self.has_metadata || !is_merged {
            return Addition::Nothing;
        }
        let members = self.own_members();
        match members.is_empty() {
            true => Addition::Nothing,
            false => Addition::Members(format!("\"metadata\":{{{}}}", members.join(",")).into()),
        }
    }
}

/// Maps a finalizer to the name that the control plane stores. A name that is not UTF-8 does not change.
fn finalizer(value: &[u8]) -> Edit<'static> {
    let local = std::str::from_utf8(value).ok();
    let stored = local.and_then(hidden_metadata::stored);
    stored.map_or(Edit::Keep, |stored| Edit::Replace(stored.into()))
}

impl Handler for RequestHandler {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        let fields = &self.shared.patch_fields;
        match self.shared.targets.meaning(tag) {
            Some(Target::Field(Role::Namespace)) => self.namespace(value),
            Some(Target::Field(Role::Name)) => self.name(value),
            Some(Target::Field(Role::GenerateName)) => self.unknown_name(value),
            Some(Target::Field(Role::SecretName)) => self.secret_name(value),
            Some(Target::LastAppliedField(role)) => match self.scope.shared() {
                Some(scope) => last_applied::name_to_remote(role, value, scope),
                None => self.last_applied_namespace(value),
            },
            Some(Target::OperationMember(member)) => {
                self.operation.read(member, value);
                self.operation.check(fields)
            }
            Some(Target::ValuePart(part)) if self.operation.may_set_hidden(fields, part) => {
                Edit::Remove
            }
            Some(Target::ValuePart(_)) => Edit::Defer,
            Some(Target::Field(_) | Target::Object | Target::Operation) | None => {
                Edit::Reject(UNKNOWN_RULE)
            }
        }
    }

    fn raw_value(&mut self, tag: Tag, raw: &[u8]) -> Edit<'_> {
        match self.shared.targets.meaning(tag) {
            Some(Target::Field(Role::Annotations)) => {
                self.metadata_map(MetadataMap::Annotations, raw)
            }
            Some(Target::Field(Role::Labels)) => self.metadata_map(MetadataMap::Labels, raw),
            Some(Target::Field(Role::Finalizers)) => self.metadata.finalizers(raw),
            Some(Target::Field(Role::OwnerReferences)) => self.metadata.owner_references(raw),
            Some(Target::Field(Role::ResourceVersion)) => {
                self.metadata.resource_version();
                Edit::Keep
            }
            Some(Target::Field(Role::Uid)) => {
                self.own.uid();
                Edit::Keep
            }
            Some(Target::ValuePart(part)) => {
                self.operation.read_owner_list(part, raw);
                self.operation.check(&self.shared.patch_fields)
            }
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }

    fn object_end(&mut self, tag: Tag) -> Addition<'_> {
        match self.shared.targets.meaning(tag) {
            Some(Target::Field(Role::Metadata)) => {
                let own = self.own_members();
                self.metadata.metadata_end(own)
            }
            Some(Target::Object) => self.missing_metadata(),
            _ => Addition::Nothing,
        }
    }

    fn begin_item(&mut self, _item: Tag) {
        self.operation = Operation::default();
    }

    fn decide_item(&mut self, _item: Tag) -> ItemDecision {
        let names = self.scope.names();
        self.metadata.depends_on_hidden |= self.operation.depends_on_hidden(names);
        self.metadata.sets_resource_version |= self.operation.sets_resource_version();
        ItemDecision::Keep
    }

    fn resolve_deferred(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        let Some(Target::ValuePart(part)) = self.shared.targets.meaning(tag) else {
            return Edit::Reject(UNKNOWN_RULE);
        };
        match self.operation.role(&self.shared.patch_fields, part) {
            Some(Role::Namespace) => self.namespace(value),
            Some(Role::Name) => self.name(value),
            Some(Role::SecretName) => self.secret_name(value),
            Some(Role::LastApplied) => Edit::RewriteEmbedded(self.shared.last_applied.clone()),
            Some(Role::Finalizers) => finalizer(value),
            _ => Edit::Keep,
        }
    }
}

#[cfg(test)]
mod tests;
