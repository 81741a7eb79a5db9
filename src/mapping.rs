//! Which remote namespace a local one is, and back: a table, injective both ways.
//!
//! Pure names; what in a request or a body is mapped, `translate` knows.

use std::collections::BTreeMap;

/// A mapping of local to remote namespaces by a table. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Namespaces {
    to_remote: BTreeMap<String, String>,
    to_local: BTreeMap<String, String>,
}

/// Why a table is no mapping.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TableError {
    #[error("local namespaces {first:?} and {second:?} are both mapped to {remote:?}")]
    Collision {
        first: String,
        second: String,
        remote: String,
    },
    #[error("no namespace is mapped")]
    Empty,
    #[error("{0:?} is not a namespace's name")]
    Name(String),
}

impl Namespaces {
    /// Rows of (local, remote).
    pub fn table(rows: BTreeMap<String, String>) -> Result<Self, TableError> {
        let mut to_local: BTreeMap<String, String> = BTreeMap::new();
        for (local, remote) in &rows {
            for name in [local, remote] {
                if !is_dns_label(name) {
                    return Err(TableError::Name(name.clone()));
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
        if rows.is_empty() {
            return Err(TableError::Empty);
        }
        Ok(Self {
            to_remote: rows,
            to_local,
        })
    }

    pub fn to_remote(&self, local: &str) -> Option<&str> {
        self.to_remote.get(local).map(String::as_str)
    }

    pub fn to_local(&self, remote: &str) -> Option<&str> {
        self.to_local.get(remote).map(String::as_str)
    }

    /// The row of a table that has but one, as (local, remote).
    pub fn single(&self) -> Option<(&str, &str)> {
        match self.to_remote.len() {
            1 => self
                .to_remote
                .iter()
                .next()
                .map(|(local, remote)| (local.as_str(), remote.as_str())),
            _ => None,
        }
    }

    /// Rows as (local, remote), by local name.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.to_remote
            .iter()
            .map(|(local, remote)| (local.as_str(), remote.as_str()))
    }

    /// The remote names in their order.
    pub fn iter_remote_sorted(&self) -> impl Iterator<Item = &str> {
        self.to_local.keys().map(String::as_str)
    }
}

/// A label of RFC 1123, which is what a namespace may be called
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

    fn table(rows: &[(&str, &str)]) -> Result<Namespaces, TableError> {
        Namespaces::table(
            rows.iter()
                .map(|(l, r)| ((*l).into(), (*r).into()))
                .collect(),
        )
    }

    #[test]
    fn a_table_maps_both_ways_without_loss() {
        let namespaces = table(&[("default", "app-ns-1"), ("app-ns-1", "default")]).unwrap();
        for (local, remote) in namespaces.rows() {
            assert_eq!(namespaces.to_remote(local), Some(remote));
            assert_eq!(namespaces.to_local(remote), Some(local));
        }
        assert_eq!(namespaces.to_remote("app-ns-2"), None);
        assert_eq!(namespaces.single(), None);
    }

    #[test]
    fn what_is_not_injective_is_refused() {
        assert_eq!(
            table(&[("a", "x"), ("b", "x")]),
            Err(TableError::Collision {
                first: "a".into(),
                second: "b".into(),
                remote: "x".into()
            })
        );
        assert_eq!(table(&[]), Err(TableError::Empty));
        assert_eq!(table(&[("a", "X")]), Err(TableError::Name("X".into())));
    }
}
