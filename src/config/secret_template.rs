//! Templates for additional keys of copied Secrets: `postgres://{username}:{password}@{endpoint}`.

use std::collections::BTreeMap;

/// A text with the names of keys in braces. `{{` and `}}` are braces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretTemplate(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Key(String),
}

/// The reason why a template cannot be rendered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the Secret has no key {0:?}")]
pub struct MissingKey(pub String);

impl SecretTemplate {
    /// # Errors
    /// A brace has no counterpart, or the name of a key is empty.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, found) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = found.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = found.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let inner = found.strip_prefix('{').ok_or("a } has no {")?;
                let (key, after) = inner.split_once('}').ok_or("a { has no }")?;
                if key.is_empty() || key.contains('{') {
                    return Err("braces contain no key");
                }
                parts.push(Part::Text(std::mem::take(&mut literal)));
                parts.push(Part::Key(key.to_owned()));
                rest = after;
            }
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        Ok(Self(parts))
    }

    /// Returns the text with the values of the keys.
    ///
    /// # Errors
    /// A key does not exist.
    pub fn render<V: AsRef<[u8]>>(
        &self,
        values: &BTreeMap<String, V>,
    ) -> Result<Vec<u8>, MissingKey> {
        let mut rendered = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => rendered.extend_from_slice(text.as_bytes()),
                Part::Key(key) => {
                    let value = values.get(key).ok_or_else(|| MissingKey(key.clone()))?;
                    rendered.extend_from_slice(value.as_ref());
                }
            }
        }
        Ok(rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_by_their_values() {
        let values = [("user", "a"), ("password", "{b}")];
        let values: BTreeMap<String, &str> =
            values.map(|(key, value)| (key.to_owned(), value)).into();
        let template = SecretTemplate::parse("x://{user}:{password}@{{y}}").unwrap();
        assert_eq!(template.render(&values).unwrap(), b"x://a:{b}@{y}");
        let missing = SecretTemplate::parse("{host}").unwrap().render(&values);
        assert_eq!(missing, Err(MissingKey("host".to_owned())));
    }

    #[test]
    fn braces_without_counterpart_are_errors() {
        for text in ["{user", "user}", "{}", "{a{b}"] {
            assert!(SecretTemplate::parse(text).is_err(), "{text}");
        }
    }
}
