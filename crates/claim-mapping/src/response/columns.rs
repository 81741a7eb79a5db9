//! Columns of Tables: which of them may print the object's namespace, and which definitions the client has.
//!
//! A definition contains the column's path only in its description, and only if the CRD sets no description
//! (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor`). If the path is known and leads to
//! another field, the column's cells stay, even if they look like a namespace. In any other column, a cell that
//! equals the namespace is mapped. So are the names in a cell that prints an object, its metadata or its
//! annotations as JSON ([`printed_object`]).
//!
//! A watch sends its column definitions only in its first Table
//! (`apiserver/pkg/endpoints/handlers/response.go`, `watchEmbeddedEncoder`). If that Table is dropped, the
//! first kept Table gets the definitions.

mod content;
mod printed_object;
mod translated_cell;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::content::ColumnContent;
use crate::last_applied::LastAppliedRules;
use crate::object_names::ObjectNames;
use crate::request_scope::{RequestScope, SharedScope};

#[derive(Debug, Default)]
pub(super) struct Columns {
    /// What each column may print, from left to right.
    contents: Vec<ColumnContent>,
    /// The definitions as received, until a Table with them is kept.
    unsent: Option<String>,
    /// The last definitions could not be read, so cells cannot be mapped either.
    are_unreadable: bool,
}

/// Error: definitions or cells do not have the form that kube-apiserver writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct UnreadableTable;

#[derive(Deserialize)]
struct Definition {
    description: Option<String>,
}

impl Columns {
    /// Reads a Table's `columnDefinitions`. If the list is null or empty, the previous definitions stay.
    ///
    /// # Errors
    /// The definitions cannot be read.
    pub(super) fn define(&mut self, raw: &[u8]) -> Result<(), UnreadableTable> {
        let read = std::str::from_utf8(raw).ok().and_then(|text| {
            let definitions: Option<Vec<Definition>> = serde_json::from_str(text).ok()?;
            Some((text, definitions.unwrap_or_default()))
        });
        self.are_unreadable = read.is_none();
        let (text, definitions) = read.ok_or(UnreadableTable)?;
        if !definitions.is_empty() {
            // Without a description the column may print anything, so its cells are searched.
            let description = |column: Definition| column.description.unwrap_or_default();
            let descriptions = definitions.into_iter().map(description);
            self.contents = descriptions
                .map(|description| ColumnContent::from_description(&description))
                .collect();
            self.unsent = Some(text.to_owned());
        }
        Ok(())
    }

    /// Returns the definitions that the client does not have yet.
    pub(super) fn unsent(&self) -> Option<&str> {
        self.unsent.as_deref()
    }

    /// Records that the client has the latest definitions.
    pub(super) fn mark_sent(&mut self) {
        self.unsent = None;
    }

    /// Maps a row's cells and copies every other byte. Returns `None` if nothing changes.
    ///
    /// # Errors
    /// The cells, or the definitions before them, cannot be read.
    pub(super) fn to_local(
        &self,
        cells: &[u8],
        scope: &RequestScope,
    ) -> Result<Option<String>, UnreadableTable> {
        if self.are_unreadable {
            return Err(UnreadableTable);
        }
        // kube-apiserver writes one cell for each column, so no cell can name the namespace here.
        let mut others = self.contents.iter().skip(1);
        if !self.contents.is_empty() && others.all(|content| *content == ColumnContent::Other) {
            return Ok(None);
        }
        map_cells(cells, |index, cell| {
            cell_to_local(self.content(index), cell, scope)
        })
    }

    /// Maps the cells of a row whose object has other names on the control plane.
    ///
    /// # Errors
    /// The cells, or the definitions before them, cannot be read.
    pub(super) fn to_translated(
        &self,
        cells: &[u8],
        scope: &SharedScope,
        names: &ObjectNames,
        annotations: &LastAppliedRules,
    ) -> Result<Option<String>, UnreadableTable> {
        if self.are_unreadable {
            return Err(UnreadableTable);
        }
        map_cells(cells, |index, cell| {
            let content = self.content(index);
            let local = translated_cell::to_local(content, cell, scope, names, annotations);
            local.map_err(|_error| UnreadableTable)
        })
    }

    /// Returns what a column may print. The first column prints the object's name, whatever its title. A column
    /// without a definition may print anything.
    fn content(&self, index: usize) -> ColumnContent {
        match self.contents.get(index) {
            _ if index == 0 => ColumnContent::Other,
            Some(content) => *content,
            None => ColumnContent::Namespace,
        }
    }
}

/// Maps each cell, and copies every other byte. Returns `None` if nothing changes.
fn map_cells(
    cells: &[u8],
    map: impl Fn(usize, &str) -> Result<Option<String>, UnreadableTable>,
) -> Result<Option<String>, UnreadableTable> {
    let mut rest = std::str::from_utf8(cells).map_err(|_error| UnreadableTable)?;
    let parsed: Option<Vec<&RawValue>> =
        serde_json::from_str(rest).map_err(|_error| UnreadableTable)?;
    let mut mapped = String::with_capacity(rest.len());
    let mut is_changed = false;
    for (index, cell) in parsed.into_iter().flatten().enumerate() {
        let cell = cell.get();
        let (before, after) = rest.split_once(cell).ok_or(UnreadableTable)?;
        let local = map(index, cell)?;
        is_changed |= local.is_some();
        mapped += before;
        mapped += local.as_deref().unwrap_or(cell);
        rest = after;
    }
    Ok(is_changed.then(|| mapped + rest))
}

/// Maps one cell, given as JSON. Returns `None` if it stays unchanged.
fn cell_to_local(
    content: ColumnContent,
    cell: &str,
    scope: &RequestScope,
) -> Result<Option<String>, UnreadableTable> {
    // Only a string can name the namespace: kube-apiserver prints objects as text.
    if content == ColumnContent::Other || !cell.starts_with('"') {
        return Ok(None);
    }
    let text: String = serde_json::from_str(cell).map_err(|_error| UnreadableTable)?;
    if content == ColumnContent::Namespace
        && let Some(local) = scope.local_namespace(&text)
    {
        return Ok(Some(serde_json::Value::from(&*local).to_string()));
    }
    if text.starts_with('{') {
        return Ok(printed_object::to_local(cell, &text, scope));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;
    use crate::object_fields::LAST_APPLIED;
    use crate::test_scopes::one;

    fn columns() -> Columns {
        let mut columns = Columns::default();
        let defined = columns.define(
            br#"[
                {"name":"Name"},
                {"name":"HOME","description":"Custom resource definition column (in JSONPath format): .metadata.namespace"},
                {"name":"NOTE","description":"Custom resource definition column (in JSONPath format): .spec.note"},
                {"name":"PLACE","description":"where it lives"}
            ]"#,
        );
        assert_eq!(defined, Ok(()));
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
            let local = columns().to_local(cells.as_bytes(), &one()).unwrap();
            assert_eq!(local.as_deref().unwrap_or(cells), mapped);
        }
        assert_eq!(columns().to_local(b"null", &one()), Ok(None));
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
        for printed in [&applied as &dyn Fn(&str) -> String, &metadata, &object] {
            let cell = by_go(&printed("app-ns-1"));
            let local = cell_to_local(ColumnContent::Namespace, &cell, &one());
            assert_eq!(local, Ok(Some(by_go(&printed("default")))));
            let local = cell_to_local(ColumnContent::Other, &cell, &one());
            assert_eq!(local, Ok(None));
        }
        let cell = by_go(&applied("app-ns-1"));
        let local = cell_to_local(ColumnContent::Annotations, &cell, &one());
        assert_eq!(local, Ok(Some(by_go(&applied("default")))));
        for kept in [r#""app-ns-1""#, r#""{app-ns-1""#, "7"] {
            let local = cell_to_local(ColumnContent::Annotations, kept, &one());
            assert_eq!(local, Ok(None), "{kept}");
        }
    }

    #[test]
    fn columns_stay_defined_until_redefined() {
        let mut columns = columns();
        for none in ["null", "[]"] {
            assert_eq!(columns.define(none.as_bytes()), Ok(()));
            assert!(columns.unsent().unwrap().contains("HOME"));
            assert_eq!(columns.contents.get(1), Some(&ColumnContent::Namespace));
        }
        columns.mark_sent();
        assert_eq!(columns.define(b"null"), Ok(()));
        assert_eq!(columns.unsent(), None);
        let named = columns.define(br#"[{"name":"Name","description":"a name"}]"#);
        assert_eq!(named, Ok(()));
        assert_eq!(columns.to_local(br#"["app-ns-1"]"#, &one()), Ok(None));
    }

    #[test]
    fn cells_without_definitions_may_print_the_namespace() {
        let columns = Columns::default();
        let local = columns.to_local(br#"["app-ns-1","app-ns-1"]"#, &one());
        assert_eq!(local, Ok(Some(r#"["app-ns-1","default"]"#.to_owned())));
    }

    #[test]
    fn unreadable_definitions_and_cells_are_errors() {
        for cells in [
            &b"{}"[..],
            b"[\"a\",\"\xff\"]",
            b"[\"a\",,]",
            br#"["a","\ud800"]"#,
        ] {
            let local = columns().to_local(cells, &one());
            assert_eq!(local, Err(UnreadableTable), "{}", cells.escape_ascii());
        }
        let mut columns = columns();
        assert_eq!(columns.define(b"5"), Err(UnreadableTable));
        assert_eq!(columns.to_local(br#"["a"]"#, &one()), Err(UnreadableTable));
        assert_eq!(columns.define(b"null"), Ok(()));
        assert!(columns.to_local(br#"["a"]"#, &one()).is_ok());
    }
}
