//! The names of an exposed resource.

use kube_wire::group_version::GroupVersion;

/// The names of an exposed resource in one version.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClaimResource {
    pub group: String,
    pub version: String,
    pub kind: String,
    /// The plural name, as in paths.
    pub plural: String,
}

impl ClaimResource {
    /// Returns `GROUP/VERSION`.
    pub fn api_version(&self) -> String {
        GroupVersion::new(&self.group, &self.version).to_string()
    }
}
