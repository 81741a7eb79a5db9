//! What uses the API of the app cluster.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::start_error::StartError;
use crate::app_cluster::{self, FrontProxyWatch, NamespaceWatch};
use crate::authn::FrontProxyCell;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::namespaces::LocalNamespaces;
use crate::registration::Registrar;
use crate::telemetry::metrics::Metrics;
use crate::tls;
use crate::tls::watched::{Reload, Watched};

/// The tasks that use the API of the app cluster. Without access to it, there are none.
#[derive(Default)]
pub(super) struct AppClusterAccess {
    registrar: Option<Registrar>,
    namespace_watch: Option<NamespaceWatch>,
    front_proxy_watch: Option<FrontProxyWatch>,
    namespaces: LocalNamespaces,
    /// The CA in the APIServices.
    ca_bundle: Option<Arc<Watched<Vec<u8>>>>,
}

impl AppClusterAccess {
    /// Creates a client of the app cluster, and the tasks that use it.
    ///
    /// # Errors
    /// The client cannot be created although the configuration requires it, or the CA cannot be read.
    pub(super) async fn open(
        config: &Config,
        catalog: &Catalog,
        front_proxy: FrontProxyCell,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let client = match config.needs_app_cluster() {
            true => Some(app_cluster::client(&config.app_cluster).await?),
            false => app_cluster::optional_client(&config.app_cluster).await?,
        };
        let Some(client) = client else {
            return Ok(Self::default());
        };
        let (watch, namespaces) = NamespaceWatch::new(client.clone(), metrics.clone());
        let mut access = Self {
            namespace_watch: Some(watch),
            namespaces,
            ..Self::default()
        };
        if config.authentication.is_front_proxy_from_cluster() {
            let watch = FrontProxyWatch::open(client.clone(), front_proxy).await?;
            access.front_proxy_watch = Some(watch);
        }
        // The configuration has both or neither.
        if let (Some(register), Some(authority)) =
            (&config.register, &config.listen.certificate_authority)
        {
            let ca_bundle = Watched::load(vec![authority.clone()], |files| {
                let pem = files.concat();
                tls::pem::certificates(&pem).map_err(|error| error.to_string())?;
                Ok(pem)
            })?;
            access.ca_bundle = Some(Arc::clone(&ca_bundle));
            access.registrar = Some(Registrar::new(
                client,
                register.clone(),
                ca_bundle,
                catalog.clone(),
                metrics.clone(),
            ));
        }
        Ok(access)
    }

    pub(super) fn namespaces(&self) -> LocalNamespaces {
        self.namespaces.clone()
    }

    /// Returns the files that are read again when they change.
    pub(super) fn watched(&self) -> Option<Arc<dyn Reload>> {
        let ca_bundle = self.ca_bundle.clone()?;
        Some(ca_bundle)
    }

    /// Starts the tasks. `stopping` is cancelled by the stop signal, `ended` after the drain. Returns the registration,
    /// which then releases its Lease.
    pub(super) fn start(
        self,
        stopping: &CancellationToken,
        ended: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        if let Some(watch) = self.namespace_watch {
            tokio::spawn(watch.run(ended.clone()));
        }
        if let Some(watch) = self.front_proxy_watch {
            tokio::spawn(watch.run(ended.clone()));
        }
        let registrar = self.registrar?;
        Some(tokio::spawn(registrar.run(stopping.clone())))
    }
}
