//! The control plane's names in text that it wrote: messages of a Status and warnings.
//!
//! Exactly the forms that kube-apiserver is known to write are mapped. People's words stay as they
//! are, even where they hold the same name; so objects that a message quotes go through the
//! rewriter, as any object does.

use bytes::{Buf, Bytes};

use super::{LAST_APPLIED, Scope};
use crate::rewrite::{
    Framing, Handler, Limits, Output, Rewriter, RuleError, Rules, RulesBuilder, Tag, Verdict,
};

/// Places in one text at which a quoted object is looked for. A message quotes one; the bound keeps
/// a text made of beginnings from costing its length squared.
const QUOTED_MAX: usize = 8;

/// Bytes of a quoted object that are read at once; the piece in which it ends is read again, byte by
/// byte.
const PIECE_BYTES: usize = 4096;

/// The text in local terms; `None` where nothing is to be changed.
pub fn to_local(text: &str, scope: &Scope) -> Option<String> {
    let pairs: Vec<_> = scope.pairs();
    let named: Vec<_> = pairs
        .into_iter()
        .filter(|(_, remote)| text.contains(remote))
        .collect();
    if named.is_empty() {
        return None;
    }
    let mut mapped = String::with_capacity(text.len());
    let (mut words, mut rest) = (0, 0);
    for _ in 0..QUOTED_MAX {
        let Some(start) = quoted_start(text, rest) else {
            break;
        };
        rest = start + 1;
        if let Some((object, length)) = text.get(start..).and_then(|from| quoted(from, scope)) {
            mapped.push_str(&words_to_local(text.get(words..start)?, &named));
            mapped.push_str(&object);
            words = start + length;
            rest = words;
        }
    }
    mapped.push_str(&words_to_local(text.get(words..)?, &named));
    (mapped != text).then_some(mapped)
}

/// Where an object, or a string that holds one, may begin.
fn quoted_start(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let starts = [rest.find("{\""), rest.find("\"{\\\"")];
    starts.into_iter().flatten().min().map(|start| from + start)
}

/// The object that a text begins with in local terms, and the bytes that it took.
fn quoted(text: &str, scope: &Scope) -> Option<(String, usize)> {
    let rules = rules().ok()?;
    let rewriter = || {
        let handler = Quoted(scope);
        Rewriter::new(rules.clone(), Framing::Many, Limits::default(), handler)
    };
    let text = Bytes::copy_from_slice(text.as_bytes());
    let mut first = rewriter();
    let pieces = (0..text.len()).step_by(PIECE_BYTES);
    let inside = pieces.take_while(|at| {
        let piece = text.slice(*at..text.len().min(at + PIECE_BYTES));
        first.feed(piece, &mut Output::default()).is_ok() && first.documents() == 0
    });
    let inside = inside.count() * PIECE_BYTES;
    let (mut second, mut out) = (rewriter(), Output::default());
    second
        .feed(text.slice(..inside.min(text.len())), &mut out)
        .ok()?;
    // What follows the object is none.
    for at in inside..text.len() {
        second.feed(text.slice(at..=at), &mut out).ok()?;
        if second.documents() > 0 {
            let object = out.copy_to_bytes(out.remaining());
            return Some((String::from_utf8(object.into()).ok()?, at + 1));
        }
    }
    None
}

fn rules() -> Result<Rules, RuleError> {
    let object = |rules: RulesBuilder| rules.string("$.metadata.namespace", 0);
    let inner = object(Rules::builder()).build()?;
    let applied = format!("$.metadata.annotations[{LAST_APPLIED:?}]");
    object(Rules::builder())
        .inside(&applied, inner.clone())
        .inside("$", inner)
        .build()
}

/// Maps the namespaces of a quoted object.
struct Quoted<'a>(&'a Scope);

impl Handler for Quoted<'_> {
    fn string(&mut self, _tag: Tag, value: &[u8]) -> Verdict<'_> {
        let remote = std::str::from_utf8(value).ok();
        let local = remote.and_then(|remote| self.0.to_local(remote));
        local.map_or(Verdict::Keep, |local| Verdict::Replace(local.into()))
    }
}

/// Text outside of quoted objects; `named` are pairs of (local, remote) names.
fn words_to_local(text: &str, named: &[(&str, &str)]) -> String {
    let mut mapped = text.to_owned();
    for (local, remote) in named {
        for (form, with) in forms(remote, local) {
            if mapped.contains(&form) {
                mapped = mapped.replace(&form, &with);
            }
        }
        mapped = etcd_key(&mapped, remote, local);
    }
    mapped
}

/// What surrounds a namespace in the messages of apiserver, apiextensions and the lifecycle
/// admission plugin.
fn forms(remote: &str, local: &str) -> Vec<(String, String)> {
    [
        ("namespace \"", "\""),
        ("namespaces \"", "\""),
        ("namespace: \"", "\""),
        ("(", "/"),
        ("/namespaces/", "/"),
        ("/namespaces/", "?"),
    ]
    .into_iter()
    .map(|(before, after)| {
        (
            format!("{before}{remote}{after}"),
            format!("{before}{local}{after}"),
        )
    })
    .collect()
}

/// `Key: /registry/GROUP/RESOURCE/NAMESPACE/NAME`, in the message of a failed precondition.
fn etcd_key(text: &str, remote: &str, local: &str) -> String {
    let Some((before, key)) = text.split_once("Key: /") else {
        return text.to_owned();
    };
    let end = key.find([',', ' ']).unwrap_or(key.len());
    let (key, after) = key.split_at(end);
    let mut parts: Vec<&str> = key.split('/').collect();
    let namespace = parts.len().checked_sub(2).and_then(|at| parts.get_mut(at));
    if let Some(part) = namespace.filter(|part| **part == remote) {
        *part = local;
    }
    format!("{before}Key: /{}{after}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> String {
        let scope = Scope::One {
            local: "default".into(),
            remote: "app-ns-1".into(),
        };
        to_local(text, &scope).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn quoted_objects_may_be_of_any_length() {
        for length in (0..3 * PIECE_BYTES).step_by(61).chain([1 << 20]) {
            let filler = "x".repeat(length);
            let quoted = |namespace: &str| {
                format!(r#"in '{{"a":"{filler}","metadata":{{"namespace":"{namespace}"}}}}'}}"#)
            };
            assert_eq!(map(&quoted("app-ns-1")), quoted("default"), "{length}");
        }
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
                r#"{"{"{"{"{"{"{"{"{"{" in the namespace "app-ns-1" and {"metadata":{"namespace":"app-ns-1""#,
                r#"{"{"{"{"{"{"{"{"{"{" in the namespace "default" and {"metadata":{"namespace":"app-ns-1""#,
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
