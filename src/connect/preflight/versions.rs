//! Checks versions: of Kubernetes, and of the claim APIs.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::ListParams;

use super::finding::Outcome;
use crate::connect::error::ConnectError;
use crate::connect::session::Session;
use crate::registration::is_own;
use claim_mapping::mapping::NameLimit;

/// The first supported minor version. Aggregated discovery is stable since this version (KEP-3352).
const MINOR_MIN: u32 = 30;

/// Checks the version of an API server, such as `v1.37.2`.
pub(super) fn supported(version: &str) -> Outcome {
    let minor = version
        .strip_prefix("v1.")
        .and_then(|rest| rest.split(['.', '+', '-']).next())
        .and_then(|minor| minor.parse::<u32>().ok());
    match minor {
        Some(minor) if minor >= MINOR_MIN => Outcome::passed(version),
        Some(_) => Outcome::failed(
            format!("Kubernetes {version} is not supported"),
            format!("upgrade to 1.{MINOR_MIN} or later"),
        ),
        None => Outcome::warning(
            format!("the version {version:?} is unknown"),
            format!("claimgate needs Kubernetes 1.{MINOR_MIN} or later"),
        ),
    }
}

/// Checks that no CRD and no other API server serves the groups in the app cluster. Otherwise, requests could succeed
/// without claimgate.
pub(super) async fn taken(session: &Session) -> Result<Outcome, ConnectError> {
    let app = &session.app;
    let api: Api<APIService> = Api::all(app.client.clone());
    let all = api.list(&ListParams::default()).await;
    let all = all.map_err(app.failed("list the APIServices"))?;
    let mut taken = Vec::new();
    for object in all.items {
        let group = object.spec.as_ref().and_then(|spec| spec.group.as_ref());
        let is_ours = is_own(&object, &session.installation.service);
        if !is_ours && group.is_some_and(|group| session.tenant.groups.contains(group)) {
            taken.extend(object.metadata.name);
        }
    }
    Ok(match taken.is_empty() {
        true => Outcome::passed("no CRD and no other API server serves the groups"),
        false => Outcome::failed(
            format!("the app cluster already has {}", taken.join(", ")),
            "delete its CRDs or the APIService, or select other groups with --apis",
        ),
    })
}

/// Checks that the names of each claim API can hold the hash of a remote name.
pub(super) async fn name_limits(session: &Session) -> Result<Outcome, ConnectError> {
    let control_plane = &session.control_plane;
    let api: Api<CustomResourceDefinition> = Api::all(control_plane.client.clone());
    let crds = match api.list(&ListParams::default()).await {
        Ok(crds) => crds.items,
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(Outcome::warning(
                "you may not list CRDs, so the limits of names are unknown",
                "ask an administrator whether an XRD limits names to fewer than 18 characters",
            ));
        }
        Err(error) => return Err(control_plane.failed("list the CRDs")(error)),
    };
    let is_exposed =
        |crd: &&CustomResourceDefinition| session.tenant.groups.contains(&crd.spec.group);
    let short: Vec<String> = crds
        .iter()
        .filter(is_exposed)
        .filter(|crd| limit(crd).is_some_and(|limit| NameLimit::new(limit).is_err()))
        .filter_map(|crd| crd.metadata.name.clone())
        .collect();
    Ok(match short.is_empty() {
        true => Outcome::passed("names can hold a hash"),
        false => Outcome::warning(
            format!("the names of {} are too short for a hash", short.join(", ")),
            "raise metadata.name.maxLength in the XRD; claimgate does not serve these APIs",
        ),
    })
}

/// Returns the smallest limit of names of a CRD.
fn limit(crd: &CustomResourceDefinition) -> Option<usize> {
    let limits = crd.spec.versions.iter().filter_map(|version| {
        let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let length = member(member(schema, "metadata")?, "name")?.max_length?;
        usize::try_from(length).ok()
    });
    limits.min()
}

fn member<'a>(schema: &'a JSONSchemaProps, name: &str) -> Option<&'a JSONSchemaProps> {
    schema.properties.as_ref()?.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_needs_aggregated_discovery() {
        for (version, expected) in [
            ("v1.37.2", "Passed"),
            ("v1.30.0-eks-abc", "Passed"),
            ("v1.31+", "Passed"),
            ("v1.29.9", "Failed"),
            ("v2.0.0", "Warning"),
        ] {
            let outcome = format!("{:?}", supported(version));
            assert!(outcome.starts_with(expected), "{version}: {outcome}");
        }
    }
}
