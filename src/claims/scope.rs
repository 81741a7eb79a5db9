//! The claims that an entry of the configuration covers.

use super::claim::Claim;
use crate::config::NamespaceSelection;

/// The claims of an API group in some local namespaces.
#[derive(Clone, Debug)]
pub(crate) struct ClaimScope {
    pub(crate) group: String,
    pub(crate) namespaces: NamespaceSelection,
}

impl ClaimScope {
    /// Ignores the version, because a claim is the same object in every version.
    pub(crate) fn covers(&self, claim: &Claim) -> bool {
        self.group == claim.resource.group && self.namespaces.contains(&claim.local.namespace)
    }

    /// Returns the local namespaces of all scopes.
    pub(crate) fn namespaces<'a>(scopes: impl Iterator<Item = &'a Self>) -> NamespaceSelection {
        NamespaceSelection::union(scopes.map(|scope| &scope.namespaces))
    }
}
