//! Warning headers, whose text is a quoted string (RFC 9110, section 5.6.4).

use std::iter::Peekable;
use std::str::Chars;

use super::to_local;
use crate::translate::Scope;

/// A Warning's value in local terms; `None` where nothing is to be changed. Of its code, its agent and its
/// quoted strings the latter are texts (`apimachinery/pkg/util/net/http.go`, `NewWarningHeader`). What is no
/// UTF-8 in it is told as U+FFFD.
pub fn warning_to_local(value: &[u8], scope: &Scope) -> Option<String> {
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
        let local = to_local(&text, scope);
        is_changed |= local.is_some();
        quote(&local.unwrap_or(text), &mut mapped);
    }
    is_changed.then_some(mapped)
}

/// The text of a quoted string, behind the quote with which it begins and up to the one with which it ends.
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

    fn map(value: &str) -> String {
        let (local, remote) = ("default".to_owned(), "app-ns-1".to_owned());
        let mapped = warning_to_local(value.as_bytes(), &Scope::One { local, remote });
        mapped.unwrap_or_else(|| value.to_owned())
    }

    #[test]
    fn names_in_warnings_are_local() {
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
    fn what_is_no_utf8_hides_no_name() {
        let scope = Scope::One {
            local: "default".to_owned(),
            remote: "app-ns-1".to_owned(),
        };
        let value = b"299 - \"\xff namespace \\\"app-ns-1\\\"\"";
        let mapped = warning_to_local(value, &scope).unwrap();
        assert_eq!(mapped, "299 - \"\u{fffd} namespace \\\"default\\\"\"");
    }
}
