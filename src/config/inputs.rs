//! Reads `apis[].secrets.input`: the Secrets and ConfigMaps that claims need on the control plane.

use std::collections::{BTreeMap, BTreeSet};

use super::section::Section;

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

/// The field of a claim that names an object: `spec.parameters.passwordSecretRef`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferencePath(Vec<String>);

/// Maximum number of keys of a path.
const KEYS_MAX: usize = 16;

impl ReferencePath {
    fn parse(text: &str) -> Option<Self> {
        let keys: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_key = |key: &String| {
            let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !key.is_empty() && key.chars().all(is_inner)
        };
        let is_valid = keys.first().is_some_and(|key| key == "spec")
            && (2..=KEYS_MAX).contains(&keys.len())
            && keys.iter().all(is_key);
        is_valid.then_some(Self(keys))
    }

    /// Returns the JSON pointer to the name. The last key is the name itself, or an object with the field `name`.
    pub fn pointer(&self) -> String {
        let last = self.0.last().map_or("", String::as_str);
        let is_name = last == "name" || last.ends_with("Name");
        let keys: String = self.0.iter().map(|key| format!("/{key}")).collect();
        if is_name {
            keys
        } else {
            format!("{keys}/name")
        }
    }
}

/// As in the configuration.
impl std::fmt::Display for ReferencePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
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
            let path = ReferencePath::parse(&text);
            if path.is_none() {
                let cure = "write the keys of one field: spec.parameters.passwordSecretRef";
                section.problem("path", format!("{text:?} is not a field of spec"), cure);
            }
            path.map(InputSource::Reference)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_is_a_name_or_an_object_with_a_name() {
        for (text, pointer) in [
            ("spec.passwordSecretRef", "/spec/passwordSecretRef/name"),
            ("spec.a.secretName", "/spec/a/secretName"),
            ("spec.a.name", "/spec/a/name"),
        ] {
            let path = ReferencePath::parse(text).unwrap();
            assert_eq!(path.pointer(), pointer);
            assert_eq!(path.to_string(), text);
        }
        for text in ["spec", "status.a", "spec..a", "spec.a[0].b", "", "spec.a/b"] {
            assert_eq!(ReferencePath::parse(text), None, "{text}");
        }
    }
}
