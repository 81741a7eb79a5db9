//! The documents for Flux: a Secret with a kubeconfig, and a Kustomization.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::access::Access;

/// The namespace of Flux.
const NAMESPACE: &str = "flux-system";

/// The key of the kubeconfig in the Secret.
const KEY: &str = "value";

/// Checks that a claim is ready. `exists` is false for an empty list, while `all` would be true.
const CURRENT: &str = "has(status.conditions) &&
status.conditions.exists(c, c.type == 'Synced' && c.status == 'True') &&
status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')
";

/// Checks that the control plane cannot process a claim.
const FAILED: &str = "has(status.conditions) &&
status.conditions.exists(c, c.type == 'Synced' && c.status == 'False')
";

/// Returns the Secret with a kubeconfig.
pub(super) fn kubeconfig_secret(access: &Access, kubeconfig: String) -> Secret {
    Secret {
        metadata: metadata(&secret_name(access)),
        string_data: Some(BTreeMap::from([(KEY.to_owned(), kubeconfig)])),
        ..Secret::default()
    }
}

/// A part of `kustomize.toolkit.fluxcd.io/v1`, `Kustomization`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kustomization<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: KustomizationSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KustomizationSpec<'a> {
    interval: &'static str,
    retry_interval: &'static str,
    /// Maximum time for claims to become ready.
    timeout: &'static str,
    path: &'static str,
    prune: bool,
    wait: bool,
    source_ref: SourceRef,
    target_namespace: &'a str,
    kube_config: KubeConfig,
    health_check_exprs: Vec<HealthCheck>,
}

#[derive(Serialize)]
struct SourceRef {
    kind: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KubeConfig {
    secret_ref: SecretRef,
}

#[derive(Serialize)]
struct SecretRef {
    name: String,
    key: &'static str,
}

/// CEL expressions for one kind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthCheck {
    api_version: String,
    kind: String,
    current: &'static str,
    failed: &'static str,
}

/// Returns the Kustomization. The user replaces its source.
pub(super) fn kustomization(access: &Access) -> Kustomization<'_> {
    let kinds = access.kinds.iter();
    let health_check_exprs = kinds.map(|kind| HealthCheck {
        api_version: format!("{}/{}", kind.group, kind.version),
        kind: kind.kind.clone(),
        current: CURRENT,
        failed: FAILED,
    });
    Kustomization {
        api_version: "kustomize.toolkit.fluxcd.io/v1",
        kind: "Kustomization",
        metadata: metadata(&format!("{}-claims", access.namespace)),
        spec: KustomizationSpec {
            interval: "10m",
            retry_interval: "1m",
            timeout: "30m",
            path: "./claims",
            prune: true,
            wait: true,
            source_ref: SourceRef {
                kind: "GitRepository",
                name: "claims",
            },
            target_namespace: &access.namespace,
            kube_config: KubeConfig {
                secret_ref: SecretRef {
                    name: secret_name(access),
                    key: KEY,
                },
            },
            health_check_exprs: health_check_exprs.collect(),
        },
    }
}

fn secret_name(access: &Access) -> String {
    format!("{}-kubeconfig", access.name)
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        ..ObjectMeta::default()
    }
}
