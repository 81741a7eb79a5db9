//! Checks a configuration against its clusters, for `claimgate check --online`.

mod event_rights;
mod rights;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::rights::Access;
use super::app_cluster_access::AppClusterAccess;
use super::control_planes::ControlPlanes;
use super::start_error::StartError;
use crate::catalog::{self, Exposure, Inspection};
use crate::config::{Config, InputKind, SecretsConfig, Warning};
use crate::telemetry::metrics::Metrics;
use crate::upstream::FetchError;
use claim_mapping::mapping::Mapping;

const SECRETS: &str = "secrets";

/// The results of the check.
#[derive(Debug, Default)]
pub struct Online {
    pub control_planes: Vec<OnlineControlPlane>,
    /// Warnings about the app cluster.
    pub warnings: Vec<Warning>,
}

/// The results for one control plane.
#[derive(Debug)]
pub struct OnlineControlPlane {
    pub name: String,
    /// The time for all requests, and what the control plane serves.
    pub result: Result<(Duration, Inspection), FetchError>,
    pub warnings: Vec<Warning>,
}

/// Reads the version, discovery and OpenAPI of each control plane, and the rights of claimgate in all clusters.
///
/// # Errors
/// Credentials are unusable.
pub async fn inspect(config: &Config) -> Result<Online, StartError> {
    let metrics = Metrics::new();
    let app_cluster = AppClusterAccess::open(config, &metrics).await?;
    let control_planes = ControlPlanes::load(config, &app_cluster, &metrics)?;
    let mut all = Vec::new();
    for (client, exposure) in &control_planes.documents {
        let begin = Instant::now();
        let inspected = catalog::inspect(client, exposure, &config.references).await;
        let result = inspected.map(|inspection| (begin.elapsed(), inspection));
        let name = client.name().to_owned();
        let mut warnings = Vec::new();
        if let (Ok((_, inspection)), Some(control_plane)) =
            (&result, control_planes.by_name.get(&name))
        {
            let is_shared = matches!(control_plane.mapping, Mapping::Shared(_));
            warnings.extend(self::warnings(&name, is_shared, inspection));
            let mut resources = resources(inspection, exposure);
            resources.extend(copied_resources(config, &name));
            if config.register.is_some() {
                resources.extend(event_rights::resources(config, client, inspection).await);
            }
            if is_shared && resources.iter().any(|resource| resource.plural == SECRETS) {
                warnings.push(shared_secrets(&name));
            }
            let missing =
                rights::missing(&control_plane.upstream, &control_plane.mapping, &resources).await;
            warnings.extend(missing_rights(&name, missing));
        }
        all.push(OnlineControlPlane {
            name,
            result,
            warnings,
        });
    }
    Ok(Online {
        control_planes: all,
        warnings: app_cluster.warnings(config).await,
    })
}

/// Returns the exposed resources, without their versions.
fn resources(inspection: &Inspection, exposure: &Exposure) -> Vec<rights::Resource> {
    let mut resources: Vec<rights::Resource> = Vec::new();
    for name in inspection.resources.keys() {
        let name = name.rsplit_once('/').map_or(&**name, |(name, _)| name);
        let Some((plural, group)) = name.split_once('.') else {
            continue;
        };
        let is_known = |known: &rights::Resource| known.plural == plural && known.group == group;
        if !resources.iter().any(is_known) {
            let mut apis = exposure.apis.iter().filter(|api| api.group == group);
            resources.push(rights::Resource {
                group: group.to_owned(),
                plural: plural.to_owned(),
                access: match apis.all(|api| api.read_only) {
                    true => Access::ReadOnlyClaims,
                    false => Access::Claims,
                },
            });
        }
    }
    resources
}

/// Returns the resources of the control plane that are copied to the app cluster or from it.
fn copied_resources(config: &Config, control_plane: &str) -> Vec<rights::Resource> {
    let apis = config.apis.iter();
    let apis = apis.filter(|api| api.control_plane.name == control_plane);
    let secrets: Vec<&SecretsConfig> = apis.map(|api| &api.secrets).collect();
    let has_input = |kind| {
        let mut inputs = secrets.iter().flat_map(|secrets| &secrets.inputs);
        inputs.any(|input| input.kind == kind)
    };
    let resource = |plural: &str, access| rights::Resource {
        group: String::new(),
        plural: plural.to_owned(),
        access,
    };
    let reads = secrets.iter().any(|secrets| secrets.connection.is_some());
    let mut resources = Vec::new();
    if has_input(InputKind::Secret) {
        resources.push(resource(SECRETS, Access::Copies));
    } else if reads {
        resources.push(resource(SECRETS, Access::Read));
    }
    if has_input(InputKind::ConfigMap) {
        resources.push(resource("configmaps", Access::Copies));
    }
    resources
}

/// Kubernetes cannot restrict rights on Secrets to a type or an owner.
fn shared_secrets(name: &str) -> Warning {
    Warning {
        key: format!("controlPlanes.{name}.mapping.namespace"),
        problem: "claimgate may read every Secret of this namespace of the control plane"
            .to_owned(),
        cure: "use a namespace that contains only the claims of this app cluster".to_owned(),
    }
}

fn missing_rights(
    name: &str,
    missing: Result<BTreeMap<String, Vec<&'static str>>, String>,
) -> Vec<Warning> {
    let warning = |problem: String, cure: &str| Warning {
        key: format!("controlPlanes.{name}"),
        problem,
        cure: cure.to_owned(),
    };
    match missing {
        Ok(missing) => {
            let cure = "grant the rights to its user on the control plane";
            let missing = missing.into_iter();
            let problems = missing.map(|(place, verbs)| {
                format!("claimgate lacks the right to {} {place}", verbs.join(", "))
            });
            problems.map(|problem| warning(problem, cure)).collect()
        }
        Err(error) => vec![warning(
            format!("the rights of claimgate are unknown: {error}"),
            "check them with kubectl auth can-i --list",
        )],
    }
}

fn warnings(name: &str, is_shared: bool, inspection: &Inspection) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if inspection.resources.is_empty() {
        warnings.push(Warning {
            key: format!("controlPlanes.{name}"),
            problem: "the control plane serves none of the exposed resources".to_owned(),
            cure: "create a claim API, or change apis".to_owned(),
        });
    }
    for (resource, fields) in inspection.resources.iter().filter(|_| is_shared) {
        warnings.extend(fields.iter().map(|field| Warning {
            key: format!("controlPlanes.{name}.mapping.namespace"),
            problem: format!(
                "{field} of {resource} looks like a reference to a Secret; in a shared namespace it can name the Secret of another local namespace"
            ),
            cure: "see \"References to Secrets\" on the page Security".to_owned(),
        }));
    }
    warnings
}
