//! Warning headers, whose text is a quoted string (RFC 9110, section 5.6.4).

use std::iter::Peekable;
use std::str::Chars;

use super::{MessageRules, to_local};
use crate::request_scope::RequestScope;

/// Maps the value of a Warning header to local names, or returns `None` if nothing changes.
///
/// The value consists of a code, an agent and quoted texts (`apimachinery/pkg/util/net/http.go`,
/// `NewWarningHeader`). If the value changes, bytes that are not UTF-8 become U+FFFD.
pub(crate) fn warning_to_local(
    value: &[u8],
    scope: &RequestScope,
    rules: &MessageRules,
) -> Option<String> {
    let value = String::from_utf8_lossy(value);
    let mut mapped = String::with_capacity(value.len());
    let mut is_changed = false;
    let mut rest = value.chars().peekable();
    while let Some(character) = rest.next() {
        mapped.push(character);
        if character != '"' {
            continue;
        }
        let text = unquoted(&mut rest);
        let local = to_local(&text, scope, rules);
        is_changed |= local.is_some();
        quote(&local.unwrap_or(text), &mut mapped);
    }
    is_changed.then_some(mapped)
}

/// Reads a quoted string after its opening quote up to its closing one, and returns its text.
fn unquoted(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(character) = rest.next_if(|character| *character != '"') {
        match character {
            '\\' => text.extend(rest.next()),
            _ => text.push(character),
        }
    }
    text
}

fn quote(text: &str, into: &mut String) {
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            into.push('\\');
        }
        into.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_scopes::{message_rules, one};

    fn map(value: &str) -> String {
        let scope = one();
        let mapped = warning_to_local(value.as_bytes(), &scope, &message_rules(&scope));
        mapped.unwrap_or_else(|| value.to_owned())
    }

    #[test]
    fn warnings_name_local_namespaces() {
        for (value, local) in [
            (
                r#"299 - "no such namespace: app-ns-1 \\ \"x\"""#,
                r#"299 - "no such namespace: app-ns-1 \\ \"x\"""#,
            ),
            (
                r#"299 - "denied in namespace \"app-ns-1\"""#,
                r#"299 - "denied in namespace \"default\"""#,
            ),
            (
                r#"299 - "é: namespace \"app-ns-1\" \\""#,
                r#"299 - "é: namespace \"default\" \\""#,
            ),
            (
                r#"299 - "a", 299 - "namespace \"app-ns-1\"" "now""#,
                r#"299 - "a", 299 - "namespace \"default\"" "now""#,
            ),
            (
                r#"299 - "namespace \"app-ns-1\""#,
                r#"299 - "namespace \"default\""#,
            ),
        ] {
            assert_eq!(map(value), local);
        }
    }

    #[test]
    fn names_beside_invalid_utf8_are_mapped() {
        let value = b"299 - \"\xff namespace \\\"app-ns-1\\\"\"";
        let scope = one();
        let mapped = warning_to_local(value, &scope, &message_rules(&scope)).unwrap();
        assert_eq!(mapped, "299 - \"\u{fffd} namespace \\\"default\\\"\"");
    }
}
