//! The schemas: of the resources, of their lists, and of what Kubernetes shares among all.

use serde_json::{Map, Value, json};

use super::super::resource::Resource;
use super::Dialect;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Sample text of the shared definitions, with v2 references.
const SHARED: &str = include_str!("meta.json");

/// `org.starter.k8s.v1alpha1.KubernetesCluster`: the group is turned round, as in a package name.
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
    let place = match dialect {
        Dialect::V2 => "#/definitions/",
        Dialect::V3 => "#/components/schemas/",
    };
    json!({"$ref": format!("{place}{name}")})
}

pub(super) fn meta_reference(kind: &str, dialect: Dialect) -> Value {
    reference(&format!("{META}{kind}"), dialect)
}

/// What all resources refer to.
pub(super) fn shared(dialect: Dialect) -> Map<String, Value> {
    let text = match dialect {
        Dialect::V2 => SHARED.to_owned(),
        Dialect::V3 => SHARED.replace("#/definitions/", "#/components/schemas/"),
    };
    serde_json::from_str(&text).unwrap_or_default()
}

/// The resource and its list.
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

/// In v3 a reference with a description has to be wrapped.
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
