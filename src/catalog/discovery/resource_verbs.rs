//! The verbs of resources, over all versions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::groups::Group;

/// Verbs by group and resource, over all versions.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "ByName", into = "ByName")]
pub(crate) struct ResourceVerbs(BTreeMap<(String, String), BTreeSet<String>>);

/// The same by `GROUP/RESOURCE`, because keys in JSON are strings.
type ByName = BTreeMap<String, BTreeSet<String>>;

impl ResourceVerbs {
    /// Returns the verbs that discovery lists.
    pub(crate) fn of(groups: &[Group]) -> Self {
        let mut all = Self::default();
        for group in groups {
            let resources = group.versions.iter().flat_map(|version| &version.resources);
            for resource in resources {
                let key = (group.metadata.name.clone(), resource.resource.clone());
                let verbs = resource.verbs.iter().cloned();
                all.0.entry(key).or_default().extend(verbs);
            }
        }
        all
    }

    /// Returns the verbs of a resource, by its group and its plural.
    pub(crate) fn get(&self, key: &(String, String)) -> Option<&BTreeSet<String>> {
        self.0.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&(String, String), &BTreeSet<String>)> {
        self.0.iter()
    }

    /// Adds other verbs.
    pub(crate) fn add(&mut self, other: &Self) {
        for (key, verbs) in &other.0 {
            let known = self.0.entry(key.clone()).or_default();
            known.extend(verbs.iter().cloned());
        }
    }
}

impl From<ByName> for ResourceVerbs {
    fn from(by_name: ByName) -> Self {
        let verbs = by_name.into_iter().filter_map(|(name, verbs)| {
            let (group, resource) = name.split_once('/')?;
            Some(((group.to_owned(), resource.to_owned()), verbs))
        });
        Self(verbs.collect())
    }
}

impl From<ResourceVerbs> for ByName {
    fn from(verbs: ResourceVerbs) -> Self {
        let verbs = verbs.0.into_iter();
        verbs
            .map(|((group, resource), verbs)| (format!("{group}/{resource}"), verbs))
            .collect()
    }
}
