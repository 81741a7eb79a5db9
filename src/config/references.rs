//! Collects the fields of claims that name Secrets and ConfigMaps.

use std::collections::BTreeMap;

use super::inputs::InputSource;
use super::section::Section;
use super::settings::ApiConfig;
use claim_mapping::{ReferencePath, ReferencePaths};

/// Returns the paths of `apis[].secrets.input`, by API group. Several entries of a group can have the same path. Returns
/// `None` after a problem.
pub(super) fn references(
    root: &Section<'_>,
    apis: &[ApiConfig],
) -> Option<BTreeMap<String, ReferencePaths>> {
    let mut by_group: BTreeMap<&str, Vec<ReferencePath>> = BTreeMap::new();
    let inputs = apis
        .iter()
        .flat_map(|api| api.secrets.inputs.iter().map(|input| (&api.group, input)));
    for (group, input) in inputs {
        if let InputSource::Reference(path) = &input.source {
            let paths = by_group.entry(group).or_default();
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
    }
    let paths = by_group.into_iter().map(|(group, paths)| {
        let paths = ReferencePaths::try_from(paths).map_err(|error| {
            let cure = "remove one of the paths from secrets.input";
            root.problem("apis", format!("group {group:?}: {error}"), cure);
        });
        Some((group.to_owned(), paths.ok()?))
    });
    paths.collect()
}
