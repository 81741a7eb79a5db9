//! Reads `apis[].secrets.input`: the Secrets and ConfigMaps that claims need on the control plane.

use std::collections::{BTreeMap, BTreeSet};

use super::section::Section;
use claim_mapping::ReferencePath;

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

/// Selects the objects of a claim's local namespace that are copied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InputSource {
    /// The object that the claim names in a field.
    Reference(ReferencePath),
    /// All objects with these labels.
    Labels(BTreeMap<String, String>),
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
