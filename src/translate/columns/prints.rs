//! What a column prints, as far as the path that it is defined by tells.
//!
//! Paths are read as `client-go/util/jsonpath/parser.go` reads them, up to the first step that is no
//! plain field. What follows such a step stays within what the fields before it led to.

/// What may stand in a column's cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Prints {
    /// Nothing that names the object's namespace.
    Text,
    /// The namespace, or an object or metadata that it stands in.
    Namespace,
    /// Annotations, of which one may be an object as it was applied last.
    Annotations,
}

/// What stands before the path in the description of a column to which the CRD gives none
/// (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go`).
const DESCRIBED: &str = "Custom resource definition column (in JSONPath format): ";

impl Prints {
    /// By a column's description; of one with words of its own nothing is known.
    pub(super) fn of(description: &str) -> Self {
        description
            .strip_prefix(DESCRIBED)
            .map_or(Self::Namespace, Self::of_path)
    }

    fn of_path(path: &str) -> Self {
        let (fields, _) = fields(path);
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        match fields.as_slice() {
            [] | ["metadata"] | ["metadata", "namespace"] => Self::Namespace,
            ["metadata", "annotations", ..] => Self::Annotations,
            // A dot alone is a field of no name, and prints what nobody has written down.
            fields if fields.contains(&"") => Self::Namespace,
            _ => Self::Text,
        }
    }
}

/// The fields that a path begins with, and whether that is all of it.
fn fields(path: &str) -> (Vec<String>, bool) {
    let mut fields = Vec::new();
    let mut rest = path;
    loop {
        rest = rest.trim_start_matches([' ', '@', '$']);
        // Behind a closing brace another path begins, which a cell does not show.
        if rest.is_empty() || rest.starts_with('}') {
            return (fields, true);
        }
        if let Some((keys, after)) = bracketed(rest) {
            // A key in brackets is read as a path again, so that its dots part it.
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

/// A key in brackets and quotes, and what follows it.
fn bracketed(path: &str) -> Option<(&str, &str)> {
    let (key, after) = path.strip_prefix('[')?.split_once(']')?;
    let key = key.strip_prefix('\'')?.strip_suffix('\'')?;
    (!key.contains(['\'', ',', '\n'])).then_some((key, after))
}

/// A field's name with its escapes, and what follows it.
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
    fn paths_tell_what_a_column_prints() {
        use Prints::{Annotations, Namespace, Text};
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
            (".metadata.name", Text),
            (".metadata.namespaces", Text),
            (".metadata.namespace.x", Text),
            (".metadata.labels..namespace", Text),
            (".spec.namespace", Text),
            (".spec..namespace", Text),
            (".spec['metadata.namespace']", Text),
            (".status.conditions[?(@.type=='Ready')].status", Text),
            (".spec.metadata.namespace", Text),
        ] {
            assert_eq!(Prints::of_path(path), prints, "{path}");
        }
        assert_eq!(Prints::of("where it lives"), Namespace);
        assert_eq!(Prints::of(&format!("{DESCRIBED}.spec.x")), Text);
    }
}
