//! A table of namespaces that maps one-to-one in both directions.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::NamespacePair;

/// Local namespaces and the remote namespaces to which they map. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamespaceTable {
    to_remote: BTreeMap<String, String>,
    to_local: BTreeMap<String, String>,
}

/// Why a table of namespaces is invalid.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TableError {
    #[error("local namespaces {first:?} and {second:?} are both mapped to {remote:?}")]
    Collision {
        first: String,
        second: String,
        remote: String,
    },
    #[error("no namespace is mapped; add at least one")]
    Empty,
    #[error("{0:?} is not a valid namespace name; use 1 to 63 lowercase letters, digits and \"-\"")]
    InvalidName(String),
}

impl NamespaceTable {
    /// Creates a table from a remote namespace for each local one.
    ///
    /// # Errors
    /// There are no rows, a name is not a DNS label, or two rows have the same remote namespace.
    pub fn new(to_remote: BTreeMap<String, String>) -> Result<Self, TableError> {
        let mut to_local: BTreeMap<String, String> = BTreeMap::new();
        for (local, remote) in &to_remote {
            for name in [local, remote] {
                if !is_dns_label(name) {
                    return Err(TableError::InvalidName(name.clone()));
                }
            }
            if let Some(first) = to_local.insert(remote.clone(), local.clone()) {
                let (second, remote) = (local.clone(), remote.clone());
                return Err(TableError::Collision {
                    first,
                    second,
                    remote,
                });
            }
        }
        if to_remote.is_empty() {
            return Err(TableError::Empty);
        }
        Ok(Self {
            to_remote,
            to_local,
        })
    }

    /// Returns the remote namespace to which a local one maps.
    pub(crate) fn to_remote(&self, local: &str) -> Option<&str> {
        self.to_remote.get(local).map(String::as_str)
    }

    /// Returns the local namespace that maps to a remote one.
    pub fn to_local(&self, remote: &str) -> Option<&str> {
        self.to_local.get(remote).map(String::as_str)
    }

    /// Returns all rows as (local, remote), sorted by local name.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.to_remote.iter();
        rows.map(|(local, remote)| (local.as_str(), remote.as_str()))
    }

    /// Returns the row if there is exactly one.
    pub(crate) fn only_row(&self) -> Option<NamespacePair> {
        let mut rows = self.rows();
        let first = rows.next().filter(|_| rows.next().is_none());
        first.map(NamespacePair::from)
    }

    /// Returns the first row after a remote namespace, in etcd's order of keys.
    pub(crate) fn next_row(&self, remote: &str) -> Option<NamespacePair> {
        self.rows()
            .filter(|(_, known)| key_order(known, remote) == Ordering::Greater)
            .min_by(|(_, a), (_, b)| key_order(a, b))
            .map(NamespacePair::from)
    }
}

impl From<(&str, &str)> for NamespacePair {
    fn from((local, remote): (&str, &str)) -> Self {
        Self {
            local: local.to_owned(),
            remote: remote.to_owned(),
        }
    }
}

/// Compares namespaces in the order of etcd's keys, where a slash follows the namespace: `a-b/` sorts before
/// `a/`.
fn key_order(a: &str, b: &str) -> Ordering {
    a.bytes().chain([b'/']).cmp(b.bytes().chain([b'/']))
}

/// Returns whether a name is an RFC 1123 label, as namespace names must be
/// (`apimachinery/pkg/util/validation/validation.go`).
pub fn is_dns_label(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let bytes = name.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|c| inner(*c))
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str)]) -> Result<NamespaceTable, TableError> {
        let rows = rows
            .iter()
            .map(|(local, remote)| ((*local).to_owned(), (*remote).to_owned()));
        NamespaceTable::new(rows.collect())
    }

    #[test]
    fn table_with_one_row_has_an_only_row() {
        let one = table(&[("default", "app-ns-1")]).unwrap();
        let row = NamespacePair::from(("default", "app-ns-1"));
        assert_eq!(one.only_row(), Some(row));
        let two = table(&[("default", "app-ns-1"), ("app-ns-1", "default")]).unwrap();
        assert_eq!(two.only_row(), None);
    }

    #[test]
    fn colliding_missing_or_invalid_rows_are_rejected() {
        assert_eq!(
            table(&[("a", "x"), ("b", "x")]),
            Err(TableError::Collision {
                first: "a".into(),
                second: "b".into(),
                remote: "x".into()
            })
        );
        assert_eq!(table(&[]), Err(TableError::Empty));
        assert_eq!(
            table(&[("a", "X")]),
            Err(TableError::InvalidName("X".into()))
        );
    }
}
