//! The control plane's names in text that it wrote: messages of a Status and warnings.
//!
//! Exactly the forms that kube-apiserver is known to write are mapped. People's words stay as they
//! are, even where they hold the same name.

use super::Scope;

/// The text in local terms; `None` where nothing is to be changed.
pub fn to_local(text: &str, scope: &Scope) -> Option<String> {
    let mut mapped = text.to_owned();
    for (local, remote) in scope.pairs() {
        if text.contains(remote) {
            for (form, with) in forms(remote, local) {
                if mapped.contains(&form) {
                    mapped = mapped.replace(&form, &with);
                }
            }
            mapped = etcd_key(&mapped, remote, local);
        }
    }
    (mapped != text).then_some(mapped)
}

/// What surrounds a namespace in the messages of apiserver, apiextensions and the lifecycle
/// admission plugin, and in the JSON of an object that a message quotes, plain or quoted once more.
fn forms(remote: &str, local: &str) -> Vec<(String, String)> {
    [
        ("namespace \"", "\""),
        ("namespaces \"", "\""),
        ("namespace: \"", "\""),
        ("(", "/"),
        ("/namespaces/", "/"),
        ("/namespaces/", "?"),
        ("\"namespace\":\"", "\""),
        ("\\\"namespace\\\":\\\"", "\\\""),
        ("\\\\\\\"namespace\\\\\\\":\\\\\\\"", "\\\\\\\""),
        ("namespace\":\"", "\""),
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
                r#"namespace "app-ns-10" not found"#,
                r#"namespace "app-ns-10" not found"#,
            ),
        ] {
            assert_eq!(map(remote), local);
        }
    }
}
