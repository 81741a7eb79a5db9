//! Replaces `app_cluster_access` in builds without the feature `app-cluster`.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::start_error::StartError;
use crate::authn::FrontProxyCell;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::namespaces::LocalNamespaces;
use crate::telemetry::metrics::Metrics;
use crate::tls::watched::Reload;

/// No access to the API of the app cluster.
pub(super) struct AppClusterAccess;

impl AppClusterAccess {
    /// # Errors
    /// The configuration requires access.
    pub(super) async fn open(
        config: &Config,
        _catalog: &Catalog,
        _front_proxy: FrontProxyCell,
        _metrics: &Metrics,
    ) -> Result<Self, StartError> {
        match config.needs_app_cluster() {
            true => Err(StartError::CannotUseAppCluster),
            false => Ok(Self),
        }
    }

    pub(super) fn namespaces(&self) -> LocalNamespaces {
        LocalNamespaces::default()
    }

    pub(super) fn watched(&self) -> Option<Arc<dyn Reload>> {
        None
    }

    pub(super) fn start(
        self,
        _stopping: &CancellationToken,
        _ended: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        None
    }
}
