//! Reads once what a control plane serves, for `claimgate check --online`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::discovery::{GroupList, exposed_groups};
use super::exposure::Exposure;
use super::refresh::{ACCEPT, DISCOVERY_BYTES_MAX, DISCOVERY_PATH};
use crate::upstream::{DocumentClient, DocumentFetch, FetchError, FetchedDocument};
use claim_mapping::ReferencePaths;

/// Largest size in bytes of the OpenAPI document of a group-version.
const OPENAPI_BYTES_MAX: usize = 32 << 20;

/// Depth of fields in a schema that are searched. A schema can contain itself.
const DEPTH_MAX: usize = 32;

/// The exposed APIs that a control plane serves.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The version of Kubernetes.
    pub version: String,
    /// The exposed resources, as `PLURAL.GROUP/VERSION`, with the fields that look like references to Secrets.
    pub resources: BTreeMap<String, BTreeSet<String>>,
    /// All resources without a namespace.
    pub cluster_scoped: Vec<ClusterScoped>,
}

/// A version of a resource without a namespace.
#[derive(Clone, Debug)]
pub struct ClusterScoped {
    pub group: String,
    pub version: String,
    /// The plural name, as in paths.
    pub plural: String,
    pub kind: String,
    /// Whether Crossplane made it for composite resources (`crossplane/internal/xcrd/crd.go`, `CategoryComposite`).
    pub is_composite: bool,
}

/// Reads the version, discovery and OpenAPI of a control plane. `references` contains the declared references to
/// Secrets by API group, which need no warning.
///
/// # Errors
/// A document cannot be read or is invalid.
pub async fn inspect(
    client: &DocumentClient,
    exposure: &Exposure,
    references: &BTreeMap<String, ReferencePaths>,
) -> Result<Inspection, FetchError> {
    let version = read_json(client, "/version", "application/json").await?;
    let mut inspection = Inspection {
        version: text(&version, "gitVersion").to_owned(),
        ..Inspection::default()
    };
    let list = read_json(client, DISCOVERY_PATH, ACCEPT).await?;
    let list: GroupList =
        serde_json::from_value(list).map_err(|error| FetchError::invalid(DISCOVERY_PATH, error))?;
    inspection.cluster_scoped = cluster_scoped(&list);
    for group in exposed_groups(list, exposure) {
        let name = &group.metadata.name;
        let declared = references.get(name);
        for version in &group.versions {
            let path = format!("/openapi/v3/apis/{name}/{}", version.version);
            let document = read_json(client, &path, "application/json").await?;
            for resource in &version.resources {
                let kind = resource
                    .response_kind
                    .as_ref()
                    .map(|known| known.kind.as_str());
                let fields = secret_fields(&document, kind.unwrap_or_default(), declared);
                let resource = format!("{}.{name}/{}", resource.resource, version.version);
                inspection.resources.insert(resource, fields);
            }
        }
    }
    Ok(inspection)
}

fn cluster_scoped(list: &GroupList) -> Vec<ClusterScoped> {
    let mut all = Vec::new();
    for group in &list.items {
        for version in &group.versions {
            let resources = version.resources.iter();
            let resources = resources.filter(|resource| resource.scope == "Cluster");
            all.extend(resources.filter_map(|resource| {
                Some(ClusterScoped {
                    group: group.metadata.name.clone(),
                    version: version.version.clone(),
                    plural: resource.resource.clone(),
                    kind: resource.response_kind.as_ref()?.kind.clone(),
                    is_composite: resource.categories.iter().any(|it| it == "composite"),
                })
            }));
        }
    }
    all
}

/// Reads a JSON document.
///
/// # Errors
/// It cannot be read or is invalid.
pub async fn read_json(
    client: &DocumentClient,
    path: &str,
    accept: &'static str,
) -> Result<Value, FetchError> {
    let bytes_max = DISCOVERY_BYTES_MAX.max(OPENAPI_BYTES_MAX);
    let DocumentFetch::Document(FetchedDocument { body, .. }) =
        client.read(path, accept, None, bytes_max).await?
    else {
        return Err(FetchError::invalid(path, "304 without a condition"));
    };
    serde_json::from_slice(&body).map_err(|error| FetchError::invalid(path, error))
}

/// Returns the fields of a kind's spec that look like references to Secrets and that claimgate does not map.
fn secret_fields(
    document: &Value,
    kind: &str,
    declared: Option<&ReferencePaths>,
) -> BTreeSet<String> {
    let schemas = document
        .pointer("/components/schemas")
        .and_then(Value::as_object);
    let of_kind = schemas
        .into_iter()
        .flatten()
        .map(|(_, schema)| schema)
        .find(|schema| {
            let kinds = schema
                .get("x-kubernetes-group-version-kind")
                .and_then(Value::as_array);
            kinds.is_some_and(|kinds| kinds.iter().any(|one| text(one, "kind") == kind))
        });
    let mut found = BTreeSet::new();
    if let Some(spec) = of_kind.and_then(|schema| schema.pointer("/properties/spec")) {
        search(spec, "spec", DEPTH_MAX, &mut found);
    }
    found.remove("spec.writeConnectionSecretToRef");
    found.remove("spec.publishConnectionDetailsTo.configRef");
    found.retain(|field| !declared.is_some_and(|paths| paths.contains_field(field)));
    found
}

/// Adds the fields below a schema whose names look like a reference to a Secret.
fn search(schema: &Value, path: &str, depth_left: usize, found: &mut BTreeSet<String>) {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return;
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let path = format!("{path}.{name}");
        match is_secret_reference(name) {
            true => drop(found.insert(path)),
            false => search(property, &path, depth_left, found),
        }
    }
    if let Some(items) = schema.get("items") {
        search(items, &format!("{path}[]"), depth_left, found);
    }
    if let Some(values) = schema.get("additionalProperties") {
        search(values, &format!("{path}.*"), depth_left, found);
    }
}

/// Kubernetes and Crossplane name such fields `secretRef`, `passwordSecretRef`, `secretKeyRef`, `secretName` or
/// `connectionSecretToRef`.
fn is_secret_reference(field: &str) -> bool {
    let field = field.to_ascii_lowercase();
    let is_reference = ["ref", "refs", "name", "names", "selector", "reference"]
        .iter()
        .any(|end| field.ends_with(end));
    field.contains("secret") && is_reference
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_look_like_references_to_secrets_are_found() {
        let leaf = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let document = json!({"components": {"schemas": {
            "other": {"x-kubernetes-group-version-kind": [{"kind": "Other"}]},
            "claim": {
                "x-kubernetes-group-version-kind": [{"kind": "Database"}],
                "properties": {"spec": {"properties": {
                    "writeConnectionSecretToRef": leaf,
                    "parameters": {"properties": {
                        "passwordSecretRef": leaf,
                        "secret": {"type": "string"},
                        "users": {"items": {"properties": {"secretName": {"type": "string"}}}},
                        "keys": {"additionalProperties": {"properties": {"secretKeyRef": leaf}}},
                    }},
                }}},
            },
        }}});
        let found = |kind, declared: Option<&ReferencePaths>| {
            let fields = secret_fields(&document, kind, declared).into_iter();
            fields.collect::<Vec<_>>()
        };
        let password = "spec.parameters.passwordSecretRef";
        let others = [
            "spec.parameters.keys.*.secretKeyRef",
            "spec.parameters.users[].secretName",
        ];
        assert_eq!(found("Database", None), [others[0], password, others[1]]);
        let declared = ReferencePaths::try_from(vec![password.parse().unwrap()]).unwrap();
        assert_eq!(found("Database", Some(&declared)), others);
        assert!(found("Other", None).is_empty());
    }
}
