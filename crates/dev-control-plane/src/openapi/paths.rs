//! The paths of a resource and their operations.

use serde_json::{Map, Value, json};

use super::super::resource::Resource;
use super::Dialect;
use super::definitions::{kind, meta_reference, name, reference};
use super::parameters::{
    DELETE, LIST, PATCH, PRETTY, Parameter, VERSION, WRITE, path_parameter, query_parameter,
};

const PATCH_TYPES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];
const JSON_TYPES: [&str; 2] = ["application/json", "application/yaml"];

/// One operation of a path.
struct Operation {
    action: &'static str,
    verb: &'static str,
    parameters: &'static [Parameter],
    body: Option<Value>,
    response: Value,
    /// The operation lists all namespaces.
    of_all: bool,
}

/// Returns all paths of a resource.
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
    let (verb, parameters, body, response): (_, &'static [Parameter], _, _) = match action {
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
        response,
        of_all,
    }
}

/// Returns the path item of some operations with the given path parameters.
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
                let responses = json!({"200": {"description": "OK", "schema": self.response},
                    "401": {"description": "Unauthorized"}});
                map.insert("parameters".to_owned(), Value::Array(parameters));
                map.insert("responses".to_owned(), responses);
                map.insert("consumes".to_owned(), json!(consumes));
                map.insert("produces".to_owned(), json!(JSON_TYPES));
                map.insert("schemes".to_owned(), json!(["https"]));
            }
            Dialect::V3 => {
                let parameters = parameters
                    .map(|parameter| query_parameter(parameter, dialect))
                    .collect();
                let content = json!({"application/json": {"schema": self.response}});
                let responses = json!({"200": {"description": "OK", "content": content},
                    "401": {"description": "Unauthorized"}});
                map.insert("parameters".to_owned(), Value::Array(parameters));
                map.insert("responses".to_owned(), responses);
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

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
    initial.into_iter().chain(letters).collect()
}
