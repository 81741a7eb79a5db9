use std::net::SocketAddr;

use crate::tls::watched::LoadError;

/// The reason why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[cfg(feature = "app-cluster")]
    #[error("cannot use the API of the app cluster: {0}")]
    AppCluster(#[from] crate::app_cluster::ClientError),
    #[cfg(feature = "app-cluster")]
    #[error("authentication.requestHeader.fromCluster: {0}")]
    FrontProxy(#[from] crate::app_cluster::FrontProxyError),
    #[cfg(feature = "app-cluster")]
    #[error("{key}: {error}")]
    Secret {
        key: String,
        error: crate::managed_secrets::SecretError,
    },
    #[cfg(not(feature = "app-cluster"))]
    #[error(
        "register and authentication.requestHeader.fromCluster: this build lacks the feature app-cluster; use one with it, or remove the key"
    )]
    CannotUseAppCluster,
    #[error("control plane {name:?}: {problem}")]
    ControlPlane { name: String, problem: String },
    #[error("cannot listen on {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error(
        "listen.selfManaged: claimgate has no access to the app cluster; set appCluster.kubeconfig"
    )]
    NoCertificate,
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("cannot compile the rewrite rules: {0}")]
    Rules(#[from] json_rewrite::RuleError),
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
}
