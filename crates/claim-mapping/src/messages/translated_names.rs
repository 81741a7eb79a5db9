//! Maps names in messages if objects have other names on the control plane.
//!
//! A remote name ends in a hash over the local one, so a text that fits its hash has no other meaning.

use super::{ForeignName, known_forms};
use crate::mapping::{NameLimit, SharedNamespace};
use crate::origin;
use crate::request_scope::{NamedObject, SharedScope};

/// Maps the names that a text contains, and removes the keys of the origin from the paths of fields. Returns `None` if
/// nothing changes.
///
/// # Errors
/// The text contains the etcd key of an object that the request does not cover.
pub(super) fn to_local(text: &str, scope: &SharedScope) -> Result<Option<String>, ForeignName> {
    let keys = known_forms::keys(text);
    let mut own = keys.filter(|key| key.namespace == scope.mapping().namespace());
    if scope.local_namespace().is_some() && own.any(|key| scope.local_name(key.name()).is_none()) {
        return Err(ForeignName);
    }
    let local = match (scope.object(), scope.local_namespace()) {
        (Some(object), _) => {
            let parts = text.split(&object.remote_name);
            let parts = parts.map(|part| words_to_local(part, scope));
            parts.collect::<Vec<_>>().join(&object.local.name)
        }
        (None, Some(_)) => words_to_local(text, scope),
        // This read across namespaces is one in a single namespace on the control plane, which its denial names
        // (`apiserver/pkg/endpoints/handlers/responsewriters/errors.go`).
        (None, None) => {
            let namespace = scope.mapping().namespace();
            let remote = format!(" in the namespace \"{namespace}\"");
            text.replace(&remote, " at the cluster scope")
        }
    };
    let local = without_origin(&local);
    let local = quoted_name_to_local(local, scope);
    let local = limit_to_local(&local, scope).unwrap_or(local);
    Ok((local != text).then_some(local))
}

/// The longest form of a character in Go's `%q`, as in `\U0001f600`.
const QUOTED_CHARACTER_BYTES_MAX: usize = 10;

/// Maps the name of the request's object where characters in it are quoted. The hash after them is not.
fn quoted_name_to_local(text: String, scope: &SharedScope) -> String {
    let is_quoted = |object: &&NamedObject| !object.local.name.chars().all(is_name_char);
    let object = scope.object().filter(is_quoted);
    let hash = object.and_then(|object| object.remote_name.strip_prefix(&object.local.name));
    // The remote name ends in the last character of the local one, if that is not allowed in names.
    let hash = hash.and_then(|hash| hash.get(..SharedNamespace::SUFFIX_BYTES));
    let Some((before, after)) = hash.and_then(|hash| text.split_once(hash)) else {
        return text;
    };
    let is_repeated = |end: &&str| before.ends_with(end);
    let ends = (1..=QUOTED_CHARACTER_BYTES_MAX).rev();
    let end = ends
        .filter_map(|bytes| after.get(..bytes))
        .find(is_repeated);
    let rest = end.and_then(|end| after.strip_prefix(end));
    let rest = quoted_name_to_local(rest.unwrap_or(after).to_owned(), scope);
    format!("{before}{rest}")
}

const BEFORE_LIMIT: &str = "Too long: may not be more than ";

/// Returns whether the message of a cause contains the limit of a length.
pub(crate) fn is_limit(message: &[u8]) -> bool {
    message.starts_with(BEFORE_LIMIT.as_bytes())
}

/// Maps the limit in the control plane's message for a name that is too long
/// (`apimachinery/pkg/util/validation/field/errors.go`, `TooLong`). A name that fits without the hash exceeds only what
/// the hash leaves.
fn limit_to_local(text: &str, scope: &SharedScope) -> Option<String> {
    let object = scope.object()?;
    let (before, after) = text.split_once(BEFORE_LIMIT)?;
    let digits = after.find(|c: char| !c.is_ascii_digit())?;
    let (limit, after) = after.split_at(digits);
    let limit: usize = limit.parse().ok()?;
    let is_about_name = before.ends_with("metadata.name: ");
    let exceeds_hash_only = object.local.name.len() <= limit && object.remote_name.len() > limit;
    (is_about_name && exceeds_hash_only).then(|| {
        let limit = NameLimit::of_local_names(limit);
        format!("{before}{BEFORE_LIMIT}{limit}{after}")
    })
}

/// Removes the keys of the origin from paths of fields, as in `.metadata.labels.claimgate.dev/name`. A conflict of
/// field managers names them if someone else has changed them
/// (`structured-merge-diff/fieldpath/element.go`, `PathElement.String`).
pub(super) fn without_origin(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut parts = text.split(".claimgate.dev/");
    kept.extend(parts.next());
    for part in parts {
        let (key, rest) = part.split_at(part.find(|c| !is_name_char(c)).unwrap_or(part.len()));
        let is_origin = origin::KEYS
            .iter()
            .any(|own| own.ends_with(&format!("/{key}")));
        if !is_origin {
            kept += ".claimgate.dev/";
            kept += key;
        }
        kept += rest;
    }
    kept
}

/// Maps each word that is the remote name of an object or a Secret in the request's namespace.
fn words_to_local(text: &str, scope: &SharedScope) -> String {
    let mut local = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_name_char) {
        let (before, after) = rest.split_at(start);
        let (word, after) = after.split_at(after.find(|c| !is_name_char(c)).unwrap_or(after.len()));
        // A full stop may end a sentence.
        let name = word.trim_end_matches('.');
        let (_, stops) = word.split_at(name.len());
        local += before;
        match scope.local_name(name) {
            Some(name) => local += &name,
            None => local += name,
        }
        local += stops;
        rest = after;
    }
    local + rest
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::ObjectKey;
    use crate::test_scopes::shared_object;

    #[test]
    fn names_with_a_fitting_hash_are_mapped() {
        let scope = shared_object();
        let scope = scope.shared().unwrap();
        let name = |name: &str| {
            let key = ObjectKey::new("default", name);
            scope.mapping().remote_secret_name(&key).unwrap()
        };
        let [object, secret] = ["a", "db.x"].map(name);
        let foreign = object.replace('a', "b");
        for (remote, local) in [
            (
                format!(r#"no Secret "{secret}" for {object}: {secret}."#),
                r#"no Secret "db.x" for a: db.x."#.to_owned(),
            ),
            (format!("é{secret}é"), "édb.xé".to_owned()),
            (format!("{object}-x7k2p"), "a-x7k2p".to_owned()),
            (foreign.clone(), foreign),
            ("no name".to_owned(), "no name".to_owned()),
        ] {
            let mapped = to_local(&remote, scope).unwrap();
            assert_eq!(mapped.unwrap_or(remote), local);
        }
    }

    #[test]
    fn limit_of_names_leaves_out_the_hash() {
        let scope = shared_object();
        let scope = scope.shared().unwrap();
        let remote = &scope.object().unwrap().remote_name;
        let message = |name: &str, field: &str, limit: &str| {
            format!(
                "Claim \"{name}\" is invalid: {field}: Too long: may not be more than {limit} bytes"
            )
        };
        for (field, remote_limit, local_limit) in [
            ("metadata.name", "17", "0"),
            ("metadata.name", "0", "0"),
            ("metadata.name", "63", "63"),
            ("spec.x", "17", "17"),
        ] {
            let mapped = to_local(&message(remote, field, remote_limit), scope);
            assert_eq!(mapped, Ok(Some(message("a", field, local_limit))));
        }
    }

    #[test]
    fn hash_after_quoted_characters_is_removed() {
        for (name, quoted, quoted_end) in [
            ("a\u{1}", "a\\x01", "\\x01"),
            ("a\u{1}\u{1}", "a\\x01\\x01", "\\x01"),
            ("\u{1}b", "\\x01b", ""),
            ("a\u{ad}", "a\\u00ad", "\\u00ad"),
            ("a_", "a_", "_"),
        ] {
            let scope = shared_object().with_object(name);
            let scope = scope.shared().unwrap();
            let remote = &scope.object().unwrap().remote_name;
            let hash = remote.strip_prefix(name).unwrap();
            let hash = hash.get(..17).unwrap();
            let text = format!("\"{quoted}{hash}{quoted_end}\" not found");
            let mapped = to_local(&text, scope);
            assert_eq!(mapped, Ok(Some(format!("\"{quoted}\" not found"))));
        }
    }

    #[test]
    fn paths_do_not_name_the_origin() {
        for (path, expected) in [
            (".metadata.labels.claimgate.dev/name", ".metadata.labels"),
            (
                "- .metadata.labels.claimgate.dev/namespace\n- .spec",
                "- .metadata.labels\n- .spec",
            ),
            (
                ".metadata.annotations.claimgate.dev/hidden",
                ".metadata.annotations.claimgate.dev/hidden",
            ),
            ("a.claimgate.dev/", "a.claimgate.dev/"),
        ] {
            assert_eq!(without_origin(path), expected);
        }
    }

    #[test]
    fn text_with_the_key_of_a_foreign_object_is_an_error() {
        let scope = shared_object();
        let scope = scope.shared().unwrap();
        let name = &scope.object().unwrap().remote_name;
        let text =
            |namespace: &str, name: &str| format!("Key: /a/b/c/{namespace}/{name}, and more");
        assert!(to_local(&text("remote", name), scope).is_ok());
        assert_eq!(to_local(&text("remote", "b"), scope), Err(ForeignName));
        assert_eq!(to_local(&text("elsewhere", "b"), scope), Ok(None));
    }
}
