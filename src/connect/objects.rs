//! The objects that `connect` creates on the control plane, and what they have in common with those in the app cluster.
//! Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::manifest::Manifest;

/// The beginning of the annotation of a remote namespace, before the name of the app cluster.
pub(super) const ID_ANNOTATION: &str = "cluster-id.claimgate.dev/";

const RBAC: &str = "rbac.authorization.k8s.io";

/// One app cluster as a control plane sees it.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    /// The name of the app cluster.
    pub(super) cluster: String,
    /// The namespace of the control plane that stores the claims.
    pub(super) namespace: String,
    /// API groups of the claims.
    pub(super) groups: Vec<String>,
    /// UID of the app cluster's kube-system namespace.
    pub(super) cluster_id: String,
}

impl Tenant {
    /// Returns the annotation of the namespace with the identity of the app cluster.
    pub(super) fn id_annotation(&self) -> String {
        format!("{ID_ANNOTATION}{}", self.cluster)
    }

    /// Returns the name of the ServiceAccount on the control plane, and of its rights in the namespace.
    pub(super) fn account(&self) -> String {
        format!("claimgate-{}", self.cluster)
    }

    pub(super) fn remote_namespace(&self) -> Result<Manifest, serde_json::Error> {
        let annotations = BTreeMap::from([(self.id_annotation(), self.cluster_id.clone())]);
        let manifest = Manifest::new(&Namespace {
            metadata: ObjectMeta {
                annotations: Some(annotations),
                ..named(&self.namespace)
            },
            ..Namespace::default()
        })?;
        // Several app clusters can use one namespace. An apply removes what its manager applied before.
        Ok(manifest.with_manager(&self.cluster))
    }

    /// Returns the identity and the rights of the daemon on the control plane, in the order of creation.
    pub(super) fn control_plane(&self) -> Result<Vec<Manifest>, serde_json::Error> {
        let name = self.account();
        let rules = vec![self.claims(), renewal(&name)];
        let mut objects = account(&self.namespace, &name, rules)?;
        let discovery = format!("claimgate:{}:{}", self.namespace, self.cluster);
        objects.extend([
            Manifest::new(&ClusterRole {
                metadata: named(&discovery),
                rules: Some(vec![documents(), crds()]),
                ..ClusterRole::default()
            })?,
            Manifest::new(&ClusterRoleBinding {
                metadata: named(&discovery),
                role_ref: role_ref("ClusterRole", &discovery),
                subjects: Some(vec![subject(&self.namespace, &name)]),
            })?,
        ]);
        Ok(objects)
    }

    /// Returns the namespace and the other objects, in the order of creation.
    pub(super) fn all_objects(&self) -> Result<Vec<Manifest>, serde_json::Error> {
        let mut all = vec![self.remote_namespace()?];
        all.extend(self.control_plane()?);
        Ok(all)
    }

    /// All verbs on all resources of the groups, so that a claim API that is added later works at once.
    fn claims(&self) -> PolicyRule {
        PolicyRule {
            api_groups: Some(self.groups.clone()),
            resources: Some(texts(&["*"])),
            verbs: texts(&["*"]),
            ..PolicyRule::default()
        }
    }
}

/// Returns a ServiceAccount with rights in its namespace, in the order of creation.
fn account(
    namespace: &str,
    name: &str,
    rules: Vec<PolicyRule>,
) -> Result<Vec<Manifest>, serde_json::Error> {
    let metadata = || ObjectMeta {
        namespace: Some(namespace.to_owned()),
        ..named(name)
    };
    Ok(vec![
        Manifest::new(&ServiceAccount {
            metadata: metadata(),
            ..ServiceAccount::default()
        })?,
        Manifest::new(&Role {
            metadata: metadata(),
            rules: Some(rules),
        })?,
        Manifest::new(&RoleBinding {
            metadata: metadata(),
            role_ref: role_ref("Role", name),
            subjects: Some(vec![subject(namespace, name)]),
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

/// The right to renew the daemon's own token.
fn renewal(account: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(&[""])),
        resources: Some(texts(&["serviceaccounts/token"])),
        resource_names: Some(texts(&[account])),
        verbs: texts(&["create"]),
        ..PolicyRule::default()
    }
}

/// Discovery and OpenAPI, for clusters that do not grant them to every ServiceAccount.
fn documents() -> PolicyRule {
    PolicyRule {
        non_resource_urls: Some(texts(&[
            "/api",
            "/apis",
            "/apis/*",
            "/openapi/*",
            "/readyz",
            "/version",
        ])),
        verbs: texts(&["get"]),
        ..PolicyRule::default()
    }
}

/// The limits of names are in the CRDs. Their names are not known before a claim API is added.
fn crds() -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(&["apiextensions.k8s.io"])),
        resources: Some(texts(&["customresourcedefinitions"])),
        verbs: texts(&["get"]),
        ..PolicyRule::default()
    }
}

pub(super) fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
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

pub(super) fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
