//! Reads `apis[].secrets`: the Secrets that are copied between the clusters.

use std::collections::{BTreeMap, BTreeSet};

use super::inputs::{InputConfig, inputs};
use super::secret_template::SecretTemplate;
use super::section::Section;
use claim_mapping::mapping::is_dns_label;

/// The type of the Secrets that Crossplane writes for claims (`crossplane-runtime/pkg/resource/resource.go`).
const CONNECTION: &str = "connection.crossplane.io/v1alpha1";

/// The types that can be copied. Controllers act on other types, for example on tokens.
const TYPES: [&str; 4] = [
    CONNECTION,
    "Opaque",
    "kubernetes.io/tls",
    "kubernetes.io/basic-auth",
];

/// Domains of labels and annotations that are never copied: controllers of the app cluster act on them.
const RESERVED_DOMAINS: [&str; 5] = [
    "argocd.argoproj.io",
    "claimgate.dev",
    "fluxcd.io",
    "k8s.io",
    "kubernetes.io",
];

/// The Secrets that are copied for the claims of one API.
#[derive(Clone, Debug, Default)]
pub struct SecretsConfig {
    /// `None` if connection Secrets are not copied.
    pub connection: Option<ConnectionSecretsConfig>,
    /// The objects that are copied to the control plane.
    pub inputs: Vec<InputConfig>,
    /// Local namespaces whose Secrets claimgate may read and write.
    pub namespaces: NamespaceSelection,
}

/// How connection Secrets are copied to the app cluster.
#[derive(Clone, Debug)]
pub struct ConnectionSecretsConfig {
    /// The types of Secrets on the control plane that are copied. There is at least one.
    pub types: BTreeSet<String>,
    /// The type of the copies, or `None` for the type of the source.
    pub target_type: Option<String>,
    pub labels: KeySelection,
    pub annotations: KeySelection,
    /// Additional keys of the copies.
    pub templates: BTreeMap<String, SecretTemplate>,
}

/// Local namespaces in which claimgate may read and write Secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NamespaceSelection {
    All,
    Named(BTreeSet<String>),
}

impl SecretsConfig {
    /// Returns whether nothing is copied.
    pub fn is_off(&self) -> bool {
        self.connection.is_none() && self.inputs.is_empty()
    }
}

impl Default for NamespaceSelection {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl NamespaceSelection {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(namespace),
        }
    }

    /// Selects some namespaces by name.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Named(names.into_iter().map(str::to_owned).collect())
    }

    /// Returns the namespaces of all selections.
    pub fn union<'a>(selections: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = BTreeSet::new();
        for selection in selections {
            match selection {
                Self::All => return Self::All,
                Self::Named(names) => all.extend(names.iter().cloned()),
            }
        }
        Self::Named(all)
    }

    /// Returns the number of watches that cover the namespaces.
    pub fn watches(&self) -> usize {
        match self {
            Self::All => 1,
            Self::Named(names) => names.len(),
        }
    }
}

/// Keys of labels or annotations that are copied: names, or prefixes that end in `*`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeySelection(Vec<String>);

impl KeySelection {
    /// Returns whether a key is copied. Keys of reserved domains never are.
    pub fn contains(&self, key: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(begin) => key.starts_with(begin),
            None => key == pattern,
        };
        self.0.iter().any(matches) && !is_reserved(key)
    }
}

fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    RESERVED_DOMAINS.iter().any(|reserved| {
        let sub = domain.strip_suffix(reserved);
        sub.is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    })
}

/// Reads `secrets`. Returns `None` after a problem.
pub(super) fn secrets(section: Section<'_>) -> Option<SecretsConfig> {
    let is_on = section.flag("connection", false);
    let namespaces = namespaces(&section);
    let connection = connection(&section);
    let inputs = inputs(&section);
    let needs_namespaces = is_on || inputs.as_ref().is_some_and(|inputs| !inputs.is_empty());
    if needs_namespaces
        && namespaces
            .as_ref()
            .is_some_and(NamespaceSelection::is_empty)
    {
        let cure = "list the local namespaces of claims, or write [\"*\"] for all";
        section.problem("namespaces", "is required for connection and input", cure);
    }
    section.finish();
    Some(SecretsConfig {
        connection: Some(connection?).filter(|_| is_on),
        inputs: inputs?,
        namespaces: namespaces?,
    })
}

fn namespaces(section: &Section<'_>) -> Option<NamespaceSelection> {
    let names: BTreeSet<String> = section.texts("namespaces", &[]).into_iter().collect();
    if names.contains("*") {
        return Some(NamespaceSelection::All);
    }
    if let Some(name) = names.iter().find(|name| !is_dns_label(name)) {
        let cure = "write names of namespaces, or [\"*\"] for all";
        section.problem("namespaces", format!("{name:?} is not a namespace"), cure);
        return None;
    }
    Some(NamespaceSelection::Named(names))
}

fn connection(section: &Section<'_>) -> Option<ConnectionSecretsConfig> {
    let types: BTreeSet<String> = section.texts("types", &[CONNECTION]).into_iter().collect();
    let target_type = section.text("targetType").filter(|text| !text.is_empty());
    let unknown = types.iter().find(|name| !TYPES.contains(&name.as_str()));
    if let Some(name) = unknown {
        let cure = format!("use some of {}", TYPES.join(", "));
        section.problem(
            "types",
            format!("Secrets of type {name:?} are never copied"),
            cure,
        );
        return None;
    }
    if types.is_empty() {
        let cure = format!("write some of {}", TYPES.join(", "));
        section.problem("types", "is empty", cure);
        return None;
    }
    if let Some(name) = target_type.as_deref().filter(|name| !TYPES.contains(name)) {
        let cure = format!("use one of {}", TYPES.join(", "));
        section.problem(
            "targetType",
            format!("{name:?} is not a type of copies"),
            cure,
        );
        return None;
    }
    let (labels, annotations) = (keys(section, "labels"), keys(section, "annotations"));
    let templates = templates(section);
    Some(ConnectionSecretsConfig {
        types,
        target_type,
        labels: labels?,
        annotations: annotations?,
        templates: templates?,
    })
}

fn keys(section: &Section<'_>, key: &'static str) -> Option<KeySelection> {
    let patterns = section.texts(key, &[]);
    if let Some(pattern) = patterns.iter().find(|pattern| is_reserved(pattern)) {
        let cure = "remove it: controllers of the app cluster act on such keys";
        section.problem(key, format!("{pattern:?} is never copied"), cure);
        return None;
    }
    Some(KeySelection(patterns))
}

fn templates(section: &Section<'_>) -> Option<BTreeMap<String, SecretTemplate>> {
    let mut templates = BTreeMap::new();
    let mut is_valid = true;
    for (key, text) in section.table("templates").unwrap_or_default() {
        match SecretTemplate::parse(&text) {
            Ok(template) => {
                templates.insert(key, template);
            }
            Err(problem) => {
                let cure = "write it as postgres://{username}:{password}@{endpoint}";
                section.problem("templates", format!("{key:?}: {problem}"), cure);
                is_valid = false;
            }
        }
    }
    is_valid.then_some(templates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_keys_are_never_copied() {
        let all = KeySelection(vec!["*".to_owned()]);
        for (key, expected) in [
            ("team", true),
            ("example.org/team", true),
            ("notkubernetes.io/a", true),
            ("argocd.argoproj.io/secret-type", false),
            ("kubernetes.io/service-account.name", false),
            ("toolkit.fluxcd.io/a", false),
        ] {
            assert_eq!(all.contains(key), expected, "{key}");
        }
        let some = KeySelection(vec!["team".to_owned(), "example.org/*".to_owned()]);
        assert!(some.contains("example.org/a") && some.contains("team"));
        assert!(!some.contains("teams"));
    }
}
