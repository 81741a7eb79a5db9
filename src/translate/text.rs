//! The control plane's names in text that it wrote: messages of a Status and warnings.
//!
//! Exactly the forms that kube-apiserver is known to write are mapped. People's words stay as they
//! are, even where they hold the same name; so objects that a message quotes go through the
//! rewriter, as any object does (`quoted`).

mod quoted;
mod warning;
mod words;

pub use self::warning::warning_to_local;

use super::Scope;

/// Places in one text at which a quoted object is looked for. A message quotes one; the bound keeps
/// a text made of beginnings from costing its length squared.
const QUOTED_MAX: usize = 8;

/// What stands in the place of a text that names a namespace which nobody in the app cluster may see.
pub const NOT_SHOWN: &str = "(not shown: it names a namespace that is not mapped)";

/// A text names a foreign namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct NamesForeign;

/// The text in local terms; `None` where nothing is to be changed. One that names a foreign namespace
/// in a known form is told in no part, for the rest of it is about what is foreign too.
pub fn to_local(text: &str, scope: &Scope) -> Option<String> {
    let has_names = match scope {
        Scope::One { remote, .. } | Scope::Only { remote, .. } => text.contains(remote),
        Scope::Mapped(_) => true,
    };
    if !has_names {
        return None;
    }
    let mapped = mapped(text, scope).unwrap_or_else(|NamesForeign| NOT_SHOWN.to_owned());
    (mapped != text).then_some(mapped)
}

/// The field that a cause is about: a path in an object, which names no namespace, or a key of etcd's
/// (`apiserver/pkg/storage/etcd3/corrupt_obj_deleter.go`).
pub fn field_to_local(field: &str, scope: &Scope) -> Option<String> {
    let name = words::in_key(field).filter(|_| field.starts_with('/'))?;
    let (before, rest) = field.split_at_checked(name.start)?;
    let (remote, after) = rest.split_at_checked(name.len())?;
    match scope.to_local(remote) {
        Some(local) => Some(format!("{before}{local}{after}")),
        None => scope.may_see_foreign().then(|| NOT_SHOWN.to_owned()),
    }
}

fn mapped(text: &str, scope: &Scope) -> Result<String, NamesForeign> {
    let mut mapped = String::with_capacity(text.len());
    let (mut done, mut from, mut tries) = (0, 0, 0);
    // Where what begins like an object is none.
    let mut unread = None;
    while let Some(start) = quoted::start(text, from) {
        if tries == QUOTED_MAX {
            unread = unread.or(Some(start));
            break;
        }
        tries += 1;
        let (before, rest) = text.split_at(start);
        if let Some((object, length)) = quoted::to_local(rest, scope)? {
            mapped.push_str(&words_to_local(before, done, unread.take(), scope)?);
            mapped.push_str(&object);
            done = start + length;
            from = done;
        } else {
            unread = unread.or(Some(start));
            from = start + 1;
        }
    }
    mapped.push_str(&words_to_local(text, done, unread, scope)?);
    Ok(mapped)
}

/// The end of a text, from where on it is no object, of which nothing may be told if there is a name in what
/// could not be read as one.
fn words_to_local(
    text: &str,
    from: usize,
    unread: Option<usize>,
    scope: &Scope,
) -> Result<String, NamesForeign> {
    let unread = unread.and_then(|start| text.get(start..));
    if unread.is_some_and(|unread| quoted::may_name(unread, scope)) {
        return Err(NamesForeign);
    }
    words::to_local(text.get(from..).unwrap_or_default(), scope)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::sync::Arc;

    use super::*;
    use crate::mapping::Namespaces;
    use crate::translate::LAST_APPLIED;

    fn one() -> Scope {
        Scope::One {
            local: "default".into(),
            remote: "app-ns-1".into(),
        }
    }

    fn map(text: &str) -> String {
        to_local(text, &one()).unwrap_or_else(|| text.to_owned())
    }

    /// Two namespaces of which the one's local name is the other's remote one.
    fn mapped() -> Scope {
        let rows = [("default", "app-ns-1"), ("team", "default")];
        let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
        Scope::Mapped(Arc::new(Namespaces::table(rows.into()).unwrap()))
    }

    #[test]
    fn a_text_that_names_what_is_foreign_is_not_shown() {
        let shown = |text: &str| to_local(text, &mapped()).unwrap_or_else(|| text.to_owned());
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
        assert_eq!(to_local(applied, &mapped()), None);
    }

    #[test]
    fn a_field_that_is_a_key_is_mapped_by_its_segments() {
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
    fn quoted_objects_may_be_of_any_length() {
        for length in (0..3 * quoted::PIECE_BYTES).step_by(61).chain([1 << 20]) {
            let filler = "x".repeat(length);
            let quoted = |namespace: &str| {
                format!(r#"in '{{"a":"{filler}","metadata":{{"namespace":"{namespace}"}}}}'}}"#)
            };
            assert_eq!(map(&quoted("app-ns-1")), quoted("default"), "{length}");
        }
    }

    #[test]
    fn a_quoted_object_is_as_the_app_cluster_sees_it() {
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
    fn what_begins_like_an_object_and_names_one_is_not_shown() {
        for text in [
            r#"in '{"metadata":{"namespace":"app-ns-1""#,
            r#"value: "{\"metadata\":{\"namespace\": \"app-ns-1\"": no"#,
            r#"value: "{\"a\":\"\xff\",\"metadata\":{\"namespace\":\"app-ns-1\"}}": no"#,
            r#"{"a":1} {"b":2} {"{"{"{"{"{"{"{"{"{"metadata":{"namespace":"app-ns-1"}}"#,
        ] {
            assert_eq!(map(text), NOT_SHOWN, "{text}");
            let all = to_local(text, &mapped());
            assert_eq!(all.as_deref(), Some(NOT_SHOWN), "{text}");
        }
        let other = r#"in '{"metadata":{"namespace":"app-ns-10""#;
        assert_eq!(map(other), other);
    }

    #[test]
    fn known_forms_are_mapped_and_words_are_not() {
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
