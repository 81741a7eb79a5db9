//! The group-versions that the catalog offers to the app cluster.

use std::collections::BTreeMap;
#[cfg(all(test, feature = "app-cluster"))]
use std::collections::BTreeSet;

use kube_wire::group_version::GroupVersion;
use sha2::{Digest, Sha256};

use super::discovery::{Group, Version};
use super::exposure::Exposure;

/// The group-versions that are offered, and the exposures whose control plane has not been reached.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    /// A digest of the offer of each group-version with resources. It changes with the resources and their verbs.
    pub digests: BTreeMap<GroupVersion, String>,
    /// The group-versions whose control plane is in an outage, and its name.
    pub degraded: BTreeMap<GroupVersion, String>,
    /// The exposures of control planes that have not been reached yet.
    unknown: Vec<Exposure>,
}

impl Offers {
    pub(super) fn add(&mut self, group: &str, version: &Version) {
        if version.resources.is_empty() {
            return;
        }
        let group_version = GroupVersion::new(group, &version.version);
        self.digests.insert(group_version, digest(version));
    }

    pub(super) fn add_degraded(&mut self, control_plane: &str, groups: &[Group]) {
        for group in groups {
            let name = &group.metadata.name;
            let versions = group.versions.iter();
            self.degraded.extend(versions.map(|version| {
                let group_version = GroupVersion::new(name, &version.version);
                (group_version, control_plane.to_owned())
            }));
        }
    }

    pub(super) fn add_unknown(&mut self, exposure: Exposure) {
        self.unknown.push(exposure);
    }

    /// Returns the offers before the control plane of a group has been reached.
    #[cfg(all(test, feature = "app-cluster"))]
    pub(crate) fn with_unknown(group: &str) -> Self {
        let api = super::exposure::ExposedApi {
            group: group.to_owned(),
            versions: BTreeSet::new(),
            resources: super::exposure::ResourceSelection::All,
            read_only: false,
        };
        let mut offers = Self::default();
        offers.add_unknown(Exposure {
            control_plane: "platform".to_owned(),
            apis: vec![api],
            translates_names: false,
        });
        offers
    }

    /// Returns whether it is certain that the group-version is not offered.
    pub fn lacks(&self, wanted: &GroupVersion) -> bool {
        let mut unknown = self.unknown.iter();
        !self.digests.contains_key(wanted)
            && !unknown.any(|exposure| exposure.api(&wanted.group, Some(&wanted.version)).is_some())
    }
}

fn digest(version: &Version) -> String {
    let mut hash = Sha256::new();
    for resource in &version.resources {
        // Serialization of these types cannot fail.
        hash.update(serde_json::to_vec(resource).unwrap_or_default());
    }
    let digest = hash.finalize();
    let digits = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    digits.collect()
}
