//! Columns of Tables: which may print the object's namespace, and who has been told of them.
//!
//! A column's definition says what it prints only in its description, and there only if the CRD gives
//! it none of its own (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor`). Where the
//! path is known and leads elsewhere, a cell is somebody's text, even one that reads like a namespace.
//! In any other column a cell that is the namespace's name is mapped, and one that is an object or its
//! metadata as JSON, where it names the namespace.
//!
//! A watch defines its columns in its first Table alone
//! (`apiserver/pkg/endpoints/handlers/response.go`, `watchEmbeddedEncoder`). If that is dropped, the
//! first that is kept has them.

mod prints;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::prints::Prints;
use super::{LAST_APPLIED, Scope};
use crate::rewrite::{Framing, Handler, Limits, Rewriter, RuleError, Rules, Tag, Verdict};

#[derive(Debug, Default)]
pub(super) struct Columns {
    /// What may stand in each, from the left.
    prints: Vec<Prints>,
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
        let prints = definitions
            .iter()
            .map(|column| Prints::of(&column.description));
        self.prints = prints.collect();
        // The first is the name of the object, whatever it is called.
        if let Some(first) = self.prints.first_mut() {
            *first = Prints::Text;
        }
        self.untold = std::str::from_utf8(raw).ok().map(str::to_owned);
        None
    }

    /// What was learned last goes to the client.
    pub(super) fn told(&mut self) {
        self.untold = None;
    }

    /// A row's cells in local terms, every other byte as it is; `None` if nothing is mapped.
    pub(super) fn to_local(&self, cells: &[u8], scope: &Scope) -> Option<String> {
        if self.prints.iter().all(|prints| *prints == Prints::Text) {
            return None;
        }
        let mut rest = std::str::from_utf8(cells).ok()?;
        let cells: Vec<&RawValue> = serde_json::from_str(rest).ok()?;
        let mut mapped = String::with_capacity(rest.len());
        for (at, cell) in cells.into_iter().map(RawValue::get).enumerate() {
            let (before, after) = rest.split_once(cell)?;
            mapped.push_str(before);
            let prints = self.prints.get(at).copied().unwrap_or(Prints::Text);
            match cell_to_local(prints, cell, scope) {
                Some(local) => mapped.push_str(&local),
                None => mapped.push_str(cell),
            }
            rest = after;
        }
        Some(mapped + rest)
    }
}

/// One cell, as it is written.
fn cell_to_local(prints: Prints, cell: &str, scope: &Scope) -> Option<String> {
    if prints == Prints::Text {
        return None;
    }
    let text: String = serde_json::from_str(cell).ok()?;
    let is_name = prints == Prints::Namespace;
    if let Some(local) = scope.to_local(&text).filter(|_| is_name) {
        return Some(serde_json::Value::from(local).to_string());
    }
    if !text.starts_with('{') {
        return None;
    }
    let rules = Rules::builder().string("$", CELL).build().ok()?;
    whole(rules, Held(scope), Bytes::copy_from_slice(cell.as_bytes()))
}

fn whole(rules: Rules, handler: Held<'_>, json: Bytes) -> Option<String> {
    let mut rewriter = Rewriter::new(rules, Framing::One, limits(), handler);
    let mapped = rewriter.whole(json).ok()?;
    String::from_utf8(mapped.into()).ok()
}

/// A cell has no bound of its own.
fn limits() -> Limits {
    Limits {
        string_bytes_max: Limits::default().held_bytes_max,
        ..Limits::default()
    }
}

const CELL: Tag = 0;
const NAMESPACE: Tag = 1;

/// Maps what stands in a cell as JSON, and the cell by that.
#[derive(Clone, Copy)]
struct Held<'a>(&'a Scope);

impl Held<'_> {
    /// The rules for an object, its metadata or its annotations.
    fn rules() -> Result<Rules, RuleError> {
        let namespace = || Rules::builder().string("$.metadata.namespace", NAMESPACE);
        let applied = namespace().build()?;
        ["$.metadata.annotations", "$.annotations", "$"]
            .into_iter()
            .map(|annotations| format!("{annotations}[{LAST_APPLIED:?}]"))
            .fold(namespace(), |rules, path| {
                rules.inside(&path, applied.clone())
            })
            .string("$.namespace", NAMESPACE)
            .build()
    }
}

impl Handler for Held<'_> {
    fn string(&mut self, tag: Tag, value: &[u8]) -> Verdict<'_> {
        let mapped = if tag == NAMESPACE {
            let remote = std::str::from_utf8(value).ok();
            let local = remote.and_then(|remote| self.0.to_local(remote));
            local.map(str::to_owned)
        } else {
            let rules = Self::rules().ok();
            let json = Bytes::copy_from_slice(value);
            rules.and_then(|rules| whole(rules, *self, json))
        };
        mapped
            .filter(|mapped| mapped.as_bytes() != value)
            .map_or(Verdict::Keep, |mapped| Verdict::Replace(mapped.into()))
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
            br#"[
                {"name":"Name"},
                {"name":"HOME","description":"Custom resource definition column (in JSONPath format): .metadata.namespace"},
                {"name":"NOTE","description":"Custom resource definition column (in JSONPath format): .spec.note"},
                {"name":"PLACE","description":"where it lives"}
            ]"#,
        );
        columns
    }

    #[test]
    fn only_cells_of_a_column_that_prints_the_namespace_are_mapped() {
        for (cells, mapped) in [
            (
                r#"["app-ns-1","app-ns-1","app-ns-1","app-ns-1"]"#,
                r#"["app-ns-1","default","app-ns-1","default"]"#,
            ),
            (
                r#"["a","b","{\"namespace\":\"app-ns-1\"}","in app-ns-1"]"#,
                r#"["a","b","{\"namespace\":\"app-ns-1\"}","in app-ns-1"]"#,
            ),
            (
                r#"["a",{"x":"app-ns-1"},"c",["app-ns-1"]]"#,
                r#"["a",{"x":"app-ns-1"},"c",["app-ns-1"]]"#,
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
    fn objects_in_cells_are_mapped_where_they_name_the_namespace() {
        let applied = |namespace: &str| {
            let object = format!(r#"{{"metadata":{{"namespace":"{namespace}"}},"s":"<&"}}"#);
            serde_json::json!({ LAST_APPLIED: object }).to_string()
        };
        let metadata = |namespace: &str| {
            format!(
                r#"{{"name":"app-ns-1","annotations":{},"namespace":"{namespace}"}}"#,
                applied(namespace)
            )
        };
        let object = |namespace: &str| format!(r#"{{"metadata":{}}}"#, metadata(namespace));
        let by_go = |text: &str| {
            let quoted = serde_json::to_string(text).unwrap();
            quoted.replace('<', "\\u003c").replace('&', "\\u0026")
        };
        for held in [&applied as &dyn Fn(&str) -> String, &metadata, &object] {
            let cell = by_go(&held("app-ns-1"));
            let local = cell_to_local(Prints::Namespace, &cell, &scope());
            assert_eq!(local, Some(by_go(&held("default"))));
            assert_eq!(cell_to_local(Prints::Text, &cell, &scope()), None);
        }
        let cell = by_go(&applied("app-ns-1"));
        let local = cell_to_local(Prints::Annotations, &cell, &scope());
        assert_eq!(local, Some(by_go(&applied("default"))));
        for kept in [r#""app-ns-1""#, r#""{app-ns-1""#, "7"] {
            let local = cell_to_local(Prints::Annotations, kept, &scope());
            assert_eq!(local.as_deref().unwrap_or(kept), kept);
        }
    }

    #[test]
    fn columns_are_known_until_others_are_defined() {
        let mut columns = columns();
        for none in ["null", "[]"] {
            assert!(columns.learn(none.as_bytes()).unwrap().contains("HOME"));
            assert_eq!(columns.prints.get(1), Some(&Prints::Namespace));
        }
        columns.told();
        assert_eq!(columns.learn(b"null"), None);
        columns.learn(br#"[{"name":"Name","description":"a name"}]"#);
        assert!(columns.to_local(br#"["app-ns-1"]"#, &scope()).is_none());
    }
}
