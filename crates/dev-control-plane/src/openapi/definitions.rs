//! The schemas of resources, of their lists, and of the types that all resources share.

use serde_json::{Map, Value, json};

use super::super::resource::Resource;
use super::Dialect;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// The shared definitions, with references in the form of v2.
const SHARED: &str = include_str!("meta.json");

/// Returns the name of a definition, with the group reversed as in a package name:
/// `org.starter.k8s.v1alpha1.KubernetesCluster`.
pub(super) fn name(resource: &Resource) -> String {
    if resource.group.is_empty() {
        return format!("io.k8s.api.core.{}.{}", resource.version, resource.kind);
    }
    let mut labels: Vec<&str> = resource.group.split('.').collect();
    labels.reverse();
    format!(
        "{}.{}.{}",
        labels.join("."),
        resource.version,
        resource.kind
    )
}

pub(super) fn reference(name: &str, dialect: Dialect) -> Value {
    let namespaced_name = match dialect {
        Dialect::V2 => "#/definitions/",
        Dialect::V3 => "#/components/schemas/",
    };
    json!({"$ref": format!("{namespaced_name}{name}")})
}

pub(super) fn meta_reference(kind: &str, dialect: Dialect) -> Value {
    reference(&format!("{META}{kind}"), dialect)
}

/// Returns the definitions that all resources refer to.
pub(super) fn shared(dialect: Dialect) -> Map<String, Value> {
    let text = match dialect {
        Dialect::V2 => SHARED.to_owned(),
        Dialect::V3 => SHARED.replace("#/definitions/", "#/components/schemas/"),
    };
    serde_json::from_str(&text).unwrap_or_default()
}

/// Returns the definitions of the resource and of its list.
pub(super) fn of(resource: &Resource, dialect: Dialect) -> Vec<(String, Value)> {
    let (name, list_name) = (name(resource), format!("{}List", name(resource)));
    let mut schema = resource.schema.clone();
    if let Some(map) = schema.as_object_mut() {
        map.insert(
            "x-kubernetes-group-version-kind".to_owned(),
            json!([kind(resource, "")]),
        );
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            add_type_meta(properties);
            let description = "Standard object's metadata.";
            properties.insert(
                "metadata".to_owned(),
                described("ObjectMeta", description, dialect),
            );
        }
    }
    let mut properties = Map::new();
    add_type_meta(&mut properties);
    let items = json!({"description": format!("List of {}.", resource.plural), "type": "array",
        "items": reference(&name, dialect)});
    properties.insert("items".to_owned(), items);
    let metadata = described("ListMeta", "Standard list metadata.", dialect);
    properties.insert("metadata".to_owned(), metadata);
    let list = json!({"description": format!("{} is a list of {}", resource.list_kind(), resource.kind),
        "type": "object", "required": ["items"], "properties": properties,
        "x-kubernetes-group-version-kind": [kind(resource, "List")]});
    vec![(name, schema), (list_name, list)]
}

pub(super) fn kind(resource: &Resource, suffix: &str) -> Value {
    json!({"group": resource.group, "kind": format!("{}{suffix}", resource.kind),
        "version": resource.version})
}

fn add_type_meta(properties: &mut Map<String, Value>) {
    let api_version = "The versioned schema of this representation of an object.";
    let kind = "The REST resource that this object represents.";
    for (field, description) in [("apiVersion", api_version), ("kind", kind)] {
        let schema = json!({"description": description, "type": "string"});
        properties.insert(field.to_owned(), schema);
    }
}

/// Returns a reference with a description, which v3 wraps in `allOf`.
fn described(kind: &str, description: &str, dialect: Dialect) -> Value {
    let mut reference = meta_reference(kind, dialect);
    match dialect {
        Dialect::V2 => {
            if let Some(map) = reference.as_object_mut() {
                map.insert("description".to_owned(), json!(description));
            }
            reference
        }
        Dialect::V3 => json!({"allOf": [reference], "description": description}),
    }
}
