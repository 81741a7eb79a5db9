use std::path::Path;

use serde_json::{Value, json};

use super::super::super::clusters::ClaimKind;
use super::*;
use crate::connect::endpoint::Endpoint;

/// The access that the page of the book shows.
fn access() -> Access {
    Access {
        name: "platform-team-a".to_owned(),
        namespace: "team-a".to_owned(),
        endpoint: Endpoint {
            server: "https://platform.example.org:6443".to_owned(),
            ca_data: Some("Y2E=".to_owned()),
            server_name: None,
            proxy: None,
        },
        token: "TOKEN".to_owned(),
        kinds: vec![ClaimKind {
            group: "k8s.starter.org".to_owned(),
            version: "v1alpha1".to_owned(),
            kind: "KubernetesCluster".to_owned(),
        }],
    }
}

fn parsed(text: &str) -> Vec<Value> {
    text.split("---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect()
}

fn documents(tool: Tool, project: Option<&str>) -> Vec<Value> {
    parsed(&write(tool, &access(), project).unwrap())
}

fn kubeconfig() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "platform-team-a", "cluster": {
            "server": "https://platform.example.org:6443",
            "certificate-authority-data": "Y2E=",
        }}],
        "users": [{"name": "platform-team-a", "user": {"token": "TOKEN"}}],
        "contexts": [{"name": "platform-team-a", "context": {
            "cluster": "platform-team-a", "user": "platform-team-a", "namespace": "team-a",
        }}],
        "current-context": "platform-team-a",
    })
}

#[test]
fn kubectl_gets_a_kubeconfig() {
    assert_eq!(documents(Tool::Kubectl, None), [kubeconfig()]);
}

#[test]
fn system_roots_leave_the_ca_out() {
    let mut access = access();
    access.endpoint.ca_data = None;
    access.endpoint.server_name = Some("platform.internal".to_owned());
    access.endpoint.proxy = Some("http://proxy.example.org".to_owned());
    let kubectl = parsed(&write(Tool::Kubectl, &access, None).unwrap());
    assert_eq!(
        kubectl[0]["clusters"][0]["cluster"],
        json!({
            "server": "https://platform.example.org:6443",
            "tls-server-name": "platform.internal",
            "proxy-url": "http://proxy.example.org",
        })
    );
    let argocd = parsed(&write(Tool::ArgoCd, &access, None).unwrap());
    let config = argocd[0]["stringData"]["config"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(config).unwrap(),
        json!({
            "bearerToken": "TOKEN",
            "tlsClientConfig": {"insecure": false, "serverName": "platform.internal"},
            "proxyUrl": "http://proxy.example.org",
        })
    );
}

#[test]
fn argocd_gets_a_cluster_settings_and_an_application() {
    let documents = documents(Tool::ArgoCd, Some("payments"));
    let [secret, settings, application] = documents.as_slice() else {
        panic!("{documents:?}")
    };
    assert_eq!(
        secret["metadata"],
        json!({
            "name": "platform-team-a",
            "namespace": "argocd",
            "labels": {"argocd.argoproj.io/secret-type": "cluster"},
        })
    );
    let config = r#"{"bearerToken":"TOKEN","tlsClientConfig":{"insecure":false,"caData":"Y2E="}}"#;
    assert_eq!(
        secret["stringData"],
        json!({
            "name": "platform-team-a",
            "server": "https://platform.example.org:6443",
            "namespaces": "team-a",
            "clusterResources": "false",
            "project": "payments",
            "config": config,
        })
    );
    assert_eq!(settings["metadata"]["name"], "argocd-cm");
    let data = &settings["data"];
    assert_eq!(data["resource.respectRBAC"], "normal");
    let health = &data["resource.customizations.health.k8s.starter.org_KubernetesCluster"];
    let health = health.as_str().unwrap();
    for name in ["Synced", "Ready", "Healthy", "Degraded", "Progressing"] {
        assert!(health.contains(&format!("\"{name}\"")), "{health}");
    }
    // The API server accepts no other characters in keys.
    let is_valid = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let mut keys = data.as_object().unwrap().keys();
    assert!(keys.all(|key| key.chars().all(is_valid)), "{data}");
    assert_eq!(application["spec"]["syncPolicy"]["retry"]["limit"], -1);
    assert_eq!(application["spec"]["project"], "payments");
    assert_eq!(
        application["spec"]["destination"],
        json!({"name": "platform-team-a", "namespace": "team-a"})
    );
}

#[test]
fn argocd_needs_no_project() {
    let documents = documents(Tool::ArgoCd, None);
    assert_eq!(documents[0]["stringData"].get("project"), None);
    assert_eq!(documents[2]["spec"]["project"], "default");
}

#[test]
fn flux_gets_a_kubeconfig_and_a_kustomization() {
    let documents = documents(Tool::Flux, None);
    let [secret, kustomization] = documents.as_slice() else {
        panic!("{documents:?}")
    };
    let value = secret["stringData"]["value"].as_str().unwrap();
    assert_eq!(parsed(value), [kubeconfig()]);
    assert_eq!(
        kustomization["apiVersion"],
        "kustomize.toolkit.fluxcd.io/v1"
    );
    let spec = &kustomization["spec"];
    assert_eq!(spec["targetNamespace"], "team-a");
    let reference = &spec["kubeConfig"]["secretRef"];
    assert_eq!(reference["name"], secret["metadata"]["name"]);
    assert_eq!(reference["key"], "value");
    let check = &spec["healthCheckExprs"][0];
    assert_eq!(check["apiVersion"], "k8s.starter.org/v1alpha1");
    assert_eq!(check["kind"], "KubernetesCluster");
    let current = check["current"].as_str().unwrap();
    assert!(current.contains("'Synced'") && current.contains("'Ready'"));
}

/// The page of the book shows every document of Argo CD and Flux as the command prints it.
#[test]
fn page_of_the_book_shows_the_printed_documents() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/operations/gitops.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut missing = Vec::new();
    for tool in [Tool::ArgoCd, Tool::Flux] {
        for document in write(tool, &access(), None).unwrap().split("---\n") {
            let block = format!("```yaml\n{document}```\n");
            if !page.contains(&block) {
                missing.push(block);
            }
        }
    }
    let missing = missing.join("\n");
    assert!(missing.is_empty(), "the page does not show\n{missing}");
}
