//! Aggregated discovery as a control plane serves it, and what of it is exposed
//! (`api/apidiscovery/v2/types.go`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config;

/// What the configuration exposes of one control plane.
#[derive(Clone, Debug)]
pub struct Exposure {
    pub control_plane: String,
    pub apis: Vec<ExposedApi>,
}

/// One entry of `apis`.
#[derive(Clone, Debug)]
pub struct ExposedApi {
    pub group: String,
    /// Empty for all.
    pub versions: BTreeSet<String>,
    pub resources: config::Resources,
    pub read_only: bool,
}

impl From<&config::Api> for ExposedApi {
    fn from(api: &config::Api) -> Self {
        Self {
            group: api.group.clone(),
            versions: api.versions.clone(),
            resources: api.resources.clone(),
            read_only: api.read_only,
        }
    }
}

impl Exposure {
    pub(super) fn entry(&self, group: &str, version: Option<&str>) -> Option<&ExposedApi> {
        let takes = |api: &&ExposedApi| {
            api.versions.is_empty() || version.is_none_or(|version| api.versions.contains(version))
        };
        self.apis
            .iter()
            .filter(|api| api.group == group)
            .find(takes)
    }
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(super) struct GroupList {
    #[serde(default)]
    pub(super) items: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Group {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) versions: Vec<Version>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Metadata {
    pub(super) name: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Version {
    pub(super) version: String,
    #[serde(default)]
    pub(super) resources: Vec<ApiResource>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) freshness: String,
    /// What `/apis/G/V` has of it, in its order.
    #[serde(skip)]
    pub(super) listed: Vec<Listed>,
}

/// `/apis/G/V` as a control plane serves it: what aggregated discovery has not.
#[derive(Debug, Deserialize)]
pub(super) struct ResourceList {
    #[serde(default)]
    pub(super) resources: Vec<Listed>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    pub(super) name: String,
    #[serde(default)]
    pub(super) storage_version_hash: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiResource {
    pub(super) resource: String,
    pub(super) response_kind: Option<Kind>,
    pub(super) scope: String,
    #[serde(default)]
    pub(super) singular_resource: String,
    #[serde(default)]
    pub(super) verbs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) short_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) categories: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) subresources: Vec<Subresource>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Kind {
    #[serde(default)]
    pub(super) group: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) kind: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subresource {
    pub(super) subresource: String,
    pub(super) response_kind: Option<Kind>,
    #[serde(default)]
    pub(super) verbs: Vec<String>,
}

const STALE: &str = "Stale";
const READ_VERBS: [&str; 3] = ["get", "list", "watch"];

impl Version {
    /// The control plane itself could not ask the server behind this group-version.
    pub(super) fn is_stale(&self) -> bool {
        self.freshness == STALE
    }
}

impl GroupList {
    /// What is exposed of it, in its order.
    pub(super) fn exposed(self, exposure: &Exposure) -> Self {
        let groups = self.items.into_iter().filter_map(|mut group| {
            let name = group.metadata.name.clone();
            group.versions.retain_mut(|version| {
                let Some(api) = exposure.entry(&name, Some(&version.version)) else {
                    return false;
                };
                version.resources.retain(|resource| api.exposes(resource));
                if api.read_only {
                    version
                        .resources
                        .iter_mut()
                        .for_each(ApiResource::make_read_only);
                }
                version.is_stale() || !version.resources.is_empty()
            });
            (!group.versions.is_empty()).then_some(group)
        });
        Self {
            items: groups.collect(),
        }
    }
}

impl ExposedApi {
    fn exposes(&self, resource: &ApiResource) -> bool {
        let selected = match &self.resources {
            config::Resources::All => true,
            config::Resources::Category(category) => resource.categories.contains(category),
            config::Resources::Named(names) => names.contains(&resource.resource),
        };
        selected && resource.scope == "Namespaced" && resource.response_kind.is_some()
    }
}

impl ApiResource {
    fn make_read_only(&mut self) {
        let reads = |verbs: &mut Vec<String>| verbs.retain(|v| READ_VERBS.contains(&v.as_str()));
        reads(&mut self.verbs);
        for subresource in &mut self.subresources {
            reads(&mut subresource.verbs);
        }
        self.subresources
            .retain(|subresource| !subresource.verbs.is_empty());
    }
}
