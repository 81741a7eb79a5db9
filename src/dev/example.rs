//! The example claim API `kubernetesclusters.k8s.starter.org/v1alpha1` and what a control plane
//! holds besides: another resource of the group, and claims of other teams.

use serde_json::{Value, json};

use super::control_plane::{ApiError, Column, ControlPlane, Options, Resource, Scale};

/// The claims' resource, `plural.group`.
pub const CLAIMS: &str = "kubernetesclusters.k8s.starter.org";

/// Namespaces of the control plane that app clusters' namespaces map to.
pub const MAPPED_NAMESPACES: [&str; 2] = ["app-ns-1", "app-ns-2"];

/// Namespaces of others, with claims.
pub const FOREIGN_NAMESPACES: [&str; 3] = ["app-ns-0", "app-ns-10", "payments"];

/// Options with the example's resources and namespaces, otherwise the default ones.
pub fn options() -> Options {
    let namespaces = ["default"]
        .iter()
        .chain(&MAPPED_NAMESPACES)
        .chain(&FOREIGN_NAMESPACES);
    Options {
        resources: vec![claims(), network_policies()],
        namespaces: namespaces.map(ToString::to_string).collect(),
        ..Options::default()
    }
}

/// Fills a control plane with claims: one in the first mapped namespace, one in each foreign one.
///
/// # Errors
/// If it lacks the example's resources or namespaces.
pub fn populate(control_plane: &ControlPlane) -> Result<(), ApiError> {
    let claims = control_plane.objects(CLAIMS)?;
    claims.create(claim("app-ns-1", "shop", 3))?;
    for namespace in FOREIGN_NAMESPACES {
        claims.create(claim(namespace, "not-yours", 1))?;
    }
    Ok(())
}

/// A claim as a person would write it.
pub fn claim(namespace: &str, name: &str, node_count: u32) -> Value {
    json!({
        "apiVersion": "k8s.starter.org/v1alpha1",
        "kind": "KubernetesCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeCount": node_count,
            "version": "1.37",
            "region": "eu-central",
            "writeConnectionSecretToRef": {"name": format!("{name}-kubeconfig")},
        },
    })
}

/// The claim API.
pub fn claims() -> Resource {
    let condition = |kind: &str| format!(".status.conditions[?(@.type=='{kind}')].status");
    Resource {
        short_names: vec!["kc".to_owned()],
        categories: vec!["claim".to_owned()],
        columns: vec![
            Column::new("SYNCED", "string", &condition("Synced")),
            Column::new("READY", "string", &condition("Ready")),
            Column::new(
                "CONNECTION-SECRET",
                "string",
                ".spec.writeConnectionSecretToRef.name",
            ),
            Column::new("NODES", "integer", ".spec.nodeCount").wide(),
            Column::new("AGE", "date", ".metadata.creationTimestamp"),
        ],
        schema: schema(),
        scale: Some(Scale {
            spec_replicas_path: ".spec.nodeCount".to_owned(),
            status_replicas_path: ".status.nodeCount".to_owned(),
            label_selector_path: None,
        }),
        ..Resource::new("k8s.starter.org", "v1alpha1", "KubernetesCluster")
    }
}

/// A namespaced resource of the same group that is no claim.
pub fn network_policies() -> Resource {
    let plural = "clusternetworkpolicies".to_owned();
    Resource {
        plural,
        ..Resource::new("k8s.starter.org", "v1alpha1", "ClusterNetworkPolicy")
    }
}

fn schema() -> Value {
    json!({
        "description": "KubernetesCluster is a Kubernetes cluster, as ordered by an application team.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec_schema(),
            "status": status_schema(),
        },
    })
}

fn spec_schema() -> Value {
    let text = |description: &str| json!({"description": description, "type": "string"});
    let secret = json!({
        "description": "The Secret that the connection details are written to.",
        "type": "object",
        "required": ["name"],
        "properties": {"name": text("Name of the Secret.")},
    });
    let parameters = json!({
        "description": "What else can be chosen.",
        "type": "object",
        "properties": {
            "highAvailability": {"description": "Whether there are three control plane nodes.",
                "type": "boolean"},
            "labels": {"description": "Labels of all nodes.", "type": "object",
                "additionalProperties": {"type": "string"}},
            "nodePools": {"description": "Groups of equal nodes.", "type": "array", "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": text("Name of the pool."),
                    "size": {"description": "Number of its nodes.", "type": "integer",
                        "minimum": 0},
                },
            }},
        },
    });
    json!({
        "description": "What the cluster shall be.",
        "type": "object",
        "required": ["version"],
        "properties": {
            "nodeCount": {"description": "Number of worker nodes.", "type": "integer",
                "format": "int64", "minimum": 1, "maximum": 1000, "default": 3},
            "version": text("Minor version of Kubernetes, such as 1.37."),
            "region": {"description": "Where it runs.", "type": "string",
                "enum": ["eu-central", "eu-west", "us-east"]},
            "template": {"description": "An object that is created in the new cluster.",
                "type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true},
            "parameters": parameters,
            "writeConnectionSecretToRef": secret,
        },
    })
}

fn status_schema() -> Value {
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
        "description": "What the cluster is.",
        "type": "object",
        "properties": {
            "conditions": {"description": "Synced and Ready.", "type": "array", "items": condition},
            "nodeCount": {"description": "Number of nodes that are up.", "type": "integer"},
            "connectionDetails": {"description": "When they were written.", "type": "object",
                "properties": {"lastPublishedTime": {"type": "string", "format": "date-time"}}},
        },
    })
}
