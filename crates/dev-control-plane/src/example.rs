//! The example claim API, `kubernetesclusters.k8s.starter.org/v1alpha1`, with claims of several
//! teams and a second resource of the same group that is not a claim.

mod schema;

use serde_json::{Value, json};

use super::{Column, DevControlPlane, DevControlPlaneOptions, Resource, Scale, StatusError};

/// Name of the claim resource, as `plural.group`.
pub const CLAIMS: &str = "kubernetesclusters.k8s.starter.org";

/// Namespaces of the control plane that belong to the app cluster.
pub const MAPPED_NAMESPACES: [&str; 2] = ["app-ns-1", "app-ns-2"];

/// Namespaces of the control plane that belong to other clusters. Each has a claim.
pub const FOREIGN_NAMESPACES: [&str; 3] = ["app-ns-0", "app-ns-10", "payments"];

/// A claim as a user of the app cluster writes it, in YAML.
pub const CLAIM_MANIFEST: &str = r#"apiVersion: k8s.starter.org/v1alpha1
kind: KubernetesCluster
metadata:
  name: my-cluster
  namespace: default
spec:
  id: my-cluster
  parameters:
    nodes:
      count: 3
      size: small
    services:
      operators:
        prometheus:
          version: "34.5.1"
  writeConnectionSecretToRef:
    name: my-cluster-kubeconfig
"#;

/// Returns default options with the example's resources and namespaces.
pub fn options() -> DevControlPlaneOptions {
    let namespaces = ["default"]
        .iter()
        .chain(&MAPPED_NAMESPACES)
        .chain(&FOREIGN_NAMESPACES);
    DevControlPlaneOptions {
        resources: vec![claim_resource(), network_policy_resource()],
        namespaces: namespaces.map(ToString::to_string).collect(),
        ..DevControlPlaneOptions::default()
    }
}

/// Creates one claim in each foreign namespace.
///
/// # Errors
/// The control plane lacks the example's resources or namespaces.
pub fn populate(control_plane: &DevControlPlane) -> Result<(), StatusError> {
    let claims = control_plane.objects(CLAIMS)?;
    for namespace in FOREIGN_NAMESPACES {
        claims.create(claim(namespace, "not-yours", 1))?;
    }
    Ok(())
}

/// Returns a valid claim.
pub fn claim(namespace: &str, name: &str, node_count: u32) -> Value {
    json!({
        "apiVersion": "k8s.starter.org/v1alpha1",
        "kind": "KubernetesCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "id": name,
            "parameters": {
                "nodes": {"count": node_count, "size": "small"},
                "services": {"operators": {"prometheus": {"version": "34.5.1"}}},
            },
            "writeConnectionSecretToRef": {"name": format!("{name}-kubeconfig")},
        },
    })
}

/// Returns the claim API.
pub fn claim_resource() -> Resource {
    let condition = |kind: &str| format!(".status.conditions[?(@.type=='{kind}')].status");
    let node_count = ".spec.parameters.nodes.count";
    let secret = ".spec.writeConnectionSecretToRef.name";
    Resource {
        short_names: vec!["kc".to_owned()],
        categories: vec!["claim".to_owned()],
        columns: vec![
            Column::new("SYNCED", "string", &condition("Synced")),
            Column::new("READY", "string", &condition("Ready")),
            Column::new("CONNECTION-SECRET", "string", secret),
            Column::new("NODES", "integer", node_count).wide(),
            Column::new("AGE", "date", ".metadata.creationTimestamp"),
        ],
        schema: schema::claim(),
        scale: Some(Scale {
            spec_replicas_path: node_count.to_owned(),
            status_replicas_path: ".status.nodes.count".to_owned(),
            label_selector_path: None,
        }),
        ..Resource::new("k8s.starter.org", "v1alpha1", "KubernetesCluster")
    }
}

/// Returns a namespaced resource of the same group that is not a claim.
pub fn network_policy_resource() -> Resource {
    let plural = "clusternetworkpolicies".to_owned();
    Resource {
        plural,
        ..Resource::new("k8s.starter.org", "v1alpha1", "ClusterNetworkPolicy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn manifest_and_claim_match_the_schema() {
        let manifest: Value = serde_saphyr::from_str(CLAIM_MANIFEST).unwrap();
        let schema = claim_resource().schema;
        for mut object in [manifest, claim("default", "my-cluster", 3)] {
            assert_eq!(schema::prune(&schema, &mut object), [""; 0]);
            assert!(schema::validate(&schema, &object).is_empty(), "{object}");
            assert_eq!(object, claim("default", "my-cluster", 3));
        }
    }
}
