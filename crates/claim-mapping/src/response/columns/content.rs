//! What a column prints, according to its path.
//!
//! Paths are read like in `client-go/util/jsonpath/parser.go`, up to the first step that is not a plain field.
//! Later steps stay inside the value that the fields before them select.

use crate::object_fields::{Names, OBJECT_FIELDS, ObjectField, Role};
use crate::origin::OriginKey;

/// What a column's cells may contain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ColumnContent {
    /// Nothing that contains the object's namespace.
    Other,
    /// The namespace, or an object or metadata that contains it.
    Namespace,
    /// Annotations, possibly including the last-applied one.
    Annotations,
    /// A label or annotation that contains a part of the object's origin.
    Origin,
}

/// Prefix of the path in the description of a column, if the CRD sets no description
/// (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go`).
const DESCRIPTION_PREFIX: &str = "Custom resource definition column (in JSONPath format): ";

impl ColumnContent {
    /// Derives the content from a column's description. If the CRD sets the description, the column may print
    /// anything.
    pub(super) fn from_description(description: &str) -> Self {
        description
            .strip_prefix(DESCRIPTION_PREFIX)
            .map_or(Self::Namespace, Self::from_path)
    }

    fn from_path(path: &str) -> Self {
        let (fields, _) = fields(path);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        // The key has dots, which are escaped in most paths. In brackets, they split the key into fields.
        if let ["metadata", "labels" | "annotations", key @ ..] = fields.as_slice()
            && OriginKey::parse(&key.join(".")).is_some()
        {
            return Self::Origin;
        }
        let is_in = |field: &ObjectField<'_>| field.path.starts_with(&fields);
        // A key with dots is read as several fields. So any field of the same parent may be the annotation.
        let is_sibling = |field: &ObjectField<'_>| {
            let (_key, object) = field.path.split_last().unwrap_or((&"", &[]));
            fields.starts_with(object)
        };
        let mut names = OBJECT_FIELDS
            .iter()
            .filter(|field| field.role.is_name(Names::Kept));
        let mut records = OBJECT_FIELDS
            .iter()
            .filter(|field| field.role == Role::LastApplied);
        if names.any(is_in) {
            Self::Namespace
        } else if records.any(is_sibling) {
            Self::Annotations
        } else if fields.contains(&"") {
            // A lone dot is a field without a name. Its output is not documented, so the column may print the
            // namespace.
            Self::Namespace
        } else {
            Self::Other
        }
    }
}

/// Returns the plain fields at the start of a path, and whether they are the whole path.
fn fields(path: &str) -> (Vec<String>, bool) {
    let mut fields = Vec::new();
    let mut rest = path;
    loop {
        rest = rest.trim_start_matches([' ', '@', '$']);
        // Another path starts after a closing brace. A cell does not print it.
        if rest.is_empty() || rest.starts_with('}') {
            return (fields, true);
        }
        if let Some((keys, after)) = bracketed(rest) {
            // A key in brackets is parsed as a path again, so dots split it.
            let (inner, is_all) = self::fields(&format!(".{keys}"));
            fields.extend(inner);
            if !is_all {
                return (fields, false);
            }
            rest = after;
            continue;
        }
        let field = rest.strip_prefix('.').filter(|_| !rest.starts_with(".."));
        let Some((field, after)) = field.map(until_terminator) else {
            return (fields, false);
        };
        if field == "*" {
            return (fields, false);
        }
        fields.push(field.replace('\\', ""));
        rest = after;
    }
}

/// Returns a key in brackets and quotes, and the text after it.
fn bracketed(path: &str) -> Option<(&str, &str)> {
    let (key, after) = path.strip_prefix('[')?.split_once(']')?;
    let key = key.strip_prefix('\'')?.strip_suffix('\'')?;
    (!key.contains(['\'', ',', '\n'])).then_some((key, after))
}

/// Returns a field's name with its escapes, and the text after it.
fn until_terminator(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let is_end = |c: char| {
        let ends = !escaped && " \t\r\n.,[]$@{}".contains(c);
        escaped = c == '\\' && !escaped;
        ends
    };
    let end = text.find(is_end).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_follows_from_path() {
        use ColumnContent::{Annotations, Namespace, Other};
        for (path, prints) in [
            (".metadata.namespace", Namespace),
            (".metadata['namespace']", Namespace),
            (".metadata[ 'namespace' ]", Namespace),
            (".meta\\data.name\\space", Namespace),
            ("$.metadata .namespace", Namespace),
            (".['metadata.namespace']", Namespace),
            (".metadata.namespace}{.spec", Namespace),
            (".metadata[\"namespace\"]", Namespace),
            (".metadata['namespace','name']", Namespace),
            ("..namespace", Namespace),
            (".metadata..namespace", Namespace),
            (".metadata.*", Namespace),
            (".metadata", Namespace),
            (".", Namespace),
            ("..", Namespace),
            ("", Namespace),
            (".*.namespace", Namespace),
            (".metadata.annotations", Annotations),
            (".metadata.annotations['a\\.b/c']", Annotations),
            (".metadata.name", Other),
            (".metadata.namespaces", Other),
            (".metadata.namespace.x", Other),
            (".metadata.labels..namespace", Other),
            (".spec.namespace", Other),
            (".spec..namespace", Other),
            (".spec['metadata.namespace']", Other),
            (".status.conditions[?(@.type=='Ready')].status", Other),
            (".spec.metadata.namespace", Other),
        ] {
            assert_eq!(ColumnContent::from_path(path), prints, "{path}");
        }
        assert_eq!(ColumnContent::from_description("where it lives"), Namespace);
        assert_eq!(
            ColumnContent::from_description(&format!("{DESCRIPTION_PREFIX}.spec.x")),
            Other
        );
    }
}
