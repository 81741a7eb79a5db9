//! Parts of the objects that the commands create. Does no I/O.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::manifest::Manifest;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Returns a ServiceAccount with rights in its namespace, in the order of creation.
pub(super) fn account(
    namespace: &str,
    name: &str,
    rules: Vec<PolicyRule>,
) -> Result<Vec<Manifest>, serde_json::Error> {
    let [role, binding] = role(namespace, name, rules, subject(namespace, name))?;
    let account = Manifest::new(&ServiceAccount {
        metadata: namespaced(namespace, name),
        ..ServiceAccount::default()
    })?;
    Ok(vec![account, role, binding])
}

/// Returns a Role, and its RoleBinding with the same name.
pub(super) fn role(
    namespace: &str,
    name: &str,
    rules: Vec<PolicyRule>,
    subject: Subject,
) -> Result<[Manifest; 2], serde_json::Error> {
    Ok([
        Manifest::new(&Role {
            metadata: namespaced(namespace, name),
            rules: Some(rules),
        })?,
        Manifest::new(&RoleBinding {
            metadata: namespaced(namespace, name),
            role_ref: role_ref("Role", name),
            subjects: Some(vec![subject]),
        })?,
    ])
}

/// Returns a ServiceAccount of a GitOps tool with rights on claims only, in the order of creation.
///
/// # Errors
/// An object cannot be serialized.
pub(super) fn gitops_account(
    namespace: &str,
    name: &str,
    groups: &[String],
) -> Result<Vec<Manifest>, serde_json::Error> {
    let claims = PolicyRule {
        api_groups: Some(groups.to_vec()),
        resources: Some(texts(&["*"])),
        verbs: texts(&[
            "get", "list", "watch", "create", "update", "patch", "delete",
        ]),
        ..PolicyRule::default()
    };
    account(namespace, name, vec![claims])
}

pub(super) fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

pub(super) fn namespaced(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(namespace.to_owned()),
        ..named(name)
    }
}

pub(super) fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: RBAC.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

pub(super) fn subject(namespace: &str, account: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: account.to_owned(),
        namespace: Some(namespace.to_owned()),
        api_group: None,
    }
}

/// Returns the subject of a user that is not a ServiceAccount.
pub(super) fn user(name: &str) -> Subject {
    Subject {
        kind: "User".to_owned(),
        name: name.to_owned(),
        namespace: None,
        api_group: Some(RBAC.to_owned()),
    }
}

pub(super) fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
