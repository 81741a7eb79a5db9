//! Bodies on their way to the client.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rewrite::{Addition, Fate, Handler, RuleError, Rules, RulesBuilder, Tag, Verdict};

use super::beginning::Beginning;
use super::columns::Columns;
use super::hidden::{Hidden, Place};
use super::token::{self, Next};
use super::{ObjectTags, Scope, applied_rules, object_rules, text};

const NAMESPACE: Tag = 1;
/// The namespace of a Table's row; the same path in a custom resource means nothing.
const ROW_NAMESPACE: Tag = 2;
const APPLIED_NAMESPACE: Tag = 3;
const CONTINUE: Tag = 4;
const KIND: Tag = 5;
const EVENT_TYPE: Tag = 6;
const MESSAGE: Tag = 7;
const DETAILS_NAME: Tag = 8;
/// The object of a row, of which the client wants none.
const ROW_OBJECT: Tag = 9;
/// The first of the tags for what is hidden of an object, and of one in a Table's row.
const HIDDEN: Tag = 10;
const ROW_HIDDEN: Tag = 20;
const OBJECT: ObjectTags = ObjectTags {
    namespace: NAMESPACE,
    hidden: HIDDEN,
};
const ROW: ObjectTags = ObjectTags {
    namespace: ROW_NAMESPACE,
    hidden: ROW_HIDDEN,
};
/// A Table's definitions of its columns, and a row's cells.
const COLUMNS: Tag = 30;
const CELLS: Tag = 31;
/// What a cause of a failure is about.
const CAUSE_FIELD: Tag = 32;

/// Items: those that may be dropped, and metadata that is held for what stands in it.
const JUDGED: Tag = 0;
const METADATA: Tag = 1;

const OUTSIDE: &str = "the control plane sent an object of a namespace that is not mapped";
const TOKEN: &str = "the control plane sent a continue token of an unknown form";

/// The form of a successful answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// One object, or a Table of one; of a delete also a Status.
    Object,
    /// A list or a Table.
    List,
    /// A sequence of watch events.
    Watch,
    /// A Status that tells a failure.
    Status,
}

/// The rules for response bodies, compiled once.
pub struct ResponseRules {
    object: Rules,
    list: Rules,
    /// Lists and watches of which foreign items are dropped.
    mapped_list: Rules,
    watch: Rules,
    mapped_watch: Rules,
    /// The same, less the objects of a Table's rows.
    bare_list: Rules,
    bare_watch: Rules,
    status: Rules,
}

impl ResponseRules {
    pub fn compile() -> Result<Self, RuleError> {
        let applied = applied_rules(APPLIED_NAMESPACE)?;
        let object = |rules: RulesBuilder, path: &str, tags: ObjectTags| {
            object_rules(rules, path, tags, &applied)
        };
        let table = |rules: RulesBuilder, path: &str| {
            let object_path = format!("{path}.rows[*].object");
            cells(object(rules, &object_path, ROW), path)
        };
        let list = |rules: RulesBuilder| {
            object(rules, "$.items[*]", OBJECT)
                .string("$.kind", KIND)
                .string("$.metadata.continue", CONTINUE)
        };
        let watch = |rules: RulesBuilder| {
            let rules = object(rules, "$.object", OBJECT)
                .string("$.object.kind", KIND)
                .string("$.type", EVENT_TYPE);
            failure(rules, "$.object")
        };
        let mapped_list = |row_judged_after: &str| {
            list(
                Rules::builder()
                    .item("$.items[*]", "$.items[*].metadata", JUDGED)
                    .item("$.rows[*]", row_judged_after, JUDGED)
                    .remove("$.metadata.remainingItemCount"),
            )
        };
        let mapped_watch = || watch(Rules::builder().item("$", "$", JUDGED));
        Ok(Self {
            object: table(object(held(["$", "$.rows[*].object"]), "$", OBJECT), "$")
                .string("$.kind", KIND)
                .build()?,
            list: table(list(held(["$.items[*]", "$.rows[*].object"])), "$").build()?,
            mapped_list: table(mapped_list("$.rows[*].object.metadata"), "$").build()?,
            watch: table(
                watch(held(["$.object", "$.object.rows[*].object"])),
                "$.object",
            )
            .build()?,
            mapped_watch: table(mapped_watch(), "$.object").build()?,
            bare_list: cells(mapped_list("$.rows[*]"), "$")
                .value("$.rows[*].object", ROW_OBJECT)
                .build()?,
            bare_watch: cells(mapped_watch(), "$.object")
                .value("$.object.rows[*].object", ROW_OBJECT)
                .build()?,
            status: failure(Rules::builder().item("$", "$", JUDGED), "$")
                .string("$.details.name", DETAILS_NAME)
                .string("$.details.kind", KIND)
                .build()?,
        })
    }

    /// A Status is judged whole, which takes [`Framing::Many`](crate::rewrite::Framing::Many).
    pub fn rules(&self, shape: Shape, scope: &Scope) -> Rules {
        let mapped = scope.may_see_foreign();
        match shape {
            Shape::Object => &self.object,
            Shape::List if mapped => &self.mapped_list,
            Shape::List => &self.list,
            Shape::Watch if mapped => &self.mapped_watch,
            Shape::Watch => &self.watch,
            Shape::Status => &self.status,
        }
        .clone()
    }

    /// The rules for a Table whose rows are judged by objects that the client does not want.
    pub fn without_row_objects(&self, shape: Shape) -> Rules {
        if shape == Shape::Watch {
            self.bare_watch.clone()
        } else {
            self.bare_list.clone()
        }
    }
}

/// Rules that hold the metadata of the objects at these paths.
fn held(paths: [&str; 2]) -> RulesBuilder {
    let hold = |rules: RulesBuilder, path: &str| {
        let metadata = format!("{path}.metadata");
        rules.item(&metadata, &metadata, METADATA)
    };
    paths.into_iter().fold(Rules::builder(), hold)
}

/// The rules for what a Status at `path` tells of a failure.
fn failure(rules: RulesBuilder, path: &str) -> RulesBuilder {
    rules
        .string(&format!("{path}.message"), MESSAGE)
        .string(&format!("{path}.details.causes[*].message"), MESSAGE)
        .string(&format!("{path}.details.causes[*].field"), CAUSE_FIELD)
        .string(&format!("{path}.metadata.continue"), CONTINUE)
}

/// The rules for what a Table at `path` prints.
fn cells(rules: RulesBuilder, path: &str) -> RulesBuilder {
    rules
        .value(&format!("{path}.columnDefinitions"), COLUMNS)
        .value(&format!("{path}.rows[*].cells"), CELLS)
}

/// What a watch event tells (`apimachinery/pkg/watch/watch.go`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventType {
    const ALL: [Self; 5] = [
        Self::Added,
        Self::Modified,
        Self::Deleted,
        Self::Bookmark,
        Self::Error,
    ];

    /// As it stands in `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }

    fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.name().as_bytes() == name)
    }
}

/// Maps remote namespaces to local ones and drops what is not mapped.
pub struct ResponseHandler {
    scope: Scope,
    /// Of the body that a Status may be the refusal of.
    beginning: Option<Beginning>,
    shape: Shape,
    kind: Vec<u8>,
    event: Option<EventType>,
    /// Events that were passed on since they were last asked for, by type.
    passed_on: [u64; EventType::ALL.len()],
    item: Item,
    hidden: Hidden,
    columns: Columns,
}

/// What a row's object is judged by.
#[derive(Deserialize)]
struct RowObject {
    metadata: RowMetadata,
}

#[derive(Deserialize)]
struct RowMetadata {
    /// Empty in a bookmark.
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl RowMetadata {
    fn ends_initial_events(&self) -> bool {
        let annotation = self.annotations.get("k8s.io/initial-events-end");
        annotation.is_some_and(|value| value == "true")
    }
}

/// What is known of the list item, row or event in hand.
#[derive(Default)]
struct Item {
    /// The remote namespace that was named last, if it is mapped.
    remote: Option<String>,
    foreign: bool,
}

impl ResponseHandler {
    pub fn new(scope: Scope, shape: Shape) -> Self {
        Self {
            scope,
            beginning: None,
            shape,
            kind: Vec::new(),
            event: None,
            passed_on: [0; EventType::ALL.len()],
            item: Item::default(),
            hidden: Hidden::default(),
            columns: Columns::default(),
        }
    }

    /// For the answer to a request whose body began so.
    pub fn refusal(scope: Scope, beginning: Option<Beginning>) -> Self {
        Self {
            beginning,
            ..Self::new(scope, Shape::Status)
        }
    }

    /// Where a tag of what is hidden points, if it means that.
    fn place(&self, tag: Tag) -> Option<Place> {
        Place::of(tag, ROW_HIDDEN)
            .filter(|_| self.may_be_table())
            .or_else(|| Place::of(tag, HIDDEN))
    }

    /// Kind comes before rows in a Table as in a custom resource; one that is not known yet is taken
    /// for a Table, which fails closed.
    fn may_be_table(&self) -> bool {
        self.kind.is_empty() || self.kind == b"Table"
    }

    /// Watch events that were passed on since the last call.
    pub fn take_passed_on(&mut self) -> impl Iterator<Item = (EventType, u64)> + use<> {
        let counts = std::mem::take(&mut self.passed_on);
        EventType::ALL
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }

    fn passed_on(&mut self) {
        let count = self
            .event
            .and_then(|event| self.passed_on.get_mut(event as usize));
        if let Some(count) = count {
            *count += 1;
        }
    }

    fn is_error(&self) -> bool {
        self.event == Some(EventType::Error)
    }

    /// Whether items are judged, so that what belongs to them waits.
    fn drops(&self) -> bool {
        self.scope.may_see_foreign() && matches!(self.shape, Shape::List | Shape::Watch)
    }

    fn namespace(&mut self, value: &[u8]) -> Verdict<'_> {
        let remote = std::str::from_utf8(value).ok();
        let local = remote.and_then(|remote| self.scope.to_local(remote));
        if self.drops() {
            self.item.foreign |= local.is_none();
            self.item.remote = local.and(remote).map(str::to_owned);
            return Verdict::Later;
        }
        local.map_or(Verdict::Fail(OUTSIDE), |local| {
            Verdict::Replace(local.into())
        })
    }

    /// The object by which a row is judged gives way to the null of a row without one. The bookmark
    /// that ends the initial events keeps its own, whose annotation says so
    /// (`apiserver/pkg/endpoints/handlers/response.go`, asTable).
    fn row_object(&mut self, raw: &[u8]) -> Verdict<'static> {
        if let Ok(RowObject { metadata }) = serde_json::from_slice(raw) {
            if self.event == Some(EventType::Bookmark) && metadata.ends_initial_events() {
                return Verdict::Keep;
            }
            self.namespace(metadata.namespace.as_bytes());
        }
        Verdict::Replace("null".into())
    }

    fn message(&self, value: &[u8]) -> Verdict<'_> {
        let Ok(message) = std::str::from_utf8(value) else {
            return Verdict::Keep;
        };
        let split = self.beginning.as_ref().and_then(|it| it.split(message));
        let (words, quoted) = split.unwrap_or((message, ""));
        match text::to_local(words, &self.scope) {
            Some(mapped) => Verdict::Replace((mapped + quoted).into()),
            None if split.is_some() => Verdict::Replace(format!("{words}{quoted}").into()),
            None => Verdict::Keep,
        }
    }

    fn cause_field(&self, value: &[u8]) -> Verdict<'_> {
        let field = std::str::from_utf8(value).ok();
        let local = field.and_then(|field| text::field_to_local(field, &self.scope));
        local.map_or(Verdict::Keep, |local| Verdict::Replace(local.into()))
    }

    /// `namespaces "X" not found` has the name in its details too.
    fn details_name(&self, value: &[u8]) -> Verdict<'_> {
        let name = std::str::from_utf8(value)
            .ok()
            .filter(|_| self.kind == b"namespaces");
        let local = name.and_then(|name| self.scope.to_local(name));
        local.map_or(Verdict::Keep, |local| Verdict::Replace(local.into()))
    }

    fn continue_token(&self, value: &[u8]) -> Verdict<'_> {
        if !self.scope.is_all() || value.is_empty() {
            return Verdict::Keep;
        }
        let token = std::str::from_utf8(value).map_err(|_| token::Foreign);
        match token.and_then(|token| token::to_local(token, &self.scope)) {
            Ok(Next::Token(token)) => Verdict::Replace(token.into()),
            Ok(Next::End) => Verdict::Remove,
            Err(token::Foreign) => Verdict::Fail(TOKEN),
        }
    }
}

impl Handler for ResponseHandler {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_> {
        match tag {
            NAMESPACE => self.namespace(value),
            ROW_NAMESPACE if self.may_be_table() => self.namespace(value),
            APPLIED_NAMESPACE if self.drops() => Verdict::Later,
            APPLIED_NAMESPACE => self.resolve(tag, value),
            CONTINUE | MESSAGE | CAUSE_FIELD if self.shape == Shape::Watch && !self.is_error() => {
                Verdict::Keep
            }
            CONTINUE => self.continue_token(value),
            MESSAGE => self.message(value),
            CAUSE_FIELD => self.cause_field(value),
            // The kind that says whether it is a namespace's comes after the name.
            DETAILS_NAME => Verdict::Later,
            KIND => {
                value.clone_into(&mut self.kind);
                Verdict::Keep
            }
            EVENT_TYPE => {
                self.event = EventType::parse(value);
                if !self.drops() {
                    self.passed_on();
                }
                Verdict::Keep
            }
            _ => Verdict::Keep,
        }
    }

    fn value(&mut self, tag: Tag, raw: &[u8]) -> Verdict<'_> {
        match tag {
            ROW_OBJECT => self.row_object(raw),
            COLUMNS if self.may_be_table() && !self.drops() => {
                self.columns.learn(raw);
                self.columns.told();
                Verdict::Keep
            }
            COLUMNS if self.may_be_table() => {
                let untold = self.columns.learn(raw);
                untold.map_or(Verdict::Keep, |untold| Verdict::Replace(untold.into()))
            }
            CELLS if self.may_be_table() => {
                let local = self.columns.to_local(raw, &self.scope);
                local.map_or(Verdict::Keep, |local| Verdict::Replace(local.into()))
            }
            tag => {
                let place = self.place(tag);
                place.map_or(Verdict::Keep, |place| self.hidden.value(place, raw))
            }
        }
    }

    fn end(&mut self, tag: Tag) -> Addition<'_> {
        let place = self.place(tag);
        place.map_or(Addition::Nothing, |place| self.hidden.end(place))
    }

    fn open(&mut self, item: Tag) {
        self.hidden = Hidden::default();
        if item == JUDGED {
            self.item = Item::default();
            self.event = None;
        }
    }

    /// Bookmarks and errors have no namespace and are everybody's: an informer that misses the
    /// bookmark which ends the initial events never syncs (KEP-3157).
    fn judge(&mut self, item: Tag) -> Fate {
        self.hidden.is_judged = true;
        if item == METADATA {
            return Fate::Keep;
        }
        let control = matches!(self.event, Some(EventType::Bookmark | EventType::Error));
        if self.drops() && !control && (self.item.remote.is_none() || self.item.foreign) {
            return Fate::Drop;
        }
        self.columns.told();
        self.passed_on();
        Fate::Keep
    }

    fn resolve(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_> {
        if tag == DETAILS_NAME {
            return self.details_name(value);
        }
        let Ok(value) = std::str::from_utf8(value) else {
            return Verdict::Keep;
        };
        let own = self.item.remote.as_deref();
        if tag == APPLIED_NAMESPACE && self.drops() && own != Some(value) {
            return Verdict::Keep;
        }
        let local = self.scope.to_local(value);
        local.map_or(Verdict::Keep, |local| Verdict::Replace(local.into()))
    }
}
