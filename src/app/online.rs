//! Asks the control planes of a configuration what they serve, for `claimgate check --online`.

use std::time::{Duration, Instant};

use super::app_cluster_access::AppClusterAccess;
use super::control_planes::ControlPlanes;
use super::start_error::StartError;
use crate::catalog::{self, Inspection};
use crate::config::{Config, Warning};
use crate::telemetry::metrics::Metrics;
use crate::upstream::FetchError;
use claim_mapping::mapping::Mapping;

/// What is known of one control plane.
#[derive(Debug)]
pub struct OnlineControlPlane {
    pub name: String,
    /// The time for all requests, and what the control plane serves.
    pub result: Result<(Duration, Inspection), FetchError>,
    pub warnings: Vec<Warning>,
}

/// Reads the version, discovery and OpenAPI of each control plane.
///
/// # Errors
/// Credentials are unusable.
pub async fn inspect(config: &Config) -> Result<Vec<OnlineControlPlane>, StartError> {
    let metrics = Metrics::new();
    let app_cluster = AppClusterAccess::open(config, &metrics).await?;
    let control_planes = ControlPlanes::load(config, &app_cluster, &metrics)?;
    let mut all = Vec::new();
    for (client, exposure) in &control_planes.documents {
        let begin = Instant::now();
        let inspected = catalog::inspect(client, exposure).await;
        let result = inspected.map(|inspection| (begin.elapsed(), inspection));
        let name = client.name().to_owned();
        let is_shared = config
            .control_planes
            .get(&name)
            .is_some_and(|one| matches!(one.mapping, Mapping::Shared(_)));
        let warnings = match &result {
            Ok((_, inspection)) => warnings(&name, is_shared, inspection),
            Err(_) => Vec::new(),
        };
        all.push(OnlineControlPlane {
            name,
            result,
            warnings,
        });
    }
    Ok(all)
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
