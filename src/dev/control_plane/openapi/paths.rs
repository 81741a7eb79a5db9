//! The paths of a resource with their operations.

use serde_json::{Map, Value, json};

use super::super::resource::Resource;
use super::Dialect;
use super::definitions::{kind, meta_reference, name, reference};

/// Query parameters: name, type, description.
type Parameter = (&'static str, &'static str, &'static str);

const PRETTY: Parameter = ("pretty", "string", "If 'true', the output is indented.");
const CONTINUE: Parameter = ("continue", "string", "Where a list goes on.");
const LIMIT: Parameter = ("limit", "integer", "How many items a page holds at most.");
const LABELS: Parameter = ("labelSelector", "string", "Restricts by labels.");
const FIELDS: Parameter = ("fieldSelector", "string", "Restricts by fields.");
const VERSION: Parameter = ("resourceVersion", "string", "Which versions may be served.");
const VERSION_MATCH: Parameter = (
    "resourceVersionMatch",
    "string",
    "How resourceVersion is applied.",
);
const BOOKMARKS: Parameter = (
    "allowWatchBookmarks",
    "boolean",
    "Asks for BOOKMARK events.",
);
const INITIAL: Parameter = (
    "sendInitialEvents",
    "boolean",
    "Begins a watch with what there is.",
);
const TIMEOUT: Parameter = ("timeoutSeconds", "integer", "How long the call may last.");
const WATCH: Parameter = ("watch", "boolean", "Asks for changes instead of a list.");
const DRY_RUN: Parameter = ("dryRun", "string", "'All': nothing is persisted.");
const MANAGER: Parameter = ("fieldManager", "string", "Who makes this change.");
const VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "What to do with unknown or duplicate fields.",
);
const FORCE: Parameter = ("force", "boolean", "Takes over the fields of others.");
const GRACE: Parameter = ("gracePeriodSeconds", "integer", "Seconds until deletion.");
const ORPHAN: Parameter = (
    "orphanDependents",
    "boolean",
    "Superseded by propagationPolicy.",
);
const PROPAGATION: Parameter = ("propagationPolicy", "string", "What becomes of dependents.");

const LIST: [Parameter; 10] = [
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
const WRITE: [Parameter; 3] = [DRY_RUN, MANAGER, VALIDATION];
const PATCH: [Parameter; 4] = [DRY_RUN, MANAGER, VALIDATION, FORCE];
const DELETE: [Parameter; 4] = [DRY_RUN, GRACE, ORPHAN, PROPAGATION];

const PATCH_TYPES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];
const JSON_TYPES: [&str; 2] = ["application/json", "application/yaml"];

/// What an operation takes and gives.
struct Operation {
    action: &'static str,
    verb: &'static str,
    parameters: &'static [Parameter],
    body: Option<Value>,
    answer: Value,
    of_all: bool,
}

pub(super) fn of(resource: &Resource, dialect: Dialect) -> Map<String, Value> {
    let root = if resource.group.is_empty() {
        "/api"
    } else {
        "/apis"
    };
    let base = format!("{root}/{}", resource.api_version());
    let plural = &resource.plural;
    let mut paths = Map::new();
    let mut scope = base.clone();
    if resource.namespaced {
        let all = [operation(resource, dialect, "list", true)];
        paths.insert(
            format!("{base}/{plural}"),
            item(resource, &all, &[], dialect),
        );
        scope = format!("{base}/namespaces/{{namespace}}");
    }
    let collection = ["list", "post", "deletecollection"]
        .map(|action| operation(resource, dialect, action, false));
    let in_scope: &[&str] = if resource.namespaced {
        &["namespace"]
    } else {
        &[]
    };
    paths.insert(
        format!("{scope}/{plural}"),
        item(resource, &collection, in_scope, dialect),
    );
    let named: &[&str] = if resource.namespaced {
        &["name", "namespace"]
    } else {
        &["name"]
    };
    let object =
        ["get", "put", "delete", "patch"].map(|action| operation(resource, dialect, action, false));
    let object_path = format!("{scope}/{plural}/{{name}}");
    paths.insert(object_path.clone(), item(resource, &object, named, dialect));
    let subresources = [
        ("status", resource.status),
        ("scale", resource.scale.is_some()),
    ];
    for (subresource, _) in subresources.iter().filter(|(_, served)| *served) {
        let operations =
            ["get", "put", "patch"].map(|action| operation(resource, dialect, action, false));
        let path = format!("{object_path}/{subresource}");
        paths.insert(path, item(resource, &operations, named, dialect));
    }
    paths
}

/// v2 keeps the parameters of all paths in one place.
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

fn operation(
    resource: &Resource,
    dialect: Dialect,
    action: &'static str,
    of_all: bool,
) -> Operation {
    let object = reference(&name(resource), dialect);
    let list = reference(&format!("{}List", name(resource)), dialect);
    let status = meta_reference("Status", dialect);
    let options = meta_reference("DeleteOptions", dialect);
    let (verb, parameters, body, answer): (_, &'static [Parameter], _, _) = match action {
        "delete" => ("delete", &DELETE, Some(options), status),
        "deletecollection" => ("delete", &LIST, Some(options), status),
        "list" => ("get", &LIST, None, list),
        "patch" => (
            "patch",
            &PATCH,
            Some(meta_reference("Patch", dialect)),
            object,
        ),
        "post" => ("post", &WRITE, Some(object.clone()), object),
        "put" => ("put", &WRITE, Some(object.clone()), object),
        _ => ("get", &[VERSION], None, object),
    };
    Operation {
        action,
        verb,
        parameters,
        body,
        answer,
        of_all,
    }
}

/// A path with its operations and path parameters.
fn item(
    resource: &Resource,
    operations: &[Operation],
    in_path: &[&str],
    dialect: Dialect,
) -> Value {
    let mut item: Map<String, Value> = operations
        .iter()
        .map(|operation| {
            (
                operation.verb.to_owned(),
                operation.document(resource, dialect),
            )
        })
        .collect();
    let shared = |name: &str| json!({"$ref": format!("#/parameters/{name}")});
    let parameters: Vec<Value> = match dialect {
        Dialect::V2 => in_path
            .iter()
            .chain(&["pretty"])
            .map(|name| shared(name))
            .collect(),
        Dialect::V3 => {
            let in_path = in_path.iter().map(|name| path_parameter(name, dialect));
            in_path.chain([query_parameter(&PRETTY, dialect)]).collect()
        }
    };
    item.insert("parameters".to_owned(), Value::Array(parameters));
    Value::Object(item)
}

impl Operation {
    fn document(&self, resource: &Resource, dialect: Dialect) -> Value {
        let version = capitalized(&resource.version);
        let group: String = resource.group.split('.').map(capitalized).collect();
        let scope = if resource.namespaced && !self.of_all {
            "Namespaced"
        } else {
            ""
        };
        let all = if self.of_all { "ForAllNamespaces" } else { "" };
        let id = format!(
            "{}{group}{version}{scope}{}{all}",
            self.action, resource.kind
        );
        let tag = format!(
            "{}_{}",
            resource.group.split('.').next().unwrap_or_default(),
            resource.version
        );
        let consumes: &[&str] = if self.verb == "patch" {
            &PATCH_TYPES
        } else {
            &JSON_TYPES
        };
        let parameters = self.parameters.iter();
        let mut document = json!({
            "description": format!("{} {}", self.action, resource.kind),
            "operationId": id,
            "tags": [tag],
            "x-kubernetes-action": self.action,
            "x-kubernetes-group-version-kind": kind(resource, ""),
        });
        let Some(map) = document.as_object_mut() else {
            return document;
        };
        match dialect {
            Dialect::V2 => {
                let mut parameters: Vec<Value> = parameters
                    .map(|parameter| json!({"$ref": format!("#/parameters/{}", parameter.0)}))
                    .collect();
                if let Some(body) = &self.body {
                    parameters.push(json!({"in": "body", "name": "body", "schema": body}));
                }
                let answers = json!({"200": {"description": "OK", "schema": self.answer},
                    "401": {"description": "Unauthorized"}});
                map.insert("parameters".to_owned(), Value::Array(parameters));
                map.insert("responses".to_owned(), answers);
                map.insert("consumes".to_owned(), json!(consumes));
                map.insert("produces".to_owned(), json!(JSON_TYPES));
                map.insert("schemes".to_owned(), json!(["https"]));
            }
            Dialect::V3 => {
                let parameters = parameters
                    .map(|parameter| query_parameter(parameter, dialect))
                    .collect();
                let content = json!({"application/json": {"schema": self.answer}});
                let answers = json!({"200": {"description": "OK", "content": content},
                    "401": {"description": "Unauthorized"}});
                map.insert("parameters".to_owned(), Value::Array(parameters));
                map.insert("responses".to_owned(), answers);
                if let Some(body) = &self.body {
                    let content: Map<String, Value> = consumes
                        .iter()
                        .map(|media_type| ((*media_type).to_owned(), json!({"schema": body})))
                        .collect();
                    map.insert("requestBody".to_owned(), json!({"content": content}));
                }
            }
        }
        document
    }
}

fn query_parameter((name, kind, description): &Parameter, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => json!({"name": name, "in": "query", "description": description,
            "type": kind, "uniqueItems": true}),
        Dialect::V3 => json!({"name": name, "in": "query", "description": description,
            "schema": {"type": kind, "uniqueItems": true}}),
    }
}

fn path_parameter(name: &str, dialect: Dialect) -> Value {
    let description = format!("{name} of the object");
    match dialect {
        Dialect::V2 => json!({"name": name, "in": "path", "description": description,
            "required": true, "type": "string", "uniqueItems": true}),
        Dialect::V3 => json!({"name": name, "in": "path", "description": description,
            "required": true, "schema": {"type": "string", "uniqueItems": true}}),
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
    initial.into_iter().chain(letters).collect()
}
