//! Reads `apis[].secrets.input`: the Secrets and ConfigMaps that claims need on the control plane.

use std::collections::{BTreeMap, BTreeSet};

use super::section::Section;
use super::settings::ApiConfig;
use claim_mapping::{ReferencePath, ReferencePaths};

/// Secrets or ConfigMaps of the app cluster that are copied to the control plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InputConfig {
    pub kind: InputKind,
    pub source: InputSource,
    /// The resources to which the entry applies, in plural form. Empty for all.
    pub resources: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InputKind {
    Secret,
    ConfigMap,
}

/// Which objects of a claim's local namespace are copied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InputSource {
    /// The one that the claim names.
    Reference(ReferencePath),
    /// All with these labels.
    Labels(BTreeMap<String, String>),
}

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

/// Reads `input`. Returns `None` after a problem.
pub(super) fn inputs(section: &Section<'_>) -> Option<Vec<InputConfig>> {
    let sections = section.list_of_sections_or("input", "path");
    let inputs: Vec<Option<InputConfig>> = sections.into_iter().map(input).collect();
    inputs.into_iter().collect()
}

fn input(section: Section<'_>) -> Option<InputConfig> {
    let kind = section.choice(
        "kind",
        ("Secret", InputKind::Secret),
        &[("ConfigMap", InputKind::ConfigMap)],
    );
    let path = section.text("path");
    let resources = section.texts("resources", &[]).into_iter().collect();
    let labels = section.table("labels").filter(|labels| !labels.is_empty());
    let source = match (path, labels) {
        (Some(text), None) => {
            let path = text.parse::<ReferencePath>().map_err(|error| {
                let cure = "write the keys of one field: spec.parameters.passwordSecretRef";
                section.problem("path", error.to_string(), cure);
            });
            path.ok().map(InputSource::Reference)
        }
        (None, Some(labels)) => Some(InputSource::Labels(labels)),
        _ => {
            let cure = "write {path: spec.parameters.passwordSecretRef}, or {labels: {key: value}}";
            section.problem("path", "an entry needs either a path or labels", cure);
            None
        }
    };
    section.finish();
    Some(InputConfig {
        kind,
        source: source?,
        resources,
    })
}
