//! Maps remote names in messages of a Status and in warnings.
//!
//! Only message forms that kube-apiserver is known to write are mapped (`known_forms`). Free text stays
//! unchanged, even if it contains the same name. Objects that a message quotes go through the rewriter, like
//! any other object (`quoted_object`).

mod event;
mod known_forms;
mod quoted_object;
mod translated_names;
mod warning;

pub use self::event::{ClaimNames, event_to_local};
pub(crate) use self::quoted_object::MessageRules;
use self::quoted_object::Quotation;
pub(crate) use self::translated_names::is_limit;
pub(crate) use self::warning::warning_to_local;
use crate::request_scope::RequestScope;

/// Maximum number of positions in one text at which claimgate tries to read a quoted object. A real message
/// quotes one object. Without the limit, a text of many `{"` would take time quadratic in its length.
const QUOTED_MAX: usize = 8;

/// Replaces a text that names a namespace which the client may not see.
pub(crate) const NOT_SHOWN: &str = "(not shown: it names a namespace that is not mapped)";

/// Error: a text names a namespace outside of the request's scope, or cannot be read well enough to exclude
/// that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ForeignName;

/// Maps a text to local names, or returns `None` if nothing changes.
///
/// If a known form names a foreign namespace, the whole text is replaced by [`NOT_SHOWN`], because the rest of
/// it describes the same foreign object.
pub(crate) fn to_local(text: &str, scope: &RequestScope, rules: &MessageRules) -> Option<String> {
    let may_have_names = match scope.request_namespace() {
        Some(remote) => text.contains(remote),
        None => true,
    };
    let named = match scope
        .shared()
        .map(|scope| translated_names::to_local(text, scope))
    {
        Some(Err(ForeignName)) => return Some(NOT_SHOWN.to_owned()),
        Some(Ok(named)) => named,
        None => None,
    };
    if !may_have_names && named.is_none() {
        return None;
    }
    let named = named.as_deref().unwrap_or(text);
    let mapped = mapped(named, scope, rules).unwrap_or_else(|ForeignName| NOT_SHOWN.to_owned());
    (mapped != text).then_some(mapped)
}

/// Maps the `field` of a Status cause, or returns `None` if nothing changes.
///
/// A field is a path in an object, which contains no namespace, or an etcd key
/// (`apiserver/pkg/storage/etcd3/corrupt_obj_deleter.go`).
pub(crate) fn field_to_local(field: &str, scope: &RequestScope) -> Option<String> {
    let key = known_forms::split_key(field).filter(|_| field.starts_with('/'));
    let Some(key) = key else {
        let local = scope
            .shared()
            .map(|_| translated_names::without_origin(field));
        return local.filter(|local| local != field);
    };
    let namespace = scope.local_namespace(key.namespace);
    let name = match scope.shared() {
        Some(shared) => shared.local_name(key.name()),
        None => Some(key.name().to_owned()),
    };
    match (namespace, name) {
        (Some(namespace), Some(name)) => Some(format!("{}{namespace}/{name}", key.before)),
        (Some(_), None) => Some(NOT_SHOWN.to_owned()),
        (None, _) => scope.includes_foreign().then(|| NOT_SHOWN.to_owned()),
    }
}

/// Returns whether a text that cannot be read as an object contains a member whose value may be a remote
/// namespace.
pub(crate) fn may_name_namespace(text: &str, scope: &RequestScope) -> bool {
    let mut dense = text.to_owned();
    dense.retain(|c| c != '\\' && !c.is_ascii_whitespace());
    match scope.request_namespace() {
        Some(remote) => dense.contains(&format!(":\"{remote}\"")),
        None => dense.contains("\"namespace\":\""),
    }
}

fn mapped(text: &str, scope: &RequestScope, rules: &MessageRules) -> Result<String, ForeignName> {
    let mut mapped = String::with_capacity(text.len());
    let (mut done, mut from, mut tries) = (0, 0, 0);
    // The first position at which a text starts like an object but cannot be read as one.
    let mut unreadable = None;
    while let Some(found) = quoted_object::start(slice(text, from, text.len())?) {
        let start = from + found;
        if tries == QUOTED_MAX {
            unreadable = unreadable.or(Some(start));
            break;
        }
        tries += 1;
        match quoted_object::to_local(slice(text, start, text.len())?, scope, rules)? {
            Some(Quotation {
                mapped: object,
                length,
            }) => {
                check_unreadable(text, unreadable.take(), start, scope)?;
                mapped += &known_forms::to_local(slice(text, done, start)?, scope)?;
                mapped += &object;
                done = start + length;
                from = done;
            }
            None => {
                unreadable = unreadable.or(Some(start));
                from = start + 1;
            }
        }
    }
    check_unreadable(text, unreadable, text.len(), scope)?;
    mapped += &known_forms::to_local(slice(text, done, text.len())?, scope)?;
    Ok(mapped)
}

/// Fails if the text from `unreadable` to `end`, which could not be read as an object, may name a namespace.
fn check_unreadable(
    text: &str,
    unreadable: Option<usize>,
    end: usize,
    scope: &RequestScope,
) -> Result<(), ForeignName> {
    match unreadable {
        Some(start) if may_name_namespace(slice(text, start, end)?, scope) => Err(ForeignName),
        _ => Ok(()),
    }
}

/// Returns a part of a text. Positions come from searches in the same text, so the part always exists. If it
/// did not, the text would be replaced as a whole.
fn slice(text: &str, from: usize, to: usize) -> Result<&str, ForeignName> {
    text.get(from..to).ok_or(ForeignName)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;
    use crate::object_fields::LAST_APPLIED;
    use crate::test_scopes::{message_rules, one, shared_everything, two as mapped};

    fn local(text: &str, scope: &RequestScope) -> Option<String> {
        to_local(text, scope, &message_rules(scope))
    }

    fn map(text: &str) -> String {
        local(text, &one()).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn denied_read_across_namespaces_is_at_the_cluster_scope() {
        let all = shared_everything();
        let denied = |place: &str| format!("cannot list resource \"x\" in API group \"y\" {place}");
        assert_eq!(
            local(&denied("in the namespace \"remote\""), &all),
            Some(denied("at the cluster scope"))
        );
    }

    #[test]
    fn text_that_names_foreign_namespace_is_not_shown() {
        let shown = |text: &str| local(text, &mapped()).unwrap_or_else(|| text.to_owned());
        let key = |namespace: &str| {
            format!(
                "failed to read one or more gadgets.k8s.starter.org from the storage: StorageError: \
                 corrupt object, Code: 7, Key: /a/b/k8s.starter.org/gadgets/{namespace}/x, \
                 ResourceVersion: 0, AdditionalErrorMsg: none"
            )
        };
        let object = |namespace: &str| {
            format!(
                r#"Object 'Kind' is missing in '{{"metadata":{{"namespace":"{namespace}"}},"spec":{{}}}}'"#
            )
        };
        let named = |namespace: &str| format!(r#"in the namespace "{namespace}" and so on"#);
        let transformed = |namespace: &str| {
            format!(r#"unable to transform key "/cp/k8s.starter.org/gadgets/{namespace}/x": no"#)
        };
        for form in [
            &key as &dyn Fn(&str) -> String,
            &object,
            &named,
            &transformed,
        ] {
            assert_eq!(shown(&form("app-ns-1")), form("default"));
            assert_eq!(
                shown(&form("default")),
                form("team"),
                "and not mapped twice"
            );
            assert_eq!(shown(&form("elsewhere")), NOT_SHOWN);
            assert_eq!(shown(&(form("app-ns-1") + &form("elsewhere"))), NOT_SHOWN);
        }
        let applied = r#"in '{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"namespace\":\"x\"}}"}}}'"#;
        assert_eq!(local(applied, &mapped()), None);
    }

    #[test]
    fn cause_field_with_etcd_key_is_mapped() {
        let one = |field: &str| field_to_local(field, &one());
        let key = |namespace: &str| format!("/cp/k8s.starter.org/app-ns-1/{namespace}/app-ns-1");
        assert_eq!(one(&key("app-ns-1")), Some(key("default")));
        for kept in [
            "metadata.namespace",
            "app-ns-1/x",
            "/spec/app-ns-1/x",
            &key("app-ns-2"),
        ] {
            assert_eq!(one(kept), None, "{kept}");
        }
        let all = |field: &str| field_to_local(field, &mapped());
        assert_eq!(all(&key("default")), Some(key("team")));
        assert_eq!(all(&key("app-ns-2")).as_deref(), Some(NOT_SHOWN));
        assert_eq!(all("metadata.namespace"), None);
    }

    #[test]
    fn quoted_objects_can_have_any_length() {
        for length in (0..3 * quoted_object::PIECE_BYTES)
            .step_by(61)
            .chain([1 << 20])
        {
            let filler = "x".repeat(length);
            let quoted = |namespace: &str| {
                format!(r#"in '{{"a":"{filler}","metadata":{{"namespace":"{namespace}"}}}}'}}"#)
            };
            assert_eq!(map(&quoted("app-ns-1")), quoted("default"), "{length}");
        }
    }

    #[test]
    fn quoted_object_is_mapped_and_loses_hidden_metadata() {
        let deep = |levels: usize| format!("{}{}", r#"{\"a\":"#.repeat(levels), "}".repeat(levels));
        let long = "x".repeat(100_000);
        let object = |namespace: &str, rest: &str| {
            format!(
                r#"KubernetesCluster "a" is invalid: patch: Invalid value: "{{\"{long}\":\"\x7f\",\"metadata\":{{\"annotations\":{{\"{LAST_APPLIED}\":\"{{\\\"metadata\\\":{{\\\"namespace\\\":\\\"{namespace}\\\"}}}}\\n\"}},{rest}\"namespace\":\"{namespace}\"}},\"spec\":{}}}": no"#,
                deep(5000).replace(":}", ":1}")
            )
        };
        assert_eq!(map(&object("app-ns-1", "")), object("default", ""));
        let hidden = r#"\"finalizers\":[\"orphan\",\"x\",\"claimgate.dev/orphan\"],\"ownerReferences\":[{\"name\":\"secret\"}],"#;
        let shown = map(&object("app-ns-1", hidden));
        assert!(shown.contains(r#"\"finalizers\":[\"x\",\"orphan\"],\"namespace\":\"default\"}"#));
        assert!(shown.contains(r#"\"claimgate.dev/hidden\":\"{\\\"ownerReferences\\\":[{\\\"#));
    }

    #[test]
    fn unreadable_object_that_may_name_namespace_is_not_shown() {
        for text in [
            r#"in '{"metadata":{"namespace":"app-ns-1""#,
            r#"value: "{\"metadata\":{\"namespace\": \"app-ns-1\"": no"#,
            r#"value: "{\"a\":\"\xff\",\"metadata\":{\"namespace\":\"app-ns-1\"}}": no"#,
            r#"{"a":1} {"b":2} {"{"{"{"{"{"{"{"{"{"metadata":{"namespace":"app-ns-1"}}"#,
        ] {
            assert_eq!(map(text), NOT_SHOWN, "{text}");
            let all = local(text, &mapped());
            assert_eq!(all.as_deref(), Some(NOT_SHOWN), "{text}");
        }
        let other = r#"in '{"metadata":{"namespace":"app-ns-10""#;
        assert_eq!(map(other), other);
    }

    #[test]
    fn known_forms_are_mapped_and_free_text_is_not() {
        for (remote, local) in [
            (
                r#"kubernetesclusters.k8s.starter.org is forbidden: User "x" cannot list resource "kubernetesclusters" in API group "k8s.starter.org" in the namespace "app-ns-1""#,
                r#"kubernetesclusters.k8s.starter.org is forbidden: User "x" cannot list resource "kubernetesclusters" in API group "k8s.starter.org" in the namespace "default""#,
            ),
            (
                r#"namespaces "app-ns-1" not found"#,
                r#"namespaces "default" not found"#,
            ),
            (
                "failed to create typed patch object (app-ns-1/a; k8s.starter.org/v1alpha1, Kind=KubernetesCluster): .spec.x: field not declared in schema",
                "failed to create typed patch object (default/a; k8s.starter.org/v1alpha1, Kind=KubernetesCluster): .spec.x: field not declared in schema",
            ),
            (
                "StorageError: invalid object, Code: 4, Key: /registry/k8s.starter.org/kubernetesclusters/app-ns-1/a, ResourceVersion: 0",
                "StorageError: invalid object, Code: 4, Key: /registry/k8s.starter.org/kubernetesclusters/default/a, ResourceVersion: 0",
            ),
            (
                "please move away from app-ns-1 soon",
                "please move away from app-ns-1 soon",
            ),
            (
                r#"Object 'Kind' is missing in '{"metadata":{"namespace":"app-ns-1"},"spec":{"namespace":"app-ns-1"}}', namespace "app-ns-1""#,
                r#"Object 'Kind' is missing in '{"metadata":{"namespace":"default"},"spec":{"namespace":"app-ns-1"}}', namespace "default""#,
            ),
            (
                r#"patch: Invalid value: "{\"metadata\":{\"namespace\":\"app-ns-1\",\"a\":\"\\u003c\"},\"spec\":{\"metadata\":{\"namespace\":\"app-ns-1\"}}}": no"#,
                r#"patch: Invalid value: "{\"metadata\":{\"namespace\":\"default\",\"a\":\"\\u003c\"},\"spec\":{\"metadata\":{\"namespace\":\"app-ns-1\"}}}": no"#,
            ),
            (
                r#"{"{"{"{"{"{"{"{"{"{" in the namespace "app-ns-1" and more"#,
                r#"{"{"{"{"{"{"{"{"{"{" in the namespace "default" and more"#,
            ),
            (
                r#"namespace "app-ns-10" not found"#,
                r#"namespace "app-ns-10" not found"#,
            ),
        ] {
            assert_eq!(map(remote), local);
        }
    }
}
