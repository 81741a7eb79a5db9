//! The message forms in which kube-apiserver names a namespace.
//!
//! A text is read once from left to right, so a name that was replaced is never mapped again.

use super::{ForeignName, slice};
use crate::request_scope::RequestScope;

/// The text before a namespace, and the form of the text after it. The form distinguishes messages of
/// kube-apiserver from free text.
const FORMS: [(&str, Form); 11] = [
    // `apiserver/pkg/endpoints/handlers/responsewriters/errors.go`, and errors about namespaces.
    ("namespace \"", Form::UpTo("\"")),
    ("namespaces \"", Form::UpTo("\"")),
    ("namespace: \"", Form::UpTo("\"")),
    // `apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go`.
    (
        "unable to create new content in namespace ",
        Form::UpTo(" because it is being terminated"),
    ),
    ("namespace ", Form::UpTo(" is being terminated")),
    // `apiserver/pkg/endpoints/handlers/rest.go`, `checkName`.
    (
        "does not match the namespace on the request (",
        Form::UpTo(")"),
    ),
    // `apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go`.
    ("must have the same namespace: ", Form::UpTo(" != ")),
    // `apimachinery/pkg/util/managedfields/internal/structuredmerge.go`, `objectGVKNN`.
    ("(", Form::Object),
    // Filters and proxies in front of an API server quote the request's path.
    ("/namespaces/", Form::Path),
    // `apiserver/pkg/storage/errors.go`, `StorageError`.
    ("Key: /", Form::Key),
    // `apiserver/pkg/storage/etcd3/store.go`, and `event.go` in the same folder with other punctuation.
    ("key \"/", Form::Key),
];

#[derive(Clone, Copy)]
enum Form {
    /// The namespace, followed by this text.
    UpTo(&'static str),
    /// `NAMESPACE/NAME; GROUP/VERSION, Kind=KIND`.
    Object,
    /// A segment of a path below an API group's root.
    Path,
    /// A segment of an etcd key, see [`split_key`].
    Key,
}

/// Maps the names in known forms, and copies the rest of the text.
///
/// # Errors
/// A form names a foreign namespace, and the reply can contain foreign objects.
pub(super) fn to_local(text: &str, scope: &RequestScope) -> Result<String, ForeignName> {
    let mut mapped = String::with_capacity(text.len());
    let mut done = 0;
    let mut next = FORMS.map(|(before, _)| text.find(before));
    while let Some((start, (before, form))) = earliest(&next) {
        let mut from = start + 1;
        let at = start + before.len();
        if let Some((skipped, remote)) =
            form.name(slice(text, 0, start)?, slice(text, at, text.len())?)
        {
            match scope.local_namespace(remote) {
                Some(local) => {
                    mapped += slice(text, done, at)?;
                    mapped += skipped;
                    mapped += &local;
                    done = at + skipped.len() + remote.len();
                    from = done;
                }
                None if scope.includes_foreign() => return Err(ForeignName),
                None => {}
            }
        }
        for (position, (before, _)) in next.iter_mut().zip(FORMS) {
            if position.is_some_and(|position| position < from) {
                let found = slice(text, from, text.len())?.find(before);
                *position = found.map(|found| from + found);
            }
        }
    }
    mapped += slice(text, done, text.len())?;
    Ok(mapped)
}

/// Returns the etcd keys in a text.
pub(super) fn keys(text: &str) -> impl Iterator<Item = Key<'_>> {
    let forms = FORMS.iter().filter(|(_, form)| matches!(form, Form::Key));
    forms.flat_map(move |(before, _)| {
        let found = text.match_indices(before);
        found.filter_map(move |(at, before)| key_at(text.get(at + before.len()..)?))
    })
}

/// Returns the etcd key at the start of a text, without its first slash.
fn key_at(text: &str) -> Option<Key<'_>> {
    let (key, _) = text.split_at(text.find([',', ' ', '"']).unwrap_or(text.len()));
    split_key(key)
}

/// Returns the form that starts first, and its position.
fn earliest(next: &[Option<usize>; FORMS.len()]) -> Option<(usize, (&'static str, Form))> {
    let found = next.iter().zip(FORMS);
    let found = found.filter_map(|(position, form)| Some(((*position)?, form)));
    found.min_by_key(|(position, _)| *position)
}

impl Form {
    /// Returns the namespace, and the text between the start of `after` and the namespace. Returns `None` if
    /// the text does not have this form. `before` is the text before the form, and `after` the text after its
    /// fixed beginning.
    fn name<'a>(self, before: &str, after: &'a str) -> Option<(&'a str, &'a str)> {
        if let Self::Key = self {
            let key = key_at(after)?;
            return Some((key.before, key.namespace));
        }
        let (name, after) = after.split_at(
            after
                .find(|c: char| !is_name_char(c))
                .unwrap_or(after.len()),
        );
        let has_form = match self {
            Self::UpTo(end) => after.starts_with(end),
            Self::Object => is_object(after),
            Self::Path => is_api(before) && !after.starts_with(['.', '%']),
            Self::Key => false,
        };
        (has_form && !name.is_empty()).then_some(("", name))
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

/// Returns whether a text continues an object's namespace with `/NAME; GROUP/VERSION, Kind=`.
fn is_object(after: &str) -> bool {
    let name = |c| is_name_char(c) || c == '.';
    let after = after
        .strip_prefix('/')
        .and_then(|after| after.trim_start_matches(name).strip_prefix("; "));
    let version = |c: char| c.is_ascii_alphanumeric() || "-./".contains(c);
    after.is_some_and(|after| after.trim_start_matches(version).starts_with(", Kind="))
}

/// Returns whether a path ends in `/apis/GROUP/VERSION` or `/api/v1`, optionally followed by `/watch`.
fn is_api(path: &str) -> bool {
    let path = path.strip_suffix("/watch").unwrap_or(path);
    let is_segment = |segment: &&str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        !segment.is_empty() && segment.chars().all(inner)
    };
    let mut segments = path.rsplitn(4, '/');
    let version = segments.next().filter(is_segment);
    let group = segments.next();
    match (version, group) {
        (Some("v1"), Some("api")) => true,
        (Some(_), Some(group)) if is_segment(&group) => {
            segments.next() == Some("apis") && segments.next().is_some()
        }
        _ => false,
    }
}

/// An etcd key, split at the namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Key<'a> {
    pub(super) before: &'a str,
    pub(super) namespace: &'a str,
    /// The slash after the namespace, and the name.
    after: &'a str,
}

impl<'a> Key<'a> {
    pub(super) fn name(&self) -> &'a str {
        self.after.trim_start_matches('/')
    }
}

/// Splits an etcd key, `PREFIX/GROUP/RESOURCE/NAMESPACE/NAME`. The prefix can have several segments.
pub(super) fn split_key(key: &str) -> Option<Key<'_>> {
    let (path, name) = key.rsplit_once('/')?;
    let (_, namespace) = path.rsplit_once('/')?;
    let is_deep = key.trim_start_matches('/').matches('/').count() >= 3;
    let (before, _) = key.split_at(path.len() - namespace.len());
    let (_, after) = key.split_at(key.len() - name.len() - 1);
    is_deep.then_some(Key {
        before,
        namespace,
        after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_scopes::one;

    fn map(text: &str) -> Option<String> {
        to_local(text, &one()).ok()
    }

    #[test]
    fn namespace_in_each_known_form_is_mapped() {
        for form in [
            r#"a.b.c "x" is forbidden: unable to create new content in namespace NS because it is being terminated"#,
            "namespace NS is being terminated",
            "the namespace of the object (x) does not match the namespace on the request (NS)",
            "returned invalid metadata: must have the same namespace: NS != x",
            r#"Internal Server Error: "/apis/k8s.starter.org/v1/namespaces/NS/a?limit=1": no"#,
            r#"cannot get path "/proxied/apis/k8s.starter.org/v1/watch/namespaces/NS" or /api/v1/namespaces/NS"#,
            "failed to create typed patch object (NS/a; k8s.starter.org/v1, Kind=A): no",
            "failed to update ManagedFields (NS/a.b; /v1, Kind=A): no",
            r#"rule of the namespaces "NS" and namespace: "NS", as in namespace "NS""#,
            "StorageError: key not found, Code: 1, Key: /a/b/c/d/NS/x, ResourceVersion: 0 Key: /c/d/NS/x",
            r#"unable to transform key "/registry/k8s.starter.org/a/NS/x": no"#,
        ] {
            let [remote, local] = ["app-ns-1", "default"].map(|name| form.replace("NS", name));
            assert_eq!(map(&remote), Some(local));
        }
    }

    #[test]
    fn text_in_unknown_form_is_not_mapped() {
        for text in [
            r#"unknown field \"spec.(app-ns-1/x /namespaces/app-ns-1/ (app-ns-1/\""#,
            "the API version in the data ((app-ns-1/x) does not match",
            "field label not supported: (app-ns-1/x",
            "object (app-ns-1/x; and more), in namespace app-ns-1",
            "see example.org/namespaces/app-ns-1/x, apis/a/b/namespaces/app-ns-1 and Key: app-ns-1/x",
            "/apis/a/v1/namespaces/app-ns-1.example.org, /apis/a b/v1/namespaces/app-ns-1",
            r#"namespace "app-ns-10", namespace "app-ns-1 "#,
        ] {
            assert_eq!(map(text).as_deref(), Some(text));
        }
    }
}
