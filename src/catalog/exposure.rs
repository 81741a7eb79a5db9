//! The exposed APIs of a control plane.

use std::collections::BTreeSet;

/// The exposed APIs of one control plane.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// The name of the control plane.
    pub control_plane: String,
    pub apis: Vec<ExposedApi>,
    /// Whether objects have other names on the control plane, so that the limits of names matter.
    pub translates_names: bool,
}

/// Exposed resources of one API group.
#[derive(Clone, Debug)]
pub struct ExposedApi {
    pub group: String,
    /// The exposed versions. Empty for all versions.
    pub versions: BTreeSet<String>,
    pub resources: ResourceSelection,
    pub read_only: bool,
}

/// The exposed namespaced resources of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ResourceSelection {
    All,
    /// The resources in a category, for example `claim`.
    Category(String),
    /// The resources with these plural names.
    Named(BTreeSet<String>),
}

impl Exposure {
    /// Returns the entry for a version of a group, or for any version if `version` is `None`.
    pub(super) fn api(&self, group: &str, version: Option<&str>) -> Option<&ExposedApi> {
        let has_version = |api: &&ExposedApi| {
            api.versions.is_empty() || version.is_none_or(|version| api.versions.contains(version))
        };
        self.apis
            .iter()
            .filter(|api| api.group == group)
            .find(has_version)
    }
}

impl ResourceSelection {
    pub(super) fn selects(&self, resource: &str, categories: &[String]) -> bool {
        match self {
            Self::All => true,
            Self::Category(category) => categories.contains(category),
            Self::Named(names) => names.contains(resource),
        }
    }
}
