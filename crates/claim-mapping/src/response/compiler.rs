//! Builds the rules for response bodies.

use json_rewrite::{RuleError, Rules, RulesBuilder, Tag};

use super::target::Target;
use crate::object_fields::{Direction, Names, ObjectField, ObjectRules, Role, last_applied_rules};
use crate::tags::Tags;

/// Builds rules, and assigns a tag to each meaning.
pub(super) struct Compiler<'a> {
    fields: &'a [ObjectField<'a>],
    names: Names,
    targets: Tags<Target>,
    last_applied: Rules,
}

/// Whether the client requested the objects of a Table's rows. Claimgate needs them to decide which rows to
/// drop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RowObjects {
    Wanted,
    Unwanted,
}

impl<'a> Compiler<'a> {
    /// Starts to build the rules for objects with these fields.
    ///
    /// # Errors
    /// A rule's path is invalid.
    pub(super) fn new(fields: &'a [ObjectField<'a>], names: Names) -> Result<Self, RuleError> {
        let mut targets = Tags::new();
        let tag = |role| targets.tag(Target::LastAppliedField(role));
        let last_applied = last_applied_rules(fields, names, tag)?;
        Ok(Self {
            fields,
            names,
            targets,
            last_applied,
        })
    }

    /// Returns the meanings of all tags, and the rules for the object in the last-applied annotation.
    pub(super) fn into_parts(self) -> (Tags<Target>, Rules) {
        (self.targets, self.last_applied)
    }

    /// Returns the rules for one object, or a Table of one. If names are translated, the whole object is buffered,
    /// because it may have to be dropped.
    pub(super) fn object_body(&mut self) -> Result<Rules, RuleError> {
        let rules = Rules::builder();
        let rules = match self.names {
            Names::Kept => {
                let rules = self.buffer_metadata(rules, "$");
                self.buffer_metadata(rules, "$.rows[*].object")
            }
            // A deletion returns a Status that names the object.
            Names::Translated => rules
                .item("$", "$", self.tag(Target::Item))
                .string("$.details.name", self.tag(Target::DetailsName)),
        };
        let rules = self.object(rules, "$", Target::Field);
        let rules = rules.string("$.kind", self.tag(Target::Kind));
        self.table(rules, "$").build()
    }

    /// Returns the rules for a list or a Table whose items are all kept.
    pub(super) fn list_body(&mut self) -> Result<Rules, RuleError> {
        let rules = self.buffer_metadata(Rules::builder(), "$.items[*]");
        let rules = self.buffer_metadata(rules, "$.rows[*].object");
        let rules = self.list(rules);
        self.table(rules, "$").build()
    }

    /// Returns the rules for a watch whose events are all kept.
    pub(super) fn watch_body(&mut self) -> Result<Rules, RuleError> {
        let rules = self.buffer_metadata(Rules::builder(), "$.object");
        let rules = self.buffer_metadata(rules, "$.object.rows[*].object");
        let rules = self.watch(rules);
        self.table(rules, "$.object").build()
    }

    /// Returns the rules for a Status that reports a failure.
    pub(super) fn status_body(&mut self) -> Result<Rules, RuleError> {
        let rules = Rules::builder().item("$", "$", self.tag(Target::Item));
        self.failure(rules, "$")
            .string("$.details.name", self.tag(Target::DetailsName))
            .string("$.details.kind", self.tag(Target::Kind))
            .build()
    }

    /// Returns the rules for a list or a Table whose foreign items are dropped. `remainingItemCount` is
    /// removed if it counts foreign items too.
    pub(super) fn filtered_list_body(&mut self, objects: RowObjects) -> Result<Rules, RuleError> {
        let row_decided_after = match objects {
            RowObjects::Wanted => "$.rows[*].object.metadata",
            RowObjects::Unwanted => "$.rows[*]",
        };
        let item = self.tag(Target::Item);
        let rules = Rules::builder()
            .item("$.items[*]", "$.items[*].metadata", item)
            .item("$.rows[*]", row_decided_after, item);
        let rules = match self.names {
            Names::Kept => rules.remove("$.metadata.remainingItemCount"),
            // A selector excludes them from the count.
            Names::Translated => rules,
        };
        let rules = self.list(rules);
        self.filtered_table(rules, "$", objects).build()
    }

    /// Returns the rules for a watch whose foreign events are dropped.
    pub(super) fn filtered_watch_body(&mut self, objects: RowObjects) -> Result<Rules, RuleError> {
        let rules = Rules::builder().item("$", "$", self.tag(Target::Item));
        let rules = self.watch(rules);
        self.filtered_table(rules, "$.object", objects).build()
    }

    fn tag(&mut self, target: Target) -> Tag {
        self.targets.tag(target)
    }

    /// Buffers the metadata of an object until all of it has been read.
    fn buffer_metadata(&mut self, rules: RulesBuilder, object: &str) -> RulesBuilder {
        let metadata = format!("{object}.metadata");
        rules.item(&metadata, &metadata, self.tag(Target::Metadata))
    }

    fn object(
        &mut self,
        rules: RulesBuilder,
        path: &str,
        target: impl Fn(Role) -> Target,
    ) -> RulesBuilder {
        let targets = &mut self.targets;
        let tag = |role| targets.tag(target(role));
        let object_rules = ObjectRules {
            fields: self.fields,
            direction: Direction::Response,
            names: self.names,
            last_applied: &self.last_applied,
        };
        object_rules.add(rules, path, tag)
    }

    fn list(&mut self, rules: RulesBuilder) -> RulesBuilder {
        self.object(rules, "$.items[*]", Target::Field)
            .string("$.kind", self.tag(Target::Kind))
            .string("$.metadata.continue", self.tag(Target::ContinueToken))
    }

    fn watch(&mut self, rules: RulesBuilder) -> RulesBuilder {
        let rules = self
            .object(rules, "$.object", Target::Field)
            .string("$.object.kind", self.tag(Target::Kind))
            .string("$.type", self.tag(Target::EventType));
        self.failure(rules, "$.object")
    }

    /// Adds the rules for the messages, causes and continue token of a Status at this path.
    fn failure(&mut self, rules: RulesBuilder, path: &str) -> RulesBuilder {
        let [message, token] = [Target::Message, Target::ContinueToken].map(|it| self.tag(it));
        let [cause, field] = [Target::CauseMessage, Target::CauseField].map(|it| self.tag(it));
        rules
            .string(&format!("{path}.message"), message)
            .string(&format!("{path}.details.causes[*].message"), cause)
            .string(&format!("{path}.details.causes[*].field"), field)
            .string(&format!("{path}.metadata.continue"), token)
    }

    fn table(&mut self, rules: RulesBuilder, path: &str) -> RulesBuilder {
        let row_object = format!("{path}.rows[*].object");
        let rules = self.object(rules, &row_object, Target::RowField);
        self.cells(rules, path)
    }

    fn filtered_table(
        &mut self,
        rules: RulesBuilder,
        path: &str,
        objects: RowObjects,
    ) -> RulesBuilder {
        match objects {
            RowObjects::Wanted => self.table(rules, path),
            RowObjects::Unwanted => {
                let row_object = format!("{path}.rows[*].object");
                let rules = rules.raw_value(&row_object, self.tag(Target::UnwantedRowObject));
                self.cells(rules, path)
            }
        }
    }

    fn cells(&mut self, rules: RulesBuilder, path: &str) -> RulesBuilder {
        let [columns, cells] = [Target::ColumnDefinitions, Target::Cells].map(|it| self.tag(it));
        rules
            .raw_value(&format!("{path}.columnDefinitions"), columns)
            .raw_value(&format!("{path}.rows[*].cells"), cells)
    }
}
