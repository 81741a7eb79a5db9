//! Replaces `app_cluster_access` in builds without the feature `app-cluster`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::start_error::StartError;
use crate::authn::FrontProxyCell;
use crate::catalog::{Catalog, DocumentStore};
use crate::config::{Config, Warning};
use crate::namespaces::LocalNamespaces;
use crate::proxy::ControlPlane;
use crate::status::CopyStatus;
use crate::telemetry::metrics::Metrics;
use crate::tls::ServingCertificate;
use crate::tls::watched::Reload;
use crate::upstream::Credentials;

/// No access to the API of the app cluster.
pub(super) struct AppClusterAccess;

impl AppClusterAccess {
    /// # Errors
    /// The configuration requires access.
    pub(super) async fn open(config: &Config, _metrics: &Metrics) -> Result<Self, StartError> {
        match config.needs_app_cluster() {
            true => Err(StartError::CannotUseAppCluster),
            false => Ok(Self),
        }
    }

    /// # Errors
    /// There are none.
    pub(super) async fn with_certificate(
        self,
        _config: &Config,
        _metrics: &Metrics,
    ) -> Result<Self, StartError> {
        Ok(self)
    }

    pub(super) fn discovery_store(&self, _config: &Config) -> Option<Arc<dyn DocumentStore>> {
        None
    }

    pub(super) async fn warnings(&self, _config: &Config) -> Vec<Warning> {
        Vec::new()
    }

    pub(super) fn certificate(&self) -> Option<ServingCertificate> {
        None
    }

    pub(super) fn credentials(&self, _control_plane: &str) -> Option<Credentials> {
        None
    }

    /// # Errors
    /// There are none.
    pub(super) async fn prepare(
        self,
        _config: &Config,
        _control_planes: &BTreeMap<String, ControlPlane>,
        _catalog: &Catalog,
        _front_proxy: FrontProxyCell,
        _metrics: &Metrics,
    ) -> Result<AppClusterTasks, StartError> {
        Ok(AppClusterTasks)
    }
}

/// No tasks.
pub(super) struct AppClusterTasks;

impl AppClusterTasks {
    pub(super) fn namespaces(&self) -> LocalNamespaces {
        LocalNamespaces::default()
    }

    pub(super) fn registration_problems(&self) -> watch::Receiver<Vec<String>> {
        watch::channel(Vec::new()).1
    }

    pub(super) fn copy_status(&self) -> CopyStatus {
        CopyStatus::default()
    }

    pub(super) fn is_leader(&self) -> Box<dyn Fn() -> Option<bool> + Send + Sync> {
        Box::new(|| None)
    }

    pub(super) fn watched(&self) -> Option<Arc<dyn Reload>> {
        None
    }

    pub(super) fn start(
        self,
        _control_planes: &BTreeMap<String, ControlPlane>,
        _stopping: &CancellationToken,
        _ended: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        None
    }
}
