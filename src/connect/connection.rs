//! The connection of an app cluster. `connect` stores it in an annotation of the installation's ClusterRole. With it, a
//! second `connect` does not hide existing claims, and `disconnect` finds them.

use std::fmt;

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clusters::Cluster;
use super::error::ConnectError;

/// The annotation, a [`Connection`] as JSON.
pub(super) const ANNOTATION: &str = "claimgate.dev/connection";

/// Where the daemon runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Daemon {
    Deployment,
    OutsideOfTheCluster,
}

/// How the daemon authenticates to the control plane.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Credential {
    /// With a token that the control plane issues, and that is stored in a Secret.
    #[default]
    Token,
    /// With tokens that the app cluster issues, and that are not stored.
    Oidc,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection {
    /// The name of the app cluster.
    pub(super) cluster: String,
    /// The URL of the control plane.
    pub(super) server: String,
    /// The mapping, as in the configuration.
    pub(super) mapping: Value,
    pub(super) daemon: Daemon,
    #[serde(default)]
    pub(super) credential: Credential,
}

impl Connection {
    /// Reads the connection of an installation. Returns `None` if there is none.
    ///
    /// # Errors
    /// The app cluster rejects the request, cannot be reached, or the annotation is invalid.
    pub(super) async fn read(
        app: &Cluster,
        cluster_role: &str,
    ) -> Result<Option<Self>, ConnectError> {
        let api: Api<ClusterRole> = Api::all(app.client.clone());
        let role = api.get_metadata_opt(cluster_role).await;
        let role = role.map_err(app.failed(format!("read the ClusterRole {cluster_role}")))?;
        let annotations = role.and_then(|role| role.metadata.annotations);
        let text = annotations.and_then(|mut all| all.remove(ANNOTATION));
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Returns whether both connections store the claims in the same place.
    pub(super) fn has_claims_of(&self, other: &Self) -> bool {
        self.cluster == other.cluster && self.mapping == other.mapping
    }
}

/// As in a sentence: `"team-a" of https://platform:6443 with the mapping {…}`.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let daemon = match self.daemon {
            Daemon::Deployment => "a Deployment",
            Daemon::OutsideOfTheCluster => "a daemon outside of the cluster",
        };
        let credential = match self.credential {
            Credential::Token => "",
            Credential::Oidc => " with --credential oidc",
        };
        write!(
            f,
            "{:?} with {}, the mapping {} and {daemon}{credential}",
            self.cluster, self.server, self.mapping
        )
    }
}
