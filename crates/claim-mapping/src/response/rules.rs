//! The rules for response bodies.

use std::sync::Arc;

use json_rewrite::{Framing, Limits, Rewriter, RuleError, Rules};

use super::compiler::{Compiler, RowObjects};
use super::{ResponseHandler, Shared};
use crate::last_applied::LastAppliedRules;
use crate::messages::{self, MessageRules};
use crate::object_fields::{Names, ObjectField, RulesByNames, object_fields};
use crate::quoted_prefix::QuotedPrefix;
use crate::reference_path::ReferencePaths;
use crate::request_scope::RequestScope;

/// The form of a response body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// One object, or a Table of one. For a deletion, also a Status.
    Object,
    /// A list, or a Table.
    List,
    /// A sequence of watch events.
    Watch,
    /// A Status that reports a failure.
    Status,
}

/// The rules for responses with objects of one API group, compiled once.
pub struct ResponseRules(RulesByNames<RuleSet>);

/// The rules for one mode.
struct RuleSet {
    object: Rules,
    list: Rules,
    watch: Rules,
    status: Rules,
    /// Lists whose foreign items are dropped.
    filtered_list: Rules,
    filtered_watch: Rules,
    /// Lists whose foreign items are dropped, as Tables without the objects of their rows.
    filtered_list_without_objects: Rules,
    filtered_watch_without_objects: Rules,
    shared: Arc<Shared>,
}

impl RuleSet {
    fn compile(fields: &[ObjectField<'_>], names: Names) -> Result<Self, RuleError> {
        let mut compiler = Compiler::new(fields, names)?;
        let filtered_list = compiler.filtered_list_body(RowObjects::Wanted)?;
        let filtered_watch = compiler.filtered_watch_body(RowObjects::Wanted)?;
        let (list, watch) = match names {
            Names::Kept => (compiler.list_body()?, compiler.watch_body()?),
            Names::Translated => (filtered_list.clone(), filtered_watch.clone()),
        };
        let object = compiler.object_body()?;
        let status = compiler.status_body()?;
        let filtered_list_without_objects = compiler.filtered_list_body(RowObjects::Unwanted)?;
        let filtered_watch_without_objects = compiler.filtered_watch_body(RowObjects::Unwanted)?;
        let (targets, last_applied) = compiler.into_parts();
        Ok(Self {
            object,
            list,
            watch,
            status,
            filtered_list,
            filtered_watch,
            filtered_list_without_objects,
            filtered_watch_without_objects,
            shared: Arc::new(Shared {
                targets,
                last_applied,
                annotations: LastAppliedRules::compile(fields)?,
                messages: MessageRules::compile(fields, names)?,
            }),
        })
    }
}

impl ResponseRules {
    /// Compiles the rules for objects in which these fields refer to Secrets.
    ///
    /// # Errors
    /// A rule's path is invalid. The tests compile all rules, so this cannot happen.
    pub fn compile(references: &ReferencePaths) -> Result<Self, RuleError> {
        let references = references.keys();
        let fields = object_fields(&references);
        RulesByNames::compile(|names| RuleSet::compile(&fields, names)).map(Self)
    }

    /// Maps a text about a failure to local names, or returns `None` if nothing changes.
    pub fn text_to_local(&self, text: &str, scope: &RequestScope) -> Option<String> {
        let set = self.0.of(scope.names());
        messages::to_local(text, scope, &set.shared.messages)
    }

    /// Maps the value of a Warning header to local names, or returns `None` if nothing changes.
    ///
    /// If the value changes, bytes that are not UTF-8 become U+FFFD.
    pub fn warning_to_local(&self, value: &[u8], scope: &RequestScope) -> Option<String> {
        let set = self.0.of(scope.names());
        messages::warning_to_local(value, scope, &set.shared.messages)
    }

    /// Returns a rewriter for a body of this shape.
    pub fn rewriter(
        &self,
        shape: Shape,
        scope: RequestScope,
        limits: Limits,
    ) -> Rewriter<ResponseHandler> {
        let is_filtered = scope.drops_items();
        let set = self.0.of(scope.names());
        let rules = match shape {
            Shape::Object => &set.object,
            Shape::List if is_filtered => &set.filtered_list,
            Shape::List => &set.list,
            Shape::Watch if is_filtered => &set.filtered_watch,
            Shape::Watch => &set.watch,
            Shape::Status => &set.status,
        };
        set.with_rules(rules, shape, scope, None, limits)
    }

    /// Returns a rewriter for a list or a watch of Tables. It drops foreign rows, and removes the rows'
    /// objects, which the client did not request.
    pub fn without_row_objects(
        &self,
        shape: Shape,
        scope: RequestScope,
        limits: Limits,
    ) -> Rewriter<ResponseHandler> {
        let set = self.0.of(scope.names());
        let rules = match shape {
            Shape::Watch => &set.filtered_watch_without_objects,
            Shape::Object | Shape::List | Shape::Status => &set.filtered_list_without_objects,
        };
        set.with_rules(rules, shape, scope, None, limits)
    }

    /// Returns a rewriter for the Status of a failed request. The message may quote the beginning of the
    /// request's body.
    pub fn failure(
        &self,
        scope: RequestScope,
        quoted: Option<QuotedPrefix>,
        limits: Limits,
    ) -> Rewriter<ResponseHandler> {
        let set = self.0.of(scope.names());
        set.with_rules(&set.status, Shape::Status, scope, quoted, limits)
    }
}

impl RuleSet {
    fn with_rules(
        &self,
        rules: &Rules,
        shape: Shape,
        scope: RequestScope,
        quoted: Option<QuotedPrefix>,
        limits: Limits,
    ) -> Rewriter<ResponseHandler> {
        let is_item = match shape {
            Shape::Object => scope.translates_names(),
            Shape::List => false,
            Shape::Watch | Shape::Status => true,
        };
        // Only a document of a sequence can be an item.
        let framing = match is_item {
            true => Framing::Sequence,
            false => Framing::SingleValue,
        };
        let shared = Arc::clone(&self.shared);
        let handler = ResponseHandler::new(shared, scope, shape, quoted);
        Rewriter::new(rules.clone(), framing, limits, handler)
    }
}
