//! The names and labels of an installation.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::app_cluster::DISCOVERY_SUFFIX;
use crate::config::{NamespaceSelection, ServiceConfig};
use crate::connect::connection::{ANNOTATION, Credential};
use crate::connect::objects::named;

/// An installation of claimgate in one app cluster.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) service: ServiceConfig,
    /// The value of the annotation [`ANNOTATION`].
    pub(crate) connection: String,
    /// Namespaces into which connection Secrets are copied.
    pub(crate) secrets: NamespaceSelection,
    pub(crate) credential: Credential,
}

impl Installation {
    /// Returns the name of the ClusterRole that owns the APIServices. Each installation has its own.
    pub(crate) fn cluster_role(&self) -> String {
        format!("{}:{}", self.service.namespace, self.service.name)
    }

    /// Returns the name of the ClusterRole with the rights on Secrets, and of its bindings.
    pub(crate) fn secrets_role(&self) -> String {
        format!("{}:secrets", self.cluster_role())
    }

    /// Returns the name that the app cluster gives to the ServiceAccount of the pods as a user.
    pub(crate) fn account_user(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.service.namespace, self.service.name
        )
    }

    /// Returns the name of the Secret with the CA and the serving certificate.
    pub(crate) fn certificate_secret(&self) -> String {
        format!("{}-certificates", self.service.name)
    }

    /// Returns the name of the ConfigMap in which the daemon keeps discovery.
    pub(crate) fn discovery_config_map(&self) -> String {
        format!("{}{DISCOVERY_SUFFIX}", self.service.name)
    }

    /// Returns the name of the Secret with the token for a control plane.
    pub(crate) fn token_secret(&self, control_plane: &str) -> String {
        format!("{}-{control_plane}", self.service.name)
    }

    /// Returns the metadata of the ClusterRole that owns the APIServices.
    pub(super) fn owner(&self) -> ObjectMeta {
        ObjectMeta {
            labels: Some(self.labels()),
            annotations: Some(BTreeMap::from([(
                ANNOTATION.to_owned(),
                self.connection.clone(),
            )])),
            ..named(&self.cluster_role())
        }
    }

    pub(super) fn metadata(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            namespace: Some(self.service.namespace.clone()),
            labels: Some(self.labels()),
            ..named(name)
        }
    }

    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".to_owned(), "claimgate".to_owned()),
            (
                "app.kubernetes.io/instance".to_owned(),
                self.service.name.clone(),
            ),
        ])
    }
}
