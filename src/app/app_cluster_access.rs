//! The client of the app cluster, and the tasks that use it.

mod discovery;
mod rights;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::start_error::StartError;
use crate::app_cluster::{self, DiscoveryStore, FrontProxyWatch, NamespaceWatch};
use crate::authn::FrontProxyCell;
use crate::catalog::{Catalog, DocumentStore};
use crate::config::{Config, CredentialsConfig, ServingCertificateConfig, Warning};
use crate::copies::Copies;
use crate::leader::{LeaderElection, Leadership};
use crate::managed_secrets::{CertificateKeeper, TokenKeeper};
use crate::namespaces::LocalNamespaces;
use crate::proxy::ControlPlane;
use crate::registration::{CaBundle, Registrar};
use crate::status::CopyStatus;
use crate::telemetry::metrics::Metrics;
use crate::tls::watched::{Reload, Watched};
use crate::tls::{self, ServingCertificate};
use crate::upstream::Credentials;

/// The client of the app cluster, and the Secrets there that the daemon needs before it can serve.
#[derive(Default)]
pub(super) struct AppClusterAccess {
    client: Option<kube::Client>,
    certificate: Option<CertificateKeeper>,
    /// The tokens, by the name of the control plane.
    tokens: BTreeMap<String, TokenKeeper>,
}

impl AppClusterAccess {
    /// Creates the client, and reads the tokens for control planes. Writes nothing.
    ///
    /// # Errors
    /// The client cannot be created although the configuration requires it, or a Secret is unusable.
    pub(super) async fn open(config: &Config, metrics: &Metrics) -> Result<Self, StartError> {
        let client = match config.needs_app_cluster() {
            true => Some(app_cluster::client(&config.app_cluster).await?),
            false => app_cluster::optional_client(&config.app_cluster).await?,
        };
        let mut access = Self {
            client,
            ..Self::default()
        };
        // Secrets are configured only with `register`, which needs a client.
        let (Some(client), Some(register)) = (&access.client, &config.register) else {
            return Ok(access);
        };
        let namespace = &register.service.namespace;
        for (name, control_plane) in &config.control_planes {
            let CredentialsConfig::TokenSecret(secret) = &control_plane.credentials else {
                continue;
            };
            let keeper = TokenKeeper::open(client.clone(), namespace, secret, metrics.clone());
            let keeper = keeper.await.map_err(|error| StartError::Secret {
                key: format!("controlPlanes.{name}.tokenSecret"),
                error,
            })?;
            access.tokens.insert(name.clone(), keeper);
        }
        Ok(access)
    }

    /// Reads the self-managed certificate, or creates the first one.
    ///
    /// # Errors
    /// The Secret is unusable.
    pub(super) async fn with_certificate(
        mut self,
        config: &Config,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let ServingCertificateConfig::SelfManaged(managed) = &config.listen.certificate else {
            return Ok(self);
        };
        if let (Some(client), Some(register)) = (&self.client, &config.register) {
            let (client, metrics) = (client.clone(), metrics.clone());
            let keeper = CertificateKeeper::open(client, managed, &register.service, metrics);
            self.certificate = Some(keeper.await.map_err(|error| StartError::Secret {
                key: "listen.selfManaged".to_owned(),
                error,
            })?);
        }
        Ok(self)
    }

    /// Returns the store for discovery in the app cluster. It is in the namespace of the Service that `register` names.
    pub(super) fn discovery_store(&self, config: &Config) -> Option<Arc<dyn DocumentStore>> {
        let (client, register) = (self.client.clone()?, config.register.as_ref()?);
        Some(Arc::new(DiscoveryStore::new(client, &register.service)))
    }

    /// Returns warnings about problems with the app cluster, such as missing rights. Writes nothing.
    pub(super) async fn warnings(&self, config: &Config) -> Vec<Warning> {
        match &self.client {
            Some(client) => rights::warnings(client, config).await,
            None => Vec::new(),
        }
    }

    /// Returns the self-managed certificate, if there is one.
    pub(super) fn certificate(&self) -> Option<ServingCertificate> {
        let keeper = self.certificate.as_ref()?;
        Some(ServingCertificate::Managed(keeper.certificate()))
    }

    /// Returns the credentials for a control plane whose token is in a Secret.
    pub(super) fn credentials(&self, control_plane: &str) -> Option<Credentials> {
        self.tokens.get(control_plane).map(TokenKeeper::credentials)
    }

    /// Prepares the tasks that use the app cluster. Without access to it, there are none.
    ///
    /// # Errors
    /// The front proxy or the CA cannot be read.
    pub(super) async fn prepare(
        self,
        config: &Config,
        control_planes: &BTreeMap<String, ControlPlane>,
        catalog: &Catalog,
        front_proxy: FrontProxyCell,
        metrics: &Metrics,
    ) -> Result<AppClusterTasks, StartError> {
        let Some(client) = self.client else {
            return Ok(AppClusterTasks::default());
        };
        let (watch, namespaces) = NamespaceWatch::new(client.clone(), metrics.clone());
        let mut tasks = AppClusterTasks {
            namespace_watch: Some(watch),
            namespaces,
            tokens: self.tokens,
            ..AppClusterTasks::default()
        };
        if config.authentication.is_front_proxy_from_cluster() {
            let watch = FrontProxyWatch::open(client.clone(), front_proxy).await?;
            tasks.front_proxy_watch = Some(watch);
        }
        let ca_bundle = match (&config.listen.certificate, &self.certificate) {
            (_, Some(keeper)) => Some(CaBundle::Managed(keeper.ca_bundle())),
            (ServingCertificateConfig::Files { authority, .. }, None) => match authority {
                Some(path) => {
                    let file = Watched::load(vec![path.clone()], |files| {
                        let pem = files.concat();
                        tls::pem::certificates(&pem).map_err(|error| error.to_string())?;
                        Ok(pem)
                    })?;
                    tasks.ca_file = Some(Arc::clone(&file) as Arc<dyn Reload>);
                    Some(CaBundle::File(file))
                }
                None => None,
            },
            (ServingCertificateConfig::SelfManaged(_), None) => None,
        };
        // The configuration has both or neither.
        if let (Some(register), Some(ca_bundle)) = (&config.register, ca_bundle) {
            let copies = control_planes.values().filter_map(|control_plane| {
                let (client, catalog) = (client.clone(), catalog.clone());
                let seen = (metrics.clone(), tasks.copy_status.clone());
                Copies::new(config, control_plane, client, catalog, seen)
            });
            tasks.copies = copies.collect();
            tasks.election = Some(LeaderElection::new(client.clone(), &register.service));
            tasks.registrar = Some(Registrar::new(
                client,
                register.clone(),
                ca_bundle,
                catalog.clone(),
                metrics.clone(),
            ));
        }
        tasks.certificate = self.certificate;
        Ok(tasks)
    }
}

/// The tasks that use the API of the app cluster.
#[derive(Default)]
pub(super) struct AppClusterTasks {
    election: Option<LeaderElection>,
    copies: Vec<Copies>,
    copy_status: CopyStatus,
    registrar: Option<Registrar>,
    namespace_watch: Option<NamespaceWatch>,
    front_proxy_watch: Option<FrontProxyWatch>,
    certificate: Option<CertificateKeeper>,
    tokens: BTreeMap<String, TokenKeeper>,
    namespaces: LocalNamespaces,
    /// The CA in the APIServices.
    ca_file: Option<Arc<dyn Reload>>,
}

impl AppClusterTasks {
    pub(super) fn namespaces(&self) -> LocalNamespaces {
        self.namespaces.clone()
    }

    /// Returns one line for each API that is not registered.
    pub(super) fn registration_problems(&self) -> watch::Receiver<Vec<String>> {
        match &self.registrar {
            Some(registrar) => registrar.problems(),
            None => watch::channel(Vec::new()).1,
        }
    }

    pub(super) fn copy_status(&self) -> CopyStatus {
        self.copy_status.clone()
    }

    /// Returns a function that returns whether this replica leads, if there is an election.
    pub(super) fn is_leader(&self) -> Box<dyn Fn() -> Option<bool> + Send + Sync> {
        let leadership = self.election.as_ref().map(LeaderElection::leadership);
        Box::new(move || leadership.as_ref().map(Leadership::is_leader))
    }

    /// Returns the files that are read again when they change.
    pub(super) fn watched(&self) -> Option<Arc<dyn Reload>> {
        self.ca_file.clone()
    }

    /// Starts the tasks. `stopping` is cancelled by the stop signal, `ended` after the drain. Returns the election, which
    /// releases its Lease after the stop signal.
    pub(super) fn start(
        self,
        control_planes: &BTreeMap<String, ControlPlane>,
        stopping: &CancellationToken,
        ended: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        if let Some(watch) = self.namespace_watch {
            tokio::spawn(watch.run(ended.clone()));
        }
        if let Some(watch) = self.front_proxy_watch {
            tokio::spawn(watch.run(ended.clone()));
        }
        for (name, keeper) in self.tokens {
            // A control plane without APIs has no client, and needs no token.
            if let Some(control_plane) = control_planes.get(&name) {
                tokio::spawn(keeper.run(control_plane.upstream.clone(), ended.clone()));
            }
        }
        let in_place = match &self.registrar {
            Some(registrar) => registrar.in_place(),
            None => watch::channel(None).1,
        };
        if let Some(keeper) = self.certificate {
            tokio::spawn(keeper.run(in_place, ended.clone()));
        }
        let election = self.election?;
        for copies in self.copies {
            let (leadership, stopping) = (election.leadership(), stopping.clone());
            tokio::spawn(async move {
                let run = leadership.run_while_leader(|| copies.run());
                stopping.run_until_cancelled(run).await;
            });
        }
        if let Some(registrar) = self.registrar {
            tokio::spawn(registrar.run(election.leadership(), stopping.clone()));
        }
        Some(tokio::spawn(election.run(stopping.clone())))
    }
}
