//! The Deployment of the daemon and its PodDisruptionBudget.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, Container, ContainerPort, HTTPGetAction, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile,
    SecurityContext, ServiceAccountTokenProjection, TopologySpreadConstraint, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest, Sha256};

use super::names::Installation;
use crate::connect::connection::Credential;
use crate::connect::manifest::Manifest;

/// The port of the container. Private GKE clusters let the API server reach it.
pub(crate) const CONTAINER_PORT: u16 = 10250;

/// The port of metrics in the container.
pub(crate) const METRICS_PORT: u16 = 9090;

/// The name of the file with the token that the app cluster issues for the control plane.
pub(crate) const TOKEN_FILE: &str = "control-plane-platform-token";

/// The audience of this token. The API server of the app cluster does not accept it.
pub(crate) const TOKEN_AUDIENCE: &str = "claimgate";

/// The lifetime of this token. The kubelet replaces it after 80 % of it (`kubernetes/pkg/kubelet/token/token_manager.go`).
const TOKEN_LIFETIME_S: i64 = 3600;

/// The files of a pod, by name.
pub(crate) type Files = BTreeMap<String, String>;

const REPLICAS: i32 = 2;

/// Must be longer than the configured delay and drain together.
const GRACE_PERIOD_S: i64 = 45;

const CONFIG_DIRECTORY: &str = "/etc/claimgate";

pub(super) fn objects(
    installation: &Installation,
    image: &str,
    files: &Files,
) -> Result<Vec<Manifest>, serde_json::Error> {
    let name = &installation.service.name;
    let selector = LabelSelector {
        match_labels: Some(installation.labels()),
        ..LabelSelector::default()
    };
    let deployment = Deployment {
        metadata: installation.metadata(name),
        spec: Some(DeploymentSpec {
            replicas: Some(REPLICAS),
            selector: selector.clone(),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(installation.labels()),
                    annotations: Some(BTreeMap::from([(
                        // The annotation changes with the configuration, which restarts the pods.
                        "checksum/config".to_owned(),
                        checksum(files),
                    )])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(installation, image, &selector)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    let budget = PodDisruptionBudget {
        metadata: installation.metadata(name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    };
    Ok(vec![Manifest::new(&deployment)?, Manifest::new(&budget)?])
}

fn checksum(files: &Files) -> String {
    let mut digest = Sha256::new();
    for (name, text) in files {
        digest.update(name);
        digest.update([0]);
        digest.update(text);
        digest.update([0]);
    }
    digest
        .finalize()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn pod(installation: &Installation, image: &str, selector: &LabelSelector) -> PodSpec {
    PodSpec {
        service_account_name: Some(installation.service.name.clone()),
        // The daemon reads CLAIMGATE_* variables as configuration, and Kubernetes would set some for each Service.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_PERIOD_S),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(image)],
        volumes: Some(vec![Volume {
            name: "config".to_owned(),
            projected: Some(ProjectedVolumeSource {
                sources: Some(sources(installation)),
                ..ProjectedVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(selector.clone()),
            ..TopologySpreadConstraint::default()
        }]),
        ..PodSpec::default()
    }
}

/// The configuration, and with OpenID Connect the token.
fn sources(installation: &Installation) -> Vec<VolumeProjection> {
    let mut sources = vec![VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: installation.service.name.clone(),
            ..ConfigMapProjection::default()
        }),
        ..VolumeProjection::default()
    }];
    if installation.credential == Credential::Oidc {
        sources.push(VolumeProjection {
            service_account_token: Some(ServiceAccountTokenProjection {
                audience: Some(TOKEN_AUDIENCE.to_owned()),
                expiration_seconds: Some(TOKEN_LIFETIME_S),
                path: TOKEN_FILE.to_owned(),
            }),
            ..VolumeProjection::default()
        });
    }
    sources
}

fn container(image: &str) -> Container {
    let probe = |path: &str| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("https".to_owned()),
            scheme: Some("HTTPS".to_owned()),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    };
    let port = |name: &str, port: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let quantities = |all: &[(&str, &str)]| {
        let all = all.iter();
        all.map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned())))
            .collect()
    };
    Container {
        name: "claimgate".to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(vec![
            "serve".to_owned(),
            "--config".to_owned(),
            format!("{CONFIG_DIRECTORY}/claimgate.yaml"),
        ]),
        ports: Some(vec![
            port("https", CONTAINER_PORT),
            port("metrics", METRICS_PORT),
        ]),
        liveness_probe: Some(probe("/livez")),
        readiness_probe: Some(probe("/readyz")),
        resources: Some(ResourceRequirements {
            // The daemon needs less than 40 MiB without watches, and 53 MiB with 10,000 idle ones.
            requests: Some(quantities(&[("cpu", "20m"), ("memory", "64Mi")])),
            limits: Some(quantities(&[("memory", "128Mi")])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: "config".to_owned(),
            mount_path: CONFIG_DIRECTORY.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}
