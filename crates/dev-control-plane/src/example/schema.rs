//! The structural schema of the example claim.

use serde_json::{Value, json};

/// Returns the `openAPIV3Schema` of a KubernetesCluster.
pub(super) fn claim() -> Value {
    json!({
        "description": "KubernetesCluster is a Kubernetes cluster ordered by an application team.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec(),
            "status": status(),
        },
    })
}

fn spec() -> Value {
    json!({
        "description": "The desired cluster.",
        "type": "object",
        "required": ["id", "parameters"],
        "properties": {
            "id": text("ID of the cluster, by which other objects refer to it."),
            "parameters": parameters(),
            "template": {"description": "An object to create in the new cluster.",
                "type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true},
            "writeConnectionSecretToRef": {
                "description": "The Secret that receives the connection details.",
                "type": "object",
                "required": ["name"],
                "properties": {"name": text("Name of the Secret.")},
            },
        },
    })
}

fn parameters() -> Value {
    let operator = json!({
        "type": "object",
        "required": ["version"],
        "properties": {"version": text("Version of the operator's Helm chart.")},
    });
    json!({
        "description": "Configuration of the cluster.",
        "type": "object",
        "properties": {
            "nodes": {
                "description": "The worker nodes.",
                "type": "object",
                "properties": {
                    "count": {"description": "Number of nodes.", "type": "integer",
                        "format": "int64", "minimum": 1, "maximum": 1000, "default": 3},
                    "size": {"description": "Size of each node.", "type": "string",
                        "enum": ["small", "medium", "large"], "default": "small"},
                },
            },
            "services": {
                "description": "Services that run in the cluster.",
                "type": "object",
                "properties": {
                    "operators": {"description": "Operators by name, such as prometheus.",
                        "type": "object", "additionalProperties": operator},
                },
            },
            "labels": {"description": "Labels of all nodes.", "type": "object",
                "additionalProperties": {"type": "string"}},
        },
    })
}

fn status() -> Value {
    let condition = json!({
        "type": "object",
        "required": ["type", "status", "reason", "lastTransitionTime"],
        "properties": {
            "type": {"type": "string"},
            "status": {"type": "string"},
            "reason": {"type": "string"},
            "message": {"type": "string"},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
        },
    });
    json!({
        "description": "The observed cluster.",
        "type": "object",
        "properties": {
            "conditions": {"description": "The conditions Synced and Ready.", "type": "array",
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": condition},
            "nodes": {"type": "object", "properties": {
                "count": {"description": "Number of running nodes.", "type": "integer"}}},
            "connectionDetails": {"description": "When the connection details were published.",
                "type": "object",
                "properties": {"lastPublishedTime": {"type": "string", "format": "date-time"}}},
        },
    })
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}
