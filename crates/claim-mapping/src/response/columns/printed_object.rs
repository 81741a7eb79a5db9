//! Objects, metadata and annotations that a cell prints as JSON in a string.

use std::sync::LazyLock;

use bytes::Bytes;
use json_rewrite::{Edit, Framing, Handler, Limits, RewriteError, Rewriter, RuleError, Rules, Tag};

use crate::messages::{self, NOT_SHOWN};
use crate::object_fields::printed_object_rules;
use crate::request_scope::RequestScope;
use crate::tags::Tags;

/// Rules for a printed object. All of them lead to namespaces.
static OBJECT: LazyLock<Result<Rules, RuleError>> = LazyLock::new(|| {
    let mut tags = Tags::new();
    printed_object_rules(|role| tags.tag(role))
});

/// Rules for a cell, which is one string.
static CELL: LazyLock<Result<Rules, RuleError>> =
    LazyLock::new(|| Rules::builder().string("$", 0).build());

/// Maps a cell whose text starts like an object. `cell` is its JSON and `text` its decoded text. Returns `None`
/// if nothing changes.
///
/// If the text cannot be read as one object but may name a namespace, it is replaced by [`NOT_SHOWN`].
pub(super) fn to_local(cell: &str, text: &str, scope: &RequestScope) -> Option<String> {
    let mapped = rewrite(&OBJECT, text, NamespaceMapper(scope));
    if mapped.as_deref() == Ok(text) {
        return None;
    }
    // The rewriter inserts the text, because it escapes strings like Go does.
    let mapped = mapped.and_then(|mapped| rewrite(&CELL, cell, Replacement(&mapped)));
    match mapped {
        Ok(mapped) => Some(mapped),
        Err(Unreadable) if messages::may_name_namespace(text, scope) => {
            Some(serde_json::Value::from(NOT_SHOWN).to_string())
        }
        Err(Unreadable) => None,
    }
}

/// Quotes a text as Go does, in place of the string in a cell.
pub(super) fn quoted_like(cell: &str, text: &str) -> Option<String> {
    rewrite(&CELL, cell, Replacement(text)).ok()
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Unreadable;

impl From<RewriteError> for Unreadable {
    fn from(_error: RewriteError) -> Self {
        Self
    }
}

fn rewrite(
    rules: &Result<Rules, RuleError>,
    json: &str,
    handler: impl Handler,
) -> Result<String, Unreadable> {
    let rules = rules.as_ref().map_err(|_error| Unreadable)?;
    let json = Bytes::copy_from_slice(json.as_bytes());
    // A cell has no limit of its own.
    let limits = Limits {
        string_bytes_max: Limits::default().buffered_bytes_max,
        ..Limits::default()
    };
    let mapped =
        Rewriter::new(rules.clone(), Framing::SingleValue, limits, handler).rewrite_all(json)?;
    String::from_utf8(mapped.into()).map_err(|_error| Unreadable)
}

struct NamespaceMapper<'a>(&'a RequestScope);

impl Handler for NamespaceMapper<'_> {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Edit<'_> {
        let remote = std::str::from_utf8(value).ok();
        let local = remote.and_then(|remote| self.0.local_namespace(remote));
        local.map_or(Edit::Keep, Edit::Replace)
    }
}

struct Replacement<'a>(&'a str);

impl Handler for Replacement<'_> {
    fn string(&mut self, _tag: Tag, _value: &[u8]) -> Edit<'_> {
        Edit::Replace(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_scopes::one;

    #[test]
    fn rules_compile() {
        assert!(OBJECT.is_ok() && CELL.is_ok());
    }

    #[test]
    fn text_with_several_objects_is_not_shown_if_it_names_the_namespace() {
        let cell = |text: &str| serde_json::Value::from(text).to_string();
        let two = |namespace: &str| {
            format!(r#"{{"namespace":"{namespace}"}} {{"namespace":"{namespace}"}}"#)
        };
        let local = |text: &str| to_local(&cell(text), text, &one());
        assert_eq!(local(&two("app-ns-1")), Some(cell(NOT_SHOWN)));
        assert_eq!(local(&two("elsewhere")), None);
    }
}
