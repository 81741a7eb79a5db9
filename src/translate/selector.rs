//! `metadata.namespace` in field selectors (`apimachinery/pkg/fields/selector.go`).

use super::Scope;

/// A field selector in remote terms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mapped {
    Selector(String),
    /// It asks for a namespace that is not mapped: nothing matches.
    Nothing,
}

const FIELD: &str = "metadata.namespace";

/// Maps the namespace in every term on `metadata.namespace`. A term that excludes a namespace which
/// is not mapped excludes nothing that could be seen, and goes.
pub fn to_remote(selector: &str, to_remote: impl Fn(&str) -> Option<String>) -> Mapped {
    let mut terms = Vec::new();
    for term in split(selector) {
        let Some((operator, value)) = namespace_term(term) else {
            terms.push(term.to_owned());
            continue;
        };
        match to_remote(value) {
            Some(remote) => terms.push(format!("{FIELD}{operator}{remote}")),
            None if operator == "!=" => {}
            None => return Mapped::Nothing,
        }
    }
    Mapped::Selector(terms.join(","))
}

/// As [`to_remote`], within a scope.
pub fn in_scope(selector: &str, scope: &Scope) -> Mapped {
    to_remote(selector, |local| scope.to_remote(local).map(str::to_owned))
}

/// Splits at commas that no backslash precedes.
fn split(selector: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in selector.char_indices() {
        match c {
            ',' if !escaped => {
                terms.extend(selector.get(start..at));
                start = at + 1;
                escaped = false;
            }
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    terms.extend(selector.get(start..));
    terms
}

fn namespace_term(term: &str) -> Option<(&'static str, &str)> {
    let rest = term.strip_prefix(FIELD)?;
    ["!=", "==", "="]
        .into_iter()
        .find_map(|op| Some((op, rest.strip_prefix(op)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(selector: &str) -> Mapped {
        to_remote(selector, |local| {
            (local == "default").then(|| "app-ns-1".to_owned())
        })
    }

    #[test]
    fn only_the_namespace_field_is_mapped() {
        for (local, remote) in [
            ("metadata.namespace=default", "metadata.namespace=app-ns-1"),
            (
                "metadata.namespace==default",
                "metadata.namespace==app-ns-1",
            ),
            ("metadata.name=default", "metadata.name=default"),
            (
                "a=1,metadata.namespace!=default",
                "a=1,metadata.namespace!=app-ns-1",
            ),
            (
                r"a=x\,metadata.namespace=default",
                r"a=x\,metadata.namespace=default",
            ),
            ("metadata.namespace!=app-ns-9,a=1", "a=1"),
            ("metadata.namespaces=default", "metadata.namespaces=default"),
        ] {
            assert_eq!(map(local), Mapped::Selector(remote.into()), "{local}");
        }
    }

    #[test]
    fn an_unmapped_namespace_matches_nothing() {
        assert_eq!(map("metadata.namespace=app-ns-1"), Mapped::Nothing);
        assert_eq!(map("metadata.name=x,metadata.namespace="), Mapped::Nothing);
    }
}
