//! `metadata.namespace` in field selectors (`apimachinery/pkg/fields/selector.go`).

const FIELD: &str = "metadata.namespace";

/// Maps the namespace in every term on `metadata.namespace`. A term that excludes a namespace which
/// is not mapped excludes nothing that could be seen, and goes; one that asks for it asks for the
/// namespace of no name, in which nothing is, so that the empty answer is the control plane's own.
pub fn to_remote(selector: &str, to_remote: impl Fn(&str) -> Option<String>) -> String {
    let mut terms = Vec::new();
    for term in split(selector) {
        let Some((operator, value)) = namespace_term(term) else {
            terms.push(term.to_owned());
            continue;
        };
        match to_remote(value) {
            Some(remote) => terms.push(format!("{FIELD}{operator}{remote}")),
            // An escape is of what no namespace's name holds, or of nothing, which is refused there. So is
            // a second sign of equality.
            None if value.contains(['\\', '=']) => terms.push(term.to_owned()),
            None if operator == "!=" => {}
            None => terms.push(format!("{FIELD}{operator}")),
        }
    }
    terms.join(",")
}

/// The one namespace that a selector asks for, if it does.
pub fn only_namespace(selector: &str) -> Option<&str> {
    let named = |term| namespace_term(term).filter(|(operator, _)| *operator != "!=");
    split(selector)
        .into_iter()
        .find_map(named)
        .map(|(_, value)| value)
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

    fn map(selector: &str) -> String {
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
            (
                r"metadata.namespace=\default",
                r"metadata.namespace=\default",
            ),
            ("metadata.namespaces=default", "metadata.namespaces=default"),
            (
                "metadata.namespace!=default=b,metadata.namespace===default",
                "metadata.namespace!=default=b,metadata.namespace===default",
            ),
        ] {
            assert_eq!(map(local), remote, "{local}");
        }
    }

    #[test]
    fn an_unmapped_namespace_matches_nothing() {
        assert_eq!(map("metadata.namespace=app-ns-1"), "metadata.namespace=");
        assert_eq!(
            map("metadata.name=x,metadata.namespace==no"),
            "metadata.name=x,metadata.namespace=="
        );
    }

    #[test]
    fn the_namespace_asked_for_is_found() {
        for (selector, namespace) in [
            ("metadata.namespace=a", Some("a")),
            ("metadata.name=x,metadata.namespace==a", Some("a")),
            ("metadata.namespace!=a", None),
            ("metadata.namespaces=a", None),
            ("", None),
        ] {
            assert_eq!(only_namespace(selector), namespace, "{selector}");
        }
    }
}
