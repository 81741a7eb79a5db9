//! Paths of fields, and their two text forms: a key of `fieldsV1`, and the form in messages
//! (structured-merge-diff `fieldpath/{element,serialize-pe}.go`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// One step from a container to a value inside it. Scalars are kept as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathElement {
    /// A field of an object.
    Field(String),
    /// An item of a list of type `map`, by its key fields.
    Key(BTreeMap<String, String>),
    /// An item of a list of type `set`.
    Item(String),
}

/// A field, as the steps from the object to it. Empty for the object itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FieldPath(Vec<PathElement>);

impl PathElement {
    /// Parses a key of `fieldsV1`. Returns `None` for unknown forms and for indexes, which no
    /// server writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (form, content) = text.split_once(':')?;
        match form {
            "f" => Some(Self::Field(content.to_owned())),
            "k" => {
                let fields: BTreeMap<String, Value> = serde_json::from_str(content).ok()?;
                let fields = fields.into_iter();
                let fields = fields.map(|(name, value)| (name, value.to_string()));
                Some(Self::Key(fields.collect()))
            }
            "v" => {
                let value: Value = serde_json::from_str(content).ok()?;
                Some(Self::Item(value.to_string()))
            }
            _ => None,
        }
    }

    /// Returns the element as a key of `fieldsV1`.
    pub(super) fn to_key(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
                    .collect();
                format!("k:{{{}}}", fields.join(","))
            }
            Self::Item(value) => format!("v:{value}"),
        }
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Item(value) => write!(f, "[={value}]"),
        }
    }
}

impl FieldPath {
    /// Returns a path of field names.
    pub(crate) fn of_fields(names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned());
        Self(names.map(PathElement::Field).collect())
    }

    pub(super) fn elements(&self) -> &[PathElement] {
        &self.0
    }

    /// Returns the path of a value inside the one at this path.
    #[must_use]
    pub(super) fn child(&self, element: PathElement) -> Self {
        let mut elements = self.0.clone();
        elements.push(element);
        Self(elements)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_elements_survive_a_round_trip() {
        for (key, shown) in [
            ("f:example.org/owner", ".example.org/owner"),
            (
                r#"k:{"port":80,"protocol":"TCP"}"#,
                r#"[port=80,protocol="TCP"]"#,
            ),
            (r#"v:"example.org/wait""#, r#"[="example.org/wait"]"#),
        ] {
            let element = PathElement::parse(key).unwrap();
            assert_eq!(element.to_key(), key);
            assert_eq!(element.to_string(), shown);
        }
        for invalid in ["", "f", "i:1", "k:[1]", "v:{"] {
            assert_eq!(PathElement::parse(invalid), None, "{invalid}");
        }
    }
}
