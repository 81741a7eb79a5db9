//! Aggregated discovery as a control plane serves it (`api/apidiscovery/v2/types.go`).

use claim_mapping::mapping::NameLimit;
use serde::{Deserialize, Serialize};

const STALE: &str = "Stale";

/// `APIGroupDiscoveryList`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct GroupList {
    #[serde(default)]
    pub(crate) items: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Group {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) versions: Vec<Version>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Metadata {
    pub(crate) name: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Version {
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) resources: Vec<ApiResource>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) freshness: String,
    /// The entries of `/apis/G/V`, in its order.
    #[serde(skip)]
    pub(crate) list_entries: Vec<ResourceListEntry>,
}

/// `/apis/G/V`: the fields that aggregated discovery lacks.
#[derive(Debug, Deserialize)]
pub(crate) struct ResourceList {
    #[serde(default)]
    pub(crate) resources: Vec<ResourceListEntry>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceListEntry {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) storage_version_hash: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiResource {
    pub(crate) resource: String,
    pub(crate) response_kind: Option<ResponseKind>,
    pub(crate) scope: String,
    #[serde(default)]
    pub(crate) singular_resource: String,
    #[serde(default)]
    pub(crate) verbs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) short_names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) categories: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) subresources: Vec<Subresource>,
    /// The limit of names, which discovery does not contain.
    #[serde(skip)]
    pub(crate) name_limit: NameLimit,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct ResponseKind {
    #[serde(default)]
    pub(crate) group: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) kind: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subresource {
    pub(crate) subresource: String,
    pub(crate) response_kind: Option<ResponseKind>,
    #[serde(default)]
    pub(crate) verbs: Vec<String>,
}

/// The name of a resource in one version of a group.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ServedResource {
    group: String,
    version: String,
    /// The plural, as in paths.
    resource: String,
}

impl ServedResource {
    pub(crate) fn new(group: &str, version: &str, resource: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
        }
    }
}

impl Version {
    /// Returns whether the control plane could not read the discovery of the API server behind this version.
    pub(super) fn is_stale(&self) -> bool {
        self.freshness == STALE
    }
}

/// Returns a version of a group.
pub(crate) fn find_version<'a>(
    groups: &'a [Group],
    group: &str,
    version: &str,
) -> Option<&'a Version> {
    let group = groups.iter().find(|known| known.metadata.name == group)?;
    group.versions.iter().find(|known| known.version == version)
}
