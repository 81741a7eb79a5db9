//! The name in the body of a request that creates an object.

use crate::json_members::JsonMembers;

/// How an object that is created gets its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CreatedName {
    /// The body contains the name.
    Given(String),
    /// The name is generated from this prefix.
    Generated(String),
    /// The body has neither, or cannot be read. The control plane rejects it.
    Missing,
}

impl CreatedName {
    /// Reads the name from the body, an object in JSON.
    pub fn read(body: &[u8]) -> Self {
        let (name, prefix) = names(body).unwrap_or_default();
        match (name, prefix) {
            (Some(name), _) => Self::Given(name),
            (None, Some(prefix)) => Self::Generated(prefix),
            (None, None) => Self::Missing,
        }
    }
}

/// Returns the name and the prefix. Kubernetes treats an empty text like a missing one.
fn names(body: &[u8]) -> Option<(Option<String>, Option<String>)> {
    let object = JsonMembers::read(body).ok()??;
    let metadata = JsonMembers::read(object.get("metadata")?.as_bytes()).ok()??;
    let text = |key: &str| {
        let text = serde_json::from_str::<String>(metadata.get(key)?).ok();
        text.filter(|text| !text.is_empty())
    };
    Some((text("name"), text("generateName")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_name_counts_and_precedes_a_prefix() {
        let given = |name: &str| CreatedName::Given(name.to_owned());
        for (body, expected) in [
            (
                r#"{"metadata":{"name":"a","generateName":"b-"}}"#,
                given("a"),
            ),
            (r#"{"metadata":{"name":"a","name":"\u0062"}}"#, given("b")),
            (
                r#"{"metadata":{"name":"","generateName":"b-"}}"#,
                CreatedName::Generated("b-".to_owned()),
            ),
            (r#"{"metadata":{"name":null}}"#, CreatedName::Missing),
            (r#"{"metadata":null}"#, CreatedName::Missing),
            ("[]", CreatedName::Missing),
            ("no JSON", CreatedName::Missing),
        ] {
            assert_eq!(CreatedName::read(body.as_bytes()), expected, "{body}");
        }
    }
}
