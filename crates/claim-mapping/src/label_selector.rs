//! Label selectors (`apimachinery/pkg/labels/selector.go`) in a shared mapping.

use crate::origin::{CLUSTER, KEYS, NAMESPACE, is_label_value};

/// Returns the term that no object of this app cluster matches.
pub(crate) fn nothing() -> String {
    format!("!{CLUSTER}")
}

/// Returns the terms that select the objects of an app cluster, in all its namespaces or in one. A text that is not a
/// label's value is no namespace, so it selects nothing.
pub(crate) fn own_terms(cluster: &str, namespace: Option<&str>) -> impl Iterator<Item = String> {
    let namespace = namespace.map(|namespace| match is_label_value(namespace) {
        true => format!("{NAMESPACE}={namespace}"),
        false => nothing(),
    });
    std::iter::once(format!("{CLUSTER}={cluster}")).chain(namespace)
}

/// The key that replaces claimgate's own keys in a client's selector. No object has it.
const ABSENT: &str = "claimgate.dev/absent";

/// Adds terms to a client's selector. The client's terms on claimgate's own labels are answered as if no object had
/// these labels: the key is replaced and the rest stays, so that the control plane rejects an invalid term.
pub(crate) fn to_remote(selector: &str, own: impl Iterator<Item = String>) -> String {
    let client = terms_of(selector).map(|term| match own_key(term) {
        Some((before, after)) => format!("{before}{ABSENT}{after}"),
        None => term.to_owned(),
    });
    let client = client.filter(|_| !selector.trim().is_empty());
    client.chain(own).collect::<Vec<_>>().join(",")
}

/// Returns what stands before and after the key of a term, if the key is one of claimgate's own.
fn own_key(term: &str) -> Option<(&str, &str)> {
    // The characters that separate tokens in `Lexer`, except the comma.
    let is_space = |c: char| " \t\r\n".contains(c);
    let is_end = |c: char| is_space(c) || "=!<>()".contains(c);
    let start = term.find(|c| !is_space(c) && c != '!')?;
    let (before, rest) = term.split_at(start);
    let (key, after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
    KEYS.contains(&key).then_some((before, after))
}

/// Splits a selector into its terms, at every comma outside of parentheses.
fn terms_of(selector: &str) -> impl Iterator<Item = &str> {
    let mut is_in_list = false;
    selector.split(move |c| {
        match c {
            '(' => is_in_list = true,
            ')' => is_in_list = false,
            _ => {}
        }
        c == ',' && !is_in_list
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(selector: &str) -> String {
        to_remote(selector, own_terms("team-a", Some("default")))
    }

    #[test]
    fn selectors_are_limited_to_own_objects() {
        const OWN: &str = "claimgate.dev/cluster=team-a,claimgate.dev/namespace=default";
        assert_eq!(map(""), OWN);
        assert_eq!(map(" "), OWN);
        for kept in [
            "a=b",
            "a in (b,c), !d",
            "claimgate.dev/other",
            "x!=claimgate.dev/name",
        ] {
            assert_eq!(map(kept), format!("{kept},{OWN}"));
        }
        let invalid = to_remote("", own_terms("team-a", Some("a_b,c!")));
        assert_eq!(
            invalid,
            "claimgate.dev/cluster=team-a,!claimgate.dev/cluster"
        );
        let all = to_remote("", own_terms("team-a", None));
        assert_eq!(all, "claimgate.dev/cluster=team-a");
    }

    #[test]
    fn own_labels_look_absent() {
        for term in [
            "!KEY",
            " ! KEY",
            "KEY!=a",
            "KEY notin (a,b)",
            "KEY",
            "KEY=a",
            "KEY == a",
            "KEY\tin (team-a,b)",
            "KEY>1",
            // Invalid terms are invalid for the control plane too.
            "KEY notin",
            "KEY notinx",
            "KEY in (a",
            "KEY gt 5",
            "KEY(",
        ] {
            for key in KEYS {
                let mapped = map(&format!("a=b,{}", term.replace("KEY", key)));
                let expected = format!("a=b,{}", term.replace("KEY", "claimgate.dev/absent"));
                assert_eq!(mapped, format!("{expected},{}", map("")));
            }
        }
        let no_key = "claimgate.dev/name\u{a0}notin (a)";
        assert_eq!(map(no_key), format!("{no_key},{}", map("")));
    }
}
