//! The forms in which kube-apiserver's own words name a namespace.
//!
//! A text is read once from left to right, so that a name which was put in is never taken for one that
//! is to be mapped.

use std::ops::Range;

use super::NamesForeign;
use crate::translate::Scope;

/// What stands before a namespace, and how what stands around it is told from people's words.
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
    // Filters and what stands before an API server quote the request's path.
    ("/namespaces/", Form::Path),
    // `apiserver/pkg/storage/errors.go`, `StorageError`.
    ("Key: /", Form::Key),
    // `apiserver/pkg/storage/etcd3/store.go`, and `event.go` beside it with another sign.
    ("key \"/", Form::Key),
];

#[derive(Clone, Copy)]
enum Form {
    /// The name alone, up to this.
    UpTo(&'static str),
    /// `NAMESPACE/NAME; GROUP/VERSION, Kind=KIND`.
    Object,
    /// A segment of a path below an API's.
    Path,
    /// A segment of a key, see [`in_key`].
    Key,
}

/// The words in local terms.
pub(super) fn to_local(text: &str, scope: &Scope) -> Result<String, NamesForeign> {
    let mut mapped = String::with_capacity(text.len());
    let mut done = 0;
    let mut next = FORMS.map(|(before, _)| text.find(before));
    while let Some((start, (before, form))) = first(&next) {
        let mut from = start + 1;
        if let Some(name) = form.name(text, start, start + before.len()) {
            let remote = text.get(name.clone()).unwrap_or_default();
            match scope.to_local(remote) {
                Some(local) => {
                    mapped.push_str(text.get(done..name.start).unwrap_or_default());
                    mapped.push_str(local);
                    (done, from) = (name.end, name.end);
                }
                None if scope.may_see_foreign() => return Err(NamesForeign),
                None => {}
            }
        }
        for (at, (before, _)) in next.iter_mut().zip(FORMS) {
            if at.is_some_and(|at| at < from) {
                let rest = text.get(from..).unwrap_or_default();
                *at = rest.find(before).map(|found| from + found);
            }
        }
    }
    mapped.push_str(text.get(done..).unwrap_or_default());
    Ok(mapped)
}

fn first(next: &[Option<usize>; FORMS.len()]) -> Option<(usize, (&'static str, Form))> {
    let found = next.iter().zip(FORMS);
    let found = found.filter_map(|(at, form)| Some(((*at)?, form)));
    found.min_by_key(|(at, _)| *at)
}

impl Form {
    /// Where the name is, if this is the form: what stands before it is at `start`, and ends at `at`.
    fn name(self, text: &str, start: usize, at: usize) -> Option<Range<usize>> {
        let rest = text.get(at..)?;
        let length = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        let is_so = match self {
            Self::UpTo(end) => after.starts_with(end),
            Self::Object => is_object(after),
            Self::Path => is_api(text.get(..start)?) && !after.starts_with(['.', '%']),
            Self::Key => {
                let key = rest.find([',', ' ', '"']).unwrap_or(rest.len());
                let name = in_key(rest.get(..key)?)?;
                return Some(at + name.start..at + name.end);
            }
        };
        (is_so && !name.is_empty()).then_some(at..at + length)
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

/// What follows the namespace of an object that is named with its kind.
fn is_object(after: &str) -> bool {
    let name = |c| is_of_name(c) || c == '.';
    let after = after
        .strip_prefix('/')
        .and_then(|after| after.trim_start_matches(name).strip_prefix("; "));
    let version = |c: char| c.is_ascii_alphanumeric() || "-./".contains(c);
    after.is_some_and(|after| after.trim_start_matches(version).starts_with(", Kind="))
}

/// Whether a path ends in `/apis/GROUP/VERSION`, which may have `/watch` behind it, or in `/api/v1`.
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

/// Where the namespace is in a key of etcd's, `PREFIX/GROUP/RESOURCE/NAMESPACE/NAME`; the prefix may
/// have several segments.
pub(super) fn in_key(key: &str) -> Option<Range<usize>> {
    let (before, name) = key.rsplit_once('/')?;
    let (_, namespace) = before.rsplit_once('/')?;
    let is_deep = key.trim_start_matches('/').matches('/').count() >= 3;
    let end = key.len() - name.len() - 1;
    is_deep.then_some(end - namespace.len()..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Option<String> {
        let (local, remote) = ("default".to_owned(), "app-ns-1".to_owned());
        to_local(text, &Scope::One { local, remote }).ok()
    }

    #[test]
    fn every_form_is_mapped() {
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
    fn words_of_people_stay() {
        for words in [
            r#"unknown field \"spec.(app-ns-1/x /namespaces/app-ns-1/ (app-ns-1/\""#,
            "the API version in the data ((app-ns-1/x) does not match",
            "field label not supported: (app-ns-1/x",
            "object (app-ns-1/x; and more), in namespace app-ns-1",
            "see example.org/namespaces/app-ns-1/x, apis/a/b/namespaces/app-ns-1 and Key: app-ns-1/x",
            "/apis/a/v1/namespaces/app-ns-1.example.org, /apis/a b/v1/namespaces/app-ns-1",
            r#"namespace "app-ns-10", namespace "app-ns-1 "#,
        ] {
            assert_eq!(map(words).as_deref(), Some(words));
        }
    }
}
