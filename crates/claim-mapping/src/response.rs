//! Rewrites response bodies from remote names to local ones.

mod rules;

mod compiler;

mod columns;
mod events;
mod row_object;
mod status;
mod target;
mod translated;

use std::sync::Arc;

use json_rewrite::{Addition, Edit, Handler, ItemDecision, Rules, Tag};

use self::columns::Columns;
pub use self::events::EventType;
use self::events::ForwardedEvents;
use self::row_object::RowObject;
pub use self::rules::{ResponseRules, Shape};
use self::status::DeferredCauses;
use self::target::Target;
use self::translated::TranslatedObject;
use crate::hidden_metadata::ResponseMetadata;
use crate::last_applied::{self, LastAppliedRules};
use crate::managed_fields::ManagedFields;
use crate::messages::MessageRules;
use crate::object_fields::{Names, Role};
use crate::object_names::ObjectNames;
use crate::quoted_prefix::QuotedPrefix;
use crate::request_scope::{RequestScope, SharedScope};
use crate::tags::Tags;

// Error messages that end a stream, because the control plane sent something that claimgate cannot map.
const FOREIGN_OBJECT: &str = "the control plane sent an object of a namespace that is not mapped";
const UNKNOWN_RULE: &str = "internal error: unknown rewrite rule for response bodies";
const UNREADABLE_CELLS: &str = "the control plane sent a Table whose cells cannot be read";
const UNREADABLE_COLUMNS: &str = "the control plane sent a Table whose columns cannot be read";
const UNREADABLE_METADATA: &str =
    "the control plane sent an object whose owner references, finalizers or labels cannot be read";
const UNREADABLE_ROW: &str = "the control plane sent a row whose object cannot be read";

/// Maps remote names to local ones, and drops objects that the request does not cover.
pub struct ResponseHandler {
    shared: Arc<Shared>,
    scope: RequestScope,
    shape: Shape,
    /// The beginning of the request's body, which the message of a failure may quote.
    quoted: Option<QuotedPrefix>,
    kind: Vec<u8>,
    event: Option<EventType>,
    forwarded: ForwardedEvents,
    object: ObjectNamespaces,
    translated: TranslatedObject,
    managed_fields: ManagedFields,
    metadata: ResponseMetadata,
    columns: Columns,
    causes: DeferredCauses,
    damaged_objects: u64,
    has_dropped: bool,
}

/// Data that all handlers of one mode share.
struct Shared {
    targets: Tags<Target>,
    /// The rules for the object in the last-applied annotation, which is rewritten with the object around it.
    last_applied: Rules,
    /// The rules for last-applied annotations that are mapped as a whole.
    annotations: LastAppliedRules,
    messages: MessageRules,
}

/// The namespaces found in the object that is being read, if objects keep their names.
#[derive(Default)]
struct ObjectNamespaces {
    /// The remote namespace that was read last, if the request covers it.
    namespace: Option<String>,
    /// The request does not cover one of the namespaces. An object has several if a key is repeated.
    is_foreign: bool,
}

impl ResponseHandler {
    fn new(
        shared: Arc<Shared>,
        scope: RequestScope,
        shape: Shape,
        quoted: Option<QuotedPrefix>,
    ) -> Self {
        Self {
            shared,
            scope,
            shape,
            quoted,
            kind: Vec::new(),
            event: None,
            forwarded: ForwardedEvents::default(),
            object: ObjectNamespaces::default(),
            translated: TranslatedObject::default(),
            managed_fields: ManagedFields::default(),
            metadata: ResponseMetadata::default(),
            columns: Columns::default(),
            causes: DeferredCauses::default(),
            damaged_objects: 0,
            has_dropped: false,
        }
    }

    /// Returns the number of watch events forwarded since the last call, by type.
    pub fn take_forwarded_events(&mut self) -> impl Iterator<Item = (EventType, u64)> + use<> {
        self.forwarded.take()
    }

    /// Returns the number of objects since the last call whose labels or annotations do not contain their origin, as
    /// claimgate had written it.
    pub fn take_damaged_objects(&mut self) -> u64 {
        std::mem::take(&mut self.damaged_objects)
    }

    /// Returns whether an object was dropped because the request does not cover it.
    pub fn has_dropped(&self) -> bool {
        self.has_dropped
    }

    fn count_forwarded(&mut self) {
        if let Some(event) = self.event {
            self.forwarded.count(event);
        }
    }

    /// Returns the meaning of a tag in the current body.
    ///
    /// A custom resource can also have members called `rows` or `columnDefinitions`. Its `kind` precedes them,
    /// as that of a Table does. A body whose kind is still unknown is treated as a Table, which fails closed.
    #[inline(always)]
    fn target(&self, tag: Tag) -> Meaning {
        let is_not_table = || !self.kind.is_empty() && !self.is_table();
        match self.shared.targets.meaning(tag) {
            None => Meaning::Unknown,
            Some(Target::RowField(_) | Target::Cells | Target::ColumnDefinitions)
                if is_not_table() =>
            {
                Meaning::NotApplicable
            }
            Some(Target::RowField(role)) => Meaning::Target(Target::Field(role)),
            // Other watch events have an object where an ERROR event has its Status.
            Some(
                Target::ContinueToken | Target::Message | Target::CauseMessage | Target::CauseField,
            ) if self.shape == Shape::Watch && self.event != Some(EventType::Error) => {
                Meaning::NotApplicable
            }
            Some(target) => Meaning::Target(target),
        }
    }

    fn is_table(&self) -> bool {
        self.kind == b"Table"
    }

    /// Returns whether items that the request does not cover are dropped.
    fn is_filtered(&self) -> bool {
        match self.scope.names() {
            Names::Kept => {
                self.scope.includes_foreign() && matches!(self.shape, Shape::List | Shape::Watch)
            }
            Names::Translated => self.shape != Shape::Status,
        }
    }

    /// Returns the names of the current object, if it has other names on the control plane.
    fn translated_names(&self) -> Option<(&SharedScope, &ObjectNames)> {
        self.scope.shared().zip(self.translated.names())
    }

    /// Reads the namespace of an object, which decides whether the object is kept or dropped.
    fn read_namespace(&mut self, value: &[u8]) {
        let remote = std::str::from_utf8(value).ok();
        let covered = remote.filter(|remote| self.scope.local_namespace(remote).is_some());
        self.object.is_foreign |= covered.is_none();
        self.object.namespace = covered.map(str::to_owned);
    }

    fn namespace(&self, value: &[u8]) -> Edit<'_> {
        let remote = std::str::from_utf8(value).ok();
        match remote.and_then(|remote| self.scope.local_namespace(remote)) {
            Some(local) => Edit::Replace(local),
            None if value.is_empty() && self.is_about_the_watch() => Edit::Keep,
            None => Edit::Reject(FOREIGN_OBJECT),
        }
    }

    fn is_about_the_watch(&self) -> bool {
        self.event.is_some_and(EventType::is_about_the_watch)
    }

    /// Maps the namespace in the last-applied annotation. The annotation is a record: a namespace that the
    /// request does not cover stays. So does one that is not the object's own, if the body can contain objects
    /// of other namespaces.
    fn last_applied_namespace(&self, value: &[u8]) -> Edit<'_> {
        let own = self.object.namespace.as_deref();
        if self.is_filtered() && own.map(str::as_bytes) != Some(value) {
            return Edit::Keep;
        }
        let remote = std::str::from_utf8(value).ok();
        let local = remote.and_then(|remote| self.scope.local_namespace(remote));
        local.map_or(Edit::Keep, Edit::Replace)
    }

    /// Records the namespace of a row's object, and removes the object, which the client did not request.
    fn unwanted_row_object(&mut self, raw: &[u8]) -> Edit<'static> {
        match RowObject::read(raw) {
            Ok(row) if self.event == Some(EventType::Bookmark) && row.ends_initial_events() => {
                Edit::Keep
            }
            Ok(row) => {
                match self.scope.names() {
                    Names::Kept => self.read_namespace(row.namespace().as_bytes()),
                    Names::Translated => self.translated.read_row(&row),
                }
                Edit::Replace("null".into())
            }
            Err(_error) => Edit::Reject(UNREADABLE_ROW),
        }
    }

    fn column_definitions(&mut self, raw: &[u8]) -> Edit<'_> {
        let is_filtered = self.is_filtered();
        let is_table = self.is_table();
        match self.columns.define(raw) {
            // A custom resource can have a field of this name before its `kind`.
            Err(_) if is_table => Edit::Reject(UNREADABLE_COLUMNS),
            Err(_) => Edit::Keep,
            Ok(()) if is_filtered => match self.columns.unsent() {
                Some(definitions) => Edit::Replace(definitions.into()),
                None => Edit::Keep,
            },
            Ok(()) => {
                self.columns.mark_sent();
                Edit::Keep
            }
        }
    }

    fn cells(&self, raw: &[u8]) -> Edit<'_> {
        if self.scope.names() == Names::Translated {
            // The row's object, which has the names, follows its cells.
            return Edit::Defer;
        }
        match self.columns.to_local(raw, &self.scope) {
            Ok(Some(local)) => Edit::Replace(local.into()),
            Ok(None) => Edit::Keep,
            Err(_) => Edit::Reject(UNREADABLE_CELLS),
        }
    }
}

/// The fields of objects that have other names on the control plane.
impl ResponseHandler {
    /// Reads a string of an object. Its names are resolved once all of them have been read.
    fn translated_string(&mut self, role: Role, value: &[u8]) -> Edit<'_> {
        match role {
            Role::Name => {
                self.translated.read_name(value);
                Edit::Defer
            }
            Role::Namespace => {
                self.translated.read_namespace(value);
                Edit::Defer
            }
            Role::OriginAnnotation(key) => self.translated.annotation(key, value),
            Role::OriginLabel(key) => self.translated.label(key, value),
            Role::SecretName => Edit::Defer,
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }

    /// Returns whether the current item is kept.
    fn keeps_translated(&mut self) -> bool {
        let is_failure = self.kind == b"Status" && self.shape == Shape::Object;
        if is_failure || self.shape == Shape::Status || self.is_about_the_watch() {
            return true;
        }
        let scope = self.scope.shared();
        let is_covered = scope.is_some_and(|scope| self.translated.complete(scope));
        // A Scale has neither labels nor annotations.
        let is_damaged = self.translated.is_damaged && self.kind != b"Scale";
        self.damaged_objects += u64::from(is_covered && is_damaged);
        is_covered
    }

    fn resolve_translated(&self, role: Role, value: &[u8]) -> Edit<'_> {
        let Some((scope, names)) = self.translated_names() else {
            // Bookmarks have no names.
            return match value.is_empty() {
                true => Edit::Keep,
                false => Edit::Reject(FOREIGN_OBJECT),
            };
        };
        match role {
            Role::Name => names.name(value),
            Role::Namespace => names.namespace(value),
            Role::SecretName => names.secret_name(scope, value),
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }

    /// Maps the last-applied annotation, given as JSON. Bookmarks do not have the annotation.
    fn translated_annotation(&self, raw: &[u8]) -> Edit<'_> {
        let Some((scope, names)) = self.translated_names() else {
            return Edit::Keep;
        };
        let annotations = &self.shared.annotations;
        match annotations.with_origin_to_local(raw, scope, names) {
            Some(local) => Edit::Replace(local.into()),
            None => Edit::RewriteEmbedded(self.shared.last_applied.clone()),
        }
    }

    /// Maps a name in the last-applied annotation.
    fn translated_last_applied(&self, role: Role, value: &[u8]) -> Edit<'_> {
        match self.translated_names() {
            Some((scope, names)) => last_applied::name_to_local(role, value, scope, names),
            None => Edit::Keep,
        }
    }

    fn translated_cells(&self, raw: &[u8]) -> Edit<'_> {
        let Some((scope, names)) = self.translated_names() else {
            return Edit::Keep;
        };
        let annotations = &self.shared.annotations;
        match self.columns.to_translated(raw, scope, names, annotations) {
            Ok(Some(local)) => Edit::Replace(local.into()),
            Ok(None) => Edit::Keep,
            Err(_) => Edit::Reject(UNREADABLE_CELLS),
        }
    }
}

/// The meaning of a rule's tag for the current body.
enum Meaning {
    Target(Target),
    /// The body has something else at this path.
    NotApplicable,
    /// The tag belongs to no rule, which cannot happen.
    Unknown,
}

impl Handler for ResponseHandler {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        let target = match self.target(tag) {
            Meaning::Target(target) => target,
            Meaning::NotApplicable => return Edit::Keep,
            Meaning::Unknown => return Edit::Reject(UNKNOWN_RULE),
        };
        match target {
            Target::Field(role) if self.scope.translates_names() => {
                self.translated_string(role, value)
            }
            Target::LastAppliedField(role) if self.scope.translates_names() => {
                self.translated_last_applied(role, value)
            }
            // What a foreign object contains must not end the stream, so its names wait for its decision. If all
            // items are kept, names do not wait: each deferred edit costs another copy of its string.
            Target::Field(Role::Namespace) if self.is_filtered() => {
                self.read_namespace(value);
                Edit::Defer
            }
            Target::Field(Role::Namespace) => self.namespace(value),
            Target::LastAppliedField(Role::Namespace) if self.is_filtered() => Edit::Defer,
            Target::LastAppliedField(Role::Namespace) => self.last_applied_namespace(value),
            // Only the `kind` of a Status's details shows whether its name is a namespace, and it follows the name.
            Target::DetailsName => Edit::Defer,
            Target::ContinueToken => status::continue_token(value, &self.scope),
            Target::CauseMessage if self.causes.defers(value, &self.scope) => Edit::Defer,
            Target::Message | Target::CauseMessage => {
                let rules = &self.shared.messages;
                status::message(value, self.quoted.as_ref(), &self.scope, rules)
            }
            Target::CauseField => {
                self.causes.read_field(value);
                status::cause_field(value, &self.scope)
            }
            Target::Kind => {
                value.clone_into(&mut self.kind);
                Edit::Keep
            }
            Target::EventType => {
                self.event = EventType::parse(value);
                if !self.is_filtered() {
                    self.count_forwarded();
                }
                Edit::Keep
            }
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }

    fn raw_value(&mut self, tag: Tag, raw: &[u8]) -> Edit<'_> {
        let target = match self.target(tag) {
            Meaning::Target(target) => target,
            Meaning::NotApplicable => return Edit::Keep,
            Meaning::Unknown => return Edit::Reject(UNKNOWN_RULE),
        };
        let edit = match target {
            Target::UnwantedRowObject => return self.unwanted_row_object(raw),
            Target::ColumnDefinitions => return self.column_definitions(raw),
            Target::Cells => return self.cells(raw),
            Target::Field(Role::OwnerReferences) => self.metadata.owner_references(raw),
            Target::Field(Role::Finalizers) => self.metadata.finalizers(raw),
            Target::Field(Role::LastApplied) => return Edit::Defer,
            Target::Field(Role::ManagedFields) => {
                let rewritten = self.managed_fields.rewrite(raw);
                return rewritten.unwrap_or(Edit::Reject(UNREADABLE_METADATA));
            }
            _ => return Edit::Reject(UNKNOWN_RULE),
        };
        edit.unwrap_or(Edit::Reject(UNREADABLE_METADATA))
    }

    fn object_end(&mut self, tag: Tag) -> Addition<'_> {
        match self.target(tag) {
            Meaning::Target(Target::Field(Role::Annotations)) => self.metadata.annotations_end(),
            Meaning::Target(Target::Field(Role::Metadata)) => self.metadata.metadata_end(),
            _ => Addition::Nothing,
        }
    }

    fn begin_item(&mut self, item: Tag) {
        self.object = ObjectNamespaces::default();
        self.translated.clear();
        self.metadata = ResponseMetadata::default();
        self.causes = DeferredCauses::default();
        if self.shared.targets.meaning(item) == Some(Target::Item) {
            self.event = None;
        }
    }

    fn decide_item(&mut self, item: Tag) -> ItemDecision {
        self.metadata.complete();
        if self.shared.targets.meaning(item) == Some(Target::Metadata) {
            return ItemDecision::Keep;
        }
        let keeps = match self.scope.names() {
            Names::Kept => {
                let is_covered = self.object.namespace.is_some() && !self.object.is_foreign;
                !self.is_filtered() || is_covered || self.is_about_the_watch()
            }
            Names::Translated => self.keeps_translated(),
        };
        if !keeps {
            self.has_dropped = true;
            return ItemDecision::Drop;
        }
        self.columns.mark_sent();
        self.count_forwarded();
        ItemDecision::Keep
    }

    fn resolve_deferred(&mut self, tag: Tag, value: &[u8]) -> Edit<'_> {
        match self.target(tag) {
            Meaning::Target(Target::Field(role)) if self.scope.translates_names() => {
                self.resolve_translated(role, value)
            }
            Meaning::Target(Target::Field(Role::Namespace)) => self.namespace(value),
            Meaning::Target(Target::LastAppliedField(Role::Namespace)) => {
                self.last_applied_namespace(value)
            }
            Meaning::Target(Target::CauseMessage) => {
                let rules = &self.shared.messages;
                self.causes.resolve(value, &self.scope, rules)
            }
            // Another object can have a field of this name.
            Meaning::Target(Target::DetailsName)
                if self.shape == Shape::Object && self.kind != b"Status" =>
            {
                Edit::Keep
            }
            Meaning::Target(Target::DetailsName) if self.kind == b"namespaces" => {
                status::namespace_name(value, &self.scope)
            }
            Meaning::Target(Target::DetailsName) => status::object_name(value, &self.scope),
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }

    fn resolve_deferred_raw(&mut self, tag: Tag, raw: &[u8]) -> Edit<'_> {
        match self.target(tag) {
            Meaning::Target(Target::Cells) => self.translated_cells(raw),
            Meaning::Target(Target::Field(Role::LastApplied)) => self.translated_annotation(raw),
            _ => Edit::Reject(UNKNOWN_RULE),
        }
    }
}
