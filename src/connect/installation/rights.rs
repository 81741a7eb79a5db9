//! The identity of the daemon in the app cluster, and the minimal rights that it needs.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::Installation;
use crate::config::NamespaceSelection;
use crate::connect::connection::Credential;
use crate::connect::manifest::Manifest;
use crate::connect::objects::{named, role_ref, subject, texts};
use crate::leader::LEASE_SUFFIX;

/// The Role that lets API servers read the front proxy (`kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).
const AUTH_READER: &str = "extension-apiserver-authentication-reader";

/// Returns the ServiceAccount and its rights, in the order of creation.
pub(super) fn objects(
    installation: &Installation,
    control_plane: &str,
) -> Result<Vec<Manifest>, serde_json::Error> {
    let service = &installation.service;
    let cluster_role = installation.cluster_role();
    let in_cluster = || ObjectMeta {
        labels: Some(installation.labels()),
        ..named(&cluster_role)
    };
    let mut objects = vec![
        Manifest::new(&ServiceAccount {
            metadata: installation.metadata(&service.name),
            ..ServiceAccount::default()
        })?,
        Manifest::new(&ClusterRole {
            metadata: installation.owner(),
            rules: Some(vec![
                rule(
                    "apiregistration.k8s.io",
                    "apiservices",
                    &[],
                    &["list", "create", "update", "delete"],
                ),
                rule(
                    "rbac.authorization.k8s.io",
                    "clusterroles",
                    &[&cluster_role],
                    &["get"],
                ),
                rule("", "namespaces", &[], &["get", "list", "watch"]),
                rule("", "events", &[], &["get", "create", "update"]),
            ]),
            ..ClusterRole::default()
        })?,
        Manifest::new(&ClusterRoleBinding {
            metadata: in_cluster(),
            role_ref: role_ref("ClusterRole", &cluster_role),
            subjects: Some(vec![subject(&service.namespace, &service.name)]),
        })?,
        Manifest::new(&Role {
            metadata: installation.metadata(&service.name),
            rules: Some(own_objects(installation, control_plane)),
        })?,
        binding(
            installation,
            installation.metadata(&service.name),
            role_ref("Role", &service.name),
        )?,
    ];
    objects.extend(elsewhere(installation)?);
    objects.extend(secrets(installation)?);
    Ok(objects)
}

/// Returns the rights to copy Secrets, in the namespaces that the user selects. Kubernetes cannot restrict them to some
/// Secrets.
fn secrets(installation: &Installation) -> Result<Vec<Manifest>, serde_json::Error> {
    let name = installation.secrets_role();
    let labeled = || ObjectMeta {
        labels: Some(installation.labels()),
        ..named(&name)
    };
    let reference = || role_ref("ClusterRole", &name);
    let service = &installation.service;
    let subjects = || Some(vec![subject(&service.namespace, &service.name)]);
    let bindings = match &installation.secrets {
        NamespaceSelection::All => vec![Manifest::new(&ClusterRoleBinding {
            metadata: labeled(),
            role_ref: reference(),
            subjects: subjects(),
        })?],
        NamespaceSelection::Named(namespaces) => {
            let bindings = namespaces.iter().map(|namespace| {
                Manifest::new(&RoleBinding {
                    metadata: ObjectMeta {
                        namespace: Some(namespace.clone()),
                        ..labeled()
                    },
                    role_ref: reference(),
                    subjects: subjects(),
                })
            });
            bindings.collect::<Result<_, _>>()?
        }
    };
    if bindings.is_empty() {
        return Ok(bindings);
    }
    let verbs = ["get", "list", "watch", "create", "update", "delete"];
    let role = Manifest::new(&ClusterRole {
        metadata: labeled(),
        rules: Some(vec![
            rule("", "secrets", &[], &verbs),
            rule("events.k8s.io", "events", &[], &["create", "patch"]),
        ]),
        ..ClusterRole::default()
    })?;
    Ok([vec![role], bindings].concat())
}

/// Returns the rights in other namespaces: to write events of APIServices, which have no namespace, and to read the
/// front proxy.
fn elsewhere(installation: &Installation) -> Result<[Manifest; 3], serde_json::Error> {
    let name = installation.cluster_role();
    let in_namespace = |namespace: &str| ObjectMeta {
        namespace: Some(namespace.to_owned()),
        ..installation.metadata(&name)
    };
    Ok([
        Manifest::new(&Role {
            metadata: in_namespace("default"),
            rules: Some(vec![rule(
                "events.k8s.io",
                "events",
                &[],
                &["create", "patch"],
            )]),
        })?,
        binding(
            installation,
            in_namespace("default"),
            role_ref("Role", &name),
        )?,
        binding(
            installation,
            in_namespace("kube-system"),
            role_ref("Role", AUTH_READER),
        )?,
    ])
}

/// Returns a RoleBinding of a role to the ServiceAccount.
fn binding(
    installation: &Installation,
    metadata: ObjectMeta,
    role: RoleRef,
) -> Result<Manifest, serde_json::Error> {
    let service = &installation.service;
    Manifest::new(&RoleBinding {
        metadata,
        role_ref: role,
        subjects: Some(vec![subject(&service.namespace, &service.name)]),
    })
}

/// Returns the rights on the objects of the installation itself, each by name. Kubernetes cannot restrict `create` to a
/// name.
fn own_objects(installation: &Installation, control_plane: &str) -> Vec<PolicyRule> {
    let service = &installation.service.name;
    let lease = format!("{service}{LEASE_SUFFIX}");
    let mut secrets = vec![installation.certificate_secret()];
    if installation.credential == Credential::Token {
        secrets.push(installation.token_secret(control_plane));
    }
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    vec![
        rule("", "services", &[service], &["get"]),
        rule("coordination.k8s.io", "leases", &[], &["create"]),
        rule(
            "coordination.k8s.io",
            "leases",
            &[&lease],
            &["get", "update"],
        ),
        rule("", "secrets", &secrets, &["get", "update"]),
        rule(
            "",
            "configmaps",
            &[&installation.discovery_config_map()],
            &["get", "patch"],
        ),
    ]
}

fn rule(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(&[group])),
        resources: Some(texts(&[resource])),
        resource_names: Some(texts(names)).filter(|names| !names.is_empty()),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}
