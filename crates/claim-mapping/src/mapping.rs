//! The mapping between names in the app cluster ("local") and on the control plane ("remote").
//!
//! A mapping is injective: no two local objects map to the same remote one. This module only maps names. Other
//! modules find the names in requests and bodies.
//!
//! [`Mapping`] has one variant for each mapping mode of the configuration. The rest of this crate asks a
//! [`RequestScope`](crate::RequestScope), which knows the mode and what one request covers.

mod shared;
mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::shared::{NameLimit, NameLimitTooSmall, SharedNamespace, is_dns_subdomain};
pub use self::table::{NamespaceTable, TableError, is_dns_label};

/// The namespace and name of an object, on either side.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// Why a name has no counterpart on the other side.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MappingError {
    /// The local namespace is not mapped to this control plane.
    #[error("the namespace is not mapped")]
    NamespaceNotMapped,
}

/// Maps the names of one app cluster's objects to one control plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mapping {
    /// A table of namespaces. Objects keep their names.
    Table(Arc<NamespaceTable>),
    /// One remote namespace for all local ones. Objects have other names there, and labels that contain their
    /// local names.
    Shared(Arc<SharedNamespace>),
}

/// A local namespace and the remote namespace to which it maps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamespacePair {
    pub local: String,
    pub remote: String,
}

impl Mapping {
    /// Creates a mapping from a table of local namespaces to remote ones.
    ///
    /// # Errors
    /// The table is empty, a name is not a DNS label, or two local namespaces map to the same remote one.
    pub fn table(rows: BTreeMap<String, String>) -> Result<Self, TableError> {
        let table = NamespaceTable::new(rows)?;
        Ok(Self::Table(Arc::new(table)))
    }

    /// Creates a mapping from all namespaces of an app cluster to one remote namespace.
    ///
    /// # Errors
    /// A name is not a DNS label.
    pub fn shared(cluster: &str, namespace: &str) -> Result<Self, TableError> {
        let shared = SharedNamespace::new(cluster, namespace)?;
        Ok(Self::Shared(Arc::new(shared)))
    }

    /// Returns the key under which the control plane stores a local object.
    ///
    /// # Errors
    /// [`MappingError::NamespaceNotMapped`]
    pub fn to_remote(&self, local: &ObjectKey) -> Result<ObjectKey, MappingError> {
        let namespace = self.remote_namespace(&local.namespace)?.into_owned();
        let name = match self {
            Self::Table(_) => local.name.clone(),
            Self::Shared(shared) => shared.remote_name(local, NameLimit::default()),
        };
        Ok(ObjectKey { namespace, name })
    }

    /// Returns the remote namespace to which a local one maps.
    ///
    /// # Errors
    /// [`MappingError::NamespaceNotMapped`]
    pub fn remote_namespace(&self, local: &str) -> Result<Cow<'_, str>, MappingError> {
        let remote = match self {
            Self::Table(table) => table.to_remote(local),
            // No namespace has a name that is not a DNS label.
            Self::Shared(shared) => Some(shared.namespace()).filter(|_| is_dns_label(local)),
        };
        remote
            .map(Cow::Borrowed)
            .ok_or(MappingError::NamespaceNotMapped)
    }

    /// Returns each remote namespace once.
    pub fn remote_namespaces(&self) -> Vec<&str> {
        match self {
            Self::Table(table) => table.rows().map(|(_, remote)| remote).collect(),
            Self::Shared(shared) => vec![shared.namespace()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Mapping {
        let rows = [("default", "app-ns-1"), ("app-ns-1", "default")];
        let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
        Mapping::table(rows.into()).unwrap()
    }

    #[test]
    fn table_keeps_names_of_objects() {
        for (local, remote) in [("default", "app-ns-1"), ("app-ns-1", "default")] {
            let key = table().to_remote(&ObjectKey::new(local, "a"));
            assert_eq!(key, Ok(ObjectKey::new(remote, "a")));
        }
    }

    #[test]
    fn shared_mapping_stores_all_namespaces_in_one() {
        let shared = Mapping::shared("team-a", "remote").unwrap();
        let [first, second] = ["default", "other"].map(|local| {
            let key = ObjectKey::new(local, "a");
            shared.to_remote(&key).unwrap()
        });
        assert_eq!(first.namespace, "remote");
        assert_eq!(second.namespace, "remote");
        assert_ne!(first.name, second.name);
    }

    #[test]
    fn unmapped_namespaces_are_errors() {
        let shared = Mapping::shared("team-a", "remote").unwrap();
        for (mapping, namespace) in [(table(), "elsewhere"), (table(), ""), (shared, "No")] {
            assert_eq!(
                mapping.remote_namespace(namespace),
                Err(MappingError::NamespaceNotMapped)
            );
        }
    }
}
