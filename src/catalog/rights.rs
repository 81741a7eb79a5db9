//! The rights of claimgate on a control plane, which limit what discovery offers.
//!
//! A resource that is offered but cannot be listed breaks Argo CD's cache of the whole app cluster, and keeps every mapped
//! namespace from being deleted.

use std::collections::{BTreeMap, BTreeSet};

/// The rights on the exposed resources.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rights {
    /// The rights were not read since the start.
    Unknown,
    /// Everything is allowed, or the control plane has no access reviews, like that of `claimgate dev`.
    Unlimited,
    /// The verbs that are forbidden, by group and resource.
    Known(BTreeMap<(String, String), ResourceRights>),
}

/// The verbs of one resource that are forbidden.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ResourceRights {
    /// By mapped namespace of the control plane.
    mapped: BTreeMap<String, BTreeSet<&'static str>>,
    /// In all namespaces. Empty if no list reads all of them.
    everywhere: BTreeSet<&'static str>,
}

/// A right that claimgate lacks.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MissingRight {
    pub group: String,
    /// The plural, as in paths.
    pub resource: String,
    pub verb: &'static str,
    /// `in the namespace "team-a"` or `in all namespaces`.
    pub scope: String,
}

impl Rights {
    /// Returns all rights that are missing.
    pub(super) fn missing(&self) -> BTreeSet<MissingRight> {
        let mut all = BTreeSet::new();
        let Self::Known(by_resource) = self else {
            return all;
        };
        for ((group, resource), rights) in by_resource {
            let mapped = rights.mapped.iter();
            let mapped =
                mapped.map(|(namespace, verbs)| (format!("in the namespace {namespace:?}"), verbs));
            let everywhere = ("in all namespaces".to_owned(), &rights.everywhere);
            for (scope, verbs) in mapped.chain([everywhere]) {
                all.extend(verbs.iter().map(|verb| MissingRight {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb,
                    scope: scope.clone(),
                }));
            }
        }
        all
    }

    /// Returns rights that lack some verbs of one resource, in a mapped namespace and in all namespaces.
    #[cfg(test)]
    pub(super) fn lacking(
        group: &str,
        resource: &str,
        mapped: &[&'static str],
        everywhere: &[&'static str],
    ) -> Self {
        let rights = ResourceRights {
            mapped: [("team-a".to_owned(), mapped.iter().copied().collect())].into(),
            everywhere: everywhere.iter().copied().collect(),
        };
        Self::Known([((group.to_owned(), resource.to_owned()), rights)].into())
    }
}

impl ResourceRights {
    pub(super) fn forbid(&mut self, namespace: &str, verb: &'static str) {
        let verbs = self.mapped.entry(namespace.to_owned());
        verbs.or_default().insert(verb);
    }

    pub(super) fn forbid_everywhere(&mut self, verb: &'static str) {
        self.everywhere.insert(verb);
    }

    /// Returns whether the verb is allowed in every mapped namespace.
    pub(super) fn allows(&self, verb: &str) -> bool {
        !self.mapped.values().any(|verbs| verbs.contains(verb))
    }

    /// Returns whether all local namespaces can be listed and watched together.
    pub(super) fn can_follow(&self) -> bool {
        self.everywhere.is_empty() && self.allows("list") && self.allows("watch")
    }
}
