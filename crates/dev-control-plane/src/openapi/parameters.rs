//! Query and path parameters.

use serde_json::{Map, Value, json};

use super::Dialect;
use super::definitions::meta_reference;

/// A query parameter: name, type, description.
pub(super) type Parameter = (&'static str, &'static str, &'static str);

pub(super) const PRETTY: Parameter = ("pretty", "string", "Whether the response is indented.");
const CONTINUE: Parameter = ("continue", "string", "The token of the next page.");
const LIMIT: Parameter = ("limit", "integer", "The largest number of items in a page.");
const LABELS: Parameter = ("labelSelector", "string", "Selects objects by label.");
const FIELDS: Parameter = ("fieldSelector", "string", "Selects objects by field.");
pub(super) const VERSION: Parameter = ("resourceVersion", "string", "The version to serve.");
const VERSION_MATCH: Parameter = (
    "resourceVersionMatch",
    "string",
    "Whether resourceVersion is exact or a minimum.",
);
const BOOKMARKS: Parameter = (
    "allowWatchBookmarks",
    "boolean",
    "Whether a watch sends BOOKMARK events.",
);
const INITIAL: Parameter = (
    "sendInitialEvents",
    "boolean",
    "Whether a watch starts with the existing objects.",
);
const TIMEOUT: Parameter = (
    "timeoutSeconds",
    "integer",
    "The longest duration of the call.",
);
const WATCH: Parameter = ("watch", "boolean", "Whether to watch instead of to list.");
const DRY_RUN: Parameter = ("dryRun", "string", "With the value All, nothing is stored.");
const MANAGER: Parameter = (
    "fieldManager",
    "string",
    "The name of the client that makes the change.",
);
const VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "How unknown and duplicate fields are handled.",
);
const FORCE: Parameter = (
    "force",
    "boolean",
    "Whether an apply takes fields from other managers.",
);
const GRACE: Parameter = (
    "gracePeriodSeconds",
    "integer",
    "Seconds until the deletion.",
);
const ORPHAN: Parameter = (
    "orphanDependents",
    "boolean",
    "Deprecated: use propagationPolicy.",
);
const PROPAGATION: Parameter = ("propagationPolicy", "string", "How dependents are deleted.");

pub(super) const LIST: [Parameter; 10] = [
    BOOKMARKS,
    CONTINUE,
    FIELDS,
    LABELS,
    LIMIT,
    VERSION,
    VERSION_MATCH,
    INITIAL,
    TIMEOUT,
    WATCH,
];
pub(super) const WRITE: [Parameter; 3] = [DRY_RUN, MANAGER, VALIDATION];
pub(super) const PATCH: [Parameter; 4] = [DRY_RUN, MANAGER, VALIDATION, FORCE];
pub(super) const DELETE: [Parameter; 4] = [DRY_RUN, GRACE, ORPHAN, PROPAGATION];

/// Returns the parameters to which all paths of OpenAPI v2 refer.
pub(super) fn shared_parameters() -> Value {
    let all = LIST.iter().chain(&PATCH).chain(&DELETE).chain(&[PRETTY]);
    let body = json!({"in": "body", "name": "body", "schema": meta_reference("Patch", Dialect::V2),
        "required": true});
    let mut shared: Map<String, Value> = all
        .map(|parameter| {
            (
                parameter.0.to_owned(),
                query_parameter(parameter, Dialect::V2),
            )
        })
        .collect();
    for name in ["name", "namespace"] {
        shared.insert(name.to_owned(), path_parameter(name, Dialect::V2));
    }
    shared.insert("body".to_owned(), body);
    Value::Object(shared)
}

pub(super) fn query_parameter((name, kind, description): &Parameter, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => json!({"name": name, "in": "query", "description": description,
            "type": kind, "uniqueItems": true}),
        Dialect::V3 => json!({"name": name, "in": "query", "description": description,
            "schema": {"type": kind, "uniqueItems": true}}),
    }
}

pub(super) fn path_parameter(name: &str, dialect: Dialect) -> Value {
    let description = format!("{name} of the object");
    match dialect {
        Dialect::V2 => json!({"name": name, "in": "path", "description": description,
            "required": true, "type": "string", "uniqueItems": true}),
        Dialect::V3 => json!({"name": name, "in": "path", "description": description,
            "required": true, "schema": {"type": "string", "uniqueItems": true}}),
    }
}
