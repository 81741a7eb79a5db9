//! Fields of a claim's spec that name Secrets, as an operator declares them.
//!
//! claimgate does not know the fields of an API. A declared path is a field in which a claim names a Secret of its own
//! namespace, so that the shared mapping maps the name like that of a connection Secret.

use std::fmt;
use std::str::FromStr;

/// Largest number of keys in a path.
const KEYS_MAX: usize = 16;

/// Largest number of paths for one API group.
const PATHS_MAX: usize = 32;

/// The field in which a claim names its connection Secret. Crossplane writes the Secret into the claim's namespace
/// (`crossplane/internal/controller/apiextensions/claim/connection.go`).
pub(crate) const CONNECTION_SECRET: &[&str] = &["spec", "writeConnectionSecretToRef", "name"];

/// The same field for connection details in external stores.
pub(crate) const CONNECTION_DETAILS: &[&str] = &["spec", "publishConnectionDetailsTo", "name"];

/// The keys that lead to a string in a claim's spec. The string is the name of a Secret.
///
/// The text `spec.parameters.passwordSecretRef` stands for the member `name` of this object. If the last key is `name`
/// or ends in `Name`, the text stands for this field itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferencePath {
    keys: Vec<String>,
}

/// Why a text is not the path of a reference.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReferencePathError {
    #[error(
        "{0:?} is not a field of the spec; write a path such as spec.parameters.passwordSecretRef"
    )]
    NotInSpec(String),
    #[error(
        "{0:?} has an empty key; separate the keys by single dots, as in spec.parameters.passwordSecretRef"
    )]
    EmptyKey(String),
    #[error(
        "{0:?} leads into a list, and names in lists cannot be mapped; remove the path, and let the API name the Secret in \
         a field outside of lists"
    )]
    List(String),
    #[error(
        "{path:?} has the key {key:?}; keys consist of ASCII letters, digits, \"-\" and \"_\", begin with a letter or \
         \"_\", and are not ownerReferences"
    )]
    UnsupportedKey { path: String, key: String },
    #[error("{0:?} has too many keys; a path has at most {KEYS_MAX}, with the name of the Secret")]
    TooDeep(String),
    #[error("{0:?} names the connection Secret, which is always mapped; remove the path")]
    ConnectionSecret(String),
}

impl ReferencePath {
    /// Returns the keys from the claim to the name of the Secret.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Returns whether a field is the name, or the object that contains it as its member `name`. The field is written
    /// with dots, as in `spec.parameters.passwordSecretRef`.
    fn is_field(&self, field: &str) -> bool {
        let name = self.to_string();
        name == field || name.strip_suffix(".name") == Some(field)
    }
}

impl FromStr for ReferencePath {
    type Err = ReferencePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = || text.to_owned();
        let mut keys: Vec<&str> = text.split('.').collect();
        if keys.contains(&"") {
            return Err(ReferencePathError::EmptyKey(path()));
        }
        let ["spec", .., last] = *keys else {
            return Err(ReferencePathError::NotInSpec(path()));
        };
        if keys.iter().any(|key| is_element(key)) {
            return Err(ReferencePathError::List(path()));
        }
        if let Some(key) = keys.iter().find(|key| !is_supported(key)) {
            return Err(ReferencePathError::UnsupportedKey {
                path: path(),
                key: (*key).to_owned(),
            });
        }
        if last != "name" && !last.ends_with("Name") {
            keys.push("name");
        }
        if keys.len() > KEYS_MAX {
            return Err(ReferencePathError::TooDeep(path()));
        }
        let known = [CONNECTION_SECRET, CONNECTION_DETAILS];
        if known.iter().any(|known| keys.starts_with(known)) {
            return Err(ReferencePathError::ConnectionSecret(path()));
        }
        Ok(Self {
            keys: keys.into_iter().map(str::to_owned).collect(),
        })
    }
}

impl fmt::Display for ReferencePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.keys.join("."))
    }
}

/// Returns whether a key selects elements of a list, as in `users[0]`, `users[]`, `users.0` and `users.*`.
fn is_element(key: &str) -> bool {
    key.contains(['[', ']', '*']) || key.bytes().all(|c| c.is_ascii_digit())
}

/// Returns whether a key can be part of a rule. The owner references are read as a whole wherever a JSON patch may have
/// them, so no rule leads into a field with this key.
fn is_supported(key: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_first = |c: u8| c.is_ascii_alphabetic() || c == b'_';
    key.bytes().all(is_inner)
        && key.bytes().next().is_some_and(is_first)
        && key != "ownerReferences"
}

/// The declared references in the claims of one API group. None of them contains another.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReferencePaths(Vec<ReferencePath>);

/// Why paths cannot be declared together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReferencePathsError {
    #[error(
        "an API group can have at most {PATHS_MAX} paths, but {0} are declared; remove some of them"
    )]
    TooMany(usize),
    #[error("{0} is declared twice; remove one of the paths")]
    Repeated(ReferencePath),
    #[error(
        "{outer} is the name of a Secret, so it cannot contain {inner}; remove one of the paths"
    )]
    Nested {
        outer: ReferencePath,
        inner: ReferencePath,
    },
}

impl ReferencePaths {
    pub fn iter(&self) -> impl Iterator<Item = &ReferencePath> {
        self.0.iter()
    }

    /// Returns the keys of each path.
    pub(crate) fn keys(&self) -> Vec<Vec<&str>> {
        let paths = self.iter().map(|path| path.keys.iter());
        paths
            .map(|keys| keys.map(String::as_str).collect())
            .collect()
    }

    /// Returns whether a field of a schema, as in `spec.parameters.passwordSecretRef`, is a declared reference.
    pub fn contains_field(&self, field: &str) -> bool {
        self.iter().any(|path| path.is_field(field))
    }
}

impl TryFrom<Vec<ReferencePath>> for ReferencePaths {
    type Error = ReferencePathsError;

    fn try_from(paths: Vec<ReferencePath>) -> Result<Self, Self::Error> {
        if paths.len() > PATHS_MAX {
            return Err(ReferencePathsError::TooMany(paths.len()));
        }
        for (index, outer) in paths.iter().enumerate() {
            for (other, inner) in paths.iter().enumerate() {
                if index == other || !inner.keys.starts_with(&outer.keys) {
                    continue;
                }
                return Err(match inner == outer {
                    true => ReferencePathsError::Repeated(outer.clone()),
                    false => ReferencePathsError::Nested {
                        outer: outer.clone(),
                        inner: inner.clone(),
                    },
                });
            }
        }
        Ok(Self(paths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, ReferencePathError> {
        let path: ReferencePath = text.parse()?;
        Ok(path.to_string())
    }

    fn paths(texts: &[&str]) -> Result<ReferencePaths, ReferencePathsError> {
        let paths = texts.iter().map(|text| text.parse().unwrap());
        paths.collect::<Vec<_>>().try_into()
    }

    #[test]
    fn path_leads_to_the_name_of_the_secret() {
        for (text, expected) in [
            ("spec.ref", "spec.ref.name"),
            ("spec.ref.name", "spec.ref.name"),
            ("spec.name", "spec.name"),
            ("spec.parameters.secretName", "spec.parameters.secretName"),
            ("spec.parameters.rename", "spec.parameters.rename.name"),
            ("spec.a_b.c-1._d", "spec.a_b.c-1._d.name"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_paths_are_rejected() {
        use ReferencePathError::{ConnectionSecret, EmptyKey, List, NotInSpec, TooDeep};
        let deep = |keys: usize| format!("spec{}", ".a".repeat(keys - 1));
        assert!(parse(&deep(KEYS_MAX - 1)).is_ok());
        let too_deep = deep(KEYS_MAX);
        for (text, error) in [
            ("spec", NotInSpec as fn(String) -> ReferencePathError),
            ("name", NotInSpec),
            ("specs.ref", NotInSpec),
            ("status.ref", NotInSpec),
            ("metadata.name", NotInSpec),
            ("", EmptyKey),
            (".spec.ref", EmptyKey),
            ("spec.", EmptyKey),
            ("spec..ref", EmptyKey),
            ("spec.users[].ref", List),
            ("spec.users[0].ref", List),
            ("spec.users.0.ref", List),
            ("spec.users.*.ref", List),
            (&too_deep, TooDeep),
            ("spec.writeConnectionSecretToRef", ConnectionSecret),
            ("spec.writeConnectionSecretToRef.name.x", ConnectionSecret),
            ("spec.publishConnectionDetailsTo.name", ConnectionSecret),
        ] {
            assert_eq!(parse(text), Err(error(text.to_owned())), "{text}");
        }
        for (text, key) in [
            ("spec.a b", "a b"),
            ("spec.-", "-"),
            ("spec.a/b.ref", "a/b"),
            ("spec.é", "é"),
            ("spec.\"a\"", "\"a\""),
            ("spec.ownerReferences", "ownerReferences"),
        ] {
            let (path, key) = (text.to_owned(), key.to_owned());
            let error = ReferencePathError::UnsupportedKey { path, key };
            assert_eq!(parse(text), Err(error));
        }
    }

    #[test]
    fn paths_that_overlap_or_are_too_many_are_rejected() {
        assert!(paths(&["spec.ref", "spec.a.ref", "spec.aName", "spec.refs"]).is_ok());
        let path = |text: &str| text.parse().unwrap();
        assert_eq!(
            paths(&["spec.ref", "spec.a", "spec.ref.name"]),
            Err(ReferencePathsError::Repeated(path("spec.ref")))
        );
        for order in [
            ["spec.ref", "spec.ref.name.a"],
            ["spec.ref.name.a", "spec.ref"],
        ] {
            let (outer, inner) = (path("spec.ref"), path("spec.ref.name.a"));
            let nested = ReferencePathsError::Nested { outer, inner };
            assert_eq!(paths(&order), Err(nested));
        }
        let many: Vec<String> = (0..=PATHS_MAX).map(|it| format!("spec.a{it}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(paths(&many), Err(ReferencePathsError::TooMany(33)));
    }

    #[test]
    fn fields_of_schemas_are_compared_with_the_paths() {
        let paths = paths(&["spec.a.secretRef", "spec.secretName"]).unwrap();
        for (field, expected) in [
            ("spec.a.secretRef", true),
            ("spec.a.secretRef.name", true),
            ("spec.secretName", true),
            ("spec.secretRef", false),
            ("spec.a", false),
            ("spec.a.secretRef.key", false),
        ] {
            assert_eq!(paths.contains_field(field), expected, "{field}");
        }
    }
}
