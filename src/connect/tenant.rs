//! One app cluster as a control plane sees it, and the objects there. Does no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::error::ConnectError;
use super::manifest::Manifest;
use super::objects::{account, named, role, role_ref, subject, texts, user};

/// The prefix of the annotation of a remote namespace, before the name of the app cluster.
pub(super) const ID_ANNOTATION: &str = "cluster-id.claimgate.dev/";

/// Where the control plane stores the claims.
#[derive(Clone, Debug)]
pub(super) enum RemoteNamespaces {
    /// One remote namespace for all local namespaces.
    Shared(String),
    /// A table of remote namespaces by local namespaces. It has at least one row.
    Table(BTreeMap<String, String>),
}

impl RemoteNamespaces {
    /// Returns each remote namespace once.
    pub(super) fn all(&self) -> BTreeSet<&str> {
        match self {
            Self::Shared(namespace) => BTreeSet::from([&**namespace]),
            Self::Table(rows) => rows.values().map(|remote| &**remote).collect(),
        }
    }

    /// Returns the namespace of the daemon's ServiceAccount.
    pub(super) fn home(&self) -> &str {
        self.all().first().copied().unwrap_or_default()
    }

    /// Returns the value of `mapping` in the configuration.
    pub(super) fn config(&self) -> Value {
        match self {
            Self::Shared(namespace) => json!({"namespace": namespace, "names": "readable"}),
            Self::Table(rows) => json!({"namespaces": rows}),
        }
    }
}

/// As in a sentence: `the namespace "team-a"`.
impl fmt::Display for RemoteNamespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(namespace) => write!(f, "the namespace {namespace:?}"),
            Self::Table(rows) => {
                let rows = rows
                    .iter()
                    .map(|(local, remote)| format!("{remote:?} ({local:?})"));
                write!(f, "the namespaces {}", rows.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// One app cluster as a control plane sees it.
#[derive(Clone, Debug)]
pub(super) struct Tenant {
    /// The name of the app cluster.
    pub(super) cluster: String,
    pub(super) namespaces: RemoteNamespaces,
    /// API groups of the claims.
    pub(super) groups: Vec<String>,
    /// Whether the daemon copies connection Secrets.
    pub(super) reads_secrets: bool,
    /// UID of the app cluster's kube-system namespace.
    pub(super) cluster_id: String,
    /// The daemon's user name on the control plane, if the app cluster issues its tokens. Otherwise the daemon is a
    /// ServiceAccount of the control plane.
    pub(super) user: Option<String>,
}

impl Tenant {
    /// Returns the annotation of each remote namespace with the identity of the app cluster.
    pub(super) fn id_annotation(&self) -> String {
        format!("{ID_ANNOTATION}{}", self.cluster)
    }

    /// Checks the annotations of a remote namespace: it must not belong to another app cluster of the same name.
    ///
    /// # Errors
    /// It does.
    pub(super) fn check_identity(
        &self,
        namespace: &str,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), ConnectError> {
        let annotation = self.id_annotation();
        match annotations.get(&annotation) {
            Some(id) if *id != self.cluster_id => Err(ConnectError::OtherCluster {
                namespace: namespace.to_owned(),
                cluster: self.cluster.clone(),
                annotation,
            }),
            _ => Ok(()),
        }
    }

    /// Checks the annotations of a remote namespace: no other app cluster may have claims there that cannot be
    /// distinguished from those of this one. Claims in a table have no labels with the name of the app cluster.
    ///
    /// # Errors
    /// Another app cluster uses the namespace of a table.
    pub(super) fn check_only_user(
        &self,
        namespace: &str,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), ConnectError> {
        if let RemoteNamespaces::Shared(_) = self.namespaces {
            return Ok(());
        }
        let mut users = annotations
            .keys()
            .filter_map(|key| key.strip_prefix(ID_ANNOTATION));
        match users.find(|cluster| *cluster != self.cluster) {
            Some(other) => Err(ConnectError::ClaimsOfOthers {
                namespace: namespace.to_owned(),
                cluster: other.to_owned(),
                annotation: format!("{ID_ANNOTATION}{other}"),
            }),
            None => Ok(()),
        }
    }

    /// Returns the prefix of the user names of tokens that the app cluster issues. It distinguishes them from users of
    /// the control plane and of other app clusters.
    pub(super) fn user_prefix(&self) -> String {
        format!("claimgate:{}:", self.cluster)
    }

    /// Returns the name of the ServiceAccount on the control plane, and of its rights in the namespaces.
    pub(super) fn account(&self) -> String {
        format!("claimgate-{}", self.cluster)
    }

    /// Returns a remote namespace.
    ///
    /// # Errors
    /// It cannot be serialized.
    pub(super) fn remote_namespace(&self, name: &str) -> Result<Manifest, serde_json::Error> {
        let annotations = BTreeMap::from([(self.id_annotation(), self.cluster_id.clone())]);
        let manifest = Manifest::new(&Namespace {
            metadata: ObjectMeta {
                annotations: Some(annotations),
                ..named(name)
            },
            ..Namespace::default()
        })?;
        // Several app clusters can use one namespace. An apply removes what its manager applied before.
        Ok(manifest.with_manager(&self.cluster))
    }

    /// Returns the identity and the rights of the daemon, in the order of creation.
    ///
    /// # Errors
    /// An object cannot be serialized.
    pub(super) fn rights(&self) -> Result<Vec<Manifest>, serde_json::Error> {
        let (name, home) = (self.account(), self.namespaces.home());
        let namespaces = self.namespaces.all();
        let mut objects = match self.user {
            None => {
                let mut rules = self.in_namespace();
                rules.push(renewal(&name));
                account(home, &name, rules)?
            }
            Some(_) => role(home, &name, self.in_namespace(), self.subject())?.to_vec(),
        };
        for namespace in namespaces.iter().filter(|namespace| **namespace != home) {
            let rules = self.in_namespace();
            objects.extend(role(namespace, &name, rules, self.subject())?);
        }
        let mut rules = vec![documents(), crds()];
        if namespaces.len() > 1 {
            rules.push(self.lists());
        }
        let discovery = format!("claimgate:{home}:{}", self.cluster);
        objects.extend([
            Manifest::new(&ClusterRole {
                metadata: named(&discovery),
                rules: Some(rules),
                ..ClusterRole::default()
            })?,
            Manifest::new(&ClusterRoleBinding {
                metadata: named(&discovery),
                role_ref: role_ref("ClusterRole", &discovery),
                subjects: Some(vec![self.subject()]),
            })?,
        ]);
        Ok(objects)
    }

    /// Returns the subject that gets the rights.
    fn subject(&self) -> Subject {
        match &self.user {
            Some(name) => user(name),
            None => subject(self.namespaces.home(), &self.account()),
        }
    }

    /// Returns the namespaces and the other objects, in the order of creation.
    ///
    /// # Errors
    /// An object cannot be serialized.
    pub(super) fn objects(&self) -> Result<Vec<Manifest>, serde_json::Error> {
        let namespaces = self.namespaces.all().into_iter();
        let namespaces: Result<Vec<_>, _> =
            namespaces.map(|name| self.remote_namespace(name)).collect();
        let mut all = namespaces?;
        all.extend(self.rights()?);
        Ok(all)
    }

    /// The rights in each remote namespace.
    fn in_namespace(&self) -> Vec<PolicyRule> {
        let mut rules = vec![self.claims(), events()];
        if self.reads_secrets {
            rules.push(connection_secrets());
        }
        rules
    }

    /// Returns all verbs on all resources of the groups, so that a claim API that is added later works without a
    /// change.
    fn claims(&self) -> PolicyRule {
        self.rule(&["*"])
    }

    /// Returns the rights to read all namespaces. If there are several remote namespaces, a list of all local
    /// namespaces needs them.
    fn lists(&self) -> PolicyRule {
        self.rule(&["list", "watch"])
    }

    fn rule(&self, verbs: &[&str]) -> PolicyRule {
        PolicyRule {
            api_groups: Some(self.groups.clone()),
            resources: Some(texts(&["*"])),
            verbs: texts(verbs),
            ..PolicyRule::default()
        }
    }
}

/// Returns the rights on events about claims, which the daemon copies to the app cluster.
fn events() -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(&[""])),
        resources: Some(texts(&["events"])),
        verbs: texts(&["list", "watch"]),
        ..PolicyRule::default()
    }
}

/// Returns the rights on Secrets. Kubernetes cannot restrict them to a type or an owner.
fn connection_secrets() -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(&[""])),
        resources: Some(texts(&["secrets"])),
        verbs: texts(&["get", "list", "watch"]),
        ..PolicyRule::default()
    }
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

/// Returns the rights on discovery and OpenAPI, for clusters that do not grant them to every ServiceAccount.
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

/// Returns the right to read CRDs, which contain the limits of names. It covers all CRDs, because the names of future
/// claim APIs are not known.
fn crds() -> PolicyRule {
    PolicyRule {
        api_groups: Some(texts(&["apiextensions.k8s.io"])),
        resources: Some(texts(&["customresourcedefinitions"])),
        verbs: texts(&["get"]),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(namespaces: RemoteNamespaces) -> Tenant {
        Tenant {
            cluster: "app-one".to_owned(),
            namespaces,
            groups: Vec::new(),
            reads_secrets: false,
            cluster_id: "one".to_owned(),
            user: None,
        }
    }

    fn annotations(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = all.iter();
        all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn namespace_of_a_table_with_another_user_is_reported() {
        let table = BTreeMap::from([("default".to_owned(), "team".to_owned())]);
        let table = tenant(RemoteNamespaces::Table(table));
        let shared = tenant(RemoteNamespaces::Shared("team".to_owned()));
        let own = [("cluster-id.claimgate.dev/app-one", "one"), ("team", "a")];
        let both = [own[0], ("cluster-id.claimgate.dev/app-two", "two")];
        assert!(table.check_only_user("team", &annotations(&own)).is_ok());
        assert!(shared.check_only_user("team", &annotations(&both)).is_ok());
        let error = table.check_only_user("team", &annotations(&both));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(r#"app cluster "app-two""#), "{error}");
        assert!(error.contains(r#"namespace "team""#), "{error}");
        assert!(
            error.contains("cluster-id.claimgate.dev/app-two"),
            "{error}"
        );
    }

    #[test]
    fn namespace_of_another_app_cluster_with_the_same_name_is_reported() {
        let tenant = tenant(RemoteNamespaces::Shared("team".to_owned()));
        let check = |id| {
            let annotations = annotations(&[("cluster-id.claimgate.dev/app-one", id)]);
            tenant.check_identity("team", &annotations)
        };
        assert!(check("one").is_ok());
        assert!(check("two").is_err());
        assert!(tenant.check_identity("team", &annotations(&[])).is_ok());
    }
}
