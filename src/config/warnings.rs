//! Settings that are valid, but that an administrator probably did not intend.

use serde::Serialize;

use super::settings::{Config, ControlPlaneConfig};
use claim_mapping::mapping::{Mapping, NamespaceTable, SharedNamespace};

/// A setting that is valid, but probably a mistake.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Warning {
    /// The key with its parents, `controlPlanes.platform.mapping.namespace`.
    pub key: String,
    pub problem: String,
    /// The action that removes the warning.
    pub cure: String,
}

/// Returns all warnings about a configuration, sorted by the names of its control planes.
///
/// Two control planes of the configuration can be the same server. Then they must not store claims in the same
/// remote namespace. claimgate cannot know whether two addresses lead to the same server, so it compares them.
pub fn warnings(config: &Config) -> Vec<Warning> {
    let all: Vec<&ControlPlaneConfig> = config.control_planes.values().map(AsRef::as_ref).collect();
    let mut warnings = Vec::new();
    for (at, second) in all.iter().enumerate() {
        let earlier = all.iter().take(at);
        for first in earlier.filter(|first| first.server == second.server) {
            warnings.extend(overlap(first, second));
        }
    }
    warnings
}

/// A name of a control plane, and its mapping.
type Named<'a, T> = (&'a str, &'a T);

/// Returns the warnings about two control planes on the same server.
fn overlap(first: &ControlPlaneConfig, second: &ControlPlaneConfig) -> Vec<Warning> {
    let (first_name, second_name) = (first.name.as_str(), second.name.as_str());
    match (&first.mapping, &second.mapping) {
        (Mapping::Shared(first), Mapping::Shared(second)) => Vec::from_iter(one_shared_namespace(
            (first_name, first),
            (second_name, second),
        )),
        (Mapping::Table(first), Mapping::Table(second)) => {
            rows_with_one_remote_namespace((first_name, first), (second_name, second))
        }
        (Mapping::Table(table), Mapping::Shared(shared)) => Vec::from_iter(
            row_of_shared_namespace((first_name, table), (second_name, shared)),
        ),
        (Mapping::Shared(shared), Mapping::Table(table)) => Vec::from_iter(
            row_of_shared_namespace((second_name, table), (first_name, shared)),
        ),
    }
}

fn one_shared_namespace(
    (first_name, first): Named<'_, SharedNamespace>,
    (second_name, second): Named<'_, SharedNamespace>,
) -> Option<Warning> {
    let remote = first.namespace();
    (second.namespace() == remote).then(|| Warning {
        key: format!("controlPlanes.{second_name}.mapping.namespace"),
        problem: format!(
            "control plane {first_name:?} is the same server and stores claims in {remote:?} too"
        ),
        cure: "use one control plane for both, or set another namespace".to_owned(),
    })
}

/// Finds two local namespaces in two tables that map to the same remote one. An equal row in two control planes is not
/// a mistake, because they can have different credentials for different APIs.
fn rows_with_one_remote_namespace(
    (first_name, first): Named<'_, NamespaceTable>,
    (second_name, second): Named<'_, NamespaceTable>,
) -> Vec<Warning> {
    let rows = second.rows().filter_map(|(local, remote)| {
        let earlier = first.to_local(remote).filter(|earlier| *earlier != local)?;
        Some(Warning {
            key: format!("controlPlanes.{second_name}.mapping.namespaces.{local}"),
            problem: format!(
                "control plane {first_name:?} is the same server and maps {earlier:?} to {remote:?} too"
            ),
            cure: format!("map {local:?} to another namespace"),
        })
    });
    rows.collect()
}

/// Finds a row that maps to the namespace of a shared mapping. Through the row, its claims are visible with their
/// remote names.
fn row_of_shared_namespace(
    (table_name, table): Named<'_, NamespaceTable>,
    (shared_name, shared): Named<'_, SharedNamespace>,
) -> Option<Warning> {
    let remote = shared.namespace();
    let local = table.to_local(remote)?;
    Some(Warning {
        key: format!("controlPlanes.{table_name}.mapping.namespaces.{local}"),
        problem: format!(
            "control plane {shared_name:?} is the same server and stores the claims of all local namespaces in \
             {remote:?}; they are visible in {local:?} under their remote names"
        ),
        cure: format!("map {local:?} to another namespace"),
    })
}
