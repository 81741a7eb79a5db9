//! The scale subresource of a custom resource (apiextensions-apiserver
//! pkg/registry/customresource/etcd.go scaleFromCustomResource).

use serde::Serialize;
use serde_json::{Value, json};

use super::error::{StatusError, to_json};
use super::json_path::{assign, select};
use super::object;
use super::resource::Scale;

/// `autoscaling/v1` Scale, with keys in the order of the Go struct.
#[derive(Serialize)]
struct ScaleObject {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: Value,
    spec: Value,
    status: Value,
}

/// Returns the Scale of an object as JSON.
pub(crate) fn json(paths: &Scale, object: &Value) -> Vec<u8> {
    to_json(&scale(paths, object))
}

/// Returns the Scale of an object.
pub(crate) fn of(paths: &Scale, object: &Value) -> Value {
    serde_json::to_value(scale(paths, object)).unwrap_or_default()
}

/// Returns the object with the replicas and the preconditions of a Scale.
pub(crate) fn with_replicas(
    paths: &Scale,
    object: &Value,
    scale: &Value,
) -> Result<Value, StatusError> {
    let replicas = scale.get("spec").and_then(|spec| spec.get("replicas"));
    let replicas = match replicas {
        None => json!(0),
        Some(count) if count.as_i64().is_some_and(|count| count >= 0) => count.clone(),
        Some(count) => {
            return Err(StatusError::bad_request(format!(
                "spec.replicas: Invalid value: {count}"
            )));
        }
    };
    let mut next = object.clone();
    assign(&mut next, &paths.spec_replicas_path, replicas);
    for field in ["name", "namespace", "resourceVersion", "uid"] {
        if let Some(value) = object::meta(scale, field).filter(|value| !value.is_empty()) {
            object::set_meta(&mut next, field, value);
        }
    }
    Ok(next)
}

fn scale(paths: &Scale, object: &Value) -> ScaleObject {
    let count = |path: &str| {
        select(object, path)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    let mut metadata = json!({});
    for field in [
        "creationTimestamp",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    ] {
        object::copy_meta(&mut metadata, object, field);
    }
    let metadata = metadata.get("metadata").cloned().unwrap_or_default();
    let mut status = json!({"replicas": count(&paths.status_replicas_path)});
    let selector = paths
        .label_selector_path
        .as_deref()
        .and_then(|path| select(object, path));
    if let (Some(selector), Some(map)) = (selector, status.as_object_mut()) {
        map.insert("selector".to_owned(), selector.clone());
    }
    let spec = json!({"replicas": count(&paths.spec_replicas_path)});
    ScaleObject {
        kind: "Scale",
        api_version: "autoscaling/v1",
        metadata,
        spec,
        status,
    }
}
