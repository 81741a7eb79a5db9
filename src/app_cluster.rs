//! The client of the app cluster's API.

mod access_review;
mod discovery_store;
mod errors;
mod front_proxy;
mod namespaces;

use std::path::Path;

use kube::api::PostParams;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};

pub(crate) use self::access_review::is_allowed;
pub(crate) use self::discovery_store::{DISCOVERY_SUFFIX, DiscoveryStore};
pub(crate) use self::errors::{describe, has_status, is_namespace_terminating};
pub(crate) use self::front_proxy::FrontProxyError;
pub(crate) use self::front_proxy::{FrontProxyWatch, check_front_proxy};
pub(crate) use self::namespaces::NamespaceWatch;
use crate::config::AppClusterConfig;

/// The variable that Kubernetes sets in each container.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// The label of objects that claimgate created. The Service of an APIService, and the name of another object, tell to which
/// installation it belongs.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "claimgate");

/// The reason why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot create a client: {0}")]
    Client(#[from] kube::Error),
    #[error("the ServiceAccount of the pod is not usable: {0}")]
    InCluster(#[from] InClusterError),
    #[error("the kubeconfig is not usable: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    #[error("appCluster.kubeconfig is not set, and claimgate does not run in a pod")]
    NotConfigured,
}

/// Returns the parameters of writes. They name claimgate as the field manager.
pub(crate) fn write_parameters() -> PostParams {
    PostParams {
        field_manager: Some("claimgate".to_owned()),
        ..PostParams::default()
    }
}

/// Creates a client from the configured kubeconfig, or from the ServiceAccount of the pod.
///
/// # Errors
/// Neither exists, or it is invalid.
pub(crate) async fn client(config: &AppClusterConfig) -> Result<kube::Client, ClientError> {
    match &config.kubeconfig {
        Some(path) => client_from(path).await,
        None if std::env::var_os(IN_CLUSTER).is_some() => {
            Ok(kube::Client::try_from(kube::Config::incluster()?)?)
        }
        None => Err(ClientError::NotConfigured),
    }
}

/// Creates a client, or returns `None` if claimgate has no access to the app cluster.
///
/// # Errors
/// The configured kubeconfig is invalid.
pub(crate) async fn optional_client(
    config: &AppClusterConfig,
) -> Result<Option<kube::Client>, ClientError> {
    match client(config).await {
        Ok(client) => Ok(Some(client)),
        Err(ClientError::NotConfigured) => Ok(None),
        Err(error) if config.kubeconfig.is_none() => {
            tracing::warn!(%error, "claimgate has no access to the API of the app cluster");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Creates a client from a kubeconfig.
///
/// # Errors
/// It is invalid.
pub(crate) async fn client_from(path: &Path) -> Result<kube::Client, ClientError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(kube::Client::try_from(config)?)
}
