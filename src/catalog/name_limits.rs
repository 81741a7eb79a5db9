//! The limits of names, for a control plane on which objects have other names.
//!
//! Only the CRD contains the limit, because OpenAPI describes metadata by a reference. If claimgate lacks the right to
//! read CRDs, it assumes Crossplane's limit, and the control plane rejects names that exceed the real limit. If the CRD
//! cannot be read for another reason, claimgate assumes nothing: with a wrong limit, remote names would be wrong, and
//! objects would look deleted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;

use super::discovery::{Group, ServedResource};
use crate::upstream::{DocumentClient, DocumentFetch, FetchError, FetchedDocument};
use claim_mapping::mapping::{NameLimit, NameLimitTooSmall};

/// How long a limit is used before it is read again. An XRD rarely changes its limit.
const READ_INTERVAL: Duration = Duration::from_secs(300);

/// Largest size in bytes of a CRD: etcd's limit of a request, with room for its JSON.
const CRD_BYTES_MAX: usize = 4 << 20;

/// The limits that were read.
#[derive(Default)]
pub(super) struct NameLimits {
    /// By group and resource.
    known: BTreeMap<(String, String), Known>,
}

struct Known {
    read_at: Instant,
    /// By version, for versions with a limit.
    limits: BTreeMap<String, usize>,
}

impl NameLimits {
    /// Sets the limit of each resource, and removes resources whose limit leaves no room for the hash. Returns those that it
    /// removed.
    ///
    /// # Errors
    /// A limit could not be read, and was never read before.
    pub(super) async fn apply(
        &mut self,
        client: &DocumentClient,
        groups: &mut [Group],
    ) -> Result<Vec<ServedResource>, FetchError> {
        let mut removed = Vec::new();
        for group in groups {
            let name = &group.metadata.name;
            for version in &mut group.versions {
                let mut exposed = Vec::with_capacity(version.resources.len());
                for mut resource in version.resources.drain(..) {
                    let known = self.known(client, name, &resource.resource).await?;
                    match known.limit(&version.version) {
                        Ok(limit) => {
                            resource.name_limit = limit;
                            exposed.push(resource);
                        }
                        Err(_) => removed.push(ServedResource::new(
                            name,
                            &version.version,
                            &resource.resource,
                        )),
                    }
                }
                version.resources = exposed;
            }
        }
        Ok(removed)
    }

    async fn known(
        &mut self,
        client: &DocumentClient,
        group: &str,
        resource: &str,
    ) -> Result<&Known, FetchError> {
        let key = (group.to_owned(), resource.to_owned());
        let known = match self.known.remove(&key) {
            Some(known) if known.read_at.elapsed() <= READ_INTERVAL => known,
            before => Known {
                read_at: Instant::now(),
                limits: limits(client, group, resource, before).await?,
            },
        };
        Ok(self.known.entry(key).or_insert(known))
    }
}

/// Reads the limits of a resource. If they cannot be read, returns the previous limits.
async fn limits(
    client: &DocumentClient,
    group: &str,
    resource: &str,
    before: Option<Known>,
) -> Result<BTreeMap<String, usize>, FetchError> {
    let error = match read(client, group, resource).await {
        Ok(limits) => {
            warn_if_too_small(client, group, resource, &limits);
            return Ok(limits);
        }
        Err(error) => error,
    };
    tracing::debug!(control_plane = client.name(), %error, "cannot read the limit of names");
    match before {
        Some(known) => Ok(known.limits),
        None if is_final(&error) => Ok(BTreeMap::new()),
        None => Err(error),
    }
}

/// Returns whether an error is permanent: the right or the CRD is missing, or the CRD is invalid.
fn is_final(error: &FetchError) -> bool {
    match error {
        FetchError::Status { status, .. } => {
            matches!(*status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
        }
        FetchError::Invalid { .. } => true,
        FetchError::Send { .. } | FetchError::Body { .. } => false,
    }
}

impl Known {
    fn limit(&self, version: &str) -> Result<NameLimit, NameLimitTooSmall> {
        let limit = self.limits.get(version).copied();
        limit.map_or_else(|| Ok(NameLimit::default()), NameLimit::new)
    }
}

fn warn_if_too_small(
    client: &DocumentClient,
    group: &str,
    resource: &str,
    limits: &BTreeMap<String, usize>,
) {
    for (version, limit) in limits {
        if let Err(why) = NameLimit::new(*limit) {
            tracing::warn!(
                control_plane = client.name(),
                group,
                version,
                resource,
                %why,
                "the resource is not exposed"
            );
        }
    }
}

/// Reads the limit of each version that has one from the CRD.
async fn read(
    client: &DocumentClient,
    group: &str,
    resource: &str,
) -> Result<BTreeMap<String, usize>, FetchError> {
    let path =
        format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource}.{group}");
    let fetched = client.read(&path, "application/json", None, CRD_BYTES_MAX);
    let DocumentFetch::Document(FetchedDocument { body, .. }) = fetched.await? else {
        return Err(FetchError::invalid(&path, "304 without a condition"));
    };
    let crd: Crd =
        serde_json::from_slice(&body).map_err(|error| FetchError::invalid(&path, error))?;
    let versions = crd.spec.versions.into_iter();
    Ok(versions
        .filter_map(|version| Some((version.name, version.schema.name_limit()?)))
        .collect())
}

#[derive(Deserialize)]
struct Crd {
    spec: CrdSpec,
}

#[derive(Deserialize)]
struct CrdSpec {
    versions: Vec<CrdVersion>,
}

#[derive(Deserialize)]
struct CrdVersion {
    name: String,
    #[serde(default)]
    schema: CrdSchema,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CrdSchema {
    #[serde(rename = "openAPIV3Schema")]
    open_api_v3_schema: ObjectSchema,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectSchema {
    properties: ObjectProperties,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectProperties {
    metadata: MetadataSchema,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetadataSchema {
    properties: MetadataProperties,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetadataProperties {
    name: NameSchema,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NameSchema {
    max_length: Option<usize>,
}

impl CrdSchema {
    fn name_limit(&self) -> Option<usize> {
        let metadata = &self.open_api_v3_schema.properties.metadata;
        metadata.properties.name.max_length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_assumed_only_if_it_stays_unknown() {
        for (status, expected) in [
            (StatusCode::FORBIDDEN, true),
            (StatusCode::NOT_FOUND, true),
            (StatusCode::UNAUTHORIZED, false),
            (StatusCode::TOO_MANY_REQUESTS, false),
            (StatusCode::SERVICE_UNAVAILABLE, false),
        ] {
            let path = String::new();
            assert_eq!(
                is_final(&FetchError::Status { path, status }),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn limit_is_read_from_each_version_of_a_crd() {
        let crd = r#"{"kind":"CustomResourceDefinition","spec":{"versions":[
            {"name":"v1","schema":{"openAPIV3Schema":{"type":"object","properties":{
                "metadata":{"type":"object","properties":{"name":{"type":"string","maxLength":40}}},
                "spec":{"type":"object"}}}}},
            {"name":"v2","schema":{"openAPIV3Schema":{"properties":{"metadata":{"type":"object"}}}}},
            {"name":"v3"}]}}"#;
        let crd: Crd = serde_json::from_str(crd).unwrap();
        let versions = crd.spec.versions.iter();
        let limits: Vec<_> = versions
            .map(|version| version.schema.name_limit())
            .collect();
        assert_eq!(limits, [Some(40), None, None]);
    }
}
