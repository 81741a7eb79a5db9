//! Messages of events about a claim. Controllers write them, so remote names can be anywhere in the text.

use super::quoted_object::MessageRules;
use super::{ForeignName, NOT_SHOWN, mapped};
use crate::mapping::{Mapping, NameLimit, ObjectKey, SharedNamespace};
use crate::object_fields::OBJECT_FIELDS;
use crate::request_scope::RequestScope;

/// The names of the claim that an event is about.
#[derive(Clone, Copy, Debug)]
pub struct ClaimNames<'a> {
    pub local: &'a ObjectKey,
    pub remote: &'a ObjectKey,
    /// A name that is left out, with all names that begin with it and a hyphen.
    pub hidden: Option<&'a str>,
}

/// Replaces a name that is left out, or that has no local counterpart.
const NAME_NOT_SHOWN: &str = "(name not shown)";

/// Maps the message of an event to local names.
///
/// The names of the claim, its namespace and Secrets in its namespace become local ones. In a shared mapping, other names
/// with a hash belong to other namespaces or app clusters, so they are not shown.
pub fn event_to_local(text: &str, mapping: &Mapping, claim: &ClaimNames<'_>) -> String {
    let namespace = &claim.local.namespace;
    let name = Some(&*claim.local.name);
    let scope = RequestScope::namespace(mapping, namespace, name, NameLimit::default());
    let Ok(scope) = scope else {
        return NOT_SHOWN.to_owned();
    };
    // Events are few, so the rules are compiled for each. Quoted objects are rare in them.
    let Ok(rules) = MessageRules::compile(OBJECT_FIELDS, scope.names()) else {
        return NOT_SHOWN.to_owned();
    };
    let shared = match mapping {
        Mapping::Table(_) => None,
        Mapping::Shared(shared) => Some(&**shared),
    };
    let text = words_to_local(text, shared, claim);
    mapped(&text, &scope, &rules).unwrap_or_else(|ForeignName| NOT_SHOWN.to_owned())
}

fn words_to_local(text: &str, shared: Option<&SharedNamespace>, claim: &ClaimNames<'_>) -> String {
    let mut local = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_name_char) {
        let (before, after) = rest.split_at(start);
        let (word, after) = after.split_at(after.find(|c| !is_name_char(c)).unwrap_or(after.len()));
        // A full stop may end a sentence.
        let name = word.trim_end_matches('.');
        let (_, stops) = word.split_at(name.len());
        local += before;
        let is_path = local.ends_with('/');
        let is_namespace = name == claim.remote.namespace
            && !is_path
            && after
                .strip_prefix('/')
                .is_some_and(|name| name.starts_with(is_name_char));
        match is_namespace {
            true => local += &claim.local.namespace,
            false => local += &name_to_local(name, shared, claim),
        }
        local += stops;
        rest = after;
    }
    local + rest
}

fn name_to_local(name: &str, shared: Option<&SharedNamespace>, claim: &ClaimNames<'_>) -> String {
    let is_hidden = claim
        .hidden
        .and_then(|hidden| name.strip_prefix(hidden))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    if is_hidden {
        return NAME_NOT_SHOWN.to_owned();
    }
    let Some(shared) = shared else {
        return name.to_owned();
    };
    if let Some(secret) = shared.local_secret_name(&claim.local.namespace, name)
        && name != claim.remote.name
    {
        return secret;
    }
    // Names that a controller derives from the name of the claim keep the rest.
    let mut parts = name.split(&*claim.remote.name);
    match parts.any(has_hash) {
        true => NAME_NOT_SHOWN.to_owned(),
        false => name.replace(&*claim.remote.name, &claim.local.name),
    }
}

/// Returns whether a part of a name is a hash, as in `a-0123456789abcdef-x7k2p`.
fn has_hash(name: &str) -> bool {
    name.match_indices('-').any(|(at, _)| {
        let (_, hash) = name.split_at(at);
        let end = hash.bytes().skip(1).position(|c| b"-.".contains(&c));
        let hash = hash.get(..end.map_or(hash.len(), |end| end + 1));
        hash.is_some_and(|hash| SharedNamespace::ends_in_hash(&format!("x{hash}")))
    })
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    #[test]
    fn names_become_local_in_a_shared_mapping() {
        let mapping = Mapping::shared("team-a", "remote").unwrap();
        let key = |namespace: &str, name: &str| {
            let local = ObjectKey::new(namespace, name);
            mapping.to_remote(&local).unwrap().name
        };
        let local = ObjectKey::new("default", "a");
        let remote = mapping.to_remote(&local).unwrap();
        let claim = ClaimNames {
            local: &local,
            remote: &remote,
            hidden: None,
        };
        let map = |text: &str| event_to_local(text, &mapping, &claim);
        let (own, secret) = (&remote.name, key("default", "conn"));
        let foreign = key("other", "a");
        for (text, expected) in [
            (format!("bound {own}-x7k2p."), "bound a-x7k2p.".to_owned()),
            (
                format!("cannot get remote/{secret}: {own}"),
                "cannot get default/conn: a".to_owned(),
            ),
            (
                r#"no Secret in namespace "remote""#.to_owned(),
                r#"no Secret in namespace "default""#.to_owned(),
            ),
            (
                format!("conflicts with {foreign}-x7k2p and {foreign}"),
                "conflicts with (name not shown) and (name not shown)".to_owned(),
            ),
            (
                format!("not {foreign}.{own}"),
                "not (name not shown)".to_owned(),
            ),
            ("remote is away".to_owned(), "remote is away".to_owned()),
            (
                "https://x/remote/a".to_owned(),
                "https://x/remote/a".to_owned(),
            ),
        ] {
            assert_eq!(map(&text), expected, "{text}");
        }
    }

    #[test]
    fn only_namespaces_become_local_in_a_table() {
        let rows = [("default".to_owned(), "app-ns-1".to_owned())];
        let mapping = Mapping::table(rows.into()).unwrap();
        let (local, remote) = (
            ObjectKey::new("default", "a"),
            ObjectKey::new("app-ns-1", "a"),
        );
        let mut claim = ClaimNames {
            local: &local,
            remote: &remote,
            hidden: None,
        };
        let text = "app-ns-1/a waits for a-x7k2p and a-x7k2p-db, a-0123456789abcdef";
        assert_eq!(
            event_to_local(text, &mapping, &claim),
            "default/a waits for a-x7k2p and a-x7k2p-db, a-0123456789abcdef"
        );
        claim.hidden = Some("a-x7k2p");
        assert_eq!(
            event_to_local(text, &mapping, &claim),
            "default/a waits for (name not shown) and (name not shown), a-0123456789abcdef"
        );
    }
}
