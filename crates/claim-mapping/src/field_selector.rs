//! Names in field selectors (`apimachinery/pkg/fields/selector.go`).

use std::borrow::Cow;

use crate::label_selector;
use crate::origin::{self, is_label_value};

const FIELD: &str = "metadata.namespace";
const NAME_FIELD: &str = "metadata.name";

/// Maps the namespace in every term on `metadata.namespace`.
///
/// A term that excludes an unmapped namespace is removed, because it excludes nothing that the client could
/// see. A term that requires an unmapped namespace is replaced by one that requires an empty namespace. The
/// control plane then returns an empty list itself.
pub(crate) fn to_remote<'a>(
    selector: &str,
    to_remote: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> String {
    let mut terms = Vec::new();
    for term in terms_of(selector) {
        let Some((operator, value)) = term_on(FIELD, term) else {
            terms.push(term.to_owned());
            continue;
        };
        match to_remote(value) {
            Some(remote) => terms.push(format!("{FIELD}{operator}{remote}")),
            // No namespace's name contains an escaped character. kube-apiserver rejects other escapes and a
            // second equality sign.
            None if value.contains(['\\', '=']) => terms.push(term.to_owned()),
            None if operator == "!=" => {}
            None => terms.push(format!("{FIELD}{operator}")),
        }
    }
    terms.join(",")
}

/// Returns the namespace that a selector requires, or `None` if it requires none.
pub(crate) fn only_namespace(selector: &str) -> Option<&str> {
    let named = |term| term_on(FIELD, term).filter(|(operator, _)| *operator != "!=");
    terms_of(selector).find_map(named).map(|(_, value)| value)
}

/// A field selector in a shared mapping.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct SharedFields {
    /// The terms that remain in the field selector.
    pub(crate) selector: String,
    /// Terms of a label selector that replace the others.
    pub(crate) label_terms: Vec<String>,
}

/// Maps a field selector in a shared mapping. `namespace` is the local namespace of the request, or `None` for a read
/// across namespaces, for which no remote name can be computed. Labels contain the local names, so they replace
/// the fields there.
pub(crate) fn to_shared(
    selector: &str,
    namespace: Option<&str>,
    remote_name: impl Fn(&str) -> Option<String>,
) -> SharedFields {
    let (mut fields, mut label_terms) = (Vec::new(), Vec::new());
    for term in terms_of(selector).filter(|term| !term.is_empty()) {
        let name = term_on(NAME_FIELD, term);
        if let Some((operator, value)) = name.or_else(|| term_on(FIELD, term))
            // kube-apiserver rejects most escapes and a second equality sign, and no name contains the others.
            && !value.contains(['\\', '='])
        {
            match (name.is_some(), namespace) {
                (true, Some(_)) => {
                    let remote = remote_name(value).unwrap_or_default();
                    fields.push(format!("{NAME_FIELD}{operator}{remote}"));
                }
                (true, None) => label_terms.extend(label_term(origin::NAME, operator, value)),
                (false, None) => {
                    label_terms.extend(label_term(origin::NAMESPACE, operator, value));
                }
                (false, Some(namespace)) if (operator == "!=") == (namespace == value) => {
                    label_terms.push(label_selector::nothing());
                }
                (false, Some(_)) => {}
            }
        } else {
            fields.push(term.to_owned());
        }
    }
    SharedFields {
        selector: fields.join(","),
        label_terms,
    }
}

/// Returns a term of a label selector. A name that does not fit in a label belongs to no object that this could
/// select.
fn label_term(label: &str, operator: &str, value: &str) -> Option<String> {
    match (is_label_value(value) && !value.is_empty(), operator) {
        (true, operator) => Some(format!("{label}{operator}{value}")),
        (false, "!=") => None,
        (false, _) => Some(label_selector::nothing()),
    }
}

/// Splits a selector into its terms, at every comma without a backslash before it.
fn terms_of(selector: &str) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    selector.split(move |c| {
        let is_separator = c == ',' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_separator
    })
}

/// Returns the operator and the value of a term on this field.
fn term_on<'a>(field: &str, term: &'a str) -> Option<(&'static str, &'a str)> {
    let rest = term.strip_prefix(field)?;
    ["!=", "==", "="]
        .into_iter()
        .find_map(|op| Some((op, rest.strip_prefix(op)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(selector: &str) -> String {
        to_remote(selector, |local| {
            (local == "default").then_some(Cow::Borrowed("app-ns-1"))
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
    fn unmapped_namespace_matches_nothing() {
        assert_eq!(map("metadata.namespace=app-ns-1"), "metadata.namespace=");
        assert_eq!(
            map("metadata.name=x,metadata.namespace==no"),
            "metadata.name=x,metadata.namespace=="
        );
    }

    #[test]
    fn only_namespace_is_the_one_the_selector_requires() {
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

    #[test]
    fn shared_mapping_replaces_fields_by_remote_names_or_labels() {
        let nothing = "!claimgate.dev/cluster";
        for (selector, namespace, field, label) in [
            ("metadata.name=a", Some("default"), "metadata.name=a-1", ""),
            (
                "metadata.name!=a",
                Some("default"),
                "metadata.name!=a-1",
                "",
            ),
            ("metadata.namespace=default", Some("default"), "", ""),
            ("metadata.namespace!=default", Some("default"), "", nothing),
            ("metadata.namespace=other", Some("default"), "", nothing),
            ("metadata.namespace!=other", Some("default"), "", ""),
            ("metadata.name=a", None, "", "claimgate.dev/name=a"),
            (
                "metadata.namespace!=a,x=1",
                None,
                "x=1",
                "claimgate.dev/namespace!=a",
            ),
            ("metadata.name=", None, "", nothing),
            ("metadata.name=No!", None, "", nothing),
            ("metadata.name!=No!", None, "", ""),
            (r"metadata.name=\a", None, r"metadata.name=\a", ""),
            ("metadata.names=a", None, "metadata.names=a", ""),
            ("", None, "", ""),
        ] {
            let mapped = to_shared(selector, namespace, |name| Some(format!("{name}-1")));
            assert_eq!(mapped.selector, field, "{selector}");
            assert_eq!(mapped.label_terms.join(","), label, "{selector}");
        }
    }
}
