//! Columns of Tables: which print the object's namespace, and who has been told of them.
//!
//! A column's definition says what it prints only in its description, and there only if the CRD
//! gives it none of its own (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor`).
//! A cell of any other column is somebody's text, even one that reads like a namespace.
//!
//! A watch defines its columns in its first Table alone
//! (`apiserver/pkg/endpoints/handlers/response.go`, `watchEmbeddedEncoder`). If that is dropped, the
//! first that is kept has them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Scope;

const DESCRIPTION: &str =
    "Custom resource definition column (in JSONPath format): .metadata.namespace";

#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Those that print the namespace, by their place from the left.
    of_namespace: Vec<usize>,
    /// The definitions, as they came, until a Table is kept.
    untold: Option<String>,
}

#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    description: String,
}

impl Columns {
    /// Takes in a Table's `columnDefinitions`; those to have in their place, if it has none and the
    /// client has seen none.
    pub(super) fn learn(&mut self, raw: &[u8]) -> Option<&str> {
        let definitions = serde_json::from_slice::<Vec<Definition>>(raw).unwrap_or_default();
        if definitions.is_empty() {
            return self.untold.as_deref();
        }
        let described =
            |(at, column): (usize, &Definition)| (column.description == DESCRIPTION).then_some(at);
        self.of_namespace = definitions
            .iter()
            .enumerate()
            .filter_map(described)
            .collect();
        self.untold = std::str::from_utf8(raw).ok().map(str::to_owned);
        None
    }

    /// What was learned last goes to the client.
    pub(super) fn told(&mut self) {
        self.untold = None;
    }

    /// A row's cells in local terms, every other byte as it is; `None` if nothing is mapped.
    pub(super) fn to_local(&self, cells: &[u8], scope: &Scope) -> Option<String> {
        if self.of_namespace.is_empty() {
            return None;
        }
        let mut rest = std::str::from_utf8(cells).ok()?;
        let cells: Vec<&RawValue> = serde_json::from_str(rest).ok()?;
        let mut mapped = String::with_capacity(rest.len());
        for (at, cell) in cells.into_iter().map(RawValue::get).enumerate() {
            let (before, after) = rest.split_once(cell)?;
            mapped.push_str(before);
            let remote: Option<String> = serde_json::from_str(cell).ok();
            let remote = remote.filter(|_| self.of_namespace.contains(&at));
            match remote.as_deref().and_then(|remote| scope.to_local(remote)) {
                Some(local) => mapped.push_str(&serde_json::Value::from(local).to_string()),
                None => mapped.push_str(cell),
            }
            rest = after;
        }
        Some(mapped + rest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    fn scope() -> Scope {
        Scope::One {
            local: "default".to_owned(),
            remote: "app-ns-1".to_owned(),
        }
    }

    fn columns() -> Columns {
        let mut columns = Columns::default();
        columns.learn(
            format!(r#"[{{"name":"Name"}},{{"name":"HOME","description":{DESCRIPTION:?}}},{{}}]"#)
                .as_bytes(),
        );
        columns
    }

    #[test]
    fn only_cells_of_a_column_that_prints_the_namespace_are_mapped() {
        for (cells, mapped) in [
            (
                r#"["app-ns-1","app-ns-1","app-ns-1"]"#,
                r#"["app-ns-1","default","app-ns-1"]"#,
            ),
            (
                "[ \"a\",\n \"\\u0061pp-ns-1\", [\"app-ns-1\"] ]",
                "[ \"a\",\n \"default\", [\"app-ns-1\"] ]",
            ),
            (r#"[[[]],"app-ns-2"]"#, r#"[[[]],"app-ns-2"]"#),
            (r#"["a",null,3]"#, r#"["a",null,3]"#),
            ("[]", "[]"),
        ] {
            let local = columns().to_local(cells.as_bytes(), &scope());
            assert_eq!(local.as_deref(), Some(mapped));
        }
        assert_eq!(columns().to_local(b"null", &scope()), None);
    }

    #[test]
    fn columns_are_known_until_others_are_defined() {
        let mut columns = columns();
        for none in ["null", "[]"] {
            assert!(columns.learn(none.as_bytes()).unwrap().contains("HOME"));
            assert_eq!(columns.of_namespace, [1]);
        }
        columns.told();
        assert_eq!(columns.learn(b"null"), None);
        columns.learn(br#"[{"name":"Name","description":"a name"}]"#);
        assert!(columns.to_local(br#"["app-ns-1"]"#, &scope()).is_none());
    }
}
