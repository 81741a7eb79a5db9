//! The documents for Argo CD: a cluster, settings, and an example Application.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::access::Access;

/// The namespace of Argo CD.
const NAMESPACE: &str = "argocd";

/// The project of an Application without another.
const DEFAULT_PROJECT: &str = "default";

/// Checks the conditions of a claim. Argo CD has no check for unknown kinds, and calls all their objects healthy.
const HEALTH: &str = include_str!("health.lua");

/// The connection of a cluster Secret (`ClusterConfig` in `pkg/apis/application/v1alpha1/types.go`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterConfig<'a> {
    bearer_token: &'a str,
    tls_client_config: TlsClientConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TlsClientConfig<'a> {
    insecure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_data: Option<&'a str>,
}

/// Returns the Secret with which Argo CD reaches the namespace of the control plane.
///
/// # Errors
/// The connection cannot be serialized.
pub(super) fn cluster_secret(
    access: &Access,
    project: Option<&str>,
) -> Result<Secret, serde_json::Error> {
    let endpoint = &access.endpoint;
    let config = serde_json::to_string(&ClusterConfig {
        bearer_token: &access.token,
        tls_client_config: TlsClientConfig {
            insecure: false,
            server_name: endpoint.server_name.as_deref(),
            ca_data: endpoint.ca_data.as_deref(),
        },
        proxy_url: endpoint.proxy.as_deref(),
    })?;
    let mut data = vec![
        ("name", access.name.as_str()),
        ("server", &endpoint.server),
        ("namespaces", &access.namespace),
        ("clusterResources", "false"),
        ("config", &config),
    ];
    data.extend(project.map(|project| ("project", project)));
    Ok(Secret {
        metadata: metadata(
            &access.name,
            &[("argocd.argoproj.io/secret-type", "cluster")],
        ),
        string_data: Some(texts(&data)),
        ..Secret::default()
    })
}

/// Returns the settings that claims need. A key names one kind, because ConfigMaps do not allow `*` in keys.
pub(super) fn settings(access: &Access) -> ConfigMap {
    let mut data = texts(&[("resource.respectRBAC", "normal")]);
    for kind in &access.kinds {
        let key = format!(
            "resource.customizations.health.{}_{}",
            kind.group, kind.kind
        );
        data.insert(key, HEALTH.to_owned());
    }
    ConfigMap {
        // Argo CD ignores the ConfigMap without this label.
        metadata: metadata("argocd-cm", &[("app.kubernetes.io/part-of", "argocd")]),
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// A part of `argoproj.io/v1alpha1`, `Application`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Application<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: ApplicationSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApplicationSpec<'a> {
    project: &'a str,
    source: Source,
    destination: Destination<'a>,
    sync_policy: SyncPolicy,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    #[serde(rename = "repoURL")]
    repo_url: &'static str,
    path: &'static str,
    target_revision: &'static str,
}

#[derive(Serialize)]
struct Destination<'a> {
    name: &'a str,
    namespace: &'a str,
}

#[derive(Serialize)]
struct SyncPolicy {
    automated: Automated,
    retry: Retry,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Automated {
    self_heal: bool,
}

#[derive(Serialize)]
struct Retry {
    /// Retries without a limit if it is negative.
    limit: i64,
    backoff: Backoff,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Backoff {
    duration: &'static str,
    factor: i64,
    max_duration: &'static str,
}

/// Returns an example. The user replaces its source.
pub(super) fn application<'a>(access: &'a Access, project: Option<&'a str>) -> Application<'a> {
    Application {
        api_version: "argoproj.io/v1alpha1",
        kind: "Application",
        metadata: metadata(&format!("{}-claims", access.namespace), &[]),
        spec: ApplicationSpec {
            project: project.unwrap_or(DEFAULT_PROJECT),
            source: Source {
                repo_url: "https://git.example.org/team/claims.git",
                path: "claims",
                target_revision: "main",
            },
            destination: Destination {
                name: &access.name,
                namespace: &access.namespace,
            },
            sync_policy: SyncPolicy {
                automated: Automated { self_heal: true },
                retry: Retry {
                    limit: -1,
                    backoff: Backoff {
                        duration: "5s",
                        factor: 2,
                        max_duration: "3m",
                    },
                },
            },
        },
    }
}

fn metadata(name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        labels: (!labels.is_empty()).then(|| texts(labels)),
        ..ObjectMeta::default()
    }
}

fn texts(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = all.iter();
    pairs
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}
