//! The places where claims are stored, and warnings about changes that hide claims.
//!
//! The garbage collector of the app cluster reads the owner of an object by name. If the claims of a namespace are
//! stored in another place than before, it gets 404 or another claim, and deletes the objects that the old claims own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::settings::Config;
use super::warnings::Warning;
use claim_mapping::mapping::Mapping;

/// Where the claims of each entry of `apis` are stored, by its group and versions.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Places(BTreeMap<String, Place>);

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Place {
    /// The address of the control plane.
    server: String,
    namespaces: Namespaces,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Namespaces {
    /// A table of remote namespaces by local namespaces.
    Table(BTreeMap<String, String>),
    /// One remote namespace for all local namespaces of a cluster.
    Shared { cluster: String, remote: String },
}

impl Places {
    pub fn new(config: &Config) -> Self {
        let places = config.apis.iter().map(|api| {
            let control_plane = &api.control_plane;
            let server = &control_plane.server;
            let namespaces = match &control_plane.mapping {
                Mapping::Table(table) => {
                    let rows = table.rows();
                    Namespaces::Table(rows.map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
                }
                Mapping::Shared(shared) => Namespaces::Shared {
                    cluster: shared.cluster().to_owned(),
                    remote: shared.namespace().to_owned(),
                },
            };
            let place = Place {
                server: format!("{}:{}{}", server.host, server.port, server.path),
                namespaces,
            };
            let versions: Vec<&str> = api.versions.iter().map(String::as_str).collect();
            let versions = versions.join(", ");
            let name = match versions.is_empty() {
                true => api.group.clone(),
                false => format!("{} {versions}", api.group),
            };
            (name, place)
        });
        Self(places.collect())
    }

    /// Returns a warning for each place that has changed since `before`. Added rows cause no warning.
    pub fn changes_since(&self, before: &Self) -> Vec<Warning> {
        let both = self
            .0
            .iter()
            .filter_map(|(group, now)| Some((group, before.0.get(group)?, now)));
        both.flat_map(|(group, before, now)| now.changes_since(before, group))
            .collect()
    }
}

impl Place {
    fn changes_since(&self, before: &Self, group: &str) -> Vec<Warning> {
        let warning = |key: &str, from: &str, to: &str| Warning {
            key: key.to_owned(),
            problem: format!(
                "the claims of {group} were stored in {from} before, and are looked for in {to} now; the garbage \
                 collector of the app cluster can delete what the old claims own"
            ),
            cure: "undo the change, or first remove the owner references to these claims"
                .to_owned(),
        };
        if self.server != before.server {
            return vec![warning("controlPlanes", &before.server, &self.server)];
        }
        match (&before.namespaces, &self.namespaces) {
            (Namespaces::Table(before), Namespaces::Table(now)) => {
                let changed = before
                    .iter()
                    .filter(|(local, from)| now.get(*local) != Some(from));
                let warnings = changed.map(|(local, from)| {
                    let key = format!("mapping.namespaces.{local}");
                    match now.get(local) {
                        Some(to) => warning(&key, &format!("{from:?}"), &format!("{to:?}")),
                        None => removed_row(key, from, group),
                    }
                });
                warnings.collect()
            }
            (before, now) if before == now => Vec::new(),
            (before, now) => vec![warning("mapping", &before.to_string(), &now.to_string())],
        }
    }
}

/// The garbage collector gets 403 for claims in a namespace that is not mapped. But if it has seen them, and they are missing
/// when it lists all namespaces again, it does not read them.
fn removed_row(key: String, from: &str, group: &str) -> Warning {
    Warning {
        key,
        problem: format!(
            "the claims of {group} in {from:?} are hidden now; a running garbage collector of the app cluster can delete \
             what they own"
        ),
        cure: "restore the row, or first remove the owner references to these claims".to_owned(),
    }
}

impl std::fmt::Display for Namespaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(_) => f.write_str("the namespaces of a table"),
            Self::Shared { cluster, remote } => write!(f, "{remote:?} for cluster {cluster:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(server: &str, namespaces: Namespaces) -> Places {
        let server = server.to_owned();
        let place = Place { server, namespaces };
        Places(BTreeMap::from([("k8s.starter.org".to_owned(), place)]))
    }

    fn table(rows: &[(&str, &str)]) -> Namespaces {
        let rows = rows.iter();
        Namespaces::Table(
            rows.map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
        )
    }

    fn shared(cluster: &str, remote: &str) -> Namespaces {
        Namespaces::Shared {
            cluster: cluster.to_owned(),
            remote: remote.to_owned(),
        }
    }

    #[test]
    fn only_claims_that_are_looked_for_elsewhere_are_reported() {
        let one = || table(&[("default", "a"), ("tools", "b")]);
        for (before, now, count) in [
            (places("x", one()), places("x", one()), 0),
            (
                places("x", one()),
                places("x", table(&[("default", "a")])),
                1,
            ),
            (places("x", table(&[])), places("x", one()), 0),
            (
                places("x", one()),
                places("x", table(&[("default", "c")])),
                2,
            ),
            (places("x", one()), places("y", one()), 1),
            (places("x", one()), places("x", shared("team-a", "a")), 1),
            (
                places("x", shared("a", "a")),
                places("x", shared("a", "b")),
                1,
            ),
            (
                places("x", shared("a", "a")),
                places("x", shared("b", "a")),
                1,
            ),
        ] {
            let warnings = now.changes_since(&before);
            assert_eq!(warnings.len(), count, "{before:?} {now:?}: {warnings:?}");
        }
        let now = places("x", table(&[("default", "c")]));
        let warnings = now.changes_since(&places("x", one()));
        assert_eq!(warnings[0].key, "mapping.namespaces.default");
        assert!(warnings[0].problem.contains("stored in \"a\" before"));
        assert_eq!(warnings[1].key, "mapping.namespaces.tools");
        assert!(warnings[1].problem.contains("in \"b\" are hidden now"));
    }
}
